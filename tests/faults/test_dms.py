"""DMS: its source or DMS itself is killed, a table is suspended, its disk is full. The DAG's operator must fail."""

from __future__ import annotations

import csv
import io
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import EndpointConnectionError

from lake_airflow.mysql import run_script
from lake_airflow.operators.dms import DmsFullLoadOperator
from local.engines.waiting import wait_until
from tests.faults.catalogue import Fault, fault
from tests.faults.disk import full_disk
from tests.local.aws.dms.maker import BUCKET, SETTINGS, Maker, rule
from tests.support.aws_services import Emulator, ServerProcess, make_role, running_emulator, server_process
from tests.support.dag_services import a_try, run_task
from tests.support.mariadb import MariaDb, mariadb

pytestmark = pytest.mark.services
ROWS = {"actor": 300, "film": 100_000, "language": 6}  # film takes most of a second


@dataclass
class Home:
    """MariaDB with a few tables, DMS in a process of its own, and Airflow's connection to it."""

    mysql: MariaDb
    emulator: Emulator
    server: ServerProcess
    make: Maker

    def task(self, settings: str = SETTINGS) -> str:
        """ARN of a new task that loads the whole schema."""
        target = self.make.target()
        return self.make.task(target=target, rules=[rule(1, "include", "%", schema="sakila")], settings=settings)

    def load(self, task: str, since: datetime) -> dict[str, Any]:
        """One attempt of the DAG's task, in the DAG run that started at ``since``."""
        name = self.make.described(task)["ReplicationTaskIdentifier"]
        operator = DmsFullLoadOperator(task_id="load", replication_task_id=name, poll_interval=0.1)
        loaded: dict[str, Any] = run_task(operator, a_try(dag_run=SimpleNamespace(start_date=since)))
        return loaded

    def progress(self, task: str) -> int:
        """Rows of film so far."""
        return int(self.make.statistics(task).get("film", {}).get("FullLoadRows", 0))

    def landed(self, task: str) -> dict[str, list[int]]:
        """The first column of every landed row, by table."""
        s3, prefix = self.emulator.client("s3"), self.make.folder(task)
        found: dict[str, list[int]] = {}
        for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", []):
            body = s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read().decode()
            _, *rows = csv.reader(io.StringIO(body))
            found.setdefault(item["Key"].split("/")[-2], []).extend(int(row[0]) for row in rows)
        return found


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with (
        mariadb() as mysql,
        running_emulator(tmp_path_factory.mktemp("dms")) as emulator,
        server_process(emulator) as server,
    ):
        with mysql.connect() as connection:
            tables = "".join(
                f"CREATE TABLE {name} (id INT PRIMARY KEY, seen DATE, filler TEXT) "
                f"AS SELECT seq id, '2006-02-15' seen, REPEAT('x', 200) filler FROM seq_1_to_{rows};"
                for name, rows in ROWS.items()
            )
            durable = "SET GLOBAL innodb_flush_log_at_trx_commit = 1;"
            run_script(connection, f"{durable} CREATE SCHEMA sakila; USE sakila; {tables}".encode())
        emulator.client("s3").create_bucket(Bucket=BUCKET)
        secret = json.dumps(mysql.secret)
        emulator.client("secretsmanager").create_secret(Name="shop-login", SecretString=secret)
        rights = {"Effect": "Allow", "Action": ["s3:*", "secretsmanager:GetSecretValue"], "Resource": "*"}
        role = make_role(emulator, "dms-role", {"Service": "dms.amazonaws.com"}, rights)
        yield Home(mysql, emulator, server, Maker(server.client("dms"), role, mysql.ca))


