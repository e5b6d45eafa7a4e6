"""Recognises the format of an object and infers its fields from at most SAMPLE_BYTES of it."""

from __future__ import annotations

import csv
import io
import json
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from local.aws.glue_crawler.hive_types import HiveType, merge_types, type_of_json

SAMPLE_BYTES = 1 << 20  # read from the beginning of each sampled object
GZIP, PARQUET = b"\x1f\x8b", b"PAR1"
DELIMITERS = ",|\t;"

PARQUET_TYPES = {
    "bool": "boolean", "int8": "tinyint", "int16": "smallint", "int32": "int", "int64": "bigint", "uint8": "smallint",
    "uint16": "int", "uint32": "bigint", "uint64": "decimal(20,0)", "float": "float", "double": "double",
    "string": "string", "large_string": "string", "binary": "binary", "large_binary": "binary", "date32[day]": "date",
}  # fmt: skip


class Unclassified(Exception):
    """An object whose format is not recognised."""


@dataclass
class Sample:
    """The format and fields of one object, or of several in the same format."""

    classification: str  # json, csv, parquet
    compression: str = "none"  # none, gzip
    fields: dict[str, HiveType] = field(default_factory=dict)
    originals: dict[str, str] = field(default_factory=dict)  # field name in lower case -> its spelling in the data
    records: int = 0
    bytes_read: int = 0
    bad_records: int = 0
    delimiter: str = ""
    has_header: bool = False

    @property
    def format(self) -> tuple[str, str, str, bool]:
        """The properties that all objects of a table must share."""
        return self.classification, self.compression, self.delimiter, self.has_header

    def add(self, other: Sample) -> None:
        """Add another object's sample; raises Unclassified if its format differs."""
        if self.format != other.format:
            raise Unclassified(f"objects of different formats in one table: {self.format[:2]} and {other.format[:2]}")
        for name, kind in other.fields.items():
            self.fields[name] = merge_types(self.fields.get(name), kind)
            self.originals.setdefault(name, other.originals.get(name, name))
        self.records += other.records
        self.bytes_read += other.bytes_read
        self.bad_records += other.bad_records


def classify(head: bytes, is_whole: bool, whole: Any) -> Sample:
    """Sample an object by its first bytes, ``head``; ``is_whole`` says whether they are all of it.

    ``whole`` opens the whole object, for a Parquet file, whose schema is at the end.
    """
    if head[:4] == PARQUET:
        return _sample_parquet(whole())
    compression, size = "none", len(head)
    if head[:2] == GZIP:
        compression, decompressor = "gzip", zlib.decompressobj(zlib.MAX_WBITS | 32)
        head = decompressor.decompress(head, SAMPLE_BYTES)
        is_whole = is_whole and decompressor.eof
    if not is_whole:
        head = head[: head.rfind(b"\n") + 1]
    text = head.decode("utf-8-sig", "replace")
    found = _sample_json(text) if text.lstrip()[:1] in {"{", "["} else _sample_csv(text)
    found.compression, found.bytes_read = compression, size
    return found


def _sample_json(text: str) -> Sample:
    found = Sample("json")
    for record in _json_records(text, found):
        if not isinstance(record, dict):
            found.bad_records += 1
            continue
        found.records += 1
        for name, value in record.items():
            found.fields[name.lower()] = merge_types(found.fields.get(name.lower()), type_of_json(value))
            found.originals.setdefault(name.lower(), name)
    if not found.records:
        raise Unclassified("none of its lines is a JSON object")
    return found


def _json_records(text: str, found: Sample) -> Iterable[Any]:
    for line in text.splitlines():
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError:
                found.bad_records += 1


def _sample_csv(text: str) -> Sample:
    lines = [line for line in text.splitlines() if line.strip()]
    delimiter = max(DELIMITERS, key=lines[0].count) if lines else ","
    rows = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter))
    if len(rows) < 2 or len(rows[0]) < 2 or any(len(row) != len(rows[0]) for row in rows):
        raise Unclassified("neither JSON nor Parquet nor a CSV of at least two columns and two rows")
    has_header = _is_header(rows[0], rows[1:])
    names = [name.strip().lower() for name in rows[0]] if has_header else [f"col{n}" for n in range(len(rows[0]))]
    data = rows[1:] if has_header else rows
    found = Sample("csv", records=len(data), delimiter=delimiter, has_header=has_header)
    for position, name in enumerate(names):
        kind: HiveType = None
        for row in data:
            kind = merge_types(kind, _csv_type(row[position]))
        found.fields[name] = kind
    return found


def _is_header(first: list[str], rest: list[list[str]]) -> bool:
    """AWS's rule: every cell is a possible name, and some column of the data has another type than string."""
    if any(_csv_type(cell) not in {"string", None} or not re.fullmatch(r"[^\d\W]\w{0,149}", cell) for cell in first):
        return False
    return any(_csv_type(row[n]) not in {"string", None} for row in rest for n in range(len(first)))


def _csv_type(cell: str) -> HiveType:
    if cell == "":
        return None
    if re.fullmatch(r"-?\d{1,18}", cell):
        return "bigint"
    if re.fullmatch(r"-?\d*\.\d+(?:[eE][+-]?\d+)?", cell):
        return "double"
    if cell.lower() in {"true", "false"}:
        return "boolean"
    return "string"


def _sample_parquet(source: Any) -> Sample:
    file = pq.ParquetFile(source)
    fields = {column.name.lower(): _type_of_arrow(column.type) for column in file.schema_arrow}
    size = sum(file.metadata.row_group(n).total_byte_size for n in range(file.metadata.num_row_groups))
    return Sample("parquet", fields=fields, records=file.metadata.num_rows, bytes_read=size)


def _type_of_arrow(kind: pa.DataType) -> HiveType:
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamp"
    if pa.types.is_struct(kind):
        return {kind.field(n).name.lower(): _type_of_arrow(kind.field(n).type) for n in range(kind.num_fields)}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_type_of_arrow(kind.value_type)]
    if str(kind) not in PARQUET_TYPES:  # a map among them
        raise Unclassified(f"the local home's crawler does not support Parquet's {kind}")
    return PARQUET_TYPES[str(kind)]
