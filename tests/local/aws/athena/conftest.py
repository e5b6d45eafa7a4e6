"""An engineer who may do everything, and a small table."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from tests.support.athena_home import DATA, AthenaHome, allow, done


@pytest.fixture(scope="session")
def session(trino_home: AthenaHome) -> boto3.Session:
    return trino_home.session(trino_home.lake.role("engineer", allow("athena:*", "glue:*", "s3:*")))


@pytest.fixture(scope="session")
def athena(session: boto3.Session) -> Any:
    return session.client("athena")


@pytest.fixture(scope="session")
def glue(session: boto3.Session) -> Any:
    return session.client("glue")


@pytest.fixture(scope="session")
def s3(trino_home: AthenaHome) -> Any:
    return trino_home.root("s3")


@pytest.fixture(scope="session")
def shops(athena: Any, s3: Any) -> str:
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
