from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from datalake.tables import SAKILA
from lake_airflow import mysql_tasks
from lake_airflow.defaults import LAKE
from lake_airflow.mysql import SakilaError, ScriptError
from tests.support.aws_services import Emulator
from tests.support.mariadb import MariaDb, mariadb

pytestmark = pytest.mark.services

SCHEMA = "DROP SCHEMA IF EXISTS sakila;\nCREATE SCHEMA sakila;\nUSE sakila;\n" + "".join(
    f"CREATE TABLE {name} (id INT);\n" for name in SAKILA
)
DATA = "USE sakila;\nINSERT INTO film VALUES (1), (2), (3);\n"


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDb]:
    with mariadb() as running:
        yield running


@pytest.fixture(autouse=True)
def _mysql(server: MariaDb, lake_services: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The secret that leads to the server, and the file that proves the server's certificate."""
    secrets = lake_services.client("secretsmanager")
    secrets.create_secret(Name=LAKE.mysql_secret, SecretString=json.dumps(server.secret))
    monkeypatch.setenv("LAKE_MYSQL_CA", server.ca)
    yield
    secrets.delete_secret(SecretId=LAKE.mysql_secret, ForceDeleteWithoutRecovery=True)


def upload(emulator: Emulator, schema: str = SCHEMA, data: str = DATA) -> None:
    for key, script in zip(mysql_tasks.SCRIPT_KEYS, (schema, data), strict=True):
        emulator.client("s3").put_object(Bucket=LAKE.artifacts_bucket, Key=key, Body=script.encode())


def test_scripts_from_the_bucket_are_loaded_and_loaded_again(lake_services: Emulator) -> None:
    upload(lake_services)
    mysql_tasks.run_scripts()
    mysql_tasks.run_scripts()
    assert mysql_tasks.count_rows() == {**dict.fromkeys(SAKILA, 0), "film": 3}


def test_a_failing_statement_names_script_and_line(lake_services: Emulator) -> None:
    upload(lake_services, data="USE sakila;\nINSERT INTO no_such_table VALUES (1);\n")
    with pytest.raises(ScriptError, match="sakila/sakila-data.sql, line 2: .*no_such_table"):
        mysql_tasks.run_scripts()


def test_an_incomplete_sakila_names_table_expected_and_found(lake_services: Emulator) -> None:
    upload(lake_services)
    mysql_tasks.run_scripts()
    with pytest.raises(SakilaError, match="table film: expected 1000 rows, found 3"):
        mysql_tasks.verify()


def test_a_server_that_is_not_the_secrets_is_refused(lake_services: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKE_MYSQL_CA")
    with pytest.raises(ConnectionError, match="cannot be used: .*certificate"):
        mysql_tasks.count_rows()
