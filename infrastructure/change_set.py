"""CloudFormation change sets: creating and discarding them, showing what they change, finding what would lose data.

Each change set has a unique name, so that concurrent deployments do not share one.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from infrastructure.cfn import stack_policy
from infrastructure.stack import IN_REVIEW, DeployError, Json, describe

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import ResourceChangeDetailTypeDef, ResourceChangeTypeDef

# How CloudFormation says that there is nothing to do ("Troubleshooting CloudFormation": No updates to perform).
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
POLL_SECONDS = 0.3


@dataclass(frozen=True)
class Change:
    """One resource's change."""

    action: str  # Add, Modify, Remove, ...
    logical: str
    type: str
    replacement: str = ""  # for Modify: True, Conditional or False
    kept: bool = False  # for Remove: whether the resource is retained or a snapshot is taken
    details: tuple[ResourceChangeDetailTypeDef, ...] = field(default=(), repr=False)

    @property
    def properties(self) -> list[str]:
        """Names of the properties that certainly change."""
        return sorted(
            {
                one["Target"].get("Name") or one["Target"]["Attribute"]
                for one in self.details
                if one.get("Evaluation") == "Static"
            }
        )

    @property
    def policy_action(self) -> str:
        """The name of this action in a stack policy."""
        if self.action == "Remove":
            return "Update:Delete"
        return "Update:Replace" if self.replacement == "True" else "Update:Modify"


@dataclass(frozen=True)
class ChangeSet:
    """A change set that can be executed. ``creates`` is true when the stack does not exist yet."""

    arn: str
    stack_id: str
    creates: bool
    changes: tuple[Change, ...]


def create(cloudformation: CloudFormationClient, request: Json) -> ChangeSet | None:
    """Create a change set from the arguments of CreateStack and wait for it; None when nothing would change.

    Raises DeployError with CloudFormation's reason when it cannot be created.
    """
    stack = describe(cloudformation, request["StackName"])
    creates = stack is None or stack["StackStatus"] in (IN_REVIEW, "DELETE_COMPLETE")
    made = cloudformation.create_change_set(
        **request, ChangeSetName=f"deploy-{uuid.uuid4().hex}", ChangeSetType="CREATE" if creates else "UPDATE"
    )
    while (found := cloudformation.describe_change_set(ChangeSetName=made["Id"]))["Status"] in (
        "CREATE_PENDING",
        "CREATE_IN_PROGRESS",
    ):
        time.sleep(POLL_SECONDS)
    if found["Status"] != "CREATE_COMPLETE":
        reason = found.get("StatusReason", "no reason given")
        discard(cloudformation, ChangeSet(made["Id"], made["StackId"], creates, ()))
        if any(words in reason for words in NO_CHANGES):
            return None
        raise DeployError(f"{request['StackName']}: {reason}")
    pages = cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=made["Id"])
    changes = tuple(_change(one["ResourceChange"]) for page in pages for one in page["Changes"])
    return ChangeSet(made["Id"], made["StackId"], creates, changes)


def discard(cloudformation: CloudFormationClient, change_set: ChangeSet) -> None:
    """Delete a change set that will not be executed, and the empty stack that it may have created."""
    cloudformation.delete_change_set(ChangeSetName=change_set.arn)
    stack = describe(cloudformation, change_set.stack_id) if change_set.creates else None
    if stack and stack["StackStatus"] == IN_REVIEW:
        others = cloudformation.list_change_sets(StackName=change_set.stack_id)["Summaries"]
        if all(one["ChangeSetId"] == change_set.arn for one in others):
            cloudformation.delete_stack(StackName=change_set.stack_id)


def data_losses(change_set: ChangeSet, policy: Json, allowed: Collection[str] = ()) -> list[Change]:
    """The changes that the stack policy denies: a resource that holds data would be replaced or removed.

    A replacement that AWS calls conditional counts when it is caused by another resource's replacement. CloudFormation
    decides about the other conditional ones during the update, where the stack's policy stops it.
    """
    replaced = _replaced(change_set.changes)
    found = []
    for change in change_set.changes:
        action = "Update:Replace" if change.logical in replaced else change.policy_action
        if action == "Update:Modify" or change.action == "Add" or change.logical in allowed:
            continue
        if stack_policy.denial(policy, change.logical, change.type, action):
            found.append(change)
    return found


