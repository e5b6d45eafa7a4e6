r"""Result sets as Athena writes them to S3 and returns them: the text of values, CSV files, their metadata and pages.

CSV: a header row, every value quoted, NULL empty and unquoted, lines that end in \n. TXT (DDL and utility statements):
fields separated by tabs, no header. ``<file>.metadata`` is AWS's protobuf of the columns; its field numbers are those
that athena-jdbc reads.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

ColumnInfo = dict[str, Any]
Row = list[str | None]

# The precision that Athena reports for types that declare none.
_PRECISION = {
    "tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19, "float": 17, "double": 17, "timestamp": 3,
    "varchar": 2147483647, "char": 2147483647, "varbinary": 1073741824,
}  # fmt: skip
_CASE_SENSITIVE = {"varchar", "char", "json"}
_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|)([,\n])')


def column(name: str, kind: str) -> ColumnInfo:
    """ColumnInfo of a column; ``kind`` is its type in Athena's spelling, e.g. ``string`` in DDL results."""
    return {
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": name,
        "Label": name,
        "Type": kind,
        "Precision": _PRECISION.get(kind, 0),
        "Scale": 0,
        "Nullable": "UNKNOWN",
        "CaseSensitive": kind in _CASE_SENSITIVE,
    }


def trino_column(found: dict[str, Any]) -> ColumnInfo:
    """ColumnInfo of a column in Trino's reply."""
    signature = found["typeSignature"]
    raw = signature["rawType"]
    info = column(found["name"], {"real": "float"}.get(raw, raw.lower()))
    if raw == "decimal":
        info["Precision"], info["Scale"] = (argument["value"] for argument in signature["arguments"])
    return info


def text(value: Any, signature: dict[str, Any]) -> str | None:
    """A raw value in Trino's reply as Athena prints it; None for NULL."""
    if value is None:
        return None
    raw = signature["rawType"]
    if raw == "boolean":
        return "true" if value else "false"
    if raw in ("double", "real"):
        return _java_number(value)
    if raw == "varbinary":
        return base64.b64decode(value).hex(" ")
    arguments = [argument["value"] for argument in signature.get("arguments", [])]
    if raw == "array":
        return f"[{', '.join(_inner(item, arguments[0]) for item in value)}]"
    if raw == "map":
        pairs = (f"{_inner(key, arguments[0])}={_inner(item, arguments[1])}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if raw == "row":
        fields = []
        for position, (item, field) in enumerate(zip(value, arguments, strict=True)):
            name = (field.get("fieldName") or {}).get("name") or f"field{position}"
            fields.append(f"{name}={_inner(item, field['typeSignature'])}")
        return f"{{{', '.join(fields)}}}"
    return str(value)


def _inner(value: Any, signature: dict[str, Any]) -> str:
    found = text(value, signature)
    return "null" if found is None else found


def _java_number(value: float | str) -> str:
    """A floating-point number as Java prints it: 1.0, 1.0E10, 1.5E-5, NaN, Infinity."""
    number = float(value)
    if math.isnan(number) or math.isinf(number):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(number, "NaN")
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        return repr(number)
    exact = Decimal(repr(number)).normalize()
    sign, digits, _ = exact.as_tuple()
    return f"{'-' * sign}{digits[0]}.{''.join(map(str, digits[1:])) or '0'}E{exact.adjusted()}"


def csv_line(row: Sequence[str | None]) -> str:
    """One line of the CSV."""
    return ",".join("" if value is None else '"' + value.replace('"', '""') + '"' for value in row) + "\n"


def parse_csv(lines: str, limit: int) -> tuple[list[Row], int]:
    """Up to ``limit`` complete rows from the beginning of ``lines``, and how many characters they take."""
    rows: list[Row] = []
    row: Row = []
    position = taken = 0
    while match := _CELL.match(lines, position):
        position = match.end()
        row.append(None if match[1] is None else match[1].replace('""', '"'))
        if match[2] == "\n":
            rows.append(row)
            row, taken = [], position
            if len(rows) == limit:
                break
    return rows, taken


def parse_lines(lines: str, limit: int) -> tuple[list[Row], int]:
    """The same for a TXT result: GetQueryResults returns each of its lines as one value, tabs included."""
    found = lines.split("\n")[:-1][:limit]
    return [[line] for line in found], sum(len(line) + 1 for line in found)


def metadata(columns: Sequence[ColumnInfo], query_id: str) -> bytes:
    """The content of ``<result>.metadata``."""
    described = (_field(4, b"".join(_column_fields(info))) for info in columns)
    return b"".join([_field(1, query_id.encode()), *described])


def _column_fields(info: ColumnInfo) -> Iterator[bytes]:
    for number, name in enumerate(("CatalogName", "SchemaName", "TableName", "Name", "Label", "Type"), start=1):
        yield _field(number, str(info[name]).encode())
    for number, value in ((7, info["Precision"]), (8, info["Scale"]), (9, 3), (10, int(info["CaseSensitive"]))):
        yield _varint(number << 3) + _varint(value)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])
