"""Deploys the lake: code and scripts into the artifacts bucket, then the CloudFormation stack.

``python -m infrastructure.deploy --environment dev`` deploys to the account and region that the AWS SDK's own
environment names, which may be the local home; nothing here knows the difference. It can be repeated at any time.
``--destroy`` removes everything again, except what RetainData keeps.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from datalake.names import CLEAN, CURATED, LANDING, RESULTS, SAKILA_SCRIPTS_PREFIX, Lake
from infrastructure.package import PARAMETERS, Artifact, build_code, render_template

Clients = Callable[[str], Any]
Progress = Callable[[str], None]

CAPABILITIES = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
SAKILA_SCRIPTS = ("sakila-schema.sql", "sakila-data.sql")
TEMPLATES_PREFIX = "templates/"
# What can only be deleted (AWS: "Stack status codes"): the creation never succeeded.
DEAD = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")
SHOWN_SECONDS = 5.0  # the longest time between two looks at the stack's events


class DeployError(Exception):
    """The deployment failed; the message names the resource and its reason."""


def parameters_of(environment: str) -> dict[str, str]:
    """The template parameters of ``infrastructure/parameters/<environment>.json``."""
    values: dict[str, str] = json.loads((PARAMETERS / f"{environment}.json").read_text())
    return values


def deploy(
    lake: Lake,
    parameters: Mapping[str, str],
    sakila: Path | None = None,
    clients: Clients = boto3.client,
    progress: Progress = print,
) -> dict[str, str]:
    """Create the stack or bring it up to date, and return its outputs.

    Args:
        lake: which deployment.
        parameters: the template's parameters, but for those that this function knows (names, code).
        sakila: folder of the official scripts; without it they must be in the artifacts bucket already.
        clients: makes AWS clients.
        progress: told of each step.

    Raises:
        DeployError: a resource failed, with its reason.
        FileNotFoundError: a script or source file is missing.
    """
    s3, cloudformation = clients("s3"), clients("cloudformation")
    code = build_code()
    template = render_template().encode()
    template_key = f"{TEMPLATES_PREFIX}{hashlib.sha256(template).hexdigest()}.json"
    _make_artifacts_bucket(s3, lake.artifacts_bucket)
    scripts = [
        Artifact(SAKILA_SCRIPTS_PREFIX + name, (sakila / name).read_bytes()) for name in SAKILA_SCRIPTS if sakila
    ]
    sent = _upload(s3, lake.artifacts_bucket, [*code.artifacts, Artifact(template_key, template), *scripts])
    progress(f"s3://{lake.artifacts_bucket}: {sent} new objects")
    request = {
        "StackName": lake.stack,
        "TemplateURL": f"{s3.meta.endpoint_url}/{lake.artifacts_bucket}/{template_key}",
        "Capabilities": CAPABILITIES,
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in {
                **parameters,
                "Environment": lake.environment,
                "Suffix": lake.suffix,
                "LambdaCodeKey": code.lambda_code_key,
                "JobsPrefix": code.jobs_prefix,
            }.items()
        ],
    }
    return _bring_to(cloudformation, request, progress)


def destroy(lake: Lake, clients: Clients = boto3.client, progress: Progress = print) -> None:
    """Delete the stack; unless RetainData is true, empty its buckets before and remove the artifacts bucket after.

    Raises DeployError with the reason when a resource cannot be deleted.
    """
    s3, cloudformation = clients("s3"), clients("cloudformation")
    stack = _describe(cloudformation, lake.stack)
    keeps = False
    if stack:
        given = {item["ParameterKey"]: item["ParameterValue"] for item in stack.get("Parameters", [])}
        keeps = given.get("RetainData", "true") == "true"
        if not keeps:
            for zone in (LANDING, CLEAN, CURATED, RESULTS):
                _empty(s3, lake.bucket(zone), progress)
        _delete(cloudformation, stack, progress)
    if not keeps:
        _empty(s3, lake.artifacts_bucket, progress)
        try:
            s3.delete_bucket(Bucket=lake.artifacts_bucket)
        except s3.exceptions.NoSuchBucket:
            progress(f"s3://{lake.artifacts_bucket} is gone already")


def outputs(cloudformation: Any, lake: Lake) -> dict[str, str]:
    """The stack's outputs; raises DeployError when there is no such stack."""
    stack = _describe(cloudformation, lake.stack)
    if stack is None:
        raise DeployError(f"Stack {lake.stack} does not exist")
    return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}


def _make_artifacts_bucket(s3: Any, bucket: str) -> None:
    """Make the bucket unless it is there: private, versioned, encrypted. Its TLS-only policy is the template's."""
    try:
        s3.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchBucket"):
            raise
        region = s3.meta.region_name
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket, **place)
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    # the lake's own key is not there yet when this bucket is made
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


def _upload(s3: Any, bucket: str, artifacts: Iterable[Artifact]) -> int:
    """Put the objects that are not there with this content; returns how many."""
    sent = 0
    for artifact in artifacts:
        digest = hashlib.sha256(artifact.body).hexdigest()
        try:
            if s3.head_object(Bucket=bucket, Key=artifact.key)["Metadata"].get("sha256") == digest:
                continue
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
                raise
        s3.put_object(Bucket=bucket, Key=artifact.key, Body=artifact.body, Metadata={"sha256": digest})
        sent += 1
    return sent


