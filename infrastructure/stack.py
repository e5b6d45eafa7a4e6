"""A CloudFormation stack: its state, waiting for its operations, and why one failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackEventTypeDef, StackResourceSummaryTypeDef, StackTypeDef

Progress = Callable[[str], None]
Clients = Callable[..., Any]  # makes the client of a service: boto3.client, session.client or a test's own
Json = dict[str, Any]

# A stack in one of these states was never created and can only be deleted (AWS: "Stack status codes").
ONLY_DELETABLE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")
IN_REVIEW = "REVIEW_IN_PROGRESS"  # there is only a change set that would create the stack
MAX_PAUSE_SECONDS = 5.0  # between two requests for the stack's events


class DeployError(Exception):
    """The deployment failed; the message names the resource and its reason."""


class Refused(DeployError):
    """The command was not begun: it was not confirmed, or it would lose data."""


def describe(cloudformation: CloudFormationClient, name: str) -> StackTypeDef | None:
    """Describe the stack; None when it does not exist."""
    try:
        return cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise


def parameters(stack: StackTypeDef | None) -> dict[str, str]:
    """The values of a stack's parameters; none when there is no stack."""
    return {item["ParameterKey"]: item["ParameterValue"] for item in (stack.get("Parameters", []) if stack else [])}


def outputs(stack: StackTypeDef | None) -> dict[str, str]:
    """The values of a stack's outputs; none when there is no stack."""
    return {item["OutputKey"]: item["OutputValue"] for item in (stack.get("Outputs", []) if stack else [])}


def resources(cloudformation: CloudFormationClient, name: str) -> list[StackResourceSummaryTypeDef]:
    """Summaries of all resources of a stack."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    return [one for page in pages for one in page["StackResourceSummaries"]]


def make_updatable(cloudformation: CloudFormationClient, name: str, progress: Progress) -> StackTypeDef | None:
    """Bring the stack into a state in which it can be updated, and return it; None when it must be created.

    Waits for an operation in progress, continues a failed rollback, deletes what a failed creation left.
    Raises DeployError when the stack still cannot be updated.
    """
    stack = describe(cloudformation, name)
    if stack and stack["StackStatus"].endswith("_IN_PROGRESS") and stack["StackStatus"] != IN_REVIEW:
        progress(f"{name} is {stack['StackStatus']}: waiting")
        stack = follow(cloudformation, stack["StackId"], progress)
    if stack and stack["StackStatus"] == "UPDATE_ROLLBACK_FAILED":
        progress(f"{name} is UPDATE_ROLLBACK_FAILED: continuing the rollback")
        seen = event_ids(cloudformation, stack["StackId"])
        cloudformation.continue_update_rollback(StackName=name)
        stack = follow(cloudformation, stack["StackId"], progress, seen)
        if stack["StackStatus"] != "UPDATE_ROLLBACK_COMPLETE":
            raise DeployError(failure(cloudformation, stack, seen))
    if stack and stack["StackStatus"] in ONLY_DELETABLE:
        progress(f"{name} is {stack['StackStatus']}: deleting what is left of it")
        delete(cloudformation, stack, progress)
        return None
    return None if stack is None or stack["StackStatus"] in ("DELETE_COMPLETE", IN_REVIEW) else stack


def delete(cloudformation: CloudFormationClient, stack: StackTypeDef, progress: Progress) -> None:
    """Delete a stack and wait for it; raises DeployError with the resource that cannot be deleted and the reason."""
    seen = event_ids(cloudformation, stack["StackId"])
    cloudformation.delete_stack(StackName=stack["StackId"])
    final = follow(cloudformation, stack["StackId"], progress, seen)
    if final["StackStatus"] != "DELETE_COMPLETE":
        raise DeployError(failure(cloudformation, final, seen))


def follow(
    cloudformation: CloudFormationClient, stack_id: str, progress: Progress, seen: set[str] | None = None
) -> StackTypeDef:
    """Report new events until the operation ends; returns the stack."""
    shown = set(seen or ())
    pause = 0.2
    while True:
        stack = cloudformation.describe_stacks(StackName=stack_id)["Stacks"][0]
        for event in events(cloudformation, stack_id):
            if event["EventId"] not in shown:
                shown.add(event["EventId"])
                reason = f"  {event['ResourceStatusReason']}" if event.get("ResourceStatusReason") else ""
                progress(f"{event['ResourceStatus']:<20} {event['LogicalResourceId']}{reason}")
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        time.sleep(pause)
        pause = min(pause * 1.5, MAX_PAUSE_SECONDS)


def events(cloudformation: CloudFormationClient, stack_id: str) -> list[StackEventTypeDef]:
    """The stack's events, oldest first."""
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    return [event for page in pages for event in page["StackEvents"]][::-1]


def event_ids(cloudformation: CloudFormationClient, stack_id: str) -> set[str]:
    """Ids of the stack's events so far."""
    return {event["EventId"] for event in events(cloudformation, stack_id)}


def failure(cloudformation: CloudFormationClient, stack: StackTypeDef, seen: set[str]) -> str:
    """Which resource failed first, and why; events whose ids are in ``seen`` are ignored."""
    for event in events(cloudformation, stack["StackId"]):
        failed = event["ResourceStatus"].endswith("_FAILED") and event["EventId"] not in seen
        if failed and event["PhysicalResourceId"] != stack["StackId"]:
            return f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', '')}"
    return f"{stack['StackName']} is {stack['StackStatus']}: {stack.get('StackStatusReason', 'no reason given')}"
