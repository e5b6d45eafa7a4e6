"""Stack policies: which updates of which resources CloudFormation denies.

Rules: CloudFormation User Guide, "Prevent updates to stack resources". A policy allows what some Allow statement
allows and no Deny statement denies: Deny overrides Allow.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Collection
from fnmatch import fnmatchcase

from infrastructure.cfn.template import Json

ACTIONS = ("Update:Modify", "Update:Replace", "Update:Delete", "Update:*")
_MEMBERS = {"Effect", "Action", "NotAction", "Principal", "Resource", "NotResource", "Condition", "Sid"}
RESOURCE = "LogicalResourceId/"


def parse(text: str) -> Json:
    """Parse a stack policy; raises ValueError for what CloudFormation would reject."""
    policy: Json = json.loads(text)
    if not isinstance(policy, dict) or not isinstance(policy.get("Statement"), list):
        raise ValueError("a stack policy has a list Statement")
    for statement in policy["Statement"]:
        if unknown := sorted(statement.keys() - _MEMBERS):
            raise ValueError(f"unknown member {unknown[0]}")
        if statement.get("Effect") not in ("Allow", "Deny") or statement.get("Principal") != "*":
            raise ValueError('each statement has Effect Allow or Deny, and Principal "*"')
        if wrong := [one for one in _listed(statement, "Action", "NotAction") if one not in ACTIONS]:
            raise ValueError(f"unknown action {wrong[0]}")
        if not _listed(statement, "Resource", "NotResource"):
            raise ValueError("each statement has Resource or NotResource")
    return policy


def denial(policy: Json, logical: str, type_name: str, action: str) -> str | None:
    """Why an action such as Update:Replace on a resource is denied, in CloudFormation's words; None: it is allowed."""
    found = [
        (number, statement["Effect"])
        for number, statement in enumerate(policy["Statement"], start=1)
        if _applies(statement, logical, type_name, action)
    ]
    denied = [number for number, effect in found if effect == "Deny"]
    if denied:
        statements = " ".join(
            f"Statement [#{number}] does not allow [{action}] for resource [{RESOURCE}{logical}];" for number in denied
        )
        return f"Action denied by stack policy: {statements}"
    if not any(effect == "Allow" for _, effect in found):
        return f"Action not allowed by stack policy: no statement allows [{action}] for resource [{RESOURCE}{logical}]"
    return None


def without_denials(policy: Json, logicals: Collection[str]) -> Json:
    """The policy with no Deny left for some resources."""
    exempt = [f"{RESOURCE}{logical}" for logical in sorted(logicals)]
    changed = copy.deepcopy(policy)
    for statement in changed["Statement"] if exempt else ():
        if statement["Effect"] == "Allow":
            continue
        if "NotResource" in statement:
            statement["NotResource"] = [*_listed(statement, "NotResource"), *exempt]
        elif "*" in _listed(statement, "Resource"):
            statement.pop("Resource")
            statement["NotResource"] = exempt
        else:
            statement["Resource"] = [one for one in _listed(statement, "Resource") if one not in exempt]
    changed["Statement"] = [one for one in changed["Statement"] if _listed(one, "Resource", "NotResource")]
    return changed


def _applies(statement: Json, logical: str, type_name: str, action: str) -> bool:
    condition = statement.get("Condition", {})
    for operator, stated in condition.items():
        wanted = _listed(stated, "ResourceType")
        if operator == "StringEquals" and type_name not in wanted:
            return False
        if operator == "StringLike" and not any(fnmatchcase(type_name, one) for one in wanted):
            return False
    return _named(statement, "Action", action) and _named(statement, "Resource", f"{RESOURCE}{logical}")


def _named(statement: Json, member: str, value: str) -> bool:
    if member in statement:
        return any(fnmatchcase(value, one) for one in _listed(statement, member))
    return not any(fnmatchcase(value, one) for one in _listed(statement, f"Not{member}"))


def _listed(statement: Json, *members: str) -> list[str]:
    for member in members:
        if member in statement:
            value = statement[member]
            return [value] if isinstance(value, str) else list(value)
    return []
