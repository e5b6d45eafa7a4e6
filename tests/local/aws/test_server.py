"""The server itself: signatures, decisions, errors, what passes through."""

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

import pytest
from botocore.exceptions import ClientError

from local.aws.protocol import AwsError, Request, Services
from local.settings import ACCOUNT
from tests.local.aws.tasks import ONCE, TASK, Tasks, allow, client, refused, start
from tests.support.aws_services import Emulator, LakeServer, running_emulator, running_server

pytestmark = pytest.mark.services


class Stacks:
    """A small service of a query protocol."""

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
    credentials = session.get_credentials()
    assert credentials
    key = credentials.get_frozen_credentials()
    assert key.access_key
    wrong = client(lake, "athena", key.access_key, "wrong", key.token)
    assert refused(wrong.list_work_groups)[0] == "InvalidSignatureException"


def test_health_names_the_process(lake: LakeServer) -> None:
    with urllib.request.urlopen(f"{lake.settings.server_url}/health", timeout=5) as reply:
        assert json.load(reply) == {
            "pid": os.getpid(),
            "home": str(lake.settings.home),
            "services": ["cloudformation", "dms"],
        }


def test_internal_calls_need_the_homes_token(lake: LakeServer) -> None:
    url = f"{lake.settings.server_url}/internal/replay"
    for token, status in (("", 403), (lake.settings.home_token.read_text(), 404)):
        request = urllib.request.Request(url, headers={"Authorization": token}, method="POST")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=5)
        assert caught.value.code == status


def test_an_emulator_that_does_not_answer_is_service_unavailable(tmp_path: Path) -> None:
    with running_emulator(tmp_path) as emulator, running_server(emulator, [Tasks]) as lake:
        emulator.kill()
        with pytest.raises(ClientError) as caught:
            client(lake, "athena", "test", "test").list_work_groups()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert start(lake.client("dms"))
