"""Smoke test of a deployed stack: does each resource answer, in the state in which the lake needs it?

There is one check for each resource of the types in CHECKS. They only read, except that DMS tests its connections: AWS
starts no task before both endpoints have been tested from its instance (DMS User Guide, "Testing your endpoints").
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from infrastructure.stack import Clients, DeployError, Progress, resources

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_cloudformation.type_defs import StackResourceSummaryTypeDef
    from mypy_boto3_dms import DatabaseMigrationServiceClient
    from mypy_boto3_dms.type_defs import ConnectionTypeDef
    from mypy_boto3_firehose import FirehoseClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

CONNECTION_SECONDS = 300.0
SETTLED_SECONDS = 120.0  # a function or stream may still be busy with its update
POLL_SECONDS = 0.5
T = TypeVar("T")


@dataclass(frozen=True)
class CheckResult:
    """The result of one check; ``problem`` is empty when it passed."""

    name: str
    problem: str = ""


Check = Callable[[Any, str], str]  # (client, physical id) -> the problem, or ""


def smoke_test(clients: Clients, stack: str, progress: Progress) -> None:
    """Check every resource of a stack that can be checked; raises DeployError that names all problems."""
    results = list(run_checks(clients, resources(clients("cloudformation"), stack)))
    failed = [f"{one.name}: {one.problem}" for one in results if one.problem]
    for text in failed:
        progress(f"✗ {text}")
    if failed:
        problems = f"{len(failed)} of {len(results)} checks failed: {'; '.join(failed)}"
        raise DeployError(f"{stack} is deployed, but {problems}")
    progress(f"✓ {len(results)} checks of buckets, queues, function, streams, jobs, queries and connections passed")


def run_checks(clients: Clients, listed: Sequence[StackResourceSummaryTypeDef]) -> Iterator[CheckResult]:
    """Run every check, one after the other."""
    for one in listed:
        if one["ResourceType"] in CHECKS and one.get("PhysicalResourceId"):
            service, check = CHECKS[one["ResourceType"]]
            yield CheckResult(one["LogicalResourceId"], _problem(check, clients(service), one["PhysicalResourceId"]))
    endpoints = _of_type(listed, "AWS::DMS::Endpoint")
    for instance in _of_type(listed, "AWS::DMS::ReplicationInstance").values():
        for logical, problem in _test_connections(clients("dms"), instance, endpoints).items():
            yield CheckResult(f"DMS connection of {logical}", problem)


def _problem(check: Check, client: Any, physical: str) -> str:
    try:
        return check(client, physical)
    except ClientError as error:
        return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"


def _of_type(listed: Sequence[StackResourceSummaryTypeDef], type_name: str) -> dict[str, str]:
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed if one["ResourceType"] == type_name}


def _bucket(s3: S3Client, name: str) -> str:
    rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    if rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] != "aws:kms":
        return "is not encrypted under a KMS key"
    if not all(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values()):
        return "public access is not blocked"
    if not s3.meta.endpoint_url.startswith("https:"):
        return ""  # this endpoint has no TLS
    policy = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])
    denied = [one.get("Condition", {}).get("Bool", {}) for one in policy["Statement"] if one["Effect"] == "Deny"]
    tls_only = any(str(one.get("aws:SecureTransport")).lower() == "false" for one in denied)
    return "" if tls_only else "may be reached without TLS"


def _queue(sqs: SQSClient, url: str) -> str:
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    if attributes.get("SqsManagedSseEnabled") != "true" and not attributes.get("KmsMasterKeyId"):
        return "is not encrypted"
    return ""


def _function(lambda_: LambdaClient, name: str) -> str:
    def state() -> str:
        found = lambda_.get_function_configuration(FunctionName=name)
        return f"{found.get('State', 'Active')}/{found.get('LastUpdateStatus', 'Successful')}"

    return _reaches(state, "Active/Successful")


def _event_source(lambda_: LambdaClient, identity: str) -> str:
    return _reaches(lambda: lambda_.get_event_source_mapping(UUID=identity)["State"], "Enabled")


def _delivery_stream(firehose: FirehoseClient, name: str) -> str:
    describe = partial(firehose.describe_delivery_stream, DeliveryStreamName=name)
    return _reaches(lambda: describe()["DeliveryStreamDescription"]["DeliveryStreamStatus"], "ACTIVE")


def _workgroup(athena: AthenaClient, name: str) -> str:
    found = athena.get_work_group(WorkGroup=name)["WorkGroup"]
    if found["State"] != "ENABLED":
        return f"is {found['State']}"
    enforced = found["Configuration"].get("EnforceWorkGroupConfiguration")
    return "" if enforced else "lets clients choose their own settings"


def _named_query(athena: AthenaClient, identity: str) -> str:
    return "" if athena.batch_get_named_query(NamedQueryIds=[identity])["NamedQueries"] else "does not exist"


def _exists(operation: str, parameter: str) -> Check:
    """A check that passes when the operation on the resource raises no error."""

    def check(client: Any, physical: str) -> str:
        getattr(client, operation)(**{parameter: physical})
        return ""

    return check


CHECKS: dict[str, tuple[str, Check]] = {  # by type of resource: the service of the client, the check
    "AWS::Athena::NamedQuery": ("athena", _named_query),
    "AWS::Athena::WorkGroup": ("athena", _workgroup),
    "AWS::Glue::Crawler": ("glue", _exists("get_crawler", "Name")),
    "AWS::Glue::Database": ("glue", _exists("get_database", "Name")),
    "AWS::Glue::Job": ("glue", _exists("get_job", "JobName")),
    "AWS::KinesisFirehose::DeliveryStream": ("firehose", _delivery_stream),
    "AWS::Lambda::EventSourceMapping": ("lambda", _event_source),
    "AWS::Lambda::Function": ("lambda", _function),
    "AWS::S3::Bucket": ("s3", _bucket),
    "AWS::SQS::Queue": ("sqs", _queue),
    "AWS::SecretsManager::Secret": ("secretsmanager", _exists("describe_secret", "SecretId")),
}


def _poll(look: Callable[[], T], done: Callable[[T], bool], seconds: float) -> T:
    """Call ``look`` until its result is ``done`` or ``seconds`` have passed; return the last result."""
    deadline = time.monotonic() + seconds
    while not done(found := look()) and time.monotonic() <= deadline:
        time.sleep(POLL_SECONDS)
    return found


def _reaches(state: Callable[[], str], wanted: str) -> str:
    found = _poll(state, lambda one: one == wanted, SETTLED_SECONDS)
    return "" if found == wanted else f"is {found}, not {wanted}"


def _test_connections(dms: DatabaseMigrationServiceClient, instance: str, endpoints: dict[str, str]) -> dict[str, str]:
    """Let the instance test all endpoints at the same time; returns each endpoint's problem, or ""."""
    for endpoint in endpoints.values():
        try:
            dms.test_connection(ReplicationInstanceArn=instance, EndpointArn=endpoint)
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidResourceStateFault":  # a test is already running
                return dict.fromkeys(endpoints, error.response["Error"]["Message"])

    def connections() -> dict[str, ConnectionTypeDef]:
        pages = dms.get_paginator("describe_connections").paginate(
            Filters=[{"Name": "replication-instance-arn", "Values": [instance]}]
        )
        found = {one["EndpointArn"]: one for page in pages for one in page["Connections"]}
        return {logical: found.get(arn, {}) for logical, arn in endpoints.items()}

    def tested(found: dict[str, ConnectionTypeDef]) -> bool:
        return all(one.get("Status") in ("successful", "failed") for one in found.values())

    found = _poll(connections, tested, CONNECTION_SECONDS)
    return {logical: _connection_problem(one) for logical, one in found.items()}


def _connection_problem(found: ConnectionTypeDef) -> str:
    if found.get("Status") == "successful":
        return ""
    return found.get("LastFailureMessage") or f"is {found.get('Status', 'not tested')}"
