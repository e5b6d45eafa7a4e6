"""The grants that no test of the home uses, with reasons: ``unproven_grants.json``.

Each group in the file has a reason and its grants, written ``role action resource``. A group is ``enforced`` when the
home's own programs could make such a call, and IAM would decide about it: then only a test is missing. The other
grants are for calls that AWS's services make and the home's replacements of these services do not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from infrastructure.iam.grants import Grant

UNPROVEN = Path(__file__).parent / "unproven_grants.json"


@dataclass(frozen=True)
class UnprovenGrants:
    """Grants that are needed for the same reason."""

    reason: str
    enforced: bool
    grants: tuple[Grant, ...]


def read(path: Path = UNPROVEN) -> list[UnprovenGrants]:
    """Read the groups, in the file's order."""
    return [
        UnprovenGrants(group["reason"], group["enforced"], tuple(Grant.of(text) for text in group["grants"]))
        for group in json.loads(path.read_text())
    ]
