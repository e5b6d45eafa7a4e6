"""The smoke test of a deployed stack: what passes, and which problems it reports."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from infrastructure import smoke
from infrastructure.smoke import run_checks, smoke_test
from infrastructure.stack import DeployError, Json

STUBS = dict[str, tuple[Any, Stubber]]


class Account:
    """Clients that reply what ``answer`` was given."""

    def __init__(self) -> None:
        self.stubs: STUBS = {}

    def __call__(self, service: str) -> Any:
        if service not in self.stubs:
            client = boto3.client(  # type: ignore[call-overload]  # the stubs know literal names only
                service,
                endpoint_url=f"https://{service}.eu-west-1.amazonaws.com",
                region_name="eu-west-1",
                aws_access_key_id="a",
                aws_secret_access_key="b",
            )
            self.stubs[service] = client, Stubber(client)
            self.stubs[service][1].activate()
        return self.stubs[service][0]

    def answer(self, service: str, operation: str, reply: Json) -> None:
        self(service)
        self.stubs[service][1].add_response(operation, reply)


def resource(logical: str, type_name: str, physical: str = "x") -> Any:
    return {"LogicalResourceId": logical, "ResourceType": type_name, "PhysicalResourceId": physical}


def found(account: Account, *listed: Any) -> dict[str, str]:
    return {one.name: one.problem for one in run_checks(account, list(listed))}


ENCRYPTED = {
    "ServerSideEncryptionConfiguration": {
        "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
    }
}
CLOSED = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
TLS = {"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}


@pytest.mark.parametrize(
    ("algorithm", "closed", "statements", "wrong"),
    [
        ("aws:kms", True, [TLS], ""),
        ("AES256", True, [TLS], "KMS"),
        ("aws:kms", False, [TLS], "public access"),
        ("aws:kms", True, [{**TLS, "Effect": "Allow"}], "without TLS"),
    ],
)
def test_a_bucket_is_encrypted_closed_and_for_tls_alone(
    algorithm: str, closed: bool, statements: list[Json], wrong: str
) -> None:
    account = Account()
    encrypted = json.loads(json.dumps(ENCRYPTED).replace("aws:kms", algorithm))
    account.answer("s3", "get_bucket_encryption", encrypted)
    account.answer(
        "s3", "get_public_access_block", {"PublicAccessBlockConfiguration": {**CLOSED, "BlockPublicAcls": closed}}
    )
    account.answer("s3", "get_bucket_policy", {"Policy": json.dumps({"Statement": statements})})
    said = found(account, resource("Zone", "AWS::S3::Bucket", "zone"))["Zone"]
    assert wrong in said
    assert bool(said) is bool(wrong)


def test_a_function_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "POLL_SECONDS", 0)
    account = Account()
    for state, last in (("Pending", "InProgress"), ("Active", "InProgress"), ("Active", "Successful")):
        reply = {"State": state, "LastUpdateStatus": last}
        account.answer("lambda", "get_function_configuration", reply)
    assert found(account, resource("F", "AWS::Lambda::Function")) == {"F": ""}
    monkeypatch.setattr(smoke, "SETTLED_SECONDS", -1)
    account.answer("lambda", "get_function_configuration", {"State": "Failed", "LastUpdateStatus": "Failed"})
    assert found(account, resource("F", "AWS::Lambda::Function")) == {"F": "is Failed/Failed, not Active/Successful"}


def test_what_is_not_there_is_told_with_awss_own_words() -> None:
    account = Account()
    account("glue")
    account.stubs["glue"][1].add_client_error("get_job", "EntityNotFoundException", "Entity Not Found")
    assert found(account, resource("J", "AWS::Glue::Job")) == {"J": "EntityNotFoundException: Entity Not Found"}


DMS = (
    resource("Instance", "AWS::DMS::ReplicationInstance", "arn:i"),
    resource("Source", "AWS::DMS::Endpoint", "arn:s"),
    resource("Target", "AWS::DMS::Endpoint", "arn:t"),
)


def connections(**states: str) -> Json:
    names = {"Source": "arn:s", "Target": "arn:t"}
    return {
        "Connections": [
            {
                "EndpointArn": names[name],
                "Status": state,
                **({"LastFailureMessage": "no route"} if state == "failed" else {}),
            }
            for name, state in states.items()
        ]
    }


def test_both_ends_of_dms_are_tested_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "POLL_SECONDS", 0)
    account = Account()
    for _ in range(2):
        account.answer("dms", "test_connection", {})
    account.answer("dms", "describe_connections", connections(Source="testing", Target="testing"))
    account.answer("dms", "describe_connections", connections(Source="failed", Target="successful"))
    assert found(account, *DMS) == {"DMS connection of Source": "no route", "DMS connection of Target": ""}
    account.stubs["dms"][1].assert_no_pending_responses()


def test_all_that_is_wrong_is_named_at_once() -> None:
    account = Account()
    lines: list[str] = []
    listed = [resource("A", "AWS::Glue::Job"), resource("B", "AWS::Glue::Job"), resource("C", "AWS::Glue::Crawler")]
    account.answer(
        "cloudformation",
        "list_stack_resources",
        {"StackResourceSummaries": [
            {**one, "LastUpdatedTimestamp": "2026-11-01T00:00:00Z", "ResourceStatus": "CREATE_COMPLETE"}
            for one in listed
        ]},
    )  # fmt: skip
    account("glue")
    glue = account.stubs["glue"][1]
    glue.add_client_error("get_job", "EntityNotFoundException", "no A")
    glue.add_response("get_job", {"Job": {"Name": "B"}})
    glue.add_client_error("get_crawler", "AccessDeniedException", "not you")
    with pytest.raises(DeployError, match=r"s is deployed, but 2 of 3 checks failed: A: .*no A; C: .*not you"):
        smoke_test(account, "s", lines.append)
    assert lines == ["✗ A: EntityNotFoundException: no A", "✗ C: AccessDeniedException: not you"]
