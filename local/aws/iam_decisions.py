"""The record of every decision of IAM in a home: which role asked to do what, on which resource, and was it allowed.

One file of JSON lines, ``Settings.calls``, to which the emulator and our server append. A decision is written once by
each process, and resources are reduced to a few folders, so that the file stays small and a hot path pays a look into a
set. What the account's root does is not recorded: no policy binds it. Standard library only: the emulator has an
environment of its own.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

FOLDERS_KEPT = 2  # of an S3 key; the rest of it becomes *
RESOURCES_KEPT = 300  # of one role and action; a home that runs for months makes ever new names


@dataclass(frozen=True)
class Decision:
    """One decision of IAM. ``principal`` is ``role/NAME`` or ``user/NAME``, ``action`` as policies spell it."""

    principal: str
    action: str
    resource: str
    allowed: bool


class Calls:
    """The record that one process appends to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: set[Decision] = set()
        self._resources: Counter[tuple[str, str, bool]] = Counter()
        self._lock = threading.Lock()

    def note(self, principal_arn: str, action: str, resource: str, allowed: bool) -> None:
        """Record a decision, unless it has been."""
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
            # one write to a file opened for appending: lines of two processes do not mix
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)


@lru_cache(maxsize=256)
def principal(arn: str) -> str:
    """``role/NAME`` of a role or of a session of it, ``user/NAME`` of a user."""
    kind, _, name = arn.split(":", 5)[5].partition("/")
    return f"role/{name.split('/')[0]}" if kind == "assumed-role" else f"{kind}/{name}"


def reduced(resource: str) -> str:
    """An S3 object's ARN with ``*`` for what follows its first folders; any other resource as it is."""
    if not resource.startswith("arn:aws:s3:::"):
        return resource
    bucket, *parts = resource.split("/", FOLDERS_KEPT + 1)
    return "/".join([bucket, *parts[: min(FOLDERS_KEPT, len(parts) - 1)], "*"]) if parts else resource
