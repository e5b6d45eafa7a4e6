"""Athena's results: the text of values, CSV files and their metadata, DESCRIBE."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.aws.athena import results
from local.aws.athena.show import describe


def signature(raw: str, *arguments: Any) -> dict[str, Any]:
    return {"rawType": raw, "arguments": [{"kind": "TYPE", "value": argument} for argument in arguments]}


def field(name: str | None, kind: dict[str, Any]) -> dict[str, Any]:
    return {"fieldName": {"name": name} if name else None, "typeSignature": kind}


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (None, signature("bigint"), None),
        (7, signature("bigint"), "7"),
        (True, signature("boolean"), "true"),
        ("", signature("varchar"), ""),
        (1.0, signature("double"), "1.0"),
        (100, signature("double"), "100.0"),
        (12345678.9, signature("double"), "1.23456789E7"),
        (1e-5, signature("double"), "1.0E-5"),
        (0.00012, signature("double"), "1.2E-4"),
        (1.5e300, signature("double"), "1.5E300"),
        (9999999.0, signature("double"), "9999999.0"),
        (-0.0, signature("double"), "-0.0"),
        ("NaN", signature("double"), "NaN"),
        ("-Infinity", signature("real"), "-Infinity"),
        ("ZWY=", signature("varbinary"), "65 66"),
        (["a", None], signature("array", signature("varchar")), "[a, null]"),
        ({"k": [1.0]}, signature("map", signature("varchar"), signature("array", signature("double"))), "{k=[1.0]}"),
        (
            [1, "z"],
            signature("row", field("p", signature("bigint")), field(None, signature("varchar"))),
            "{p=1, field1=z}",
        ),
    ],
)
def test_text_of_values(value: Any, kind: dict[str, Any], expected: str | None) -> None:
    assert results.text(value, kind) == expected


@given(st.lists(st.lists(st.one_of(st.none(), st.text(alphabet='a",\nä')), min_size=2, max_size=2), max_size=6))
def test_csv_keeps_null_and_empty_apart(rows: list[list[str | None]]) -> None:
    lines = "".join(results.csv_line(row) for row in rows)
    assert results.parse_csv(lines, 100) == (rows, len(lines))
    if rows:  # an incomplete row is not read
        assert results.parse_csv(lines[:-1], 100)[0] == rows[:-1]
        assert results.parse_csv(lines, 1)[0] == rows[:1]


def test_metadata_file_holds_the_columns() -> None:
    columns = [results.column("a", "varchar"), results.column("b", "double")]
    content = results.metadata(columns, "query-1")
    fields = protobuf(content)
    assert fields[0] == (1, b"query-1")
    names = [dict(protobuf(column))[4] for number, column in fields[1:] if number == 4]
    kinds = [dict(protobuf(column))[6] for number, column in fields[1:] if number == 4]
    precisions = [dict(protobuf(column))[7] for number, column in fields[1:] if number == 4]
    assert (names, kinds, precisions) == ([b"a", b"b"], [b"varchar", b"double"], [2147483647, 17])


def protobuf(content: bytes) -> list[tuple[int, Any]]:
    """Fields of a message: numbers and byte strings."""
    position = 0

    def number() -> int:
        nonlocal position
        value, shift = 0, 0
        while True:
            byte = content[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    fields: list[tuple[int, Any]] = []
    while position < len(content):
        key = number()
        if key & 7 == 2:
            length = number()
            fields.append((key >> 3, content[position : position + length]))
            position += length
        else:
            fields.append((key >> 3, number()))
    return fields


def test_describe_shows_partition_keys_twice() -> None:
    table = {
        "StorageDescriptor": {"Columns": [{"Name": "a", "Type": "int", "Comment": "x"}]},
        "PartitionKeys": [{"Name": "m", "Type": "string"}],
    }
    rows = [row.split() for row in describe("d", table, full=False).rows]
    assert rows == [
        ["a", "int", "x"],
        ["m", "string"],
        [],
        ["#", "Partition", "Information"],
        ["#", "col_name", "data_type", "comment"],
        [],
        ["m", "string"],
    ]
