"""The grants that recorded calls needed: reading, merging and writing ``used_grants.json``.

An entry has a grant, the resource of a call that needed it (with placeholders for the deployment's names), and the
tiers of tests that made such a call.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from infrastructure.iam.grants import Grant, matches

USED = Path(__file__).parent / "used_grants.json"
TIERS = ("journey", "services", "faults")


@dataclass(frozen=True, order=True)
class Call:
    """A call by a role and whether IAM allowed it; ``resource`` has placeholders."""

    role: str
    action: str
    resource: str
    allowed: bool = True


@dataclass(frozen=True)
class Use:
    """A grant that was needed: the resource of a call that needed it, and the tiers of the tests that made one."""

    grant: Grant
    call: str
    tiers: tuple[str, ...]


def uses(grants: Iterable[Grant], made: Iterable[Call]) -> dict[Grant, str]:
    """The grants that an allowed call needed, each with the resource of the first such call."""
    by_action: dict[tuple[str, str], list[str]] = {}
    for call in sorted(made):
        if call.allowed:
            by_action.setdefault((call.role, call.action), []).append(call.resource)
    needed = {}
    for grant in grants:
        asked = by_action.get((grant.role, grant.action), [])
        if resource := next((one for one in asked if matches(one, grant.resource)), None):
            needed[grant] = resource
    return needed


def read(path: Path = USED) -> list[Use]:
    """Read the file's entries."""
    return [
        Use(Grant(entry["role"], entry["action"], entry["resource"]), entry["call"], tuple(entry["tiers"]))
        for entry in json.loads(path.read_text())
    ]


def write(entries: Iterable[Use], path: Path = USED) -> None:
    """Write the entries, sorted, one a line."""
    ordered = sorted(entries, key=lambda use: use.grant)
    lines = [json.dumps({**asdict(use.grant), "call": use.call, "tiers": use.tiers}) for use in ordered]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n")


def merged(before: Iterable[Use], tier: str, found: dict[Grant, str], grants: set[Grant]) -> list[Use]:
    """Replace in ``before`` what ``tier`` proved by what it proves now; grants that no longer exist are dropped."""
    kept = {use.grant: use for use in before if use.grant in grants}
    result = []
    for grant in kept.keys() | found.keys():
        old = kept.get(grant, Use(grant, "", ()))
        tiers = {*old.tiers, tier} if grant in found else {*old.tiers} - {tier}
        if tiers:
            call = old.call or found[grant]
            result.append(Use(grant, call, tuple(name for name in TIERS if name in tiers)))
    return result
