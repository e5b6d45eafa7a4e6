r"""Reads DMS's CSV of a declared table exactly, in bounded memory, and names the file and line of every fault.

It uses Python's csv module on one request for the whole object. ``awswrangler.s3.read_csv`` is not suitable: pandas
completes a truncated row instead of refusing it, gives no line numbers for values that do not parse, and reads an
object in several requests, which may see different versions of it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from datalake.schemas import Column, Table

NULL_TOKEN = "\\N"  # noqa: S105 - CsvNullValue of DMS's target endpoint; '' is the empty text
BATCH_ROWS = 50_000
BATCH_BYTES = 16 * 1024 * 1024
# DMS truncates LOBs at 1,024 KiB (LobMaxSize), which are two hexadecimal digits a byte. A longer field is a quote that
# was never closed, which must not fill the memory.
_FIELD_CHARACTERS = 4 * 1024 * 1024
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# By declared type: Arrow's type, and a pattern of the values where its cast accepts more spellings than MySQL writes
_TYPES = {
    "bigint": (pa.int64(), r"^-?\d{1,19}$"),
    "string": (pa.string(), None),
    "timestamp": (pa.timestamp("us"), r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?$"),
    "binary": (pa.binary(), r"^([0-9A-Fa-f]{2})*$"),
}


class CsvError(ValueError):
    """The file does not match its table's declaration; the message says where, how, and what to do."""


def arrow_schema(table: Table) -> pa.Schema:
    """The declared columns as an Arrow schema, as the Parquet file has them."""
    return pa.schema([(column.name, _type(column)[0]) for column in table.columns])


