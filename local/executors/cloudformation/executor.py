"""CloudFormation's actions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore.exceptions import ClientError

from local.executors.cloudformation import wire
from local.executors.cloudformation.descriptions import described, resource_of
from local.executors.cloudformation.emulated import EmulatedStack
from local.executors.cloudformation.intrinsics import invalid, parameter_values
from local.executors.cloudformation.operations import Operations
from local.executors.cloudformation.plan import Plan, own_types, template_of
from local.executors.cloudformation.stacks import Deployed, Stack, Store
from local.executors.cloudformation.types import RECORDED, Context, Json, root_clients
from local.executors.protocol import AwsError, Handler, Request, Services
from local.settings import ACCOUNT, REGION

UPDATABLE = (
    "CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "UPDATE_FAILED",
)  # fmt: skip
PAGE = 100


class CloudFormation:
    """The executor; the package's docstring says what it makes and what it leaves out."""

    service = "cloudformation"
    passes_through = False

    def __init__(self, services: Services) -> None:
        self._services, self._settings = services, services.settings
        self._context = Context(services.settings, root_clients(services.settings))
        self._types = own_types(services.settings)
        self._store = Store(services.settings.data / "cloudformation")
        self._emulated = EmulatedStack(self._context, services.root("cloudformation"))
        self._operations = Operations(self._context, self._store, self._emulated, self._types)
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        reading: dict[str, Callable[[Json], Json]] = {
            "DescribeStacks": self._describe_stacks,
            "DescribeStackEvents": self._describe_events,
            "DescribeStackResource": self._describe_resource,
            "DescribeStackResources": self._describe_resources,
            "ListStackResources": self._list_resources,
            "ListStacks": self._list_stacks,
            "GetTemplate": self._get_template,
            "ValidateTemplate": self._validate_template,
        }
        changing: dict[str, Callable[[Json], Json]] = {
            "CreateStack": self._create,
            "UpdateStack": self._update,
            "DeleteStack": self._delete,
            "ContinueUpdateRollback": self._continue_rollback,
        }
        self.actions: Mapping[str, Handler] = {
            **{action: self._handler(action, method) for action, method in reading.items()},
            **{action: self._handler(action, method, root_only=True) for action, method in changing.items()},
        }

    def start(self) -> None:
        """Load the stacks; what a kill interrupted has failed and says so."""
        self._store.load()

    def stop(self) -> None:
        """Let operations that are under way end."""
        for thread in self._threads:
            thread.join(timeout=10)

    def _handler(self, action: str, method: Callable[[Json], Json], root_only: bool = False) -> Handler:
        def handle(request: Request) -> str:
            given = wire.read(action, request.payload)
            self._services.authorize(request.caller, f"cloudformation:{action}", self._resource(given))
            if root_only and not request.caller.is_root:
                # everything is made as root here, so nobody may reach it through a stack who could not do it himself
                raise AwsError("AccessDeniedException", f"User: {request.caller.arn} is not authorized: the local home "
                               f"lets the account's root alone call cloudformation:{action}")  # fmt: skip
            return wire.reply(action, method(given))

        return handle

    def _resource(self, given: Json) -> str:
        name = given.get("StackName")
        if not name:
            return "*"
        stack = self._store.find(name)
        if stack:
            return stack.id
        return name if name.startswith("arn:") else f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/*"

    # operations

    def _create(self, given: Json) -> Json:
        name = given["StackName"]
        with self._lock:
            if self._store.find(name):
                raise AwsError("AlreadyExistsException", f"Stack [{name}] already exists")
            deployed = self._deployed(given, None)
            stack = Stack(name, deployed, description=str(template_of(deployed.template).get("Description", "")))
            plan = self._operations.plan(stack, deployed)
            stack.become("CREATE_IN_PROGRESS", "User Initiated")
            self._begin(stack, plan, lambda: self._store.forget(stack))
        self._run(lambda: self._operations.create(stack, plan), stack)
        return {"StackId": stack.id}

    def _update(self, given: Json) -> Json:
        with self._lock:
            stack = self._store.find(given["StackName"])
            if stack is None:
                raise invalid(f"Stack [{given['StackName']}] does not exist")
            if stack.status not in UPDATABLE:
                raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
            deployed = self._deployed(given, stack)
            plan = self._operations.plan(stack, deployed)
            repeats = _meaning(deployed) == _meaning(stack.target)
            if repeats and stack.status != "UPDATE_FAILED" and self._operations.intact(stack, plan):
                raise invalid("No updates are to be performed.")
            before = (stack.target, stack.previous, stack.status, stack.reason)
            if stack.status != "UPDATE_FAILED" or stack.previous is None:
                stack.previous = stack.target
            stack.target, stack.updated = deployed, wire.now()
            stack.description = str(plan.template.get("Description", ""))
            stack.become("UPDATE_IN_PROGRESS", "User Initiated")

            def undo() -> None:
                stack.target, stack.previous, stack.status, stack.reason = before
                self._store.save(stack)

            self._begin(stack, plan, undo)
        self._run(lambda: self._operations.update(stack, plan), stack)
        return {"StackId": stack.id}

    def _delete(self, given: Json) -> Json:
        with self._lock:
            stack = self._store.find(given["StackName"])
            if stack is None or stack.status == "DELETE_COMPLETE":
                return {}
            if stack.busy:
                raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be deleted.")
            plan = self._operations.plan(stack, stack.target)
            stack.become("DELETE_IN_PROGRESS", "User Initiated")
            self._store.save(stack)
        self._run(lambda: self._operations.delete(stack, plan), stack)
        return {}

    def _continue_rollback(self, given: Json) -> Json:
        with self._lock:
            stack = self._stack(given)
            if stack.status != "UPDATE_ROLLBACK_FAILED":
                raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not continue update rollback.")
            stack.become("UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
            self._store.save(stack)
        self._run(lambda: self._operations.go_back(stack), stack)
        return {}

    def _begin(self, stack: Stack, plan: Plan, undo: Callable[[], None]) -> None:
        """Have the emulator begin with its part; what it refuses never began."""
        reduced = plan.reduced
        self._store.save(stack)
        try:
            self._free_buckets(stack, plan)
            self._emulated.start(stack, stack.target, reduced)
        except Exception:
            undo()
            raise

    def _free_buckets(self, stack: Stack, plan: Plan) -> None:
        """Drop empty buckets that a killed emulator kept on disk while it forgot their stack."""
        if self._emulated.describe(stack.name) is not None:
            return
        s3 = self._context.clients("s3")
        present = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
        for name in {plan.bucket_name(logical) for logical in plan.buckets} & present:
            try:
                s3.delete_bucket(Bucket=name)
            except ClientError as error:
                raise invalid(f"{name} already exists: {error.response['Error']['Message']}") from error

    def _run(self, operation: Callable[[], None], stack: Stack) -> None:
        thread = threading.Thread(target=operation, name=f"stack-{stack.name}", daemon=True)
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()

    def _deployed(self, given: Json, stack: Stack | None) -> Deployed:
        """What a request asks for; raises ValidationError for what the local home does not do."""
        for name in ("RoleARN", "StackPolicyBody", "StackPolicyURL", "RollbackConfiguration", "DisableRollback",
                     "OnFailure", "ResourceTypes", "NotificationARNs"):  # fmt: skip
            if given.get(name) and given[name] != "ROLLBACK":
                raise invalid(f"The local home does not take {name}")
        previous = stack.target if stack else None
        text = previous.template if given.get("UsePreviousTemplate") and previous else self._template_text(given)
        values = parameter_values(
            template_of(text), given.get("Parameters", []), previous.parameters if previous else {}
        )
        tags = given.get("Tags", previous.tags if previous else [])
        return Deployed(text, values, tags, given.get("Capabilities", []))

    def _template_text(self, given: Json) -> str:
        if body := given.get("TemplateBody"):
            return str(body)
        if not given.get("TemplateURL"):
            raise invalid("Either TemplateBody or TemplateURL must be specified")
        bucket, _, key = unquote(urlsplit(given["TemplateURL"]).path).lstrip("/").partition("/")
        try:
            text: str = self._context.clients("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        except ClientError as error:
            raise invalid(f"S3 error: {error.response['Error']['Message']}") from error
        return text

    # descriptions

    def _stack(self, given: Json) -> Stack:
        stack = self._store.find(given["StackName"])
        if stack is None:
            raise invalid(f"Stack with id {given['StackName']} does not exist")
        return stack

    def _describe_stacks(self, given: Json) -> Json:
        if given.get("StackName"):
            return {"Stacks": [described(self._stack(given))]}
        return {"Stacks": [described(stack) for stack in self._store if stack.status != "DELETE_COMPLETE"]}

    def _describe_events(self, given: Json) -> Json:
        events = self._stack(given).events[::-1]
        begin = int(given.get("NextToken") or 0)
        more = {"NextToken": str(begin + PAGE)} if begin + PAGE < len(events) else {}
        return {"StackEvents": events[begin : begin + PAGE], **more}

    def _resources(self, stack: Stack) -> list[Json]:
        """Every resource of a stack in the template's order: the emulator's as it tells them, then ours."""
        found = [] if stack.status == "DELETE_COMPLETE" else self._emulated.resources(stack.name)
        for resource in found:
            resource["StackName"], resource["StackId"] = stack.name, stack.id
        found += [resource_of(stack, logical, resource) for logical, resource in list(stack.resources.items())]
        order = list(template_of(stack.target.template)["Resources"])
        place = {name: index for index, name in enumerate(order)}
        return sorted(found, key=lambda resource: place.get(resource["LogicalResourceId"], len(place)))

    def _describe_resources(self, given: Json) -> Json:
        if not given.get("StackName"):
            raise invalid("The local home describes the resources of one stack: StackName must be given")
        found = self._resources(self._stack(given))
        logical = given.get("LogicalResourceId")
        return {"StackResources": [one for one in found if logical in (None, one["LogicalResourceId"])]}

    def _describe_resource(self, given: Json) -> Json:
        stack = self._stack(given)
        for resource in self._resources(stack):
            if resource["LogicalResourceId"] == given["LogicalResourceId"]:
                return {"StackResourceDetail": {**resource, "LastUpdatedTimestamp": resource["Timestamp"]}}
        raise invalid(f"Resource {given['LogicalResourceId']} does not exist for stack {stack.name}")

    def _list_resources(self, given: Json) -> Json:
        found = self._resources(self._stack(given))
        return {"StackResourceSummaries": [{**one, "LastUpdatedTimestamp": one["Timestamp"]} for one in found]}

    def _list_stacks(self, given: Json) -> Json:
        wanted = given.get("StackStatusFilter")
        return {"StackSummaries": [described(one) for one in self._store if not wanted or one.status in wanted]}

    def _get_template(self, given: Json) -> Json:
        stages = {"StagesAvailable": ["Original", "Processed"]}
        return {"TemplateBody": self._stack(given).target.template, **stages}

    def _validate_template(self, given: Json) -> Json:
        template = template_of(self._template_text(given))
        ours = {*self._types, *RECORDED}
        kept = {name: one for name, one in template["Resources"].items() if one["Type"] not in ours}
        rest = {key: value for key, value in template.items() if key not in ("Resources", "Outputs")}
        # a template needs a resource, and none may refer to one that is left out: types and parameters are judged
        bare = {name: {"Type": one["Type"]} for name, one in kept.items()}
        filler = {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}
        found = self._emulated.validate({**rest, "Resources": bare or filler})
        return {key: value for key, value in found.items() if key != "ResponseMetadata"}


def _meaning(deployed: Deployed) -> tuple[Any, ...]:
    return template_of(deployed.template), deployed.parameters, deployed.tags
