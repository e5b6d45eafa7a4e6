"""Access keys and credentials that the server hands out, and how long they live."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.aws.auth import KeyRing
from local.aws.protocol import AwsError
from local.environment import component
from local.settings import ACCOUNT
from tests.local.aws.tasks import Tasks, allow, client, refused, start
from tests.support.aws_services import LakeServer, running_emulator, running_server

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeServer]:
    with running_emulator(tmp_path_factory.mktemp("home")) as emulator, running_server(emulator, [Tasks]) as running:
        yield running


def test_keys_handed_out_through_the_server_are_known_also_after_a_restart(lake: LakeServer) -> None:
    role = lake.role("assumed", allow("dms:*"))
    issued = lake.client("sts").assume_role(RoleArn=role, RoleSessionName="trino")["Credentials"]
    keys = (issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])
    assert start(client(lake, "dms", *keys))["ReplicationTask"]["Status"].endswith("assumed-role/assumed/trino")

    iam = lake.client("iam")
    iam.create_user(UserName="developer")
    iam.put_user_policy(
        UserName="developer",
        PolicyName="p",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow("dms:StartReplicationTask")]}),
    )
    key = iam.create_access_key(UserName="developer")["AccessKey"]
    user = client(lake, "dms", key["AccessKeyId"], key["SecretAccessKey"])
    assert start(user)["ReplicationTask"]["Status"] == f"arn:aws:iam::{ACCOUNT}:user/developer"

    path = lake.settings.secrets / "access-keys.json"
    assert path.stat().st_mode & 0o777 == 0o600
    again = KeyRing(path)
    assert again.find(keys[0]) == lake.server.ring.find(keys[0])
    assert again.find(key["AccessKeyId"]) is not None

    iam.delete_access_key(UserName="developer", AccessKeyId=key["AccessKeyId"])
    assert refused(start, user)[0] == "UnrecognizedClientException"


def fetch(url: str, token: str) -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": token}), timeout=5) as reply:
        return json.load(reply)


def test_a_component_gets_its_roles_credentials_and_no_other(lake: LakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.role("sakila-streams-local-airflow", allow("dms:*"))
    environment = component(lake.settings, "airflow")
    url = environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    token = environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
    answer = fetch(url, token)
    assert answer["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/sakila-streams-local-airflow"
    for name in ("dms", "nobody"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetch(url.replace("airflow", name), token)
        assert caught.value.code == 403

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    session = boto3.Session()
    assert (
        session.client("sts")
        .get_caller_identity()["Arn"]
        .endswith("assumed-role/sakila-streams-local-airflow/sakila-streams-local-airflow")
    )
    assert start(session.client("dms"))


def test_credentials_of_any_role_for_a_child_process(lake: LakeServer) -> None:
    role = lake.role("job", allow("s3:*"))
    environment = lake.server.credentials_environment(role)
    url, token = environment.values()
    assert fetch(url, token)["RoleArn"] == role
    with pytest.raises(urllib.error.HTTPError):
        fetch(url.replace(":role/job", ":role/starter"), token)


def test_a_role_that_cannot_be_assumed_is_refused(lake: LakeServer) -> None:
    with pytest.raises(AwsError, match=r"AccessDeniedException.*absent"):
        lake.session(f"arn:aws:iam::{ACCOUNT}:role/absent")


def test_sessions_outlive_their_keys_and_the_emulators_death(tmp_path: Path) -> None:
    with running_emulator(tmp_path) as emulator, running_server(emulator, [Tasks], session_seconds=4) as lake:
        role = lake.role("worker", allow("dms:*", "s3:*"))
        emulator.stop()  # saves the role
        emulator.start()
        session = lake.session(role)
        s3, dms = session.client("s3"), session.client("dms")
        s3.create_bucket(Bucket="worker-bucket")
        seen = set()
        end = time.monotonic() + 6
        while time.monotonic() < end:
            s3.put_object(Bucket="worker-bucket", Key="k", Body=b"x")
            start(dms)
            credentials = session.get_credentials()
            assert credentials
            seen.add(credentials.get_frozen_credentials().access_key)
            time.sleep(0.5)
        assert len(seen) >= 2
        environment = lake.server.credentials_environment(role)
        emulator.kill()  # the sessions are gone with it
        emulator.start()
        assert s3.list_objects_v2(Bucket="worker-bucket")["KeyCount"] == 1
        fresh = fetch(*environment.values())
        assert lake.server.ring.find(fresh["AccessKeyId"])
        assert s3.list_objects_v2(Bucket="worker-bucket")["KeyCount"] == 1
