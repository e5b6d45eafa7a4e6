"""The emulator's stack, which holds the part of a template that we do not make ourselves."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.exceptions import BotoCoreError, ClientError

from infrastructure.cfn.intrinsics import Json
from local.aws.cloudformation.errors import Failure
from local.aws.cloudformation.resource_types.base import Context
from local.aws.cloudformation.stacks import STACK_TYPE, Deployed, Stack
from local.aws.protocol import AwsError
from local.engines.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_s3 import S3Client

T = TypeVar("T")

UPDATABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
POLL_SECONDS = 0.2
OPERATION_SECONDS = 300.0


class EmulatedStack:
    """Starts and follows operations of the emulator's CloudFormation, as root, under the stack's own name."""

    def __init__(self, context: Context, client: CloudFormationClient) -> None:
        self._context, self._client = context, client

    def describe(self, name: str) -> Json | None:
        """The emulator's stack, or None."""
        try:
            return cast("Json", self._client.describe_stacks(StackName=name)["Stacks"][0])
        except ClientError as error:
            if "does not exist" in error.response["Error"]["Message"]:
                return None
            raise

    def holds(self, stack: Stack, reduced: Json) -> bool:
        """Whether the emulator's stack is complete and as it should be, which it is not after a kill."""
        present = self.describe(stack.name)
        if present is None or present["StackStatus"] not in UPDATABLE:
            return False
        parameters = {item["ParameterKey"]: item["ParameterValue"] for item in present.get("Parameters", [])}
        body: Any = self._client.get_template(StackName=stack.name, TemplateStage="Original")["TemplateBody"]
        stored = json.loads(body) if isinstance(body, str) else body
        return bool(stored == reduced and parameters == stack.target.parameters)

    def start(self, stack: Stack, deployed: Deployed, reduced: Json) -> None:
        """Begin to create the stack, or to update it if it exists; raises AwsError when the emulator refuses."""
        self.settle(stack)
        present = self.describe(stack.name)
        if present and present["StackStatus"] not in UPDATABLE:
            self.delete(stack)
            present = None
        stack.copied = [event["EventId"] for event in self._events(stack)] if present else []
        with self._uploaded(reduced) as url:
            request: Json = {
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
        """Wait until no operation is under way, passing new events to ``copy``; returns the status, "" if no stack."""

        def settled() -> list[str]:
            present = self.describe(stack.name)
            for event in self._events(stack) if present else ():
                if event["EventId"] not in stack.copied:
                    stack.copied.append(event["EventId"])
                    if event["ResourceType"] != STACK_TYPE:
                        copy(event)
            status = str(present["StackStatus"]) if present else ""
            return [] if status.endswith("_IN_PROGRESS") else [status]

        return _waited(settled, f"The emulator's stack {stack.name} does not settle")[0]

    def delete(self, stack: Stack, copy: Callable[[Json], None] = lambda _: None) -> None:
        """Delete the emulator's stack and wait for it; raises Failure with its reason."""
        present = self.describe(stack.name)
        if present is None:
            return
        self._client.delete_stack(StackName=stack.name)

        def deleted() -> bool:
            found = self.describe(str(present["StackId"]))
            if found and found["StackStatus"] == "DELETE_FAILED":
                raise Failure(found.get("StackStatusReason") or "The emulator's stack is DELETE_FAILED")
            return found is None or found["StackStatus"] == "DELETE_COMPLETE"

        _waited(deleted, f"The emulator's stack {stack.name} is not deleted")
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
            return cast("list[Json]", self._client.describe_stack_resources(StackName=name)["StackResources"])
        except (ClientError, BotoCoreError):
            return []

    def validate(self, reduced: Json) -> Json:
        """The emulator's reply to ValidateTemplate."""
        with self._uploaded(reduced) as url:
            try:
                return cast("Json", self._client.validate_template(TemplateURL=url))
            except ClientError as error:
                raise AwsError(error.response["Error"]["Code"], error.response["Error"]["Message"]) from error

    def _events(self, stack: Stack, stack_id: str = "") -> list[Json]:
        pages = self._client.get_paginator("describe_stack_events").paginate(StackName=stack_id or stack.name)
        try:
            found = [cast("Json", event) for page in pages for event in page["StackEvents"]]
        except ClientError:
            return []
        return found[::-1]

    @contextlib.contextmanager
    def _uploaded(self, template: Json) -> Iterator[str]:
        """A URL of the template, for as long as the context lasts: a request may hold 51,200 bytes only."""
        s3: S3Client = self._context.clients("s3")
        bucket = f"cf-templates-{uuid.uuid4().hex}"
        s3.create_bucket(Bucket=bucket)
        try:
            s3.put_object(Bucket=bucket, Key="template", Body=json.dumps(template, separators=(",", ":")).encode())
            yield f"{self._context.settings.emulator_url}/{bucket}/template"
        finally:
            s3.delete_object(Bucket=bucket, Key="template")
            s3.delete_bucket(Bucket=bucket)


def _waited(look: Callable[[], T], otherwise: str) -> T:
    """Wait until ``look`` returns something true; raises Failure when the emulator takes too long."""
    try:
        return wait_until(look, OPERATION_SECONDS, otherwise, pause=POLL_SECONDS)
    except TimeoutError as error:
        raise Failure(str(error)) from error
