"""The grants that the home does not exercise, each with its reason: ``unproven.json``.

A group of the file has a reason and its grants, written ``role action resource``. It is ``enforced`` when the home's
own programs could make such a call, which would be decided like any other: then it is a test that is missing. All
others are calls of AWS's services, which the home's stand-ins do not make.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from infrastructure.iam.grants import Grant

UNPROVEN = Path(__file__).parent / "unproven.json"


@dataclass(frozen=True)
class Group:
    """Grants that are there for one and the same reason."""

    reason: str
    enforced: bool
    grants: tuple[Grant, ...]


def read(path: Path = UNPROVEN) -> list[Group]:
    """The groups, in the file's order."""
    return [
        Group(group["reason"], group["enforced"], tuple(Grant.of(text) for text in group["grants"]))
        for group in json.loads(path.read_text())
    ]
