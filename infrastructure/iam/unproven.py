"""The grants that the home does not exercise, each with its reason: ``unproven.json``.

A group of the file has a reason and its grants, written ``role action resource``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from infrastructure.iam.grants import Grant

UNPROVEN = Path(__file__).parent / "unproven.json"


@dataclass(frozen=True)
class Group:
    """Grants that AWS needs for one and the same reason."""

    reason: str
    grants: tuple[Grant, ...]


def read(path: Path = UNPROVEN) -> list[Group]:
    """The groups, in the file's order."""
    return [
        Group(group["reason"], tuple(Grant.of(text) for text in group["grants"]))
        for group in json.loads(path.read_text())
    ]
