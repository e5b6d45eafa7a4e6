"""Fault 25: a column is added, dropped, retyped or moved, in MySQL or in a CSV file."""

from __future__ import annotations

import random
import re

import pytest
from airflow.sdk.exceptions import AirflowFailException

import csv_to_parquet
from datalake.tables import SAKILA
from lake_airflow import mysql_tasks
from tests.faults.catalogue import Fault, fault
from tests.faults.conversion import ALL_CONVERTED, sqs_batch
from tests.faults.sakila import as_csv, execute, fresh_sakila, rows_of
from tests.support.clean_zone import MOMENT, Deployed, Zone, assert_typed, notification

pytestmark = pytest.mark.services


@fault(Fault.SCHEMA_DRIFT)
def test_a_column_of_mysql_that_was_added_dropped_or_retyped_stops_the_load_and_is_named(
    deployed: Deployed, seed: int
) -> None:
    rng = random.Random(seed)
    fresh_sakila(deployed)
    free = execute(  # no key and no foreign key is in the way
        deployed,
        "SELECT table_name, column_name, column_type FROM information_schema.columns AS c WHERE table_schema = 'sakila'"
        " AND column_key = '' AND table_name IN (SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = 'sakila' AND table_type = 'BASE TABLE') AND column_name <> 'location'"
        " AND NOT EXISTS (SELECT 1 FROM information_schema.statistics AS s WHERE s.table_schema = c.table_schema"
        " AND s.table_name = c.table_name AND s.column_name = c.column_name) ORDER BY 1, 2",
    )
    table, column, before = rng.choice(free)
    other = "VARCHAR(9)" if re.match("(tiny|small|medium|big)?int|year|decimal|timestamp|date", before) else "INT"
    kind, statement, message = rng.choice(
        [
            ("added", "ADD COLUMN colour INT", f"table {table}, column colour is not declared"),
            ("dropped", f"DROP COLUMN `{column}`", f"table {table}, column {column} is missing in MySQL"),
            ("retyped", f"MODIFY COLUMN `{column}` {other}", f"table {table}, column {column}: {other.lower()}"),
            ("reordered", f"MODIFY COLUMN `{column}` {before} FIRST", ""),
        ]
    )
    mysql_tasks.check_columns()
    execute(deployed, f"ALTER TABLE `{table}` {statement}")
    if kind == "reordered":
        mysql_tasks.check_columns()
    else:
        with pytest.raises(AirflowFailException, match=re.escape(message)):
            mysql_tasks.check_columns()


@fault(Fault.SCHEMA_DRIFT)
def test_a_csv_whose_header_was_changed_replaces_nothing_and_is_named(zone: Zone, seed: int) -> None:
    """The columns may change between the check and the load."""
    rng = random.Random(seed)
    table = SAKILA[rng.choice(sorted(SAKILA))]
    key, parquet = f"dms/sakila/{table.name}/LOAD00000001.csv", f"{table.prefix}LOAD00000001.parquet"
    good = {"bigint": "7", "string": "abc", "timestamp": MOMENT, "binary": "00ff"}
    row = {column.name: good.get(column.type, "1.50") for column in table.columns}
    zone.put(as_csv(list(row), [list(row.values())]), key)
    csv_to_parquet.handler(sqs_batch(notification(zone.landing, key)), None)
    before, rows = zone.parquet(parquet), rows_of(zone, table.name)
    assert len(rows) == 1
    names = list(row)
    column = rng.choice(names)
    kind = rng.choice(["added", "dropped", "retyped", "reordered"])
    if kind == "added":
        names.insert(rng.randrange(len(names) + 1), "colour")
        row["colour"], column = "red", "colour"
    elif kind == "dropped":
        names.remove(column)
    elif kind == "retyped":
        column = rng.choice([one.name for one in table.columns if one.type != "string"])
        row[column] = "2006-02-15T04:46:27Z"
    else:
        rng.shuffle(names)
    zone.put(as_csv(names, [[row[name] for name in names]]), key)
    event = notification(zone.landing, key)
    if kind == "reordered":
        assert csv_to_parquet.handler(sqs_batch(event), None) == ALL_CONVERTED
        assert rows_of(zone, table.name) == rows
        assert_typed(zone.table(table.name), table.name)
    else:
        with pytest.raises(RuntimeError, match=rf"s3://{zone.landing}/{key}: line [12]: .*column '{column}'"):
            csv_to_parquet.handler(event, None)
        assert zone.parquet(parquet) == before
