"""A started home is filled: the engine's user, the lake, the developer's user. All of it can be repeated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.commands import provision
from local.commands.provision import ProvisionError
from local.environment import endpoints
from local.settings import ACCOUNT, REGION, Settings
from tests.support.lake_home import LAKE, LakeHome, lake_home

pytestmark = [pytest.mark.services, pytest.mark.in_order]
ANALYST = f"arn:aws:iam::{ACCOUNT}:role/{LAKE.role('analyst')}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeHome]:
    with lake_home(tmp_path_factory.mktemp("provision")) as running:
        provision.prepare(running.settings)
        provision.deploy(running.settings, running.sakila, lambda _: None)
        yield running


def _keys(settings: Settings, name: str) -> dict[str, str]:
    keys: dict[str, str] = json.loads((settings.secrets / f"{name}.json").read_text())
    return keys


def _client(home: LakeHome, name: str, service: str) -> Any:
    """A client under a user's own keys, at the addresses that every client of the home gets."""
    keys, here = _keys(home.settings, name), endpoints(home.settings)
    variable = {"dms": "DATABASE_MIGRATION_SERVICE"}.get(service, service.upper())
    session: Any = boto3.Session(keys["access_key"], keys["secret_key"], region_name=REGION)
    return session.client(service, endpoint_url=here.get(f"AWS_ENDPOINT_URL_{variable}", here["AWS_ENDPOINT_URL"]))


def test_the_engine_may_assume_the_analysts_role_and_nothing_else(home: LakeHome) -> None:
    sts = _client(home, "athena-engine", "sts")
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/athena-engine"
    assert sts.assume_role(RoleArn=ANALYST, RoleSessionName="trino")["Credentials"]["SessionToken"]
    with pytest.raises(ClientError, match="AccessDenied"):
        sts.assume_role(RoleArn=ANALYST.replace("analyst", "jobs"), RoleSessionName="trino")
    with pytest.raises(ClientError, match="AccessDenied"):
        _client(home, "athena-engine", "s3").list_objects_v2(Bucket=LAKE.curated_bucket)


def test_the_developer_may_what_an_analyst_and_an_operator_may(home: LakeHome) -> None:
    dms = _client(home, "developer", "dms")
    [task] = dms.describe_replication_tasks()["ReplicationTasks"]
    assert task["ReplicationTaskIdentifier"] == LAKE.dms_task
    firehose = _client(home, "developer", "firehose")
    stream = firehose.describe_delivery_stream(DeliveryStreamName=LAKE.delivery_stream)
    assert stream["DeliveryStreamDescription"]["DeliveryStreamStatus"] == "ACTIVE"
    s3 = _client(home, "developer", "s3")
    assert "Contents" not in s3.list_objects_v2(Bucket=LAKE.curated_bucket)
    s3.put_object(Bucket=LAKE.results_bucket, Key="athena/mine", Body=b"")
    assert _client(home, "developer", "glue").get_job(JobName=LAKE.film_category_job)["Job"]["GlueVersion"] == "5.1"
    for refused in (
        lambda: s3.put_object(Bucket=LAKE.curated_bucket, Key="film_category/x", Body=b""),
        lambda: _client(home, "developer", "glue").delete_table(DatabaseName="sakila", Name="film"),
        lambda: _client(home, "developer", "secretsmanager").get_secret_value(SecretId=LAKE.mysql_secret),
        lambda: _client(home, "developer", "cloudformation").delete_stack(StackName=LAKE.stack),
        lambda: firehose.put_record(DeliveryStreamName=LAKE.delivery_stream, Record={"Data": b"{}\n"}),
        lambda: dms.delete_replication_task(ReplicationTaskArn=task["ReplicationTaskArn"]),
    ):
        with pytest.raises(ClientError, match="AccessDenied|not authorized"):
            refused()


def test_secrets_are_for_their_owner_alone(home: LakeHome) -> None:
    for name in ("athena-engine.json", "developer.json", "mysql.json"):
        assert (home.settings.secrets / name).stat().st_mode & 0o777 == 0o600
    mysql = json.loads((home.settings.secrets / "mysql.json").read_text())
    assert (mysql["host"], mysql["port"], mysql["dbname"]) == ("127.0.0.1", home.settings.mysql_port, "sakila")


def test_again_changes_nothing_and_lost_keys_are_made_anew(home: LakeHome) -> None:
    lines: list[str] = []
    before = {name: _keys(home.settings, name) for name in ("athena-engine", "developer")}
    provision.prepare(home.settings)
    provision.deploy(home.settings, home.sakila, lines.append)
    assert {name: _keys(home.settings, name) for name in before} == before
    assert "sakila-streams-local is up to date" in lines

    iam = home.clients("iam")
    iam.delete_access_key(UserName="athena-engine", AccessKeyId=before["athena-engine"]["access_key"])
    provision.prepare(home.settings)
    assert _keys(home.settings, "athena-engine") != before["athena-engine"]
    assert len(iam.list_access_keys(UserName="athena-engine")["AccessKeyMetadata"]) == 1
    test_the_engine_may_assume_the_analysts_role_and_nothing_else(home)


def test_trino_is_told_its_keys(home: LakeHome) -> None:
    access_key = _keys(home.settings, "athena-engine")["access_key"]
    files = [path for path in home.settings.data.rglob("*.properties") if access_key in path.read_text()]
    assert files
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


def test_a_missing_script_is_named(home: LakeHome, tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match=r"sakila-schema\.sql"):
        provision.deploy(home.settings, tmp_path, lambda _: None)


def test_the_lake_can_be_removed_while_the_home_goes_on(home: LakeHome) -> None:
    assert provision.destroy(home.settings, []) == 2  # nobody can be asked here
    assert home.clients("cloudformation").describe_stacks(StackName=LAKE.stack)["Stacks"]
    assert provision.destroy(home.settings, ["--yes"]) == 0
    with pytest.raises(ClientError, match="does not exist"):
        home.clients("cloudformation").describe_stacks(StackName=LAKE.stack)
    iam = home.clients("iam")
    assert iam.list_policies(Scope="Local")["Policies"] == []
    assert iam.list_attached_user_policies(UserName="lake-developer")["AttachedPolicies"] == []
