"""Change sets: CreateChangeSet to ExecuteChangeSet, in the states that AWS gives them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable

from infrastructure.cfn.intrinsics import Json
from local.aws.cloudformation import emulated_stack
from local.aws.cloudformation.describe_actions import DescribeActions, page, shown_parameters
from local.aws.cloudformation.differences import differences
from local.aws.cloudformation.errors import Failure, errors_as_failures, invalid
from local.aws.cloudformation.operations import Operations
from local.aws.cloudformation.plan import Plan
from local.aws.cloudformation.stacks import IN_REVIEW, ChangeSet, Deployed, Stack, Store
from local.aws.protocol import AwsError
from local.aws.settings import ACCOUNT, REGION

NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."
UPDATABLE = (*emulated_stack.UPDATABLE, "UPDATE_FAILED")


class ChangeSets:
    """The change sets of all stacks, each kept with its stack.

    ``deployed`` gives what a request wants deployed, ``begin`` starts the operation that deploys it (under ``lock``),
    ``run`` runs a function in a thread of its own.
    """

    def __init__(
        self,
        store: Store,
        operations: Operations,
        describing: DescribeActions,
        lock: threading.Lock,
        deployed: Callable[[Json, Stack | None], Deployed],
        begin: Callable[[Stack, Deployed], None],
        run: Callable[[Callable[[], None], Stack], None],
    ) -> None:
        self._store, self._operations, self._describing, self._lock = store, operations, describing, lock
        self._deployed, self._begin, self._run = deployed, begin, run

    @property
    def describing(self) -> dict[str, Callable[[Json], Json]]:
        """The actions that change nothing."""
        return {"DescribeChangeSet": self._describe, "ListChangeSets": self._list}

    @property
    def changing(self) -> dict[str, Callable[[Json], Json]]:
        """The actions that change something."""
        return {"CreateChangeSet": self._create, "ExecuteChangeSet": self._execute, "DeleteChangeSet": self._delete}

    def changes(self, stack: Stack, plan: Plan) -> list[Json]:
        """What an update of a stack to this plan would change."""
        if stack.status == IN_REVIEW:
            return differences(None, plan, {}, (), self._operations.types)
        physical = self._describing.physical(stack)
        # an update that was killed may be done in part: compare with the state before it as well
        interrupted = stack.previous if stack.status == "UPDATE_FAILED" else None
        for before in [interrupted, stack.target] if interrupted else [stack.target]:
            present = self._operations.plan(stack, before)
            lost = self._operations.lost(stack, present)
            if found := differences(present, plan, physical, lost, self._operations.types):
                return found
        return []

    def _create(self, given: Json) -> Json:
        name, kind = given["ChangeSetName"], given.get("ChangeSetType", "UPDATE")
        with self._lock:
            stack = self._store.find(given["StackName"])
            if kind == "IMPORT":
                raise invalid("The local home does not import resources")
            if kind == "CREATE" and stack and stack.status != IN_REVIEW:
                raise invalid(
                    f"Stack [{stack.name}] already exists and cannot be created again with the changeSet [{name}]."
                )
            if kind == "UPDATE" and stack is None:
                raise invalid(f"Stack [{given['StackName']}] does not exist")
            if kind == "UPDATE" and stack and stack.status not in UPDATABLE:
                raise invalid(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
            if stack and any(one.name == name for one in stack.change_sets):
                raise AwsError("AlreadyExistsException", f"ChangeSet {name} cannot be created due to a mismatch with "
                               f"existing attribute {name}")  # fmt: skip
            deployed = self._deployed(given, stack)
            new = stack or Stack(given["StackName"], deployed, status=IN_REVIEW)
            plan = self._operations.plan(new, deployed)
            if stack is None:
                new.become(IN_REVIEW, "User Initiated")
            identity = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:changeSet/{name}/{uuid.uuid4()}"
            made = ChangeSet(name, identity, kind, deployed, given.get("Description", ""))
            new.change_sets.append(made)
            self._store.save(new)
        self._run(lambda: self._compute(new, made, plan), new)
        return {"Id": made.id, "StackId": new.id}

    def _compute(self, stack: Stack, made: ChangeSet, plan: Plan) -> None:
        """Find the changes; runs beside the request, as on AWS."""
        made.status = "CREATE_IN_PROGRESS"
        try:
            with errors_as_failures():
                made.changes = self.changes(stack, plan)
            if not made.changes:
                raise Failure(NO_CHANGES)
        except Failure as failure:
            made.fail(str(failure))
        else:
            made.status, made.execution = "CREATE_COMPLETE", "AVAILABLE"

    def _execute(self, given: Json) -> Json:
        if given.get("DisableRollback"):
            raise invalid("The local home does not take DisableRollback")
        with self._lock:
            stack, chosen = self._find(given)
            if chosen.execution != "AVAILABLE":
                state = chosen.status if chosen.execution == "UNAVAILABLE" else chosen.execution
                raise AwsError(
                    "InvalidChangeSetStatus",
                    f"ChangeSet [{chosen.id}] cannot be executed in its current status of [{state}]",
                )
            others = stack.change_sets
            stack.change_sets, chosen.execution = [chosen], "EXECUTE_IN_PROGRESS"
            try:
                self._begin(stack, chosen.deployed)
            except Exception:
                stack.change_sets, chosen.execution = others, "AVAILABLE"
                self._store.save(stack)
                raise
        return {}

    def _delete(self, given: Json) -> Json:
        with self._lock:
            try:
                stack, chosen = self._find(given)
            except AwsError as error:
                if error.code == "ChangeSetNotFound":
                    return {}
                raise
            if chosen.status in ("CREATE_PENDING", "CREATE_IN_PROGRESS") or chosen.execution == "EXECUTE_IN_PROGRESS":
                raise AwsError("InvalidChangeSetStatus", f"ChangeSet [{chosen.id}] cannot be deleted in its current "
                               f"status of [{chosen.status}]")  # fmt: skip
            stack.change_sets.remove(chosen)
            self._store.save(stack)
        return {}

    def _describe(self, given: Json) -> Json:
        stack, chosen = self._find(given)
        changes = [{"Type": "Resource", "ResourceChange": change} for change in chosen.changes]
        return {
            **self._summary(stack, chosen),
            "Parameters": shown_parameters(chosen.deployed),
            "Capabilities": chosen.deployed.capabilities,
            "Tags": chosen.deployed.tags,
            **page(changes, given, "Changes"),
        }

    def _list(self, given: Json) -> Json:
        stack = self._describing.stack(given)
        return page([self._summary(stack, one) for one in stack.change_sets], given, "Summaries")

    @staticmethod
    def _summary(stack: Stack, one: ChangeSet) -> Json:
        return {
            "StackId": stack.id,
            "StackName": stack.name,
            "ChangeSetId": one.id,
            "ChangeSetName": one.name,
            "Description": one.description or None,
            "CreationTime": one.created,
            "Status": one.status,
            "StatusReason": one.reason or None,
            "ExecutionStatus": one.execution,
            "IncludeNestedStacks": False,
        }

    def _find(self, given: Json) -> tuple[Stack, ChangeSet]:
        """A change set by its ARN, or by its name and its stack's; raises ChangeSetNotFound."""
        name = given["ChangeSetName"]
        if not name.startswith("arn:") and not given.get("StackName"):
            raise invalid("StackName must be specified if ChangeSetName is not specified as an ARN.")
        stacks = [self._describing.stack(given)] if given.get("StackName") else list(self._store)
        for stack in stacks:
            for one in stack.change_sets:
                if name in (one.name, one.id):
                    return stack, one
        raise AwsError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist", status=404)


def obsolete(stack: Stack) -> None:
    """Another operation has changed the stack: its change sets can no longer be executed."""
    for one in stack.change_sets:
        if one.execution == "AVAILABLE":
            one.execution = "OBSOLETE"
