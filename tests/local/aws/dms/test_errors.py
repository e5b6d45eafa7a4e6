"""Faults in the data, in a table, at the source and at the target, and how the task's settings handle them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lake_airflow.mysql import run_script
from tests.local.aws.dms.maker import BUCKET, Maker, rule
from tests.support.aws_services import LakeServer
from tests.support.mariadb import MariaDb, mariadb

pytestmark = pytest.mark.services


@pytest.fixture
def odd(mysql: MariaDb) -> Iterator[dict[str, Any]]:
    """A schema with impossible dates and a long LOB."""
    script = b"""DROP SCHEMA IF EXISTS odd; CREATE SCHEMA odd; USE odd; SET sql_mode = '';
    CREATE TABLE a_dates (id INT, day DATE);
    INSERT INTO a_dates VALUES (1, '2005-01-01'), (2, '2006-00-10'), (3, '2006-02-00');
    CREATE TABLE b_lobs (id INT, body LONGTEXT);
    INSERT INTO b_lobs VALUES (1, 'short'), (2, REPEAT('x', 2000));
    CREATE TABLE d_fine (id INT); INSERT INTO d_fine VALUES (1);"""
    with mysql.connect() as connection:
        run_script(connection, script)
    yield rule(1, "include", "%", schema="odd")
    with mysql.connect() as connection:
        run_script(connection, b"DROP SCHEMA odd;")


def errors(lob_kilobytes: int = 1, **behaviour: Any) -> str:
    return json.dumps({"TargetMetadata": {"LobMaxSize": lob_kilobytes}, "ErrorBehavior": behaviour})


def test_aws_defaults_skip_rows_and_cut_values_and_say_so(
    make: Maker, odd: dict[str, Any], objects: Callable[[str], dict[str, bytes]]
) -> None:
    task = make.task(rules=[odd], settings=errors())
    assert make.run(task)["Status"] == "stopped"
    tables = make.statistics(task)
    assert (tables["a_dates"]["FullLoadRows"], tables["a_dates"]["FullLoadErrorRows"]) == (1, 2)
    files = objects(make.folder(task))
    assert files["odd/a_dates/LOAD00000001.csv"] == b"id,day\n1,2005-01-01\n"
    assert files["odd/b_lobs/LOAD00000001.csv"] == b"id,body\n1,short\n2," + b"x" * 1024 + b"\n"


@pytest.mark.parametrize(
    ("behaviour", "expected", "states"),
    [
        ({"DataErrorPolicy": "STOP_TASK"}, ("failed", "odd.a_dates: column day: '2006-00-10' is not a date"), {}),
        ({"DataTruncationErrorPolicy": "STOP_TASK"}, ("failed", "odd.b_lobs: a value is longer than LobMaxSize"), {}),
        (
            {"DataErrorPolicy": "SUSPEND_TABLE"},
            ("stopped", ""),
            {"a_dates": "Table error", "d_fine": "Table completed"},
        ),
        (
            {"DataErrorPolicy": "SUSPEND_TABLE", "TableErrorPolicy": "STOP_TASK"},
            ("failed", "Table odd.a_dates: column day"),
            {"a_dates": "Table error", "d_fine": "Before load"},
        ),
        (
            {
                "DataErrorPolicy": "SUSPEND_TABLE",
                "DataTruncationErrorPolicy": "SUSPEND_TABLE",
                "TableErrorEscalationCount": 2,
            },
            ("failed", "odd.b_lobs"),
            {"a_dates": "Table error", "b_lobs": "Table error", "d_fine": "Before load"},
        ),
        ({"DataErrorEscalationCount": 2}, ("stopped", ""), {"a_dates": "Table error"}),
        ({"DataErrorEscalationCount": 3}, ("stopped", ""), {"a_dates": "Table completed"}),
        (
            {"DataErrorEscalationCount": 2, "DataErrorEscalationPolicy": "STOP_TASK"},
            ("failed", "odd.a_dates: 2 rows with data errors"),
            {},
        ),
    ],
)
def test_error_policies(
    make: Maker, odd: dict[str, Any], behaviour: dict[str, Any], expected: tuple[str, str], states: dict[str, str]
) -> None:
    task = make.task(rules=[odd], settings=errors(**behaviour))
    ended = make.run(task)
    status, message = expected
    assert ended["Status"] == status
    assert message in ended.get("LastFailureMessage", "")
    tables = make.statistics(task)
    assert {name: tables[name]["TableState"] for name in states} == states
    errored = sum(table["TableState"] == "Table error" for table in tables.values())
    assert ended["ReplicationTaskStats"]["TablesErrored"] == errored


def test_a_suspended_table_leaves_no_file(
    make: Maker, odd: dict[str, Any], objects: Callable[[str], dict[str, bytes]]
) -> None:
    task = make.task(rules=[odd], settings=errors(DataErrorPolicy="SUSPEND_TABLE"))
    make.run(task)
    assert "odd/a_dates/LOAD00000001.csv" not in objects(make.folder(task))


def test_resume_loads_only_what_is_not_completed(
    make: Maker, odd: dict[str, Any], mysql: MariaDb, objects: Callable[[str], dict[str, bytes]]
) -> None:
    task = make.task(rules=[odd], settings=errors(DataErrorPolicy="SUSPEND_TABLE"))
    make.run(task)
    before = make.statistics(task)
    with mysql.connect("odd") as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM a_dates WHERE id > 1")
        connection.commit()
    assert make.run(task, "resume-processing")["Status"] == "stopped"
    after = make.statistics(task)
    assert after["a_dates"]["TableState"] == "Table completed"
    assert after["d_fine"]["FullLoadStartTime"] == before["d_fine"]["FullLoadStartTime"]
    assert "odd/a_dates/LOAD00000001.csv" in objects(make.folder(task))


def test_a_bucket_that_may_not_be_written_is_named(make: Maker) -> None:
    ended = make.run(make.task(target=make.target(BucketFolder="elsewhere")))
    assert ended["Status"] == "failed"
    assert f"s3://{BUCKET}/elsewhere/shop/" in ended["LastFailureMessage"]
    assert "AccessDenied" in ended["LastFailureMessage"]


def test_a_source_that_is_down_is_named(make: Maker, lake: LakeServer) -> None:
    secret = {"host": "127.0.0.1", "port": 9, "username": "u", "password": "p"}
    lake.emulator.client("secretsmanager").create_secret(Name="down", SecretString=json.dumps(secret))
    login = {"SecretsManagerSecretId": "down", "SecretsManagerAccessRoleArn": make.role}
    ended = make.run(make.task(source=make.source(MySQLSettings=login)))
    assert (ended["Status"], ended["StopReason"]) == ("failed", "Stop Reason FATAL_ERROR")
    assert "Cannot connect to the MySQL source endpoint at 127.0.0.1:9" in ended["LastFailureMessage"]


def test_a_source_that_dies_midway_is_named(lake: LakeServer, make: Maker) -> None:
    with mariadb() as dying:
        with dying.connect() as connection:
            run_script(
                connection,
                b"CREATE SCHEMA shop; USE shop; CREATE TABLE long_one AS SELECT seq, REPEAT('x', 200) AS filler"
                b" FROM seq_1_to_300000;",
            )
        secret = json.dumps(dying.secret)
        lake.emulator.client("secretsmanager").create_secret(Name="dying", SecretString=secret)
        login = {"SecretsManagerSecretId": "dying", "SecretsManagerAccessRoleArn": make.role}
        task = make.task(source=make.source(MySQLSettings=login, SslMode="require"))
        make.dms.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType="start-replication")
        make.wait_for_rows(task)
        dying.process.kill()
        ended = make.ended(task)
    assert ended["Status"] == "failed"
    assert f"127.0.0.1:{dying.port}" in ended["LastFailureMessage"]
    assert make.statistics(task)["long_one"]["TableState"] == "Table error"
