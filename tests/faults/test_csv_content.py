"""Faults 26 to 29: what MySQL's tables and their CSV files may hold on the way to Parquet."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

import csv_to_parquet
from datalake.tables import SAKILA
from lake_airflow import mysql_tasks
from local.engines.waiting import wait_until
from tests.faults.catalogue import Fault, fault
from tests.faults.conversion import ALL_CONVERTED, sqs_batch
from tests.faults.sakila import as_csv, cells, execute, fresh_sakila, replicate, rows_of
from tests.faults.workers import worker
from tests.support.aws_services import Emulator
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
PIECES = ["", "", "NULL", "null", "None", "nan", r"\N ", r"x\N", r"\n", "\\", "007", "0.10", "1e5", "-0", " ", "a,b", ",", '"', '""', "'", "\n", "\r\n", "\r", "\t", "\x00", "é", "Ž", "日本", "\u202e", "\ufeff", "\u0301", "#", ";", "--"]  # fmt: skip # noqa: E501


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
    assert csv_to_parquet.handler(sqs_batch(notification(zone.landing, key)), None) == ALL_CONVERTED
    assert zone.table(table.name).num_rows == 0
    assert_typed(zone.table(table.name), table.name)
    before = zone.parquet(parquet)
    zone.put("", key)
    with pytest.raises(RuntimeError, match=f"s3://{zone.landing}/{key}: line 1: table sakila.{table.name}: .*empty"):
        csv_to_parquet.handler(notification(zone.landing, key), None)
    assert zone.parquet(parquet) == before


class OddValues:
    """Draws values that MySQL's columns can hold and that CSV makes difficult."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def text(self, length: int) -> str:
        """Never the one text that a CSV file cannot carry."""
        made = "".join(self._rng.choices(PIECES, k=self._rng.randrange(1, 5)))[:length]
        return made if made != r"\N" else ""

    def moment(self) -> datetime:
        """MySQL's times have no zone."""
        return datetime(2005, 5, 24) + timedelta(seconds=self._rng.randrange(10**9))  # noqa: DTZ001

    def makers(self) -> dict[str, dict[str, Callable[[], Any]]]:
        """Table -> column -> a function that draws a value."""
        rng = self._rng

        def of(*values: Any) -> Callable[[], Any]:
            return lambda: rng.choice(values)

        def text(length: int) -> Callable[[], str]:
            return lambda: self.text(length)

        def maybe(make: Callable[[], Any]) -> Callable[[], Any]:
            return lambda: None if rng.random() < 0.3 else make()

        name = {"first_name": text(45), "last_name": text(45)}
        return {
            "actor": {**name, "last_update": self.moment},
            "address": {
                "address": text(50),
                "address2": maybe(text(50)),
                "district": text(20),
                "city_id": of(0, 65_535),
                "postal_code": maybe(lambda: f"{rng.randrange(10**5):05}"),
                "phone": lambda: f"{rng.randrange(10**9):012}",
            },
            "film": {
                "title": text(128),
                "description": maybe(text(2000)),
                "release_year": maybe(of(1901, 2006, 2155)),
                "language_id": of(0, 255),
                "rental_rate": of("0.00", "99.99", "-0.01", "4.90"),
                "length": maybe(of(0, 65_535)),
                "replacement_cost": of("0.10", "999.99", "-999.99"),
                "rating": maybe(of("G", "PG-13", "NC-17")),
                "special_features": of(None, "", "Trailers", "Trailers,Commentaries,Behind the Scenes"),
            },
            "staff": {
                **name,
                "address_id": of(1),
                "store_id": of(1),
                "username": text(16),
                "picture": maybe(lambda: rng.randbytes(rng.choice([0, 1, 1000, 65_535]))),
                "password": maybe(text(40)),
                "email": maybe(text(50)),
                "active": of(0, 1),
            },
            "payment": {
                "customer_id": of(1),
                "staff_id": of(1),
                "rental_id": maybe(lambda: rng.randrange(2**31)),
                "amount": of("0.00", "999.99", "-5.50"),
                "payment_date": self.moment,
            },
        }


@fault(Fault.ODD_VALUES)
def test_every_cell_of_mysql_is_the_same_in_parquet_however_odd(deployed: Deployed, seed: int) -> None:
    rng = random.Random(seed)
    fresh_sakila(deployed)
    columns = OddValues(rng).makers()
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
    mysql_tasks.check_columns()
    execute(deployed, (f"UPDATE {table} SET {column} = %s LIMIT 1", ("\\N",)))
    with pytest.raises(AirflowFailException, match=re.escape(f"column {table}.{column}: 1 values are the text \\N")):
        mysql_tasks.check_columns()


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
    wait_until(lambda: zone.parquet() is not None, 60, "no Parquet object was written")
    assert [(one["category_id"], one["name"]) for one in zone.table().to_pylist()] == list(enumerate(names))

    broken, message = rng.choice(
        [
            (b"7,caf\xe9,\n", "column 'name': b'caf\\xe9' is not UTF-8"),
            (b"\xff,x,\n", "column 'category_id': b'\\xff' is not UTF-8"),
            (b'7,"open,2006\n8,x,y\n', "column 'name': not CSV according to RFC 4180"),
            (b'7,x,"open\n', "column 'last_update': not CSV according to RFC 4180"),
            (b"7,a\rb,x\n", "column 'name': not CSV according to RFC 4180"),
            (b'7,"a"b,x\n', "column 'name': not CSV according to RFC 4180"),
            (b"7,x\n", "2 values, but the header names 3 columns"),
        ]
    )
    line, began = body.count("\n") + 1, int(time.time() * 1000)
    zone.put(body.encode() + broken)
    wait_until(lambda: deployed.depth("CsvDeadLetterQueue") == 1, 60, "no dead letter came")
    assert deployed.depth("CsvQueue") == 0
    assert [one["name"] for one in zone.table().to_pylist()] == names
    logs = deployed.home.clients("logs")
    group = f"/aws/lambda/{LAKE.csv_function}"

    def told() -> bool:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=began)
        text = "".join(event["message"] for page in pages for event in page["events"])
        return f"LOAD00000001.csv: line {line}: {message}" in text

    wait_until(told, 60, "the function logged no such message")


@fault(Fault.LARGE_CSV)
def test_a_csv_that_is_three_times_as_large_takes_no_more_memory(zone: Zone, emulator: Emulator, seed: int) -> None:
    rng = random.Random(seed)
    lines = [f'{number},"{rng.randbytes(2).hex() * rng.randrange(500, 3000)}\n""",{MOMENT}\n' for number in range(200)]
    chunk = "".join(lines).encode()
    times = 36_000_000 // len(chunk)  # more than two batches
    large = "dms/sakila/category/LOAD00000002.csv"
    zone.put(b"category_id,name,last_update\n" + chunk * times)
    zone.put(b"category_id,name,last_update\n" + chunk * times * 3, large)
    with worker(function_environment(emulator, zone.clean), sqs_batch(notification(zone.landing))) as running:
        assert running.answer() == ALL_CONVERTED
        before = running.memory("VmHWM")
        running.handle(sqs_batch(notification(zone.landing, large)))
        assert running.answer() == ALL_CONVERTED
        more = running.memory("VmHWM") - before
    assert more < 50_000_000, "a file that is kept whole takes 72 MB more, and as much again as text"
    found = zone.s3.head_object(Bucket=zone.clean, Key="sakila/category/LOAD00000002.parquet")["Metadata"]
    assert int(found["source-rows"]) == 200 * times * 3
