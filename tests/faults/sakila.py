"""Sakila in the MySQL of a deployed lake: made, changed, replicated, and compared with the clean zone."""

from __future__ import annotations

import csv
import io
import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from datalake.tables import SAKILA
from lake_airflow import mysql, mysql_tasks, replication
from lake_airflow.operators.dms import DmsFullLoadOperator
from local.settings import TOOLS
from tests.faults.conversion import sweep
from tests.support.clean_zone import LAKE, Deployed, Zone
from tests.support.dag_services import a_try, run_task

SCRIPTS = Path(os.environ.get("SAKILA_DIR") or TOOLS / "sakila")


def fresh_sakila(deployed: Deployed) -> None:
    """Create Sakila's schema anew, without any row."""
    with deployed.mysql() as connection:
        mysql.run_script(connection, (SCRIPTS / "sakila-schema.sql").read_bytes())


def execute(deployed: Deployed, *statements: str | tuple[str, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Run statements in MySQL, and return the rows of the last one."""
    with deployed.mysql() as connection, connection.cursor() as cursor:
        cursor.execute("SET foreign_key_checks = 0")
        for statement in statements:
            text, values = (statement, None) if isinstance(statement, str) else statement
            cursor.execute(text, values)
        connection.commit()
        return list(cursor.fetchall())


def replicate(deployed: Deployed) -> dict[str, int]:
    """Run the tasks of replicate_sakila under the DAGs' role; returns the rows that DMS loaded, by table."""
    mysql_tasks.check_columns()
    load = DmsFullLoadOperator(task_id="load", replication_task_id=LAKE.dms_task)
    load.poll_interval = 0.1
    loaded = run_task(load, a_try(dag_run=SimpleNamespace(start_date=datetime.now(UTC))))
    replication.put_headers_for_empty_tables(loaded["started"])
    sweep(loaded["started"])
    replication.remove_superseded(loaded["started"])
    rows: dict[str, int] = loaded["rows"]
    return rows


def cells(deployed: Deployed, table: str) -> list[tuple[Any, ...]]:
    """All rows of a table in MySQL, sorted."""
    columns = ", ".join(f"`{name}`" for name in SAKILA[table].column_names)
    return sorted(execute(deployed, f"SELECT {columns} FROM `{table}`"), key=repr)


def rows_of(zone: Zone, table: str) -> list[tuple[Any, ...]]:
    """All rows of a table in the clean zone, sorted."""
    columns = zone.table(table).columns
    return sorted(zip(*(column.to_pylist() for column in columns), strict=True), key=repr)


def as_csv(names: list[str], rows: list[list[str]]) -> str:
    """A CSV file as DMS writes it: with a header, every value in quotes."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([names, *rows])
    return file.getvalue()
