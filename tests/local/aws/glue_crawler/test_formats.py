"""Formats and types that a Glue crawler tells apart."""

from __future__ import annotations

import gzip
import io
from typing import Any

import pytest

from local.aws.glue_crawler.formats import Unclassified, sample
from local.aws.glue_crawler.types import hive, merged, of_json
from tests.local.aws.glue_crawler.crawls import parquet


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, "int"),
        (2**31, "bigint"),
        (-(2**31), "int"),
        (2**63, "double"),
        (1.5, "double"),
        (True, "boolean"),
        ("x", "string"),
        (None, "string"),
        ({"A": 1, "b": {"C": [1, 2.5]}}, "struct<a:int,b:struct<c:array<double>>>"),
        ([], "array<string>"),
        ([{"a": 1}, {"b": "x"}], "array<struct<a:int,b:string>>"),
    ],
)
def test_types_of_json_values(value: Any, expected: str) -> None:
    assert hive(of_json(value)) == expected


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1, 2**40, "bigint"),
        (2**40, 1.5, "double"),
        (1, "x", "string"),
        (True, 1, "string"),
        (None, 1, "int"),
        ({"a": 1}, {"a": 2**40, "b": 1}, "struct<a:bigint,b:int>"),
        ({"a": 1}, "x", "string"),
    ],
)
def test_types_that_differ_become_one_that_holds_both(left: Any, right: Any, expected: str) -> None:
    for first, second in ((left, right), (right, left)):
        assert hive(merged(of_json(first), of_json(second))) == expected


def test_json_is_sampled_line_by_line() -> None:
    lines = b'{"eventType":"rent","film_id":1}\n\nbroken\n[1]\n{"eventtype":"buy","film_id":2.5}\n{"cut":'
    found = sample(lines, False, None)
    assert (found.classification, found.records, found.bad_records) == ("json", 2, 2)
    assert found.fields == {"eventtype": "string", "film_id": "double"}
    assert found.originals["eventtype"] == "eventType"
    zipped = sample(gzip.compress(lines), True, None)
    assert (zipped.compression, zipped.fields.keys()) == ("gzip", found.fields.keys())


def test_csv_is_told_by_its_rows() -> None:
    found = sample(b"Film_ID|title|rate\n1|A|0.99\n2|B|\n", True, None)
    assert (found.classification, found.delimiter, found.has_header, found.records) == ("csv", "|", True, 2)
    assert found.fields == {"film_id": "bigint", "title": "string", "rate": "double"}
    assert sample(b"a,b\nc,d\n", True, None).fields == {"col0": "string", "col1": "string"}
    for text in (b"just text\nand more\n", b"", b"a,b\nc\n"):
        with pytest.raises(Unclassified):
            sample(text, True, None)


def test_parquet_tells_its_own_schema() -> None:
    data = parquet()
    found = sample(data[:1000], False, lambda: io.BytesIO(data))
    assert (found.fields, found.records) == ({"id": "bigint", "paid": "decimal(5,2)"}, 2)
