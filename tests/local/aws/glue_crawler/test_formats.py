"""The formats and types that a Glue crawler recognises."""

from __future__ import annotations

import gzip
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.aws.glue_crawler.formats import Unclassified, classify
from local.aws.glue_crawler.hive_types import hive_name, merge_types, type_of_hive, type_of_json
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
    assert hive_name(type_of_json(value)) == expected


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
        assert hive_name(merge_types(type_of_json(first), type_of_json(second))) == expected


def test_json_is_sampled_line_by_line() -> None:
    lines = b'{"eventType":"rent","film_id":1}\n\nbroken\n[1]\n{"eventtype":"buy","film_id":2.5}\n{"cut":'
    found = classify(lines, False, None)
    assert (found.classification, found.records, found.bad_records) == ("json", 2, 2)
    assert found.fields == {"eventtype": "string", "film_id": "double"}
    assert found.originals["eventtype"] == "eventType"
    zipped = classify(gzip.compress(lines), True, None)
    assert (zipped.compression, zipped.fields.keys()) == ("gzip", found.fields.keys())


def test_csv_is_recognised_by_its_rows() -> None:
    found = classify(b"Film_ID|title|rate\n1|A|0.99\n2|B|\n", True, None)
    assert (found.classification, found.delimiter, found.has_header, found.records) == ("csv", "|", True, 2)
    assert found.fields == {"film_id": "bigint", "title": "string", "rate": "double"}
    assert classify(b"a,b\nc,d\n", True, None).fields == {"col0": "string", "col1": "string"}
    for text in (b"just text\nand more\n", b"", b"a,b\nc\n"):
        with pytest.raises(Unclassified):
            classify(text, True, None)


def test_parquet_has_its_own_schema() -> None:
    data = parquet()
    found = classify(data[:1000], False, lambda: io.BytesIO(data))
    assert (found.fields, found.records) == ({"id": "bigint", "paid": "decimal(5,2)"}, 2)


TYPES = st.recursive(
    st.sampled_from(["int", "bigint", "double", "boolean", "string", "decimal(5,2)"]),
    lambda inner: (
        inner.map(lambda one: [one])
        | st.dictionaries(st.sampled_from(["a", "b_c", "d"]), inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


@given(TYPES, TYPES)
def test_a_types_name_can_be_read_and_a_wider_type_stays(one: Any, other: Any) -> None:
    assert type_of_hive(hive_name(one)) == one
    wide = merge_types(one, other)
    assert merge_types(wide, one) == merge_types(wide, other) == wide
