"""The real Sakila: MySQL -> DMS -> CSV -> Lambda -> Parquet, compared cell by cell."""

from __future__ import annotations

import io
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pymysql
import pytest

from datalake.schemas import Table
from datalake.tables import SAKILA
from lake_airflow.mysql import run_script, verify_sakila
from local.aws.dms import Dms
from local.engines.waiting import wait_until
from local.settings import ROOT, TOOLS
from tests.support.aws_services import running_emulator, running_server
from tests.support.clean_zone import notification
from tests.support.mariadb import MariaDb, mariadb

log = logging.getLogger(__name__)
# The copy that set-up has fetched, or another one
SCRIPTS = Path(os.environ.get("SAKILA_DIR") or TOOLS / "sakila")

pytestmark = pytest.mark.services


def cells(connection: Any, table: str) -> list[tuple[Any, ...]]:
    """Rows of MySQL as Python values; SET and ENUM are texts, YEAR and TINYINT(1) numbers, BLOB bytes."""
    with connection.cursor() as cursor:
        columns = ", ".join(f"`{name}`" for name in SAKILA[table].column_names)
        cursor.execute(f"SELECT {columns} FROM sakila.`{table}`")
        return sorted(cursor.fetchall(), key=repr)


def unread_by_the_lake(mysql: MariaDb) -> pymysql.Connection[Any]:
    """A connection with none of the lake's own conversions."""
    return pymysql.connect(
        host="127.0.0.1",
        port=mysql.port,
        user=mysql.secret["username"],
        password=mysql.secret["password"],
        ssl_ca=mysql.ca,
        charset="utf8mb4",
        init_command="SET time_zone = '+00:00'",
    )


def values_of(s3: Any, table: Table) -> list[tuple[Any, ...]]:
    """The rows of a table's only Parquet object."""
    body = s3.get_object(Bucket="sakila-clean", Key=f"{table.prefix}LOAD00000001.parquet")["Body"].read()
    found = pq.read_table(io.BytesIO(body))
    assert found.column_names == list(table.column_names)
    return sorted(zip(*(column.to_pylist() for column in found.columns), strict=True), key=repr)


def replication_task(dms: Any, role: str, mysql: MariaDb) -> str:
    """Instance, endpoints and task as the template has them; the task's ARN."""
    login = {"SecretsManagerSecretId": "login", "SecretsManagerAccessRoleArn": role}
    landing = {"BucketName": "sakila-landing", "BucketFolder": "dms", "ServiceAccessRoleArn": role}
    certificate = dms.import_certificate(CertificateIdentifier="ca", CertificatePem=Path(mysql.ca).read_text())
    made: dict[str, Any] = dms.create_replication_task(
        ReplicationTaskIdentifier="task",
        ReplicationInstanceArn=dms.create_replication_instance(
            ReplicationInstanceIdentifier="instance", ReplicationInstanceClass="dms.t3.micro"
        )["ReplicationInstance"]["ReplicationInstanceArn"],
        SourceEndpointArn=dms.create_endpoint(
            EndpointIdentifier="source",
            EndpointType="source",
            EngineName="mysql",
            MySQLSettings=login,
            SslMode="verify-full",
            CertificateArn=certificate["Certificate"]["CertificateArn"],
        )["Endpoint"]["EndpointArn"],
        TargetEndpointArn=dms.create_endpoint(
            EndpointIdentifier="target",
            EndpointType="target",
            EngineName="s3",
            S3Settings={**landing, "AddColumnName": True, "CsvNullValue": "\\N"},
        )["Endpoint"]["EndpointArn"],
        MigrationType="full-load",
        TableMappings=(ROOT / "infrastructure/dms/table-mappings.json").read_text(),
        ReplicationTaskSettings=(ROOT / "infrastructure/dms/task-settings.json").read_text(),
    )
    return str(made["ReplicationTask"]["ReplicationTaskArn"])


def full_load(dms: Any, task: str) -> dict[str, int]:
    """Run the task to its end; rows by table."""

    def state() -> dict[str, Any]:
        found: dict[str, Any] = dms.describe_replication_tasks()["ReplicationTasks"][0]
        return found

    dms.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType="start-replication")
    wait_until(lambda: state()["Status"] in ("stopped", "failed"), 60, "the full load did not end")
    assert state().get("LastFailureMessage") is None
    tables = dms.describe_table_statistics(ReplicationTaskArn=task)["TableStatistics"]
    return {table["TableName"]: table["FullLoadRows"] for table in tables}


def test_every_cell_of_every_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import csv_to_parquet

    with mariadb() as mysql, running_emulator(tmp_path) as emulator, running_server(emulator, (Dms,)) as lake:
        for script in ("sakila-schema.sql", "sakila-data.sql"):
            with mysql.connect() as connection:
                run_script(connection, (SCRIPTS / script).read_bytes())
        s3 = emulator.client("s3")
        for bucket in ("sakila-landing", "sakila-clean"):
            s3.create_bucket(Bucket=bucket)
        emulator.client("secretsmanager").create_secret(Name="login", SecretString=json.dumps(mysql.secret))
        role = lake.role("all", {"Effect": "Allow", "Action": ["s3:*", "secretsmanager:*"], "Resource": "*"})
        dms = lake.client("dms")
        task = replication_task(dms, role, mysql)
        began = time.monotonic()
        rows = full_load(dms, task)
        loaded = time.monotonic() - began
        with mysql.connect() as connection:
            assert verify_sakila(connection) == rows

        keys = [item["Key"] for item in s3.list_objects_v2(Bucket="sakila-landing")["Contents"]]
        assert sorted(keys) == [f"dms/sakila/{name}/LOAD00000001.csv" for name in sorted(SAKILA)]
        root = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "CLEAN_BUCKET": "sakila-clean"}
        for name, value in {**root, "AWS_ENDPOINT_URL": emulator.settings.emulator_url}.items():
            monkeypatch.setenv(name, value)
        boto3.setup_default_session()
        csv_to_parquet._s3.cache_clear()
        records = [notification("sakila-landing", key)["Records"][0] for key in keys]
        began = time.monotonic()
        written = csv_to_parquet.handler({"Records": records}, None)["written"]
        converted = time.monotonic() - began
        assert len(written) == 16

        with unread_by_the_lake(mysql) as plain:
            for name, table in SAKILA.items():
                assert values_of(s3, table) == cells(plain, name), name
        log.info("%d rows: DMS %.2f s, Lambda %.3f s a CSV", sum(rows.values()), loaded, converted / len(keys))
        glue = emulator.client("glue")
        found = glue.get_tables(DatabaseName="sakila")["TableList"]
        described = {table["Name"]: table["StorageDescriptor"] for table in found}
        assert described.keys() == SAKILA.keys()
        for name, table in SAKILA.items():
            columns = [{"Name": one["Name"], "Type": one["Type"]} for one in described[name]["Columns"]]
            assert columns == table.glue_columns()
            assert described[name]["Location"] == f"s3://sakila-clean/{table.prefix}"
