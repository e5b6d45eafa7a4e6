from __future__ import annotations

import json

import pytest

from datalake import tables
from datalake.schemas import Column
from lake_airflow.mysql_columns import NOT_REPLICATED, drift, holds
from local.settings import ROOT

MYSQL = {"bigint": "int(11)", "string": "varchar(255)", "timestamp": "timestamp", "binary": "blob"}
DECLARED = {
    name: {column.name: MYSQL.get(column.type, column.type) for column in table.columns}
    for name, table in tables.SAKILA.items()
}


def test_what_is_declared_is_no_drift_in_any_order() -> None:
    turned = {name: dict(reversed(columns.items())) for name, columns in reversed(DECLARED.items())}
    assert drift(DECLARED) == drift(turned) == []


def test_the_columns_left_out_are_those_that_dms_removes() -> None:
    rules = json.loads((ROOT / "infrastructure/dms/table-mappings.json").read_text())["rules"]
    removed = [rule["object-locator"] for rule in rules if rule["rule-action"] == "remove-column"]
    assert {(one["table-name"], one["column-name"]) for one in removed} == NOT_REPLICATED
    assert drift({**DECLARED, "address": {**DECLARED["address"], "location": "geometry"}}) == []


@pytest.mark.parametrize(
    ("table", "columns", "fault"),
    [
        ("film", {"colour": "text"}, "table film, column colour is not declared"),
        ("film", {"location": "geometry"}, "table film, column location is not declared"),
        ("film", {"length": "varchar(9)"}, "table film, column length: varchar(9) in MySQL does not fit bigint"),
        ("film", {"rental_rate": "decimal(5,2)"}, "table film, column rental_rate: decimal(5,2) in MySQL does not fit"),
        ("ratings", {"id": "int"}, "table ratings is not declared"),
    ],
)
def test_a_change_is_named(table: str, columns: dict[str, str], fault: str) -> None:
    (found,) = drift({**DECLARED, table: {**DECLARED.get(table, {}), **columns}})
    assert found.startswith(fault)


def test_what_is_gone_is_named() -> None:
    without = {name: columns for name, columns in DECLARED.items() if name != "store"}
    without["film"] = {name: kind for name, kind in DECLARED["film"].items() if name != "title"}
    assert drift(without) == ["table store is missing in MySQL", "table film, column title is missing in MySQL"]


@pytest.mark.parametrize(
    ("declared", "mysql", "held"),
    [
        ("bigint", "tinyint(1)", True),
        ("bigint", "int unsigned", True),
        ("bigint", "year(4)", True),
        ("bigint", "bigint(20)", True),
        ("bigint", "bigint(20) unsigned", False),
        ("boolean", "bit(1)", True),
        ("boolean", "bit(8)", False),
        ("boolean", "tinyint(1)", False),
        ("bigint", "bit(1)", False),
        ("bigint", "decimal(5,0)", False),
        ("bigint", "float", False),
        ("string", "enum('G','PG')", True),
        ("string", "set('a','b')", True),
        ("string", "LONGTEXT", True),
        ("string", "int(11)", False),
        ("string", "blob", False),
        ("string", "json", False),
        ("timestamp", "datetime(6)", True),
        ("timestamp", "date", False),
        ("timestamp", "time", False),
        ("binary", "varbinary(9)", True),
        ("binary", "text", False),
        ("decimal(5,2)", "decimal(5,2) unsigned", True),
        ("decimal(5,2)", "decimal(4,1)", True),
        ("decimal(5,2)", "decimal(5,1)", False),
        ("decimal(5,2)", "decimal(6,3)", False),
        ("decimal(5,2)", "double", False),
        ("decimal(5,2)", "smallint(6)", False),
    ],
)
def test_a_declared_type_holds_every_value_of_some_types(declared: str, mysql: str, *, held: bool) -> None:
    assert holds(Column("x", declared), mysql) is held
