"""The DAGs' own queries, run by DuckDB over tables made from the declared columns."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from jinja2 import Template

from datalake.tables import RECONCILIATION, SAKILA, STREAMING_FILMS
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
    columns = ", ".join(f"{c.name} {c.type.replace('string', 'VARCHAR')}" for c in RECONCILIATION.columns)
    connection.execute(f"CREATE TABLE {RECONCILIATION.full_name} ({columns})")
    return connection


def test_row_counts_name_every_table(database: duckdb.DuckDBPyConnection) -> None:
    database.execute("INSERT INTO sakila.film (film_id) VALUES (1), (2)")
    counted = rows(database, "tasks/sakila_row_counts.sql", tables=list(SAKILA))
    found = {row["table_name"]: row["row_count"] for row in counted}
    assert found == {**dict.fromkeys(SAKILA, 0), "film": 2}


def test_films_are_counted(database: duckdb.DuckDBPyConnection) -> None:
    database.execute("INSERT INTO sakila.film (film_id) VALUES (1), (2)")
    assert rows(database, "tasks/count_films.sql") == [{"films": 2}]


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
    sql = Template((FOLDER / "tasks/film_popularity_of_month.sql").read_text()).render(month="2026-10")
    assert database.execute(sql).fetchall() == [
        ("ACADEMY DINOSAUR", "Documentary", 1, 0, 2, 3),
        ("ZORRO ARK", "Documentary", 0, 1, 0, 1),
        (None, "Documentary", 1, 0, 0, 1),
    ]


def commit(
    database: duckdb.DuckDBPyConnection, run: str, committed: str, objects: Iterable[tuple[str, int, int, int, int]]
) -> None:
    """Rows of a run; each object is month, landed, enriched, quarantined, duplicates. The n-th is named after n."""
    rows = [
        (run, "hourly", committed, f"streaming/{n}", landed, enriched, bad, copies, 1, month[:4], month[5:])
        for n, (month, landed, enriched, bad, copies) in enumerate(objects)
    ]
    places = ", ".join("?" * len(RECONCILIATION.columns))
    database.executemany(f"INSERT INTO {RECONCILIATION.full_name} VALUES ({places})", rows)


def rows(database: duckdb.DuckDBPyConnection, file: str, **values: Any) -> list[dict[str, Any]]:
    """Rows of a statement run in the database of the curated tables."""
    found = database.execute("USE curated").execute(Template((FOLDER / file).read_text()).render(**values))
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_a_run_is_counted_by_its_own_rows(database: duckdb.DuckDBPyConnection) -> None:
    commit(database, "jr_1", "2026-11-01T10:00:00Z", [("2026-10", 999, 1, 1, 1)])
    commit(
        database,
        "jr_2",
        "2026-11-01T11:00:00Z",
        [("2026-10", 10, 7, 2, 1), ("2026-11", 5, 4, 2, 0), ("2026-11", 5, 3, 1, 0)],
    )
    assert rows(database, "tasks/reconciliation_of_run.sql", job_run_id="jr_2") == [
        {
            "objects": 3,
            "landed": 20,
            "enriched": 14,
            "quarantined": 5,
            "duplicates": 1,
            "unknown_films": 3,
            "torn": 2,  # though one loses a line and the other doubles one
            "torn_example": "streaming/1",
        }
    ]


def test_a_run_that_left_no_row_counts_nothing(database: duckdb.DuckDBPyConnection) -> None:
    (counted,) = rows(database, "tasks/reconciliation_of_run.sql", job_run_id="jr_2")
    assert set(counted.values()) == {0, None}


def test_a_months_reconciliation_takes_each_objects_newest_run(database: duckdb.DuckDBPyConnection) -> None:
    commit(database, "jr_1", "2026-11-01T10:00:00Z", [("2026-10", 10, 10, 0, 0), ("2026-11", 5, 5, 0, 0)])
    commit(database, "jr_2", "2026-11-01T11:00:00Z", [("2026-10", 10, 8, 1, 1)])
    october, november = rows(database, "saved/streaming_reconciliation.sql")
    assert october == {
        "month": "2026-10",
        "objects": 1,
        "landed": 10,
        "enriched": 8,
        "quarantined": 1,
        "duplicates": 1,
        "unknown_films": 1,
        "committed_at": "2026-11-01T11:00:00Z",
        "adds_up": True,
    }
    assert (november["month"], november["landed"], november["adds_up"]) == ("2026-11", 5, True)


def test_one_object_that_does_not_add_up_shows_in_its_month_and_run(database: duckdb.DuckDBPyConnection) -> None:
    commit(
        database,
        "jr_1",
        "2026-11-01T10:00:00Z",
        [("2026-10", 10, 10, 0, 0), ("2026-11", 5, 6, 0, 0), ("2026-11", 5, 4, 0, 0)],
    )
    assert [row["adds_up"] for row in rows(database, "saved/streaming_reconciliation.sql")] == [True, False]
    commit(database, "jr_2", "2026-11-01T11:00:00Z", [("2026-11", 1, 1, 0, 0)])
    runs = rows(database, "saved/streaming_reconciliation_of_runs.sql")
    assert [(run["run_id"], run["first_month"], run["last_month"], run["landed"], run["adds_up"]) for run in runs] == [
        ("jr_2", "2026-11", "2026-11", 1, True),
        ("jr_1", "2026-10", "2026-11", 20, False),
    ]
