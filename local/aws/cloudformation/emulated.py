"""The emulator's own stack, which holds the part of a template that is not ours."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.aws.cloudformation.stacks import STACK_TYPE, Deployed, Stack
from local.aws.cloudformation.types import Context, Failure, Json
from local.aws.protocol import AwsError

UPDATABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
POLL_SECONDS = 0.2
OPERATION_SECONDS = 300.0


class EmulatedStack:
    """Starts and follows operations of the emulator's CloudFormation, as root, under the stack's own name."""

    def __init__(self, context: Context, client: Any) -> None:
        self._context, self._client = context, client

    def describe(self, name: str) -> Json | None:
        """The emulator's stack, or None."""
        try:
            found: Json = self._client.describe_stacks(StackName=name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in error.response["Error"]["Message"]:
                return None
            raise
        return found

    def holds(self, name: str, reduced: Json, deployed: Deployed) -> bool:
        """Whether the emulator's stack is, complete, what it should be; not so after it was killed."""
        present = self.describe(name)
        if present is None or present["StackStatus"] not in UPDATABLE:
            return False
        parameters = {item["ParameterKey"]: item["ParameterValue"] for item in present.get("Parameters", [])}
        body = self._client.get_template(StackName=name, TemplateStage="Original")["TemplateBody"]
        stored = json.loads(body) if isinstance(body, str) else body
        return bool(stored == reduced and parameters == deployed.parameters)

    def start(self, stack: Stack, deployed: Deployed, reduced: Json) -> None:
        """Begin to create the stack, or to update it if the emulator has it; raises AwsError when it refuses."""
        self.settle(stack)
        present = self.describe(stack.name)
        if present and present["StackStatus"] not in UPDATABLE:
            self.delete(stack)
            present = None
        stack.copied = [event["EventId"] for event in self._events(stack)] if present else []
        with self._uploaded(reduced) as url:
            request = {
                "StackName": stack.name,
                "TemplateURL": url,
                "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in deployed.parameters.items()],
                "Capabilities": deployed.capabilities,
                "Tags": deployed.tags,
            }
            try:
                (self._client.update_stack if present else self._client.create_stack)(**request)
            except ClientError as error:
                stated = error.response["Error"]
                if "No updates are to be performed" not in stated["Message"]:
                    raise AwsError(stated["Code"], stated["Message"]) from error

    def settle(self, stack: Stack, copy: Callable[[Json], None] = lambda _: None) -> str:
        """Wait until no operation is under way, handing on new events; returns the status, "" without a stack."""
        deadline = time.monotonic() + OPERATION_SECONDS
        while True:
            present = self.describe(stack.name)
            for event in self._events(stack) if present else ():
                if event["EventId"] not in stack.copied:
                    stack.copied.append(event["EventId"])
                    if event["ResourceType"] != STACK_TYPE:
                        copy(event)
            status = str(present["StackStatus"]) if present else ""
            if not status.endswith("_IN_PROGRESS"):
                return status
            if time.monotonic() > deadline:
                raise Failure(f"The emulator's stack {stack.name} stays {status}")
            time.sleep(POLL_SECONDS)

    def delete(self, stack: Stack, copy: Callable[[Json], None] = lambda _: None) -> None:
        """Delete the emulator's stack and wait for it; raises Failure with its reason."""
        present = self.describe(stack.name)
        if present is None:
            return
        self._client.delete_stack(StackName=stack.name)
        deadline = time.monotonic() + OPERATION_SECONDS
        while (found := self.describe(str(present["StackId"]))) and found["StackStatus"] != "DELETE_COMPLETE":
            if found["StackStatus"] == "DELETE_FAILED" or time.monotonic() > deadline:
                raise Failure(found.get("StackStatusReason") or f"The emulator's stack is {found['StackStatus']}")
            time.sleep(POLL_SECONDS)
        for event in self._events(stack, str(present["StackId"])):
            if event["EventId"] not in stack.copied and event["ResourceType"] != STACK_TYPE:
                copy(event)

    def values(self, name: str) -> dict[str, str]:
        """The outputs of the reduced template."""
        present = self.describe(name)
        if present is None:
            raise Failure("The emulator has lost the stack")
        return {item["OutputKey"]: item["OutputValue"] for item in present.get("Outputs", [])}

    def resources(self, name: str) -> list[Json]:
        """The emulator's resources as it describes them."""
        try:
            found: list[Json] = self._client.describe_stack_resources(StackName=name)["StackResources"]
        except (ClientError, BotoCoreError):
            return []
        return found

    def validate(self, reduced: Json) -> Json:
        """The emulator's word on a template."""
        with self._uploaded(reduced) as url:
            try:
                found: Json = self._client.validate_template(TemplateURL=url)
            except ClientError as error:
                raise AwsError(error.response["Error"]["Code"], error.response["Error"]["Message"]) from error
        return found

    def _events(self, stack: Stack, stack_id: str = "") -> list[Json]:
        pages = self._client.get_paginator("describe_stack_events").paginate(StackName=stack_id or stack.name)
        try:
            found = [event for page in pages for event in page["StackEvents"]]
        except ClientError:
            return []
        return found[::-1]

    @contextlib.contextmanager
    def _uploaded(self, template: Json) -> Iterator[str]:
        """A template at a URL, since 51,200 bytes are all that a request may hold; gone afterwards."""
        s3 = self._context.clients("s3")
        bucket = f"cf-templates-{uuid.uuid4().hex}"
        s3.create_bucket(Bucket=bucket)
        try:
            s3.put_object(Bucket=bucket, Key="template", Body=json.dumps(template, separators=(",", ":")).encode())
            yield f"{self._context.settings.emulator_url}/{bucket}/template"
        finally:
            s3.delete_object(Bucket=bucket, Key="template")
            s3.delete_bucket(Bucket=bucket)
