"""The record of IAM's decisions in a home: which role wanted to do what, on which resource, and whether it was allowed.

The emulator and our server append to one file of JSON lines (``AwsSettings.decisions``). Each process writes a decision
once, and S3 keys are cut to their first folders, so that the file stays small and a repeated decision costs one look-up
in a set. What root does is not recorded, because no policy applies to it. Standard library only: the emulator imports
this in a Python environment of its own.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

FOLDERS_KEPT = 2  # of an S3 key; the rest becomes *
RESOURCES_KEPT = 300  # for one role and action, because a home that runs for months makes ever new names


@dataclass(frozen=True)
class Decision:
    """One decision of IAM. ``principal`` is ``role/NAME`` or ``user/NAME``, ``action`` as policies spell it."""

    principal: str
    action: str
    resource: str
    allowed: bool


class DecisionLog:
    """The record, as one process appends to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: set[Decision] = set()
        self._resources: Counter[tuple[str, str, bool]] = Counter()
        self._lock = threading.Lock()

    def note(self, principal_arn: str, action: str, resource: str, allowed: bool) -> None:
        """Record a decision, unless this process has recorded it already."""
        decision = Decision(principal(principal_arn), action, reduced(resource), allowed)
        if decision in self._seen:
            return
        with self._lock:
            of = (decision.principal, action, allowed)
            if decision in self._seen or self._resources[of] == RESOURCES_KEPT:
                return
            self._resources[of] += 1
            self._seen.add(decision)
            line = json.dumps(asdict(decision)) + "\n"
            # a single write to a file opened for appending, so that lines of two processes do not mix
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)


@lru_cache(maxsize=256)
def principal(arn: str) -> str:
    """``role/NAME`` for a role or a session of it, ``user/NAME`` for a user."""
    kind, _, name = arn.split(":", 5)[5].partition("/")
    return f"role/{name.split('/')[0]}" if kind == "assumed-role" else f"{kind}/{name}"


def reduced(resource: str) -> str:
    """An S3 object's ARN with ``*`` in place of what follows its first folders; any other resource unchanged."""
    if not resource.startswith("arn:aws:s3:::"):
        return resource
    bucket, *parts = resource.split("/", FOLDERS_KEPT + 1)
    return "/".join([bucket, *parts[: min(FOLDERS_KEPT, len(parts) - 1)], "*"]) if parts else resource
