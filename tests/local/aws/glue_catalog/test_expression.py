"""Expressions over partitions."""

from __future__ import annotations

import pytest

from local.aws.glue_catalog.expression import compile_expression, typed_value
from local.aws.protocol import AwsError

KEYS = [("year", "string"), ("month", "int"), ("day", "date"), ("price", "decimal(5,2)")]


def matches(expression: str, values: list[str]) -> bool:
    row = {name: typed_value(value, kind) for (name, kind), value in zip(KEYS, values, strict=True)}
    return compile_expression(expression, KEYS)(row) is True


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("year = '2026'", True),
        ("YEAR='2025'", False),
        ("year <> '2026'", False),
        ("year != '2025'", True),
        ("month = 9", True),
        ("month = '9'", True),  # a quoted number is compared as its key's type
        ("month > 10", False),
        ("month < 10 and year >= '2026'", True),
        ("month <= 8 or month >= 10", False),
        ("not month = 9", False),
        ("month between 9 and 12", True),
        ("month not between 9 and 12", False),
        ("month in (1, 9)", True),
        ("month not in (1, 2)", True),
        ("year like '20%'", True),
        ("year like '202_'", True),
        ("year not like '19%'", True),
        ("year is null", False),
        ("year is not null", True),
        ("day = '2026-09-30'", True),
        ("day > date '2026-09-01'", True),
        ("price = 1.50", True),  # as a number, not as text
        ("(year = '2026' AND (month = 1 OR month = 9))", True),
        ("year = '2026' and month = 1 or month = 9", True),  # and binds closer
        ("\"year\" = '2026' and `month` = 9", True),
        ("year = 'it''s'", False),
    ],
)
def test_expression(expression: str, expected: bool) -> None:
    assert matches(expression, ["2026", "9", "2026-09-30", "1.5"]) is expected


@pytest.mark.parametrize("expression", ["year = '2026'", "year <> '2026'", "not year = '2026'", "year in ('2026')"])
def test_a_null_partition_value_fulfils_no_comparison(expression: str) -> None:
    row = ["__HIVE_DEFAULT_PARTITION__", "9", "2026-09-30", "1.5"]
    assert matches(expression, row) is False
    assert matches("year is null", row) is True
    assert matches(f"{expression} or month = 9", row) is True


@pytest.mark.parametrize(
    "expression", ["year", "year =", "nokey = 1", "year = 2026 month = 1", "(year = '1'", "month = 'x'", "year ~ 1"]
)
def test_a_malformed_expression_is_refused(expression: str) -> None:
    with pytest.raises(AwsError, match="InvalidInputException"):
        matches(expression, ["2026", "9", "2026-09-30", "1.5"])
