"""What an update would change: the ``ResourceChange`` structures of a change set.

Sources: CloudFormation API Reference, ``ResourceChange``, ``ResourceChangeDetail`` and ``ResourceTargetDefinition``.
Whether a property's change needs a new resource stands in AWS's resource schemas (``createOnlyProperties``,
``conditionalCreateOnlyProperties``), which cfn-lint carries.

As on AWS, a reference to an attribute of a resource that changes is an uncertain change (``Dynamic``), and so is a Ref
of a resource that may be replaced. Left out: values before and after, changes inside lists, stack tags.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from typing import Any

from infrastructure.cfn.intrinsics import Json, in_order, references
from local.aws.cloudformation.plan import Plan
from local.aws.cloudformation.resource_types.base import OwnType
from local.aws.settings import REGION

ATTRIBUTES = ("Metadata", "CreationPolicy", "UpdatePolicy", "DeletionPolicy", "UpdateReplacePolicy")


def differences(
    before: Plan | None, after: Plan, physical: Mapping[str, str], lost: Collection[str], types: Mapping[str, OwnType]
) -> list[Json]:
    """The changes from one plan (None: there is no stack yet) to another, in the templates' order.

    ``physical`` are the physical ids of what exists; ``lost`` is what should exist and does not: it is an "Add".
    """
    old = before.resources if before else {}
    found: dict[str, Json] = {}
    for logical in in_order(after.resources):  # causes come before what they cause
        type_name = after.resources[logical]["Type"]
        if before is None or logical not in old or logical in lost:
            found[logical] = _change("Add", logical, type_name)
            continue
        details = [*_certain(before, after, logical, types), *_uncertain(after, logical, found, types)]
        if details:
            found[logical] = {
                **_change("Modify", logical, type_name, physical.get(logical)),
                "Replacement": _replacement(details),
                "Scope": sorted({detail["Target"]["Attribute"] for detail in details}),
                "Details": details,
            }
            if found[logical]["Replacement"] == "True":
                kept = after.kept(logical, "UpdateReplacePolicy")
                found[logical]["PolicyAction"] = "ReplaceAndRetain" if kept else "ReplaceAndDelete"
    for logical in old.keys() - after.resources.keys():
        kept = before is not None and before.kept(logical)
        found[logical] = {
            **_change("Remove", logical, old[logical]["Type"], physical.get(logical)),
            "PolicyAction": "Retain" if kept else "Delete",
        }
    order = list({**after.resources, **old})
    return [found[logical] for logical in order if logical in found]


def replaced(changes: list[Json]) -> set[str]:
    """Logical ids of what the update will replace: certainly, or because what causes its change is replaced."""
    gone = {change["LogicalResourceId"] for change in changes if change.get("Replacement") == "True"}
    while more := {change["LogicalResourceId"] for change in changes if _causes(change) & gone} - gone:
        gone |= more
    return gone


def _causes(change: Json) -> set[str]:
    """The resources whose replacement replaces this one."""
    return {
        detail["CausingEntity"].partition(".")[0]
        for detail in change.get("Details", [])
        if detail["Evaluation"] == "Dynamic" and detail["Target"]["RequiresRecreation"] == "Always"
    }


def _change(action: str, logical: str, type_name: str, physical: str | None = None) -> Json:
    found = {"Action": action, "LogicalResourceId": logical, "ResourceType": type_name}
    return {**found, "PhysicalResourceId": physical} if physical else found


def _certain(before: Plan, after: Plan, logical: str, types: Mapping[str, OwnType]) -> Iterator[Json]:
    """Details of what certainly changes in a resource."""
    old, new = before.resources[logical], after.resources[logical]
    if old["Type"] != new["Type"]:
        yield _detail("Properties", "Type", "Always", "DirectModification")
        return
    for attribute in ATTRIBUTES:
        if before.outline(old.get(attribute)) != after.outline(new.get(attribute)):
            yield _detail(attribute, None, "Never", "DirectModification")
    raw_old, raw_new = old.get("Properties") or {}, new.get("Properties") or {}
    was, becomes = before.outline(raw_old), after.outline(raw_new)
    for name in sorted(was.keys() | becomes.keys()):
        paths = list(_paths(was.get(name), becomes.get(name), f"/properties/{name}"))
        if not paths:
            continue
        recreation = _recreation(new["Type"], paths, types)
        causes = sorted({one for one, _ in references(raw_new.get(name))} & after.changed_parameters(before))
        for cause in causes if raw_old.get(name) == raw_new.get(name) else []:
            yield _detail("Properties", name, recreation, "ParameterReference", cause)
        if raw_old.get(name) != raw_new.get(name) or not causes:
            yield _detail("Properties", name, recreation, "DirectModification")


def _uncertain(after: Plan, logical: str, found: Mapping[str, Json], types: Mapping[str, OwnType]) -> Iterator[Json]:
    """Details of what may change in a resource because it refers to others that change."""
    resource = after.resources[logical]
    for name, node in (resource.get("Properties") or {}).items():
        for entity, attribute in sorted(set(references(node))):
            cause = found.get(entity)
            if cause is None or cause["Action"] != "Modify" or not (attribute or cause["Replacement"] != "False"):
                continue
            recreation = _recreation(resource["Type"], [f"/properties/{name}"], types)
            source, named = "ResourceReference", entity
            if attribute:
                source, named = "ResourceAttribute", f"{entity}.{attribute}"
            yield _detail("Properties", name, recreation, source, named, "Dynamic")


def _detail(
    attribute: str, name: str | None, recreation: str, source: str, cause: str | None = None, evaluation: str = "Static"
) -> Json:
    target: Json = {"Attribute": attribute, "RequiresRecreation": recreation}
    if name:
        target["Name"] = name
    found: Json = {"Target": target, "Evaluation": evaluation, "ChangeSource": source}
    return {**found, "CausingEntity": cause} if cause else found


def _replacement(details: list[Json]) -> str:
    seen = {(one["Target"]["RequiresRecreation"], one["Evaluation"]) for one in details}
    if ("Always", "Static") in seen:
        return "True"
    return "Conditional" if any(recreation != "Never" for recreation, _ in seen) else "False"


def _paths(was: Any, becomes: Any, path: str) -> Iterator[str]:
    """Paths of what differs; a list is compared as a whole."""
    if isinstance(was, dict) and isinstance(becomes, dict):
        for key in was.keys() | becomes.keys():
            yield from _paths(was.get(key), becomes.get(key), f"{path}/{key}")
    elif was != becomes:
        yield path


def _recreation(type_name: str, paths: list[str], types: Mapping[str, OwnType]) -> str:
    """Whether a change of these properties needs a new resource: Always, Conditionally or Never; the worst counts."""
    always, conditionally = _create_only(type_name)
    if own := types.get(type_name):
        always |= {f"/properties/{name}" for name in own.replaces}

    def touched(listed: Collection[str]) -> bool:
        pairs = [(f"{path}/", f"{one}/") for path in paths for one in listed]
        return any(path.startswith(one) or one.startswith(path) for path, one in pairs)

    return "Always" if touched(always) else "Conditionally" if touched(conditionally) else "Never"


@cache
def _create_only(type_name: str) -> tuple[frozenset[str], frozenset[str]]:
    """Properties whose change needs a new resource: always, and under conditions. None for a type unknown to AWS."""
    from cfnlint.schema import PROVIDER_SCHEMA_MANAGER  # noqa: PLC0415 (50 MB, for change sets alone)
    from cfnlint.schema._exceptions import ResourceNotFoundError  # noqa: PLC0415

    try:
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, type_name).schema
    except ResourceNotFoundError:
        return frozenset(), frozenset()
    found: Callable[[str], frozenset[str]] = lambda name: frozenset(schema.get(name) or ())  # noqa: E731
    return found("createOnlyProperties"), found("conditionalCreateOnlyProperties")