def rendered(change_set: ChangeSet, policy: Json, colour: bool = False) -> Iterator[str]:
    """The changes as lines, the dangerous ones first; resources that may merely get new references are only counted."""
    dangerous = {change.logical for change in data_losses(change_set, policy)}
    ranks = {change.logical: _rank(change, dangerous) for change in change_set.changes}
    following = [one for one in change_set.changes if ranks[one.logical] == len(_PAINTS) - 1]
    shown = [one for one in change_set.changes if one not in following]
    width = max((len(one.logical) for one in shown), default=0)
    for change in sorted(shown, key=lambda one: (ranks[one.logical], one.type, one.logical)):
        text = f"{_verb(change):<11} {change.logical:<{width}}  {change.type}"
        if change.properties:
            text += f"  ({', '.join(change.properties)})"
        if change.logical in dangerous:
            text += "  HOLDS DATA"
        yield f"{_PAINTS[ranks[change.logical]]}{text}\033[0m" if colour else text
    if following:
        yield f"and {len(following)} that refer to these and may get new values"


def shown(name: str, change_set: ChangeSet, policy: Json, colour: bool) -> Iterator[str]:
    """The change set of the named stack as lines: its summary and its changes."""
    yield f"{name}: {summary(change_set)}"
    yield from (f"  {line}" for line in rendered(change_set, policy, colour))


def summary(change_set: ChangeSet) -> str:
    """The number of changes of each kind: ``3 to add, 1 to change``."""
    words = {"Add": "to add", "Modify": "to change", "Remove": "to remove"}
    counts = {word: sum(one.action == action for one in change_set.changes) for action, word in words.items()}
    replaced = sum(one.replacement == "True" for one in change_set.changes)
    text = ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "nothing"
    return f"{text} ({replaced} by replacement)" if replaced else text


_PAINTS = ("\033[1;31m", "\033[31m", "\033[33m", "\033[32m", "\033[0m", "\033[2m")


def _rank(change: Change, dangerous: set[str]) -> int:
    """The index in ``_PAINTS``: 0 loses data ... 3 is new, 4 changes in place, 5 may merely get new references."""
    if change.logical in dangerous:
        return 0
    if change.action == "Remove" or change.replacement == "True":
        return 1
    if not change.properties and change.action == "Modify":
        return 5
    if change.replacement == "Conditional" and _certain(change):
        return 2
    return 3 if change.action == "Add" else 4


def _verb(change: Change) -> str:
    if change.action == "Modify" and change.replacement == "True":
        return "replace"
    if change.action == "Modify" and change.replacement == "Conditional" and _certain(change):
        return "replace?"
    if change.action == "Remove" and change.kept:
        return "release"
    return {"Modify": "change"}.get(change.action, change.action.lower())


def _certain(change: Change) -> bool:
    """Whether a property that certainly changes may require a new resource."""
    return any(
        one.get("Evaluation") == "Static" and one["Target"].get("RequiresRecreation", "Never") != "Never"
        for one in change.details
    )


def _replaced(changes: Collection[Change]) -> set[str]:
    """Logical ids of the resources that will be replaced, directly or because of another's replacement."""
    found = {one.logical for one in changes if one.replacement == "True"}
    while more := {one.logical for one in changes if _causes(one) & found} - found:
        found |= more
    return found


def _causes(change: Change) -> set[str]:
    """Logical ids of the resources whose replacement would also replace this one."""
    return {
        one.get("CausingEntity", "").partition(".")[0]
        for one in change.details
        if one.get("Evaluation") == "Dynamic" and one["Target"].get("RequiresRecreation", "Never") != "Never"
    }


def _change(found: ResourceChangeTypeDef) -> Change:
    return Change(
        action=found["Action"],
        logical=found["LogicalResourceId"],
        type=found["ResourceType"],
        replacement=found.get("Replacement", ""),
        kept=found.get("PolicyAction") in ("Retain", "Snapshot"),
        details=tuple(found.get("Details", [])),
    )
