r"""Says what is wrong with a CSV object: what was found, what was expected, and what to do.

The names of settings are those of DMS's S3 target (DMS user guide, "Using Amazon S3 as a target for AWS DMS").
"""

from __future__ import annotations

import re

from datalake.schemas import Column, Table

# DMS truncates LOBs at LobMaxSize (infrastructure/dms/task-settings.json), 1,024 KiB, which are two hexadecimal digits
# a byte. A longer field is a quote that was never closed, which must not fill the memory.
FIELD_CHARACTERS = 4 * 1024 * 1024
DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_EXPECTED = {
    "bigint": "a whole number",
    "boolean": "true or false",
    "timestamp": "a time such as 2006-02-15 04:34:33",
    "binary": "two hexadecimal digits for each byte",
}
_OTHER_DELIMITERS = ";\t|"


class CsvError(ValueError):
    """The file does not match its table's declaration; the message says where, how, and what to do."""


def object_fault(beginning: bytes) -> str:
    """Why an object that begins so is not text in UTF-8; empty when it may be."""
    if beginning.startswith(b"\x1f\x8b"):
        return "the object is compressed with gzip, expected text: set CompressionType=NONE on DMS's target"
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in beginning[:4]:
        return "the object is UTF-16, expected UTF-8: convert it with iconv -f UTF-16 -t UTF-8, and land it again"
    return ""


def header_fault(names: list[str] | None, table: Table) -> str:
    """Why the first row is not the header of a table; empty when it is. The names may come in any order."""
    expected = f"expected a header row with the columns {', '.join(table.column_names)}"
    if names is None:
        return f"the file is empty; even an empty table has a header row (DMS: AddColumnName=true); {expected}"
    if names and names[0] in ("Op", "I", "U", "D"):
        return (
            f"the first value {names[0]!r} is DMS's own, and tells each row's operation; {expected}: set "
            "IncludeOpForFullLoad=false and AddColumnName=true on DMS's target, and load again; the changes that a CDC "
            "task writes are not converted"
        )
    unknown = [name for name in names if name not in table.column_names]
    missing = [name for name in table.column_names if name not in names]
    if len(unknown) == len(names):
        for delimiter in _OTHER_DELIMITERS:
            if names and names[0].split(delimiter)[0] in table.column_names:
                return f"the values are separated by {delimiter!r}, expected ',': set CsvDelimiter=, on DMS's target"
        return f"the first row {names!r} names no declared column; {expected}: set AddColumnName=true on DMS's target"
    if "" in unknown:
        return (
            f"column {names.index('') + 1} of the header has no name; {expected}: take the empty TimestampColumnName "
            "from DMS's target"
        )
    if unknown:
        return (
            f"column {unknown[0]!r} is not declared; {expected}: declare it in datalake/tables.py, drop it by a "
            "remove-column rule in DMS's table mappings, or unset TimestampColumnName if DMS adds it"
        )
    if missing:
        return (
            f"column {missing[0]!r} is missing; {expected}: give it back to the source, or take it out of "
            "datalake/tables.py"
        )
    return f"a column is named twice in {names!r}; {expected}" if len(names) != len(table.columns) else ""


def width_fault(row: list[str], names: tuple[str, ...]) -> str:
    """What is wrong with a row that has more or fewer values than the header ``names`` columns."""
    short = len(row) < len(names)
    where = f"column {names[len(row)]!r} has no value" if short else f"{_shown(row[len(names)])} has no column"
    return (
        f"{len(row)} values, but the header names {len(names)} columns: {where}; expected one value for each column, "
        "in quotes if it holds a comma or a line break (DMS: Rfc4180=true)"
    )


def row_fault(row: str) -> tuple[int, str]:
    """The field of a row, from 0, that violates RFC 4180, and how."""
    field, quoted, begins = 0, False, True
    start = position = 0
    while position < len(row) and position - start <= FIELD_CHARACTERS:
        this, following = row[position], row[position + 1 : position + 2]
        if quoted and this == '"':
            if following == '"':
                position += 1
            elif following in ("", ",", "\r", "\n"):
                quoted = False
            else:
                return field, (
                    f"{following!r} follows the quote that ends the value, expected a comma or the line's end: write "
                    "quotes inside a value twice (DMS: Rfc4180=true)"
                )
        elif not quoted:
            if this == "\r" and following not in ("", "\n"):
                return field, (
                    "a carriage return without a line feed: rows end with a line feed (DMS: CsvRowDelimiter=\\n), and "
                    "a value with a line break is in quotes"
                )
            quoted = this == '"' and begins
            if this == ",":
                field, start = field + 1, position + 1
        begins = this == "," and not quoted
        position += 1
    if quoted:
        return field, "the quote that begins the value is never closed: the object is cut short, or a quote is missing"
    return field, f"the value is longer than {FIELD_CHARACTERS:,} characters"


def value_fault(value: str | bytes | None, column: Column) -> str:
    """What is wrong with a value that is not of its column's type, or whose bytes are not UTF-8."""
    found = f"column {column.name!r}: {_shown(value)}"
    if isinstance(value, bytes):
        return f"{found} is not UTF-8: write the text as UTF-8, and land the object again"
    decimal = DECIMAL.fullmatch(column.type)
    expected = (
        f"a number with up to {int(decimal[1]) - int(decimal[2])} digits before the point and {decimal[2]} after it"
        if decimal
        else _EXPECTED[column.type]
    )
    return f"{found} is not of type {column.type}, expected {expected}{_advice(value, column)}"


def _advice(value: str | None, column: Column) -> str:
    if value == column.name:
        return ": a header row comes again, as several files were put together; land each by itself"
    if value in ("", "NULL", "null"):
        return r": write NULL as \N (DMS: CsvNullValue=\N)"
    return ": correct it in MySQL and load again"


def _shown(value: str | bytes | None) -> str:
    """A value for a message, shortened, as a BLOB's text would fill pages."""
    kept = value if isinstance(value, bytes) else str(value)
    return repr(kept) if len(kept) <= 100 else f"{kept[:100]!r}..."