def read_batches(stream: BinaryIO, table: Table, file: str) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a CSV with a header row as batches of the declared columns, in their declared order.

    Args:
        stream: UTF-8, RFC 4180 (rows end with a newline), NULL as ``NULL_TOKEN``, binary columns in hexadecimal.
        table: what the file must hold; the header may name the columns in any order.
        file: name for messages.

    Raises:
        CsvError: naming file, line (of the row's beginning, 1-based), column and value.
    """
    csv.field_size_limit(_FIELD_CHARACTERS)
    schema = arrow_schema(table)
    lines = _Lines(stream)
    rows = csv.reader(lines, strict=True)
    order = _header(_next_row(rows, lines, file, 1), table, file)
    names = tuple(order)
    width = len(order)
    columns: list[list[str | None]] = [[] for _ in order]
    starts: list[int] = []
    while True:
        line = rows.line_num + 1
        row = _next_row(rows, lines, file, line, names)
        if row is not None:
            if not row and width == 1:
                row = [""]  # a row with one empty text is an empty line
            if len(row) != width:
                raise CsvError(f"{file}: line {line}: {len(row)} values, but the header names {width} columns")
            for column, value in zip(columns, row, strict=True):
                column.append(None if value == NULL_TOKEN else value)
            starts.append(line)
        if starts and (row is None or len(starts) == BATCH_ROWS or lines.bytes_read >= BATCH_BYTES):
            yield pa.RecordBatch.from_arrays(  # not kept in a variable, so that it is freed while the next one is read
                [_convert(columns[order[column.name]], column, starts, file) for column in table.columns], schema=schema
            )
            columns = [[] for _ in order]
            starts = []
            lines.bytes_read = 0
        if row is None:
            return


class _Lines:
    """The lines of a stream as text; ``bytes_read`` and ``row`` (the lines of one row) are reset by the caller.

    Bytes that are not UTF-8 become lone surrogates, and are refused later, when their column is known.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.bytes_read = 0
        self.row: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for line in self._stream:
            self.bytes_read += len(line)
            self.row.append(line.decode("utf-8", "surrogateescape"))
            yield self.row[-1]


def _next_row(
    rows: Iterator[list[str]], lines: _Lines, file: str, line: int, names: tuple[str, ...] = ()
) -> list[str] | None:
    """The next row, or None at the end of the file; ``names`` are the columns in the file's order."""
    lines.row = []
    try:
        return next(rows, None)
    except csv.Error as error:
        field = _unclean_field("".join(lines.row))
        where = f"column {names[field]!r}: " if field < len(names) else ""
        raise CsvError(f"{file}: line {line}: {where}not CSV according to RFC 4180: {error}") from None


def _unclean_field(row: str) -> int:
    """The field of a row, from 0, that violates RFC 4180: with unpaired quotes, or with an unquoted line break."""
    field, quoted, begins = 0, False, True
    position = 0
    while position < len(row):
        this, following = row[position], row[position + 1 : position + 2]
        if quoted and this == '"':
            if following == '"':
                position += 1
            elif following in ("", ",", "\r", "\n"):
                quoted = False
            else:
                return field
        elif not quoted:
            if this == "\r" and following not in ("", "\n"):
                return field
            quoted = this == '"' and begins
            field += this == ","
        begins = this == "," and not quoted
        position += 1
    return field


def _header(names: list[str] | None, table: Table, file: str) -> dict[str, int]:
    """The position of each declared column in the file."""
    where = f"{file}: line 1: table {table.full_name}"
    if names is None:
        raise CsvError(f"{where}: the file is empty; even an empty table has a header row (DMS: AddColumnName=true)")
    unknown = [name for name in names if name not in table.column_names]
    missing = [name for name in table.column_names if name not in names]
    if len(unknown) == len(names):
        raise CsvError(
            f"{where}: the first row {names!r} names no declared column; set AddColumnName=true on DMS's target"
        )
    if unknown:
        raise CsvError(
            f"{where}: column {unknown[0]!r} is not declared; declare it in datalake/tables.py, "
            "or drop it by a remove-column rule in DMS's table mappings"
        )
    if missing:
        raise CsvError(
            f"{where}: column {missing[0]!r} is missing; give it back to the source, "
            "or take it out of datalake/tables.py"
        )
    if len(names) != len(table.columns):
        raise CsvError(f"{where}: a column is named twice in {names!r}")
    return {name: position for position, name in enumerate(names)}


def _type(column: Column) -> tuple[pa.DataType, str | None]:
    if decimal := _DECIMAL.fullmatch(column.type):
        return pa.decimal128(int(decimal[1]), int(decimal[2])), rf"^-?\d+(\.\d{{1,{decimal[2]}}})?$"
    if column.type not in _TYPES:
        raise ValueError(f"column {column.name}: no CSV is read into the type {column.type}")
    return _TYPES[column.type]


def _convert(values: list[str | None], column: Column, lines: list[int], file: str) -> pa.Array:
    """One column's texts, converted to its declared type."""
    try:
        texts = pa.array(values, pa.string())
    except UnicodeEncodeError:
        bad = next(index for index, value in enumerate(values) if value is not None and _SURROGATE.search(value))
        found = str(values[bad]).encode("utf-8", "surrogateescape")
        raise CsvError(f"{file}: line {lines[bad]}: column {column.name!r}: {_shown(found)} is not UTF-8") from None
    kind, pattern = _type(column)
    if pattern is None:
        return texts
    bad = pc.index(pc.match_substring_regex(texts, pattern), value=False).as_py()
    cast = _cast(kind)
    if bad < 0:
        try:
            return cast(texts)
        except pa.ArrowInvalid:  # the spelling is right, but there is no such number or date
            bad = next(index for index in range(len(texts)) if not _fits(cast, texts.slice(index, 1)))
    raise CsvError(
        f"{file}: line {lines[bad]}: column {column.name!r}: {_shown(values[bad])} is not of type {column.type}"
    )


def _cast(target: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    if pa.types.is_binary(target):
        return lambda texts: pa.array(
            [None if text is None else bytes.fromhex(text) for text in texts.to_pylist()], target
        )
    return lambda texts: texts.cast(target)


def _fits(cast: Callable[[pa.Array], pa.Array], text: pa.Array) -> bool:
    try:
        cast(text)
    except pa.ArrowInvalid:
        return False
    return True


def _shown(value: str | bytes | None) -> str:
    """A value for a message, shortened, as a BLOB's text would fill pages."""
    kept = value if isinstance(value, bytes) else str(value)
    return repr(kept) if len(kept) <= 100 else f"{kept[:100]!r}..."


def buffered(stream: Any) -> BinaryIO:
    r"""A stream whose lines end only at ``\n`` (those of an S3 response body also end at ``\r``)."""
    return io.BufferedReader(stream, 1024 * 1024)
