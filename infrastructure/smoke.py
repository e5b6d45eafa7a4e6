"""A look at a deployed stack's resources: does each answer, in the state in which the lake needs it?

One check for each resource of the types below; it reads and changes nothing, but that DMS tests its connections: AWS
starts no task before both ends have been tested from its instance (DMS User Guide, "Testing your endpoints").
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infrastructure.stack import Clients, DeployError, Json, Progress, resources

CONNECTION_SECONDS = 300.0
SETTLED_SECONDS = 120.0  # a function or stream that was just updated may be busy for as long
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Found:
    """What a check found: nothing wrong when ``wrong`` is empty."""

    what: str
    wrong: str = ""


Check = Callable[[Clients, str], str]  # (clients, physical id) -> what is wrong, or ""


def smoke_test(clients: Clients, stack: str, progress: Progress) -> None:
    """Check every resource of a stack that can be checked; raises DeployError that names all that is wrong."""
    found = list(checked(clients, resources(clients("cloudformation"), stack)))
    wrong = [one for one in found if one.wrong]
    for one in wrong:
        progress(f"✗ {one.what}: {one.wrong}")
    if wrong:
        raise DeployError(
            f"{stack} is deployed, but {len(wrong)} of {len(found)} checks failed: "
            + "; ".join(f"{one.what}: {one.wrong}" for one in wrong)
        )
    progress(f"✓ {len(found)} checks of buckets, queues, function, streams, jobs, queries and connections passed")


def checked(clients: Clients, listed: list[Json]) -> Iterator[Found]:
    """Every check, one after the other."""
    for one in listed:
        check = CHECKS.get(one["ResourceType"])
        if check and one.get("PhysicalResourceId"):
            yield Found(one["LogicalResourceId"], _tried(check, clients, one["PhysicalResourceId"]))
    instances = _of_type(listed, "AWS::DMS::ReplicationInstance")
    endpoints = _of_type(listed, "AWS::DMS::Endpoint")
    for instance in instances.values():
        for logical, endpoint in _tested(clients("dms"), instance, endpoints).items():
            yield Found(f"DMS connection of {logical}", endpoint)


def _tried(check: Check, clients: Clients, physical: str) -> str:
    try:
        return check(clients, physical)
    except ClientError as error:
        return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"


def _of_type(listed: list[Json], type_name: str) -> dict[str, str]:
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed if one["ResourceType"] == type_name}


def _bucket(clients: Clients, name: str) -> str:
    s3 = clients("s3")
    rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    if rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] != "aws:kms":
        return "is not encrypted under a KMS key"
    if not all(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values()):
        return "public access is not blocked"
    if not s3.meta.endpoint_url.startswith("https:"):
        return ""  # nobody can come by TLS
    policy = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])
    denied = [one.get("Condition", {}).get("Bool", {}) for one in policy["Statement"] if one["Effect"] == "Deny"]
    tls_only = any(str(one.get("aws:SecureTransport")).lower() == "false" for one in denied)
    return "" if tls_only else "may be reached without TLS"


def _queue(clients: Clients, url: str) -> str:
    attributes = clients("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    if attributes.get("SqsManagedSseEnabled") != "true" and not attributes.get("KmsMasterKeyId"):
        return "is not encrypted"
    return ""


def _function(clients: Clients, name: str) -> str:
    def state() -> str:
        found = clients("lambda").get_function_configuration(FunctionName=name)
        return f"{found.get('State', 'Active')}/{found.get('LastUpdateStatus', 'Successful')}"

    return _becomes(state, "Active/Successful")


def _mapping(clients: Clients, identity: str) -> str:
    return _becomes(lambda: str(clients("lambda").get_event_source_mapping(UUID=identity)["State"]), "Enabled")


def _delivery_stream(clients: Clients, name: str) -> str:
    firehose = clients("firehose")

    def state() -> str:
        found = firehose.describe_delivery_stream(DeliveryStreamName=name)["DeliveryStreamDescription"]
        return str(found["DeliveryStreamStatus"])

    return _becomes(state, "ACTIVE")


def _workgroup(clients: Clients, name: str) -> str:
    found = clients("athena").get_work_group(WorkGroup=name)["WorkGroup"]
    if found["State"] != "ENABLED":
        return f"is {found['State']}"
    return (
        "" if found["Configuration"].get("EnforceWorkGroupConfiguration") else "lets clients choose their own settings"
    )


def _named_query(clients: Clients, identity: str) -> str:
    found = clients("athena").batch_get_named_query(NamedQueryIds=[identity])
    return "" if found["NamedQueries"] else "is not there"


def _there(service: str, operation: str, argument: str) -> Check:
    """A check that is passed when the service finds the resource."""

    def check(clients: Clients, physical: str) -> str:
        getattr(clients(service), operation)(**{argument: physical})
        return ""

    return check


CHECKS: dict[str, Check] = {
    "AWS::Athena::NamedQuery": _named_query,
    "AWS::Athena::WorkGroup": _workgroup,
    "AWS::Glue::Crawler": _there("glue", "get_crawler", "Name"),
    "AWS::Glue::Database": _there("glue", "get_database", "Name"),
    "AWS::Glue::Job": _there("glue", "get_job", "JobName"),
    "AWS::KinesisFirehose::DeliveryStream": _delivery_stream,
    "AWS::Lambda::EventSourceMapping": _mapping,
    "AWS::Lambda::Function": _function,
    "AWS::S3::Bucket": _bucket,
    "AWS::SQS::Queue": _queue,
    "AWS::SecretsManager::Secret": _there("secretsmanager", "describe_secret", "SecretId"),
}


def _becomes(state: Callable[[], str], wanted: str) -> str:
    deadline = time.monotonic() + SETTLED_SECONDS
    while (found := state()) != wanted:
        if time.monotonic() > deadline:
            return f"is {found}, not {wanted}"
        time.sleep(POLL_SECONDS)
    return ""


def _tested(dms: Any, instance: str, endpoints: dict[str, str]) -> dict[str, str]:
    """Have the instance try every endpoint, all at a time: {logical id: what is wrong, or ""}."""
    for endpoint in endpoints.values():
        try:
            dms.test_connection(ReplicationInstanceArn=instance, EndpointArn=endpoint)
        except ClientError as error:  # one that is under way already is as good
            if error.response["Error"]["Code"] != "InvalidResourceStateFault":
                return dict.fromkeys(endpoints, error.response["Error"]["Message"])
    ours = [{"Name": "replication-instance-arn", "Values": [instance]}]
    deadline = time.monotonic() + CONNECTION_SECONDS
    while True:
        pages = dms.get_paginator("describe_connections").paginate(Filters=ours)
        found = {one["EndpointArn"]: one for page in pages for one in page["Connections"]}
        states = {logical: found.get(arn, {}) for logical, arn in endpoints.items()}
        waiting = [one for one in states.values() if one.get("Status") not in ("successful", "failed")]
        if not waiting or time.monotonic() > deadline:
            return {logical: _connection(one) for logical, one in states.items()}
        time.sleep(POLL_SECONDS)


def _connection(found: Json) -> str:
    if found.get("Status") == "successful":
        return ""
    return str(found.get("LastFailureMessage") or f"is {found.get('Status', 'not tested')}")
