"""The server itself: signatures, keys, decisions, errors, pass-through, credentials."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.aws.auth import KeyRing
from local.aws.protocol import AwsError, Payload, Request, Services
from local.environment import component, home_token_path
from local.settings import ACCOUNT, REGION
from tests.support.aws_services import Emulator, LakeServer, running_emulator, running_server

pytestmark = pytest.mark.services

ONCE = Config(retries={"max_attempts": 0})
TASK = f"arn:aws:dms:{REGION}:{ACCOUNT}:task:one"


class Tasks:
    """A small executor in the place of DMS."""

    service = "dms"
    passes_through = False

    def __init__(self, services: Services) -> None:
        self.services = services
        self.actions = {"StartReplicationTask": self.start_task, "DescribeConnections": self.broken}
        self.running = False

    def start_task(self, request: Request) -> Payload:
        arn = request.payload["ReplicationTaskArn"]
        self.services.authorize(request.caller, "dms:StartReplicationTask", arn)
        return {"ReplicationTask": {"ReplicationTaskArn": arn, "Status": request.caller.arn}}

    def broken(self, request: Request) -> Payload:
        raise RuntimeError("a bug")

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False


class Stacks:
    """A small executor of a query protocol."""

    service = "cloudformation"
    passes_through = True

    def __init__(self, services: Services) -> None:
        self.services = services
        self.actions = {"DescribeStacks": self.describe, "ListStacks": self.listed}

    def describe(self, request: Request) -> str:
        name = request.payload["StackName"]
        if name == "absent":
            raise AwsError("ValidationError", f"Stack with id {name} does not exist & <more>")
        return (
            '<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>'
            f"<Stacks><member><StackName>{name}</StackName></member></Stacks></DescribeStacksResult>"
            "</DescribeStacksResponse>"
        )

    def listed(self, request: Request) -> str:
        return str(self.services.forward(request))

    def start(self) -> None: ...

    def stop(self) -> None: ...


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running_emulator(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def lake(home: Emulator) -> Iterator[LakeServer]:
    with running_server(home, [Tasks, Stacks]) as running:
        yield running


def client(lake: LakeServer, service: str, key: str, secret: str, token: str | None = None) -> Any:
    return boto3.client(
        service,
        endpoint_url=lake.settings.server_url,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=ONCE,
    )


def start(dms: Any, arn: str = TASK) -> Any:
    return dms.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")


def refused(call: Any, *args: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(*args)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def allow(*actions: str, resource: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


def test_root_is_served_and_bound_by_no_policy(lake: LakeServer) -> None:
    reply = start(lake.client("dms"))
    assert reply["ReplicationTask"]["Status"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_signatures_are_verified(lake: LakeServer) -> None:
    assert refused(start, client(lake, "dms", "test", "wrong"))[0] == "InvalidSignatureException"
    assert refused(start, client(lake, "dms", "AKIAUNKNOWN", "x"))[0] == "UnrecognizedClientException"
    key = lake.server._sessions.key(lake.role("signer", allow("dms:*")), "s1")
    assert start(client(lake, "dms", key.access_key, key.secret_key, key.token))
    stolen = client(lake, "dms", key.access_key, key.secret_key, "another token")
    assert refused(start, stolen)[0] == "UnrecognizedClientException"
    lake.server.ring.add(replace(key, expires=time.time() - 1))
    expired = client(lake, "dms", key.access_key, key.secret_key, key.token)
    assert refused(start, expired) == (
        "ExpiredTokenException",
        "The security token included in the request is expired",
    )


def test_a_signed_body_cannot_be_changed(lake: LakeServer) -> None:
    dms = lake.client("dms", config=ONCE)

    def tamper(request: Any, **_: Any) -> None:
        request.body = request.body.replace(b"task:one", b"task:two")

    dms.meta.events.register("before-send.database-migration-service", tamper)
    dms.meta.events.register("before-send", tamper)
    assert refused(start, dms)[0] == "InvalidSignatureException"


def test_an_action_is_authorised_on_its_resource_in_the_words_of_aws(lake: LakeServer) -> None:
    role = lake.role("starter", allow("dms:StartReplicationTask", resource=TASK))
    dms = lake.session(role, "night").client("dms", config=ONCE)
    assert start(dms)["ReplicationTask"]["Status"].endswith(":assumed-role/starter/night")
    other = TASK.replace("one", "two")
    assert refused(start, dms, other) == (
        "AccessDeniedException",
        f"User: arn:aws:sts::{ACCOUNT}:assumed-role/starter/night is not authorized to perform: "
        f"dms:StartReplicationTask on resource: {other} because no identity-based policy allows the "
        "dms:StartReplicationTask action",
    )
    denying = lake.role("denied", allow("dms:*"), {**allow("dms:StartReplicationTask"), "Effect": "Deny"})
    message = refused(start, lake.session(denying).client("dms", config=ONCE))[1]
    assert message.endswith("with an explicit deny in an identity-based policy")


def test_unknown_actions_are_refused_by_name(lake: LakeServer) -> None:
    code, message = refused(lake.client("dms", config=ONCE).describe_account_attributes)
    assert code == "UnknownOperationException"
    assert "dms:DescribeAccountAttributes" in message


def test_a_bug_is_an_internal_failure_not_a_hang(lake: LakeServer) -> None:
    with pytest.raises(ClientError) as caught:
        lake.client("dms", config=ONCE).describe_connections()
    assert caught.value.response["Error"]["Code"] == "InternalFailure"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_the_query_protocol_speaks_xml(lake: LakeServer) -> None:
    cloudformation = lake.client("cloudformation", config=ONCE)
    assert refused(lambda: cloudformation.describe_stacks(StackName="absent")) == (
        "ValidationError",
        "Stack with id absent does not exist & <more>",
    )
    assert cloudformation.list_stacks()["StackSummaries"] == []
    assert refused(client(lake, "cloudformation", "test", "wrong").list_stacks)[0] == "SignatureDoesNotMatch"


def test_other_services_pass_through_under_their_own_signature(lake: LakeServer) -> None:
    assert lake.client("sts").get_caller_identity()["Arn"].endswith(":root")
    role = lake.role("reader", allow("athena:ListWorkGroups"))
    session = lake.session(role)
    assert session.client("athena", config=ONCE).list_work_groups()["WorkGroups"] is not None
    code, message = refused(session.client("athena", config=ONCE).list_data_catalogs)
    assert code == "AccessDeniedException"
    assert "assumed-role/reader/test is not authorized" in message
    key = session.get_credentials().get_frozen_credentials()
    wrong = client(lake, "athena", key.access_key, "wrong", key.token)
    assert refused(wrong.list_work_groups)[0] == "InvalidSignatureException"


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


def test_health_names_the_process(lake: LakeServer) -> None:
    with urllib.request.urlopen(f"{lake.settings.server_url}/health", timeout=5) as reply:
        assert json.load(reply) == {
            "pid": os.getpid(),
            "home": str(lake.settings.home),
            "services": ["cloudformation", "dms"],
        }


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


def test_internal_calls_need_the_homes_token(lake: LakeServer) -> None:
    url = f"{lake.settings.server_url}/internal/replay"
    for token, status in (("", 403), (home_token_path(lake.settings).read_text(), 404)):
        request = urllib.request.Request(url, headers={"Authorization": token}, method="POST")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=5)
        assert caught.value.code == status


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
            seen.add(session.get_credentials().get_frozen_credentials().access_key)
            time.sleep(0.5)
        assert len(seen) >= 2
        environment = lake.server.credentials_environment(role)
        emulator.kill()  # the sessions are gone with it
        emulator.start()
        assert s3.list_objects_v2(Bucket="worker-bucket")["KeyCount"] == 1
        fresh = fetch(*environment.values())
        assert lake.server.ring.find(fresh["AccessKeyId"])
        assert s3.list_objects_v2(Bucket="worker-bucket")["KeyCount"] == 1


def test_an_emulator_that_does_not_answer_is_service_unavailable(tmp_path: Path) -> None:
    with running_emulator(tmp_path) as emulator, running_server(emulator, [Tasks]) as lake:
        emulator.kill()
        with pytest.raises(ClientError) as caught:
            client(lake, "athena", "test", "test").list_work_groups()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert start(lake.client("dms"))
