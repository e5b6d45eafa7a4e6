"""Faults 25 to 29: what MySQL's tables and their CSV files may hold on the way to Parquet."""

from __future__ import annotations

import csv
import io
import os
import random
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

import csv_to_parquet
from datalake.tables import SAKILA
from lake_airflow import mysql, replication
from lake_airflow import sakila_source as source
from lake_airflow.operators.dms import DmsFullLoadOperator
from local.settings import TOOLS
from tests.faults.catalogue import Fault, fault
from tests.faults.test_clean_zone import ALL_CONVERTED, queued, sweep
from tests.faults.workers import worker
from tests.support.aws_services import Emulator, wait_until
from tests.support.clean_zone import (
    LAKE,
    MOMENT,
    Deployed,
    Zone,
    assert_typed,
    function_environment,
    next_second,
    notification,
)

pytestmark = pytest.mark.services

SCRIPTS = Path(os.environ.get("SAKILA_DIR") or TOOLS / "sakila")


def fresh_sakila(deployed: Deployed) -> None:
    """Sakila's own schema, without a row."""
    with deployed.mysql() as connection:
        mysql.run_script(connection, (SCRIPTS / "sakila-schema.sql").read_bytes())


def execute(deployed: Deployed, *statements: str | tuple[str, tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Run statements in MySQL; the rows of the last."""
    with deployed.mysql() as connection, connection.cursor() as cursor:
        cursor.execute("SET foreign_key_checks = 0")
        for statement in statements:
            text, values = (statement, None) if isinstance(statement, str) else statement
            cursor.execute(text, values)
        connection.commit()
        return list(cursor.fetchall())


def replicate(deployed: Deployed) -> dict[str, int]:
    """The tasks of replicate_sakila, as the role of the DAGs; rows that DMS loaded."""
    source.check_columns()
    load = DmsFullLoadOperator(task_id="load", replication_task_id=LAKE.dms_task)
    load.poll_interval = 0.1
    loaded = load.execute({"dag_run": SimpleNamespace(start_date=datetime.now(UTC))})
    replication.put_headers_for_empty_tables(loaded["started"])
    sweep(loaded["started"])
    replication.remove_superseded(loaded["started"])
    rows: dict[str, int] = loaded["rows"]
    return rows


def cells(deployed: Deployed, table: str) -> list[tuple[Any, ...]]:
    columns = ", ".join(f"`{name}`" for name in SAKILA[table].column_names)
    return sorted(execute(deployed, f"SELECT {columns} FROM `{table}`"), key=repr)


def rows_of(zone: Zone, table: str) -> list[tuple[Any, ...]]:
    columns = zone.table(table).columns
    return sorted(zip(*(column.to_pylist() for column in columns), strict=True), key=repr)


# 25


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
    source.check_columns()
    execute(deployed, f"ALTER TABLE `{table}` {statement}")
    if kind == "reordered":
        source.check_columns()
    else:
        with pytest.raises(AirflowFailException, match=re.escape(message)):
            source.check_columns()


@fault(Fault.SCHEMA_DRIFT)
def test_a_csv_whose_header_was_changed_replaces_nothing_and_is_named(zone: Zone, seed: int) -> None:
    """The columns may change between the check and the load."""
    rng = random.Random(seed)
    table = SAKILA[rng.choice(sorted(SAKILA))]
    key, parquet = f"dms/sakila/{table.name}/LOAD00000001.csv", f"{table.prefix}LOAD00000001.parquet"
    good = {"bigint": "7", "string": "abc", "timestamp": MOMENT, "binary": "00ff"}
    row = {column.name: good.get(column.type, "1.50") for column in table.columns}
    zone.put(as_csv(list(row), [list(row.values())]), key)
    csv_to_parquet.handler(queued(notification(zone.landing, key)), None)
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
        assert csv_to_parquet.handler(queued(event), None) == ALL_CONVERTED
        assert rows_of(zone, table.name) == rows
        assert_typed(zone.table(table.name), table.name)
    else:
        with pytest.raises(RuntimeError, match=rf"s3://{zone.landing}/{key}: line [12]: .*column '{column}'"):
            csv_to_parquet.handler(event, None)
        assert zone.parquet(parquet) == before


def as_csv(names: list[str], rows: list[list[str]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([names, *rows])
    return file.getvalue()


# 26


@fault(Fault.EMPTY_TABLE)
def test_tables_that_become_empty_become_empty_typed_tables(deployed: Deployed, seed: int) -> None:
    rng, zone = random.Random(seed), deployed.zone
    fresh_sakila(deployed)
    filled = rng.sample(["category", "language", "country"], rng.randrange(1, 4))
    for table in filled:
        column = SAKILA[table].column_names[1]
        insert = f"INSERT INTO {table} ({column}) VALUES (%s)"
        execute(deployed, *((insert, (f"{number}",)) for number in range(rng.randrange(1, 50))))
    rows = replicate(deployed)
    assert {table for table, number in rows.items() if number} == set(filled)
    assert {name: len(rows_of(zone, name)) for name in SAKILA} == {name: rows.get(name, 0) for name in SAKILA}

    emptied = rng.choice(filled)
    execute(deployed, f"DELETE FROM {emptied}")
    next_second()
    replicate(deployed)
    assert {name: len(rows_of(zone, name)) for name in SAKILA} == {
        name: 0 if name == emptied else rows.get(name, 0) for name in SAKILA
    }
    for name in SAKILA:
        assert_typed(zone.table(name), name)


@fault(Fault.EMPTY_TABLE)
def test_a_header_alone_is_an_empty_typed_table_and_a_file_without_a_byte_is_refused(zone: Zone, seed: int) -> None:
    rng = random.Random(seed)
    table = SAKILA[rng.choice(sorted(SAKILA))]
    key, parquet = f"dms/sakila/{table.name}/LOAD00000001.csv", f"{table.prefix}LOAD00000001.parquet"
    names = list(table.column_names)
    rng.shuffle(names)
    zone.put(",".join(names) + rng.choice(["", "\n", "\r\n"]), key)
    assert csv_to_parquet.handler(queued(notification(zone.landing, key)), None) == ALL_CONVERTED
    assert zone.table(table.name).num_rows == 0
    assert_typed(zone.table(table.name), table.name)
    before = zone.parquet(parquet)
    zone.put("", key)
    with pytest.raises(RuntimeError, match=f"s3://{zone.landing}/{key}: line 1: table sakila.{table.name}: .*empty"):
        csv_to_parquet.handler(notification(zone.landing, key), None)
    assert zone.parquet(parquet) == before


# 27

PIECES = ["", "", "NULL", "null", "None", "nan", r"\N ", r"x\N", r"\n", "\\", "007", "0.10", "1e5", "-0", " ", "a,b", ",", '"', '""', "'", "\n", "\r\n", "\r", "\t", "\x00", "é", "Ž", "日本", "\u202e", "\ufeff", "\u0301", "#", ";", "--"]  # fmt: skip # noqa: E501


@fault(Fault.ODD_VALUES)
def test_every_cell_of_mysql_is_the_same_in_parquet_however_odd(deployed: Deployed, seed: int) -> None:
    rng = random.Random(seed)
    fresh_sakila(deployed)

    def text(length: int, *, null: bool = False) -> str | None:
        if null and rng.random() < 0.3:
            return None
        made = "".join(rng.choices(PIECES, k=rng.randrange(1, 5)))[:length]
        return made if made != r"\N" else ""

    def maybe(make: Callable[[], Any]) -> Any:
        return None if rng.random() < 0.3 else make()

    def moment() -> datetime:
        return datetime(2005, 5, 24) + timedelta(seconds=rng.randrange(10**9))  # noqa: DTZ001 - MySQL's has no zone

    def blob() -> bytes:
        return rng.randbytes(rng.choice([0, 1, 1000, 65_535]))

    columns: dict[str, dict[str, Callable[[], Any]]] = {
        "actor": {"first_name": lambda: text(45), "last_name": lambda: text(45), "last_update": moment},
        "address": {
            "address": lambda: text(50),
            "address2": lambda: text(50, null=True),
            "district": lambda: text(20),
            "city_id": lambda: rng.choice([0, 65_535]),
            "postal_code": lambda: maybe(lambda: f"{rng.randrange(10**5):05}"),
            "phone": lambda: f"{rng.randrange(10**9):012}",
        },
        "film": {
            "title": lambda: text(128),
            "description": lambda: text(2000, null=True),
            "release_year": lambda: maybe(lambda: rng.choice([1901, 2006, 2155])),
            "language_id": lambda: rng.choice([0, 255]),
            "rental_rate": lambda: rng.choice(["0.00", "99.99", "-0.01", "4.90"]),
            "length": lambda: maybe(lambda: rng.choice([0, 65_535])),
            "replacement_cost": lambda: rng.choice(["0.10", "999.99", "-999.99"]),
            "rating": lambda: maybe(lambda: rng.choice(["G", "PG-13", "NC-17"])),
            "special_features": lambda: rng.choice([None, "", "Trailers", "Trailers,Commentaries,Behind the Scenes"]),
        },
        "staff": {
            "first_name": lambda: text(45),
            "last_name": lambda: text(45),
            "address_id": lambda: 1,
            "store_id": lambda: 1,
            "username": lambda: text(16),
            "picture": lambda: maybe(blob),
            "password": lambda: text(40, null=True),
            "email": lambda: text(50, null=True),
            "active": lambda: rng.randrange(2),
        },
        "payment": {
            "customer_id": lambda: 1,
            "staff_id": lambda: 1,
            "rental_id": lambda: maybe(lambda: rng.randrange(2**31)),
            "amount": lambda: rng.choice(["0.00", "999.99", "-5.50"]),
            "payment_date": moment,
        },
    }
    for table, makers in columns.items():
        statement = f"INSERT INTO {table} ({', '.join(makers)}) VALUES ({', '.join(['%s'] * len(makers))})"
        rows = [tuple(make() for make in makers.values()) for _ in range(rng.randrange(5, 40))]
        execute(deployed, *((statement, row) for row in rows))
    replicate(deployed)
    for table in (*columns, "film_text"):  # film's triggers fill film_text
        found = cells(deployed, table)
        assert found
        assert rows_of(deployed.zone, table) == found, table


@fault(Fault.ODD_VALUES)
def test_the_one_text_that_csv_files_cannot_carry_stops_the_load_and_is_named(deployed: Deployed, seed: int) -> None:
    rng = random.Random(seed)
    fresh_sakila(deployed)
    table, column = rng.choice([("actor", "first_name"), ("category", "name"), ("language", "name"), ("city", "city")])
    names = [one for one in SAKILA[table].column_names[1:] if one != "last_update"]
    for odd in (" \\N", "\\n", "N"):
        values = tuple(odd if name == column else "1" for name in names)
        execute(deployed, (f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})", values))  # noqa: E501 # fmt: skip
    source.check_columns()
    execute(deployed, (f"UPDATE {table} SET {column} = %s LIMIT 1", ("\\N",)))
    with pytest.raises(AirflowFailException, match=re.escape(f"column {table}.{column}: 1 values are the text \\N")):
        source.check_columns()


# 28


@fault(Fault.ODD_BYTES)
def test_newlines_in_quotes_are_kept_and_broken_bytes_are_refused_by_file_line_and_column(
    deployed: Deployed, seed: int
) -> None:
    """A refused file has its tries, goes to the queue of dead letters and stays there; what was published stays."""
    rng, zone = random.Random(seed), deployed.zone
    queue = deployed.outputs["CsvQueue"]
    deployed.home.clients("sqs").set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "1"})
    names = [rng.choice(["a\nb", 'say "so"\r\n', "\r", "Action, Family", "é"]) for _ in range(rng.randrange(1, 30))]
    good = [[str(number), name, MOMENT] for number, name in enumerate(names)]
    body = as_csv(["category_id", "name", "last_update"], good)
    zone.put(body)
    wait_until(lambda: zone.parquet() is not None, what="the Parquet object")
    assert [(one["category_id"], one["name"]) for one in zone.table().to_pylist()] == list(enumerate(names))

    broken, message = rng.choice(
        [
            (b"7,caf\xe9,\n", "column 'name': b'caf\\xe9' is no UTF-8"),
            (b"\xff,x,\n", "column 'category_id': b'\\xff' is no UTF-8"),
            (b'7,"open,2006\n8,x,y\n', "column 'name': not CSV as RFC 4180 has it"),
            (b'7,x,"open\n', "column 'last_update': not CSV as RFC 4180 has it"),
            (b"7,a\rb,x\n", "column 'name': not CSV as RFC 4180 has it"),
            (b'7,"a"b,x\n', "column 'name': not CSV as RFC 4180 has it"),
            (b"7,x\n", "2 values, but the header names 3 columns"),
        ]
    )
    line, began = body.count("\n") + 1, int(time.time() * 1000)
    zone.put(body.encode() + broken)
    wait_until(lambda: deployed.depth("CsvDeadLetterQueue") == 1, what="the dead letter")
    assert deployed.depth("CsvQueue") == 0
    assert [one["name"] for one in zone.table().to_pylist()] == names
    logs = deployed.home.clients("logs")
    group = f"/aws/lambda/{LAKE.csv_function}"

    def told() -> bool:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=began)
        text = "".join(event["message"] for page in pages for event in page["events"])
        return f"LOAD00000001.csv: line {line}: {message}" in text

    wait_until(told, what="the message in the function's log")


# 29


@fault(Fault.LARGE_CSV)
def test_a_csv_that_is_three_times_as_large_takes_no_more_memory(zone: Zone, emulator: Emulator, seed: int) -> None:
    rng = random.Random(seed)
    lines = [f'{number},"{rng.randbytes(2).hex() * rng.randrange(500, 3000)}\n""",{MOMENT}\n' for number in range(200)]
    chunk = "".join(lines).encode()
    times = 36_000_000 // len(chunk)  # more than two batches
    large = "dms/sakila/category/LOAD00000002.csv"
    zone.put(b"category_id,name,last_update\n" + chunk * times)
    zone.put(b"category_id,name,last_update\n" + chunk * times * 3, large)
    with worker(function_environment(emulator, zone.clean), queued(notification(zone.landing))) as running:
        assert running.answer() == ALL_CONVERTED
        before = running.memory("VmHWM")
        running.handle(queued(notification(zone.landing, large)))
        assert running.answer() == ALL_CONVERTED
        more = running.memory("VmHWM") - before
    assert more < 50_000_000, "a file that is kept whole takes 72 MB more, and as much again as text"
    found = zone.s3.head_object(Bucket=zone.clean, Key="sakila/category/LOAD00000002.parquet")["Metadata"]
    assert int(found["source-rows"]) == 200 * times * 3
