"""CloudFormation's actions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import botocore.session
from botocore.exceptions import ClientError

from infrastructure.cfn import stack_policy
from infrastructure.cfn.intrinsics import Json, TemplateError, parameter_values
from local.aws import query_protocol
from local.aws.cloudformation.change_sets import UPDATABLE, ChangeSets, obsolete
from local.aws.cloudformation.describe_actions import DescribeActions
from local.aws.cloudformation.differences import replaced
from local.aws.cloudformation.emulated_stack import EmulatedStack
from local.aws.cloudformation.errors import invalid
from local.aws.cloudformation.operations import Operations
from local.aws.cloudformation.plan import Plan, template_of
from local.aws.cloudformation.resource_types import own_types
from local.aws.cloudformation.resource_types.base import Context
from local.aws.cloudformation.stacks import IN_REVIEW, Deployed, Stack, Store, now
from local.aws.protocol import AwsError, Handler, Request, Services
from local.aws.root_clients import root_clients
from local.aws.settings import ACCOUNT, REGION

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MODEL = botocore.session.get_session().get_service_model("cloudformation")
# Options of requests that are refused, because the home does not act on them.
REFUSED = (
    "RoleARN", "StackPolicyURL", "StackPolicyDuringUpdateBody", "StackPolicyDuringUpdateURL", "RollbackConfiguration",
    "DisableRollback", "OnFailure", "OnStackFailure", "ResourceTypes", "NotificationARNs", "ResourcesToImport",
    "IncludeNestedStacks", "ImportExistingResources", "DeploymentMode",
)  # fmt: skip


class CloudFormation:
    """The service's API; the package's docstring says what it makes and what it leaves out."""

    service = "cloudformation"
    passes_through = False

    def __init__(self, services: Services) -> None:
        self._services = services
        self._context = Context(services.settings, root_clients(services.settings))
        types = own_types(services.settings)
        self._store = Store(services.settings.data / "cloudformation")
        self._emulated = EmulatedStack(self._context, services.root("cloudformation"))
        self._operations = Operations(self._context, self._store, self._emulated, types)
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._describing = DescribeActions(self._store, self._emulated, self._template_text, set(types))
        self._change_sets = ChangeSets(
            self._store, self._operations, self._describing, self._lock, self._deployed, self._begin, self._run
        )
        changing: dict[str, Callable[[Json], Json]] = {
            "CreateStack": self._create,
            "UpdateStack": self._update,
            "DeleteStack": self._delete,
            "ContinueUpdateRollback": self._continue_rollback,
            "SetStackPolicy": self._set_policy,
            **self._change_sets.changing,
        }
        describing = {**self._describing.actions, **self._change_sets.describing}
        self.actions: Mapping[str, Handler] = {
            **{action: self._handler(action, method) for action, method in describing.items()},
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
            model = MODEL.operation_model(action)
            given: Json = query_protocol.read(model.input_shape, request.payload)[0] if model.input_shape else {}
            self._services.authorize(request.caller, f"cloudformation:{action}", self._resource(given))
            if root_only and not request.caller.is_root:
                # everything here is made as root, so others must not gain rights through a stack
                raise AwsError("AccessDeniedException", f"User: {request.caller.arn} is not authorized: the local home "
                               f"lets the account's root alone call cloudformation:{action}")  # fmt: skip
            try:
                return query_protocol.write_reply(model, method(given))
            except TemplateError as error:
                raise invalid(str(error)) from error

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
            stack = Stack(name, deployed, status=IN_REVIEW, policy=_policy(given))
            try:
                self._begin(stack, deployed)
            except Exception:
                self._store.forget(stack)
                raise
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
            whole = not stack.leftovers and not self._operations.lost(stack, plan)
            if _meaning(deployed) == _meaning(stack.target) and stack.status != "UPDATE_FAILED" and whole:
                raise invalid("No updates are to be performed.")
            policy, stack.policy = stack.policy, _policy(given) or stack.policy
            try:
                self._begin(stack, deployed)
            except Exception:
                stack.policy = policy
                raise
            obsolete(stack)
        return {"StackId": stack.id}

    def _begin(self, stack: Stack, deployed: Deployed) -> None:
        """Begin the creation or the update of a stack to ``deployed``. If this raises, nothing has begun."""
        plan = self._operations.plan(stack, deployed)
        denials = self._denials(stack, plan) if stack.policy and stack.status != IN_REVIEW else {}
        before = (stack.target, stack.previous, stack.status, stack.reason, stack.description, len(stack.events))
        creates = stack.status == IN_REVIEW
        if not creates and (stack.status != "UPDATE_FAILED" or stack.previous is None):
            stack.previous = stack.target
        stack.target, stack.description = deployed, str(plan.template.get("Description", ""))
        stack.updated = "" if creates else now()
        stack.become("CREATE_IN_PROGRESS" if creates else "UPDATE_IN_PROGRESS", "User Initiated")
        self._store.save(stack)
        if denials:
            self._run(lambda: self._operations.refuse(stack, denials), stack)
            return
        try:
            self._free_buckets(stack, plan)
            self._emulated.start(stack, stack.target, plan.reduced)  # what the emulator refuses has not begun
        except Exception:
            stack.target, stack.previous, stack.status, stack.reason, stack.description, events = before
            del stack.events[events:]
            self._store.save(stack)
            raise
        operation = self._operations.create if creates else self._operations.update
        self._run(lambda: operation(stack, plan), stack)

    def _denials(self, stack: Stack, plan: Plan) -> dict[str, str]:
        """What the stack policy denies: {logical id: reason}. Decided before the first resource is touched."""
        policy, changes = stack_policy.parse(stack.policy), self._change_sets.changes(stack, plan)
        renewed, found = replaced(changes), {}
        for change in changes:
            logical = change["LogicalResourceId"]
            action = {"Modify": "Update:Modify", "Remove": "Update:Delete"}.get(change["Action"])
            if action is None:
                continue
            action = "Update:Replace" if logical in renewed else action
            if why := stack_policy.denial(policy, logical, change["ResourceType"], action):
                found[logical] = why
        return found

    def _set_policy(self, given: Json) -> Json:
        with self._lock:
            stack = self._describing.stack(given)
            stack.policy = _policy(given)
            self._store.save(stack)
        return {}

    def _delete(self, given: Json) -> Json:
        with self._lock:
            stack = self._store.find(given["StackName"])
            if stack is None or stack.status == "DELETE_COMPLETE":
                return {}
            if stack.busy:
                raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be deleted.")
            if stack.status == IN_REVIEW:  # it has nothing that could be deleted
                stack.change_sets, stack.deleted = [], now()
                stack.become("DELETE_COMPLETE")
                self._store.save(stack)
                return {}
            plan = self._operations.plan(stack, stack.target)
            stack.become("DELETE_IN_PROGRESS", "User Initiated")
            self._store.save(stack)
        self._run(lambda: self._operations.delete(stack, plan), stack)
        return {}

    def _continue_rollback(self, given: Json) -> Json:
        with self._lock:
            stack = self._describing.stack(given)
            if stack.status != "UPDATE_ROLLBACK_FAILED":
                raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not continue update rollback.")
            stack.become("UPDATE_ROLLBACK_IN_PROGRESS", "User Initiated")
            self._store.save(stack)
        self._run(lambda: self._operations.roll_back(stack), stack)
        return {}

    def _free_buckets(self, stack: Stack, plan: Plan) -> None:
        """Delete empty buckets that a killed emulator kept on disk although it forgot their stack."""
        if self._emulated.describe(stack.name) is not None:
            return
        s3: S3Client = self._context.clients("s3")
        present = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
        for name in {plan.bucket_name(logical) for logical in plan.buckets} & present:
            try:
                s3.delete_bucket(Bucket=name)
            except ClientError as error:
                raise invalid(f"{name} already exists: {error.response['Error']['Message']}") from error

    def _run(self, operation: Callable[[], None], stack: Stack) -> None:
        def run() -> None:
            operation()
            with self._lock:
                stack.end_execution()
                self._store.save(stack)

        thread = threading.Thread(target=run, name=f"stack-{stack.name}", daemon=True)
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()

    def _deployed(self, given: Json, stack: Stack | None) -> Deployed:
        """What a request wants deployed; raises ValidationError for what the local home does not do."""
        if refused := [name for name in REFUSED if given.get(name) and given[name] != "ROLLBACK"]:
            raise invalid(f"The local home does not take {refused[0]}")
        previous = stack.target if stack else None
        text = previous.template if given.get("UsePreviousTemplate") and previous else self._template_text(given)
        known = previous.parameters if previous else {}
        values = parameter_values(template_of(text), given.get("Parameters", []), known)
        tags = given.get("Tags", previous.tags if previous else [])
        return Deployed(text, values, tags, given.get("Capabilities", []))

    def _template_text(self, given: Json) -> str:
        if body := given.get("TemplateBody"):
            return str(body)
        if not given.get("TemplateURL"):
            raise invalid("Either TemplateBody or TemplateURL must be specified")
        bucket, _, key = unquote(urlsplit(given["TemplateURL"]).path).lstrip("/").partition("/")
        try:
            s3: S3Client = self._context.clients("s3")
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        except ClientError as error:
            raise invalid(f"S3 error: {error.response['Error']['Message']}") from error


def _meaning(deployed: Deployed) -> tuple[Any, ...]:
    return template_of(deployed.template), deployed.parameters, deployed.tags


def _policy(given: Json) -> str:
    """The stack policy of a request, or an empty text."""
    text = str(given.get("StackPolicyBody") or "")
    if given.get("StackPolicyURL"):
        raise invalid("The local home does not take StackPolicyURL")
    try:
        if text:
            stack_policy.parse(text)
    except (ValueError, AttributeError, TypeError) as error:
        raise invalid(f"Error validating stack policy: Invalid stack policy: {error}") from error
    return text
