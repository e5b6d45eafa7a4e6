"""A stack of CloudFormation: what state it is in, waiting for it, and why it failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

Clients = Callable[[str], Any]
Progress = Callable[[str], None]
Json = dict[str, Any]

# What can only be deleted (AWS: "Stack status codes"): the creation never succeeded.
DEAD = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")
IN_REVIEW = "REVIEW_IN_PROGRESS"  # it consists of a change set that would create it, and nothing else
SHOWN_SECONDS = 5.0  # the longest time between two looks at the stack's events


class DeployError(Exception):
    """The deployment failed; the message names the resource and its reason."""


class Refused(DeployError):
    """The deployment was not begun: it was not confirmed, or it would lose data."""


def describe(cloudformation: Any, name: str) -> Json | None:
    """The stack, or None."""
    try:
        stack: Json = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return None
        raise
    return stack


def parameters(stack: Json) -> dict[str, str]:
    """The values of a stack's parameters."""
    return {item["ParameterKey"]: item["ParameterValue"] for item in stack.get("Parameters", [])}


def outputs(stack: Json) -> dict[str, str]:
    """The values of a stack's outputs."""
    return {item["OutputKey"]: item["OutputValue"] for item in stack.get("Outputs", [])}


def resources(cloudformation: Any, name: str) -> list[Json]:
    """Summaries of all resources of a stack."""
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    return [one for page in pages for one in page["StackResourceSummaries"]]


def ready(cloudformation: Any, name: str, progress: Progress) -> Json | None:
    """The stack, in a state in which it can be updated; None when it is to be created.

    Waits for an operation under way, continues a rollback that failed, removes what a failed creation left.
    Raises DeployError when that does not help.
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
    if stack and stack["StackStatus"] in DEAD:
        progress(f"{name} is {stack['StackStatus']}: deleting what is left of it")
        delete(cloudformation, stack, progress)
        return None
    return None if stack is None or stack["StackStatus"] in ("DELETE_COMPLETE", IN_REVIEW) else stack


def delete(cloudformation: Any, stack: Json, progress: Progress) -> None:
    """Delete a stack and wait for it; raises DeployError with the reason of what cannot be deleted."""
    seen = event_ids(cloudformation, stack["StackId"])
    cloudformation.delete_stack(StackName=stack["StackId"])
    final = follow(cloudformation, stack["StackId"], progress, seen)
    if final["StackStatus"] != "DELETE_COMPLETE":
        raise DeployError(failure(cloudformation, final, seen))


def follow(cloudformation: Any, stack_id: str, progress: Progress, seen: set[str] | None = None) -> Json:
    """Show new events until the operation ends; returns the stack."""
    shown = set(seen or ())
    pause = 0.2
    while True:
        stack: Json = cloudformation.describe_stacks(StackName=stack_id)["Stacks"][0]
        for event in events(cloudformation, stack_id):
            if event["EventId"] not in shown:
                shown.add(event["EventId"])
                reason = f"  {event['ResourceStatusReason']}" if event.get("ResourceStatusReason") else ""
                progress(f"{event['ResourceStatus']:<20} {event['LogicalResourceId']}{reason}")
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        time.sleep(pause)
        pause = min(pause * 1.5, SHOWN_SECONDS)


def events(cloudformation: Any, stack_id: str) -> list[Json]:
    """The stack's events, oldest first."""
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    return [event for page in pages for event in page["StackEvents"]][::-1]


def event_ids(cloudformation: Any, stack_id: str) -> set[str]:
    """What has happened so far."""
    return {event["EventId"] for event in events(cloudformation, stack_id)}


def failure(cloudformation: Any, stack: Json, seen: set[str]) -> str:
    """Which resource failed first, and why."""
    for event in events(cloudformation, stack["StackId"]):
        failed = event["ResourceStatus"].endswith("_FAILED") and event["EventId"] not in seen
        if failed and event["PhysicalResourceId"] != stack["StackId"]:
            return f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', '')}"
    return f"{stack['StackName']} is {stack['StackStatus']}: {stack.get('StackStatusReason', 'no reason given')}"
