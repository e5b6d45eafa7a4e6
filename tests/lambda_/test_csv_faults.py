"""CSV objects as DMS and people write them: each is read exactly, or refused with its place and with what to do."""

from __future__ import annotations

import io
import json
from datetime import datetime
from typing import Any

import pytest

import csv_faults
from csv_faults import CsvError, row_fault
from datalake.schemas import Column, Table
from datalake.tables import SAKILA
from tests.support.cases import CASES, cases
from typed_csv import read_batches


def table_of(case: dict[str, Any]) -> Table:
    """A table of Sakila, or a made-up one."""
    if "table" in case:
        return SAKILA[case["table"]]
    return Table("sakila", "shop", "clean", "shop/", tuple(Column(*pair) for pair in case["columns"].items()))


def rows(case: dict[str, Any]) -> list[list[Any]]:
    """The rows of a case's file, as JSON can hold them."""
    batches = read_batches(io.BytesIO(case["path"].read_bytes()), table_of(case), "s3://b/f.csv")
    found = [row.values() for batch in batches for row in batch.to_pylist()]
    return [[str(value) if isinstance(value, datetime) else value for value in row] for row in found]


@pytest.mark.parametrize("case", cases("csv"))
def test_an_object_is_read_exactly_or_refused_with_what_to_do(case: dict[str, Any]) -> None:
    if "error" not in case:
        assert rows(case) == json.loads(case["rows"])
        return
    with pytest.raises(CsvError) as caught:
        rows(case)
    assert str(caught.value).startswith(f"s3://b/f.csv: {case['error']}")


def test_every_csv_is_in_the_index() -> None:
    files = {path.name for path in (CASES / "csv").iterdir()} - {"cases.toml"}
    assert {one.values[0]["file"] for one in cases("csv")} == files


def test_a_value_that_is_too_long_is_told_from_a_quote_that_is_never_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_faults, "FIELD_CHARACTERS", 10)
    assert row_fault("1," + "x" * 11 + ",2\n") == (1, "the value is longer than 10 characters")
    field, fault = row_fault('1,2,"' + "x" * 11 + "\n")
    assert (field, fault[:26]) == (2, "the quote that begins the ")
