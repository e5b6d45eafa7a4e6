"""One MariaDB, one server and one role for all tests of DMS; ``Maker`` gives each test's resources their own names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from lake_airflow.mysql import run_script
from tests.local.aws.dms.maker import BUCKET, SHOP, Maker
from tests.support.aws_services import LakeServer
from tests.support.mariadb import MariaDb, mariadb


@pytest.fixture(scope="session")
def mysql() -> Iterator[MariaDb]:
    with mariadb() as running:
        with running.connect() as connection:
            run_script(connection, SHOP.encode())
        yield running


@pytest.fixture(scope="session")
def lake(lake_server: LakeServer) -> LakeServer:
    lake_server.emulator.client("s3").create_bucket(Bucket=BUCKET)
    return lake_server


@pytest.fixture(scope="session")
def role(lake: LakeServer, mysql: MariaDb) -> str:
    secret = {**mysql.secret, "host": "127.0.0.1"}
    lake.emulator.client("secretsmanager").create_secret(Name="shop-login", SecretString=json.dumps(secret))
    return lake.role(
        "dms-role",
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"},
        {"Effect": "Allow", "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": f"arn:aws:s3:::{BUCKET}/dms*"},
    )


@pytest.fixture(scope="session")
def make(lake: LakeServer, role: str, mysql: MariaDb) -> Maker:
    return Maker(lake.client("dms"), role, mysql.ca)


@pytest.fixture(scope="session")
def objects(lake: LakeServer) -> Callable[[str], dict[str, bytes]]:
    s3 = lake.emulator.client("s3")

    def read(prefix: str) -> dict[str, bytes]:
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return {
            item["Key"].removeprefix(prefix): s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
            for item in listed
        }

    return read
