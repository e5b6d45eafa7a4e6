"""The DAGs' own queries, run by DuckDB over tables made from the declared columns."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from jinja2 import Template

from datalake.tables import SAKILA, STREAMING_FILMS
from lake_airflow.defaults import SQL_PATH

FOLDER = Path(SQL_PATH)


@pytest.fixture
def database() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for schema in ("sakila", "curated"):
        connection.execute(f"CREATE SCHEMA {schema}")
    for table in (*SAKILA.values(), STREAMING_FILMS):
        columns = ", ".join(f'"{column.name}" VARCHAR' for column in table.columns)
        connection.execute(f"CREATE TABLE {table.full_name} ({columns})")
    return connection


def test_row_counts_name_every_table(database: duckdb.DuckDBPyConnection) -> None:
    database.execute("INSERT INTO sakila.film (film_id) VALUES (1), (2)")
    counted = database.execute((FOLDER / "sakila_row_counts.sql").read_text()).fetchall()
    assert dict(counted) == {**dict.fromkeys(SAKILA, 0), "film": 2}


def test_films_are_counted(database: duckdb.DuckDBPyConnection) -> None:
    database.execute("INSERT INTO sakila.film (film_id) VALUES (1), (2)")
    assert database.execute((FOLDER / "count_films.sql").read_text()).fetchall() == [(2,)]


def test_popularity_counts_the_month_alone(database: duckdb.DuckDBPyConnection) -> None:
    rows = [
        ("ACADEMY DINOSAUR", "rent", "10"),
        ("ACADEMY DINOSAUR", "trailer", "10"),
        ("ACADEMY DINOSAUR", "trailer", "10"),
        ("ZORRO ARK", "buy", "10"),
        ("ZORRO ARK", "buy", "11"),
        (None, "rent", "10"),
    ]
    database.executemany(
        "INSERT INTO curated.streaming_films (title, category_name, eventtype, partition_0, partition_1) "
        "VALUES (?, 'Documentary', ?, '2026', ?)",
        rows,
    )

    class Run:
        @staticmethod
        def xcom_pull(task_ids: str) -> str:
            assert task_ids == "choose_month"
            return "2026-10"

    sql = Template((FOLDER / "film_popularity_of_month.sql").read_text()).render(ti=Run)
    assert database.execute(sql).fetchall() == [
        ("ACADEMY DINOSAUR", "Documentary", 1, 0, 2, 3),
        ("ZORRO ARK", "Documentary", 0, 1, 0, 1),
        (None, "Documentary", 1, 0, 0, 1),
    ]