@pytest.fixture
def home(running: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """Airflow's AWS connection leads to the home; afterwards both of its servers run again."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE", running.server.settings.server_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    yield running
    if running.mysql.process.poll() is not None:
        running.mysql.restart()
    if running.server.process.poll() is not None:
        running.server.start()


@contextmanager
def first_try(home: Home, task: str, since: datetime) -> Iterator[list[Exception]]:
    """The DAG's task at work in the background; its error is in the list at the end of the block."""
    errors: list[Exception] = []

    def load() -> None:
        try:
            home.load(task, since)
        except (AirflowException, EndpointConnectionError) as error:
            errors.append(error)

    thread = threading.Thread(target=load)
    thread.start()
    yield errors
    thread.join(60)
    assert not thread.is_alive()


def all_is_loaded(home: Home, task: str, since: datetime) -> bool:
    """Another attempt in the same DAG run loads every row of every table, each once."""
    loaded = home.load(task, since)
    landed = {name: sorted(ids) for name, ids in home.landed(task).items()}
    return loaded["rows"] == ROWS and landed == {name: list(range(1, rows + 1)) for name, rows in ROWS.items()}


@fault(Fault.DMS_PARTIAL)
def test_the_source_is_killed_midway(home: Home, seed: int) -> None:
    rng, since = random.Random(seed), datetime.now(UTC)
    task, moment = home.task(), rng.randint(1, ROWS["film"] // 3)
    with first_try(home, task, since) as errors:
        wait_until(lambda: home.progress(task) >= moment, 60, "too few rows of film were loaded", 0.01)
        home.mysql.kill()
    assert f"127.0.0.1:{home.mysql.port}" in str(errors)
    assert "film: Table error" in str(errors)
    assert "language: Before load" in str(errors)
    assert "actor" not in str(errors)
    assert "film" not in home.landed(task), "a table that is cut short has no file"
    home.mysql.restart()
    assert all_is_loaded(home, task, since)


@fault(Fault.DMS_PARTIAL)
def test_dms_itself_is_killed_midway(home: Home, seed: int) -> None:
    rng, since = random.Random(seed), datetime.now(UTC)
    task, moment = home.task(), rng.randint(1, ROWS["film"] // 3)
    with first_try(home, task, since) as errors:
        wait_until(lambda: home.progress(task) >= moment, 60, "too few rows of film were loaded", 0.01)
        home.server.kill()
        home.server.start()
    assert len(errors) == 1
    assert "film: Table error" in str(errors) or isinstance(errors[0], EndpointConnectionError)
    assert all_is_loaded(home, task, since)


@fault(Fault.DMS_PARTIAL)
def test_a_table_is_suspended(home: Home, seed: int) -> None:
    rng, since = random.Random(seed), datetime.now(UTC)
    table = rng.choice(sorted(ROWS))
    number = rng.randint(1, ROWS[table])
    change = f"UPDATE {table} SET seen = '%s' WHERE id = {number}"

    def seen(day: str) -> None:
        with home.mysql.connect("sakila") as connection, connection.cursor() as cursor:
            cursor.execute("SET sql_mode = ''")
            cursor.execute(change % day)
            connection.commit()

    policy = rng.choice(["SUSPEND_TABLE", "LOG_ERROR"])  # the second skips the row and ends without an error
    seen("2006-00-15")
    task = home.task(json.dumps({"ErrorBehavior": {"DataErrorPolicy": policy}}))
    try:
        with pytest.raises(AirflowException) as error:
            home.load(task, since)
    finally:
        seen("2006-02-15")
    said = str(error.value)
    assert f"{table}: " + {"SUSPEND_TABLE": "Table error", "LOG_ERROR": "Table completed, 1 rows"}[policy] in said
    assert not any(other in said for other in ROWS if other != table)
    assert all_is_loaded(home, task, since)


@fault(Fault.DMS_PARTIAL)
def test_the_source_is_down(home: Home, seed: int) -> None:
    task, since = home.task(), datetime.now(UTC)
    loaded_before = seed % 2 == 1
    if loaded_before:
        assert all_is_loaded(home, task, since)
        since = datetime.now(UTC)
    before = home.landed(task)
    home.mysql.kill()
    with pytest.raises(AirflowException, match=f"Cannot connect to the MySQL source .*127.0.0.1:{home.mysql.port}"):
        home.load(task, since)
    assert home.landed(task) == before, "what an earlier load landed stays"
    home.mysql.restart()
    assert all_is_loaded(home, task, since)


@fault(Fault.DISK_FULL)
def test_the_disk_of_dms_is_full(home: Home, seed: int) -> None:
    rng, since = random.Random(seed), datetime.now(UTC)
    task = home.task()
    if loaded_before := rng.random() < 0.5:
        assert all_is_loaded(home, task, since)
    before = home.landed(task)
    with (
        full_disk(rng.randint(1_000_000, 10_000_000), home.server.process.pid),  # a large file waits there for its put
        pytest.raises(AirflowException, match=r"Table sakila\.film: .*File too large.*film: Table error") as error,
    ):
        home.load(task, datetime.now(UTC) if loaded_before else since)
    assert "actor" not in str(error.value)
    assert home.landed(task).get("film") == before.get("film"), "what an earlier load landed stays"
    assert all_is_loaded(home, task, since)