def _bring_to(cloudformation: Any, request: dict[str, Any], progress: Progress) -> dict[str, str]:
    """Create or update the stack, wait, and return the outputs."""
    name = request["StackName"]
    stack = _describe(cloudformation, name)
    if stack and stack["StackStatus"].endswith("_IN_PROGRESS"):
        progress(f"{name} is {stack['StackStatus']}: waiting")
        stack = _follow(cloudformation, stack["StackId"], progress)
    if stack and stack["StackStatus"] == "UPDATE_ROLLBACK_FAILED":
        progress(f"{name} is UPDATE_ROLLBACK_FAILED: continuing the rollback")
        seen = {event["EventId"] for event in _events(cloudformation, stack["StackId"])}
        cloudformation.continue_update_rollback(StackName=name)
        stack = _follow(cloudformation, stack["StackId"], progress, seen)
        if stack["StackStatus"] != "UPDATE_ROLLBACK_COMPLETE":
            raise DeployError(_failure(cloudformation, stack, seen))
    if stack and stack["StackStatus"] in DEAD:
        progress(f"{name} is {stack['StackStatus']}: deleting what is left of it")
        _delete(cloudformation, stack, progress)
        stack = None
    if stack and stack["StackStatus"] == "DELETE_COMPLETE":
        stack = None
    seen = {event["EventId"] for event in _events(cloudformation, stack["StackId"])} if stack else set()
    try:
        call = cloudformation.update_stack if stack else cloudformation.create_stack
        stack_id = call(**request)["StackId"]
    except ClientError as error:
        message = error.response["Error"]["Message"]
        if "No updates are to be performed" not in message:
            raise DeployError(f"{name}: {message}") from error
        progress(f"{name} is up to date")
        return _outputs(stack or {})
    final = _follow(cloudformation, stack_id, progress, seen)
    if final["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise DeployError(_failure(cloudformation, final, seen))
    return _outputs(final)


def _delete(cloudformation: Any, stack: dict[str, Any], progress: Progress) -> None:
    seen = {event["EventId"] for event in _events(cloudformation, stack["StackId"])}
    cloudformation.delete_stack(StackName=stack["StackId"])
    final = _follow(cloudformation, stack["StackId"], progress, seen)
    if final["StackStatus"] != "DELETE_COMPLETE":
        raise DeployError(_failure(cloudformation, final, seen))


def _follow(cloudformation: Any, stack_id: str, progress: Progress, seen: set[str] | None = None) -> dict[str, Any]:
    """Show new events until the operation ends; returns the stack."""
    shown = set(seen or ())
    pause = 0.2
    while True:
        stack: dict[str, Any] = cloudformation.describe_stacks(StackName=stack_id)["Stacks"][0]
        for event in _events(cloudformation, stack_id):
            if event["EventId"] not in shown:
                shown.add(event["EventId"])
                reason = f"  {event['ResourceStatusReason']}" if event.get("ResourceStatusReason") else ""
                progress(f"{event['ResourceStatus']:<20} {event['LogicalResourceId']}{reason}")
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        time.sleep(pause)
        pause = min(pause * 1.5, SHOWN_SECONDS)


def _events(cloudformation: Any, stack_id: str) -> list[dict[str, Any]]:
    """The stack's events, oldest first."""
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    return [event for page in pages for event in page["StackEvents"]][::-1]


def _failure(cloudformation: Any, stack: dict[str, Any], seen: set[str]) -> str:
    """Which resource failed first, and why."""
    for event in _events(cloudformation, stack["StackId"]):
        failed = event["ResourceStatus"].endswith("_FAILED") and event["EventId"] not in seen
        if failed and event["PhysicalResourceId"] != stack["StackId"]:
            return f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', '')}"
    return f"{stack['StackName']} is {stack['StackStatus']}: {stack.get('StackStatusReason', 'no reason given')}"


def _describe(cloudformation: Any, name: str) -> dict[str, Any] | None:
    try:
        stack: dict[str, Any] = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise
    return stack


def _outputs(stack: dict[str, Any]) -> dict[str, str]:
    return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}


def _empty(s3: Any, bucket: str, progress: Progress) -> None:
    """Delete every version of every object."""
    try:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [
                {"Key": version["Key"], "VersionId": version["VersionId"]}
                for version in page.get("Versions", []) + page.get("DeleteMarkers", [])
            ]
            if not found:
                continue
            refused = s3.delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": True}).get("Errors", [])
            if refused:
                raise DeployError(f"s3://{bucket}/{refused[0]['Key']} cannot be deleted: {refused[0]['Message']}")
            progress(f"s3://{bucket}: {len(found)} objects deleted")
    except s3.exceptions.NoSuchBucket:
        return


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m infrastructure.deploy", description="Deploy the lake.")
    environments = sorted(path.stem for path in PARAMETERS.glob("*.json"))
    parser.add_argument("--environment", required=True, choices=environments, help="which parameters")
    parser.add_argument("--suffix", help="end of the bucket names (default: the account id)")
    parser.add_argument("--sakila", type=Path, help="folder of sakila-schema.sql and sakila-data.sql")
    parser.add_argument("--mysql-ca", type=Path, help="PEM file of the authority of the database's certificate")
    parser.add_argument("--destroy", action="store_true", help="delete the stack, and the data unless RetainData")
    options = parser.parse_args(arguments)
    try:
        suffix = options.suffix or boto3.client("sts").get_caller_identity()["Account"]
        lake = Lake(options.environment, suffix)
        if options.destroy:
            destroy(lake)
            return 0
        parameters = parameters_of(options.environment)
        if options.mysql_ca:
            parameters["MySqlCa"] = options.mysql_ca.read_text()
        for name, value in sorted(deploy(lake, parameters, options.sakila).items()):
            print(f"{name} = {value}")
    except (DeployError, OSError, BotoCoreError, ClientError) as error:
        print(f"Deployment failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
