r"""Reads DMS's CSV of a declared table exactly, in bounded memory, and names the file and line of every fault.

It uses Python's csv module on one request for the whole object. ``awswrangler.s3.read_csv`` is not suitable: pandas
completes a truncated row instead of refusing it, gives no line numbers for values that do not parse, and reads an
object in several requests, which may see different versions of it.

Two values are read as DMS documents them for MySQL (DMS user guide, "Using a MySQL-compatible database as a source",
"Source data types for MySQL"): BIT(1) is a BOOLEAN, whose text AWS does not tell, so true, false, 1 and 0 are taken; a
"zero" date is NULL, as on each target that has no such date.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from csv_faults import (
    DECIMAL,
    FIELD_CHARACTERS,
    CsvError,
    header_fault,
    object_fault,
    row_fault,
    value_fault,
    width_fault,
)
from datalake.schemas import Column, Table

NULL_TOKEN = "\\N"  # noqa: S105 - CsvNullValue of DMS's target endpoint; '' is the empty text
BATCH_ROWS = 50_000
BATCH_BYTES = 16 * 1024 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ZERO_DATE = r"^0000-00-00 00:00:00(\.0+)?$"
_SURROGATE = re.compile(r"[\ud800-\udfff]")
# By declared type: Arrow's type, and a pattern of the values where its cast accepts more spellings than MySQL writes
_TYPES = {
    "bigint": (pa.int64(), r"^-?\d{1,19}$"),
    "string": (pa.string(), None),
    "timestamp": (pa.timestamp("us"), r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?$"),
    "boolean": (pa.bool_(), r"^(true|false|1|0)$"),
    "binary": (pa.binary(), r"^([0-9A-Fa-f]{2})*$"),
}


def arrow_schema(table: Table) -> pa.Schema:
    """The declared columns as an Arrow schema, as the Parquet file has them."""
    return pa.schema([(column.name, _type(column)[0]) for column in table.columns])


def read_batches(stream: BinaryIO, table: Table, file: str) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a CSV with a header row as batches of the declared columns, in their declared order.

    Args:
        stream: UTF-8 with or without a byte order mark, RFC 4180 (rows end with a newline), NULL as ``NULL_TOKEN``,
            binary columns in hexadecimal.
        table: what the file must hold; the header may name the columns in any order.
        file: name for messages.

    Raises:
        CsvError: naming file, line (of the row's beginning, 1-based), column and value.
    """
    csv.field_size_limit(FIELD_CHARACTERS)
    schema = arrow_schema(table)
    lines = _Lines(stream, file)
    rows = csv.reader(lines, strict=True)
    header = _next_row(rows, lines, file, 1)
    if fault := header_fault(header, table):
        raise CsvError(f"{file}: line 1: table {table.full_name}: {fault}")
    names = tuple(header or ())
    order = {name: position for position, name in enumerate(names)}
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
                raise CsvError(f"{file}: line {line}: {width_fault(row, names)}")
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

    def __init__(self, stream: BinaryIO, file: str) -> None:
        self._stream = _text(stream, file)
        self.bytes_read = 0
        self.row: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for line in self._stream:
            self.bytes_read += len(line)
            self.row.append(line.decode("utf-8", "surrogateescape"))
            yield self.row[-1]


def _text(stream: BinaryIO, file: str) -> Iterator[bytes]:
    """The lines of a stream of text, without its byte order mark."""
    lines = iter(stream)
    first = next(lines, b"")
    if fault := object_fault(first):
        raise CsvError(f"{file}: line 1: {fault}")
    return itertools.chain([first.removeprefix(_BYTE_ORDER_MARK)] if first else [], lines)


def _next_row(
    rows: Iterator[list[str]], lines: _Lines, file: str, line: int, names: tuple[str, ...] = ()
) -> list[str] | None:
    """The next row, or None at the end of the file; ``names`` are the columns in the file's order."""
    lines.row = []
    try:
        return next(rows, None)
    except csv.Error:
        field, fault = row_fault("".join(lines.row))
        column = repr(names[field]) if field < len(names) else field + 1
        raise CsvError(f"{file}: line {line}: column {column}: not CSV according to RFC 4180: {fault}") from None


def _type(column: Column) -> tuple[pa.DataType, str | None]:
    if decimal := DECIMAL.fullmatch(column.type):
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
        raise CsvError(f"{file}: line {lines[bad]}: {value_fault(found, column)}") from None
    kind, pattern = _type(column)
    if pattern is None:
        return texts
    bad = pc.index(pc.match_substring_regex(texts, pattern), value=False).as_py()
    cast = _cast(kind)
    if bad < 0:
        try:
            return cast(texts)
        except pa.ArrowInvalid:  # the spelling is right, but there is no such number or date
            texts = pc.if_else(pc.match_substring_regex(texts, _ZERO_DATE), None, texts)
        try:
            return cast(texts)
        except pa.ArrowInvalid:
            bad = next(index for index in range(len(texts)) if not _fits(cast, texts.slice(index, 1)))
    raise CsvError(f"{file}: line {lines[bad]}: {value_fault(values[bad], column)}")


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


def buffered(stream: Any) -> BinaryIO:
    r"""A stream whose lines end only at ``\n`` (those of an S3 response body also end at ``\r``)."""
    return io.BufferedReader(stream, 1024 * 1024)
