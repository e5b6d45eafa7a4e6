"""The comparison of the clean zone with MySQL finds every row and value that differs."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local.settings import REGION, ROOT_ACCESS_KEY
from oracle import clean_zone
from tests.support.aws_services import Emulator
from tests.support.mariadb import mariadb

BUCKET = "oracle-clean"
TABLES = """
CREATE DATABASE sakila CHARACTER SET utf8mb4;
CREATE TABLE sakila.address (address_id INT PRIMARY KEY, address VARCHAR(50), location BLOB, changed TIMESTAMP NULL);
CREATE TABLE sakila.film_actor (actor_id INT, film_id INT, amount DECIMAL(5,2), PRIMARY KEY (actor_id, film_id));
CREATE TABLE sakila.empty (id INT PRIMARY KEY);
CREATE VIEW sakila.list AS SELECT 1 AS one;
INSERT INTO sakila.address VALUES (1, 'Größe, "1"', 'x', '2006-02-15 04:34:33'), (2, '', NULL, NULL),
  (3, NULL, NULL, NULL);
INSERT INTO sakila.film_actor VALUES (1, 1, 2.50), (1, 2, NULL)
"""
Rows = dict[str, list[dict[str, Any]]]


def exact() -> Rows:
    """The tables' rows as the clean zone must contain them."""
    time = datetime(2006, 2, 15, 4, 34, 33)  # noqa: DTZ001 - MySQL's times have no zone
    address = [(1, 'Größe, "1"', time), (2, "", None), (3, None, None)]
    return {
        "address": [dict(zip(("address_id", "address", "changed"), row, strict=True)) for row in address],
        "film_actor": [
            {"actor_id": 1, "film_id": 2, "amount": None},
            {"actor_id": 1, "film_id": 1, "amount": Decimal("2.50")},
        ],
    }


@pytest.fixture(scope="module")
def mysql() -> Iterator[Any]:
    with mariadb() as server, server.connect() as connection, connection.cursor() as cursor:
        for statement in TABLES.split(";\n"):
            cursor.execute(statement)
        connection.commit()
        yield connection


def publish(s3: Any, rows: Rows) -> None:
    """Each table as two Parquet objects, the empty one as one."""
    for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
    whole = {name: pa.Table.from_pylist(table) for name, table in rows.items()}
    whole["empty"] = pa.schema([("id", pa.int64())]).empty_table()
    for name, table in whole.items():
        for number in range(0, max(table.num_rows, 1), 2):
            sink = io.BytesIO()
            pq.write_table(table.slice(number, 2), sink)
            s3.put_object(Bucket=BUCKET, Key=f"sakila/{name}/LOAD{number:08X}.parquet", Body=sink.getvalue())


def lose(rows: Rows) -> None:
    del rows["address"][1]


def double(rows: Rows) -> None:
    rows["film_actor"].append(rows["film_actor"][0])


def keep_a_stale_row(rows: Rows) -> None:
    rows["address"].append({"address_id": 9, "address": "gone", "changed": None})


def set_cell(table: str, column: str, value: Any) -> Callable[[Rows], None]:
    return lambda rows: rows[table][0].update({column: value})


def drop_column(rows: Rows) -> None:
    rows["film_actor"] = [{"actor_id": 1, "film_id": 1}, {"actor_id": 1, "film_id": 2}]


@pytest.mark.services
@pytest.mark.parametrize(
    ("plant", "fault", "example"),
    [
        (None, "", "5 rows of 3 tables: lost 0, doubled 0, wrong 0"),
        (lose, "lost", "address address_id=2: in no Parquet object"),
        (double, "doubled", "film_actor actor_id=1, film_id=2: row 2 of 1"),
        (keep_a_stale_row, "wrong", "address address_id=9: MySQL has no such row"),
        (set_cell("address", "address", None), "wrong", "address_id=1: address is None, MySQL has 'Größe"),
        (set_cell("film_actor", "amount", Decimal("2.51")), "wrong", "amount is Decimal('2.51'), MySQL has None"),
        (drop_column, "wrong", "film_actor: columns amount are not in both"),
    ],
)
def test_each_fault_of_the_clean_zone_is_found_and_named(
    emulator: Emulator, mysql: Any, plant: Callable[[Rows], None] | None, fault: str, example: str
) -> None:
    session = boto3.Session(ROOT_ACCESS_KEY, ROOT_ACCESS_KEY, region_name=REGION)
    emulator.client("s3").create_bucket(Bucket=BUCKET)
    rows = exact()
    if plant:
        plant(rows)
    publish(emulator.client("s3"), rows)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", emulator.settings.emulator_url)
        found = clean_zone.verdict(session, BUCKET, mysql)
    assert found.ok == (plant is None), str(found)
    assert not fault or getattr(found, fault)
    assert example in str(found)


def test_a_zone_that_was_never_looked_at_is_not_right() -> None:
    assert not clean_zone.CleanVerdict().ok
