"""Clients of an engineer who may do everything, and two small tables."""

from __future__ import annotations

import datetime
import io
from decimal import Decimal
from typing import TYPE_CHECKING

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.athena_home import DATA, DATABASE, AthenaHome, allow, done

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client

SEEN = datetime.datetime(2026, 1, 2, 3, 4, 5, 678000)  # noqa: DTZ001 (Athena's timestamps have no zone)


@pytest.fixture(scope="session")
def session(trino_home: AthenaHome) -> boto3.Session:
    return trino_home.session(trino_home.lake.role("engineer", allow("athena:*", "glue:*", "s3:*")))


@pytest.fixture(scope="session")
def athena(session: boto3.Session) -> AthenaClient:
    return session.client("athena")


@pytest.fixture(scope="session")
def glue(session: boto3.Session) -> GlueClient:
    return session.client("glue")


@pytest.fixture(scope="session")
def s3(trino_home: AthenaHome) -> S3Client:
    return trino_home.root("s3")


@pytest.fixture(scope="session")
def shops(athena: AthenaClient, s3: S3Client) -> str:
    """A CSV table of two rows, made by Hive's DDL."""
    s3.put_object(Bucket=DATA, Key="shops/a.csv", Body=b"id,name,price\n1,one,1.50\n2,,2.25\n")
    ddl = f"""
        CREATE EXTERNAL TABLE IF NOT EXISTS `shops` (id bigint, `name` string COMMENT 'it\\'s', price decimal(5,2))
        ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' STORED AS TEXTFILE LOCATION 's3://{DATA}/shops/'
        TBLPROPERTIES ('skip.header.line.count'='1')"""
    execution = done(athena, ddl)
    assert (execution["StatementType"], execution["SubstatementType"]) == ("DDL", "CREATE_TABLE")
    assert execution["ResultConfiguration"]["OutputLocation"].endswith(f"{execution['QueryExecutionId']}.txt")
    return "shops"


@pytest.fixture(scope="session")
def films(trino_home: AthenaHome) -> str:
    """A Parquet table with one column of each kind."""
    table = pa.table(
        {
            "film_id": pa.array([1, 2, None], pa.int64()),
            "title": ["ACADEMY DINOSAUR", 'A "QUOTED", TITLE\nIN TWO LINES', ""],
            "rate": pa.array([Decimal("0.99"), Decimal("4.99"), None], pa.decimal128(4, 2)),
            "score": pa.array([1.5, 1e10, None], pa.float64()),
            "seen": pa.array([SEEN, None, None], pa.timestamp("ms")),
            "day": pa.array([datetime.date(2026, 1, 2), None, None], pa.date32()),
            "good": pa.array([True, False, None]),
            "tags": pa.array([["a", "b"], [], None], pa.list_(pa.string())),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    trino_home.root("s3").put_object(Bucket=DATA, Key="films/a.parquet", Body=buffer.getvalue())
    kinds = {
        "film_id": "bigint", "title": "string", "rate": "decimal(4,2)", "score": "double", "seen": "timestamp",
        "day": "date", "good": "boolean", "tags": "array<string>",
    }  # fmt: skip
    trino_home.root("glue").create_table(
        DatabaseName=DATABASE,
        TableInput={
            "Name": "films",
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE"},
            "StorageDescriptor": {
                "Columns": [{"Name": name, "Type": kind} for name, kind in kinds.items()],
                "Location": f"s3://{DATA}/films/",
                "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
            },
        },
    )
    return "films"
