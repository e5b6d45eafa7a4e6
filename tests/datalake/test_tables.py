"""The tables against each other and against the original system's columns."""

from __future__ import annotations

import re

import pytest

from datalake.names import CURATED, Lake
from datalake.schemas import Column, Table
from datalake.tables import FILM_CATEGORY, LANDED_EVENTS, QUARANTINE, RECONCILIATION, SAKILA, STREAMING_FILMS

ALL = [*SAKILA.values(), LANDED_EVENTS, FILM_CATEGORY, STREAMING_FILMS, QUARANTINE, RECONCILIATION]


def test_a_table_renders_itself() -> None:
    table = Table("db", "t", CURATED, "t/", (Column("a", "bigint", "why"), Column("b", "decimal(4,2)")))
    assert table.glue_columns() == [{"Name": "a", "Type": "bigint"}, {"Name": "b", "Type": "decimal(4,2)"}]
    assert table.spark_ddl() == "`a` bigint, `b` decimal(4,2)"
    assert (table.full_name, table.column_names) == ("db.t", ("a", "b"))
    assert table.location(Lake("dev", "x")) == "s3://sakila-streams-dev-curated-x/t/"


def test_streaming_films_begins_with_the_originals_columns() -> None:
    assert [(column.name, column.type) for column in STREAMING_FILMS.columns] == [
        ("timestamp", "string"),
        ("eventtype", "string"),
        ("film_id_streaming", "int"),
        ("distributor", "string"),
        ("platform", "string"),
        ("state", "string"),
        ("partition_0", "string"),
        ("partition_1", "string"),
        ("film_id", "bigint"),
        ("title", "string"),
        ("description", "string"),
        ("release_year", "bigint"),
        ("language_id", "bigint"),
        ("original_language_id", "double"),
        ("length", "bigint"),
        ("rating", "string"),
        ("special_features", "string"),
        ("category_id", "bigint"),
        ("category_name", "string"),
        ("event_id", "string"),
        ("event_time", "string"),
        ("source_file", "string"),
        ("source_line", "int"),
    ]


def test_the_sixteen_sakila_tables() -> None:
    names = (
        "actor address category city country customer film film_actor film_category film_text inventory language "
        "payment rental staff store"
    )
    assert " ".join(sorted(SAKILA)) == names
    assert "location" not in SAKILA["address"].column_names
    assert all(name == table.name and table.prefix == f"sakila/{name}/" for name, table in SAKILA.items())


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.full_name)
def test_names_and_types_are_ones_that_glue_spark_and_athena_know(table: Table) -> None:
    assert len(set(table.column_names)) == len(table.columns)
    for column in table.columns:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", column.name)
        assert re.fullmatch(r"bigint|int|double|string|timestamp|binary|decimal\([1-9],[0-9]\)", column.type)
        assert "'" not in column.comment
    assert len({other.prefix for other in ALL if other.zone == table.zone}) == sum(t.zone == table.zone for t in ALL)
