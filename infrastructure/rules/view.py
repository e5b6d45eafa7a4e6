"""What the rules ask of a template."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infrastructure.cfn.intrinsics import references
from infrastructure.cfn.template import Json, parse_template
from infrastructure.package import render_template

NO_VALUE = {"Ref": "AWS::NoValue"}


class View:
    """A parsed template, with long-form intrinsics."""

    def __init__(self, template: Json) -> None:
        self.template = template
        self.resources: dict[str, Json] = template.get("Resources", {})

    @classmethod
    def of_file(cls, path: Path) -> View:
        """A template in YAML or JSON; raises ValueError for anything else."""
        return cls(parse_template(path.read_text()))

    @classmethod
    def of_lake(cls) -> View:
        """Our template as it is deployed."""
        return cls(parse_template(render_template()))

    def of_type(self, *types: str) -> Iterator[tuple[str, Json]]:
        """(logical id, properties) of the resources of some types."""
        for name, resource in self.resources.items():
            if resource["Type"] in types:
                yield name, resource.get("Properties") or {}

    def named(self, value: Any) -> str:
        """The logical id that a Ref, Fn::GetAtt or Fn::Sub refers to first; "" for anything else."""
        found = next((name for name, _ in references(value)), "")
        return found if found in self.resources else ""


def branches(value: Any) -> list[Any]:
    """The possible values of a node: both branches of every Fn::If, without AWS::NoValue; lists are flattened."""
    if isinstance(value, dict) and set(value) == {"Fn::If"}:
        return [one for side in value["Fn::If"][1:] for one in branches(side)]
    if isinstance(value, list):
        return [one for item in value for one in branches(item)]
    return [] if value == NO_VALUE or value is None else [value]


def at(properties: Any, path: str) -> list[Any]:
    """The possible values of a property; ``path`` is ``A.B``. Empty when it is not set."""
    found = branches(properties)
    for key in path.split("."):
        found = [one for value in found if isinstance(value, dict) for one in branches(value.get(key))]
    return found


def all_are(properties: Any, path: str, *wanted: Any) -> bool:
    """Whether a property is set and all its possible values are among ``wanted`` (booleans may be written as text)."""
    found = at(properties, path)
    texts = {str(one).lower() for one in wanted}
    return bool(found) and all(not isinstance(one, dict) and str(one).lower() in texts for one in found)


def texts(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, text) of every literal text in a part of a template, including those in Fn::Sub."""
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, list):
        for item in node:
            yield from texts(item, path)
    elif isinstance(node, dict):
        for key, item in node.items():
            if key == "Fn::If":
                yield from texts(item[1:], path)
            elif key not in ("Ref", "Fn::GetAtt", "Fn::FindInMap", "Condition") or not isinstance(item, str | list):
                yield from texts(item, path if key.startswith("Fn::") else f"{path}.{key}".lstrip("."))


def listed(value: Any) -> list[Any]:
    """The items of a value that a policy may write alone or as a list."""
    return value if isinstance(value, list) else [value]


def statements(document: Any) -> list[Json]:
    """The statements of a policy document."""
    return [one for one in branches(document.get("Statement")) if isinstance(one, dict)] if document else []
