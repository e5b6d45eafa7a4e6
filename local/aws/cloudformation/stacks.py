"""The state of all stacks: one file a stack, replaced at each change."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from infrastructure.cfn.intrinsics import Json
from local.aws.settings import ACCOUNT, REGION
from local.engines.files import write_atomically

STACK_TYPE = "AWS::CloudFormation::Stack"
EVENTS_KEPT = 500
IN_REVIEW = "REVIEW_IN_PROGRESS"  # nothing but a change set that would create it
COMPLETE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
INTERRUPTED = "The home stopped while this operation ran; it can be repeated"
# What an operation becomes when the home stops in the middle of it.
AFTER_INTERRUPTION = {
    "CREATE_IN_PROGRESS": "CREATE_FAILED",
    "ROLLBACK_IN_PROGRESS": "ROLLBACK_FAILED",
    "DELETE_IN_PROGRESS": "DELETE_FAILED",
}


def now() -> str:
    """The present as CloudFormation prints it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Resource:
    """A resource that we made or recorded. ``digest`` changes with its properties, also with the secret ones."""

    type: str
    status: str
    physical: str = ""
    attributes: Json = field(default_factory=dict)
    properties: Json = field(default_factory=dict)  # without passwords
    digest: str = ""
    reason: str = ""
    updated: str = field(default_factory=now)
    keeps: bool = False  # DeletionPolicy: it is not deleted with the stack
    keeps_replaced: bool = False  # UpdateReplacePolicy


@dataclass
class Deployed:
    """What a request wants deployed: the template and the values for it."""

    template: str
    parameters: dict[str, str]
    tags: list[Json]
    capabilities: list[str]


@dataclass
class ChangeSet:
    """What would be deployed, and how that differs from what is (``changes``: ResourceChange structures)."""

    name: str
    id: str
    type: str
    deployed: Deployed
    description: str = ""
    status: str = "CREATE_PENDING"
    reason: str = ""
    execution: str = "UNAVAILABLE"
    created: str = field(default_factory=now)
    changes: list[Json] = field(default_factory=list)

    def fail(self, reason: str) -> None:
        """Mark it as failed: it can be described and deleted, but not executed."""
        self.status, self.reason, self.execution = "FAILED", reason, "UNAVAILABLE"


@dataclass
class Stack:
    """One stack. ``target`` is what is deployed or being deployed, ``previous`` what an update can roll back to."""

    name: str
    target: Deployed
    id: str = ""
    status: str = "CREATE_IN_PROGRESS"
    reason: str = ""
    description: str = ""
    created: str = field(default_factory=now)
    updated: str = ""
    deleted: str = ""
    previous: Deployed | None = None
    resources: dict[str, Resource] = field(default_factory=dict)
    leftovers: dict[str, Resource] = field(default_factory=dict)  # replaced or dropped; "<logical id> <physical id>"
    outputs: list[Json] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)
    copied: list[str] = field(default_factory=list)  # ids of the emulator's events of the present operation
    policy: str = ""  # the stack policy's text; without one every update is allowed
    change_sets: list[ChangeSet] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.id = self.id or f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{self.name}/{uuid.uuid4()}"

    def add_event(self, logical: str, type_name: str, physical: str, status: str, reason: str = "") -> None:
        """Note what happened to a resource."""
        event = {
            "StackId": self.id,
            "StackName": self.name,
            "EventId": str(uuid.uuid4()),
            "LogicalResourceId": logical,
            "PhysicalResourceId": physical,
            "ResourceType": type_name,
            "Timestamp": now(),
            "ResourceStatus": status,
        }
        self.events.append({**event, "ResourceStatusReason": reason} if reason else event)
        del self.events[:-EVENTS_KEPT]

    def become(self, status: str, reason: str = "") -> None:
        """Take a new status, with its event."""
        self.status, self.reason = status, reason
        self.add_event(self.name, STACK_TYPE, self.id, status, reason)

    def end_execution(self) -> None:
        """Note how the operation ended in the change set that began it, if one did."""
        for one in self.change_sets:
            if one.execution == "EXECUTE_IN_PROGRESS" and not self.busy:
                one.execution = "EXECUTE_COMPLETE" if self.status in COMPLETE else "EXECUTE_FAILED"

    @property
    def busy(self) -> bool:
        """Whether an operation is under way."""
        return self.status.endswith("_IN_PROGRESS") and self.status != IN_REVIEW


class Store:
    """All stacks, by name; a deleted one stays until its name is taken again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stacks: dict[str, Stack] = {}
        self._lock = threading.Lock()

    def load(self) -> None:
        """Read every file; an operation that was under way has failed."""
        for path in sorted(self._folder.glob("*.json")):
            stack = _read(json.loads(path.read_text()))
            self._stacks[stack.name] = stack
            unfinished = [one for one in stack.change_sets if one.status in ("CREATE_PENDING", "CREATE_IN_PROGRESS")]
            for change_set in unfinished:
                change_set.fail(INTERRUPTED)
            if interrupted := stack.busy:
                stack.become(AFTER_INTERRUPTION.get(stack.status, "UPDATE_FAILED"), INTERRUPTED)
                stack.end_execution()
            if interrupted or unfinished:
                self.save(stack)

    def save(self, stack: Stack) -> None:
        """Write a stack; on disk before this returns. A deleted stack whose name is taken again is not written."""
        with self._lock:
            present = self._stacks.get(stack.name, stack)
            if stack.status == "DELETE_COMPLETE" and present is not stack:
                return
            self._stacks[stack.name] = stack
            write_atomically(self._folder / f"{stack.name}.json", json.dumps(asdict(stack)))

    def forget(self, stack: Stack) -> None:
        """Remove a stack whose creation has not begun."""
        self._stacks.pop(stack.name, None)
        (self._folder / f"{stack.name}.json").unlink(missing_ok=True)

    def find(self, name_or_id: str) -> Stack | None:
        """A stack by name (deleted ones are found by id only) or by id."""
        for stack in self._stacks.values():
            if name_or_id == stack.id or (name_or_id == stack.name and stack.status != "DELETE_COMPLETE"):
                return stack
        return None

    def __iter__(self) -> Iterator[Stack]:
        return iter(list(self._stacks.values()))


def _read(stored: Json) -> Stack:
    read = {
        "target": Deployed(**stored["target"]),
        "previous": Deployed(**stored["previous"]) if stored["previous"] else None,
        "resources": {name: Resource(**value) for name, value in stored["resources"].items()},
        "leftovers": {name: Resource(**value) for name, value in stored["leftovers"].items()},
        "change_sets": [
            ChangeSet(**one | {"deployed": Deployed(**one["deployed"])}) for one in stored.get("change_sets", [])
        ],
    }
    return Stack(**stored | read)
