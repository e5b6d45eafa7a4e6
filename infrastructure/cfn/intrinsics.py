"""A template's parameters, conditions and intrinsic functions.

Rules: CloudFormation User Guide, "Intrinsic function reference", "Pseudo parameters reference", "Get values stored in
other services using dynamic references". Fn::ImportValue, Fn::Transform, Fn::ForEach and ssm references are not
supported and rejected by name. Error messages are worded as AWS words them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from ipaddress import ip_network
from itertools import islice
from typing import Any

from infrastructure.cfn.template import Json

Reference = tuple[str, str]  # (logical id or parameter, attribute); no attribute: what Ref gives
Lookup = Callable[[str, str], Any]

NO_VALUE = object()
_VARIABLE = re.compile(r"\$\{(!?)([^}!]+)\}")
_DYNAMIC = re.compile(r"\{\{resolve:([a-z-]+):([^}]*)\}\}")
_LIST_TYPES = ("CommaDelimitedList", "List<")


class TemplateError(ValueError):
    """A template, or the parameters given with it, cannot be resolved."""


_PSEUDO = ("AccountId", "Region", "Partition", "URLSuffix", "StackName", "StackId")
PLACEHOLDERS = {f"AWS::{name}": f"${{AWS::{name}}}" for name in _PSEUDO}  # each stands for itself


def parameter_values(template: Json, given: list[Json], previous: Mapping[str, str]) -> dict[str, str]:
    """The text of every parameter: as given, as before (``UsePreviousValue``), or its default.

    Raises TemplateError for missing and for unknown parameters. Constraints (patterns, lengths) are not checked.
    """
    declared = template.get("Parameters") or {}
    named = {item["ParameterKey"]: item for item in given}
    if unknown := sorted(named.keys() - declared.keys()):
        raise TemplateError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    values: dict[str, str] = {}
    for name, definition in declared.items():
        item = named.get(name)
        if item and item.get("UsePreviousValue"):
            if name in previous:
                values[name] = previous[name]
        elif item:
            values[name] = item.get("ParameterValue", "")
        elif "Default" in definition:
            values[name] = str(definition["Default"])
    if missing := [name for name in declared if name not in values]:
        raise TemplateError(f"Parameters: [{', '.join(missing)}] must have values")
    return values


def references(node: Any) -> Iterator[Reference]:
    """Yield everything that a part of a template refers to by Ref, Fn::GetAtt or Fn::Sub."""
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key == "Ref":
            yield value, ""
        elif key == "Fn::GetAtt":
            yield attribute(value)
        elif key == "Fn::Sub":
            text, bound = (value[0], value[1]) if isinstance(value, list) else (value, {})
            for literal, name in _VARIABLE.findall(text):
                if not literal and name not in bound:
                    logical, _, attribute_name = name.partition(".")
                    yield logical, attribute_name
            yield from references(list(bound.values()))
        else:
            yield from references(value)


def attribute(value: Any) -> Reference:
    """Split the argument of Fn::GetAtt, which may be written ``A.B`` or ``[A, B]``."""
    logical, name = value.split(".", 1) if isinstance(value, str) else value
    return logical, name


def dependencies(resource: Json) -> set[str]:
    """The logical ids and parameters that a resource names, in DependsOn or by reference."""
    explicit = resource.get("DependsOn") or []
    named = {explicit} if isinstance(explicit, str) else set(explicit)
    return named | {logical for logical, _ in references(resource.get("Properties") or {})}


def in_order(resources: Mapping[str, Json]) -> list[str]:
    """Sort logical ids so that each follows its dependencies; raises TemplateError for a circular dependency."""
    graph = {name: sorted(dependencies(resource) & resources.keys() - {name}) for name, resource in resources.items()}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise TemplateError(f"Circular dependency between resources: [{', '.join(error.args[1])}]") from None


def outline(logical: str, name: str) -> str:
    """A lookup for when no resource exists yet: it returns the text ``${Logical.Attribute}``."""
    return f"${{{logical}{'.' * bool(name)}{name}}}"


class Resolver:
    """Replaces the intrinsic functions in parts of one template by their values.

    ``pseudo`` has the pseudo parameters except AWS::NoValue. ``lookup`` returns attributes of resources, ``secret`` the
    text of a secret by its id, for ``{{resolve:secretsmanager:...}}``; without ``secret`` such references are kept.
    """

    def __init__(
        self,
        template: Json,
        parameters: Mapping[str, str],
        pseudo: Mapping[str, Any],
        lookup: Lookup,
        secret: Callable[[str], str] | None = None,
    ) -> None:
        self._template, self._lookup, self._secret = template, lookup, secret
        self._values: dict[str, Any] = {**pseudo, "AWS::NoValue": NO_VALUE}
        for name, definition in (template.get("Parameters") or {}).items():
            text = parameters[name]
            is_list = str(definition.get("Type")).startswith(_LIST_TYPES)
            self._values[name] = [item.strip() for item in text.split(",")] if is_list else text
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": lambda value: self._reference(value, ""),
            "Condition": self.condition,
            "Fn::GetAtt": lambda value: self._reference(*attribute(value)),
            "Fn::Sub": self._sub,
            "Fn::Join": lambda value: str(value[0]).join(map(str, self._value(value[1]))),
            "Fn::Base64": lambda value: base64.b64encode(str(self._value(value)).encode()).decode(),
            "Fn::Select": self._select,
            "Fn::Split": lambda value: self._value(value[1]).split(value[0]),
            "Fn::If": lambda value: self.chosen(*value),
            "Fn::Equals": lambda value: str(self._value(value[0])) == str(self._value(value[1])),
            "Fn::And": lambda value: all(self._value(item) for item in value),
            "Fn::Or": lambda value: any(self._value(item) for item in value),
            "Fn::Not": lambda value: not self._value(value[0]),
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAZs": lambda value: [f"{self._value(value) or pseudo['AWS::Region']}{zone}" for zone in "abc"],
            "Fn::Cidr": self._cidr,
            "Fn::ToJsonString": lambda value: json.dumps(self.value(value)),
        }

    def value(self, node: Any) -> Any:
        """Return a part of the template with every intrinsic function and dynamic reference replaced."""
        resolved = self._value(node)
        return None if resolved is NO_VALUE else resolved

    def condition(self, name: str) -> bool:
        """Whether a condition of the template holds."""
        conditions = self._template.get("Conditions") or {}
        if name not in conditions:
            raise TemplateError(f"Template format error: Unresolved condition {name}")
        return bool(self._value(conditions[name]))

    def active(self, resource: Json) -> bool:
        """Whether a resource's condition, if it has one, holds."""
        return "Condition" not in resource or self.condition(resource["Condition"])

    def chosen(self, condition: str, then: Any, otherwise: Any) -> Any:
        """Return what Fn::If returns."""
        return self._value(then if self.condition(condition) else otherwise)

    def _value(self, node: Any) -> Any:
        if isinstance(node, str):
            return self._dynamic(node)
        if isinstance(node, list):
            return [item for item in map(self._value, node) if item is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            name, argument = next(iter(node.items()))
            # IAM policies also have a key "Condition", whose value is not a name
            if name in self._functions and (name != "Condition" or isinstance(argument, str)):
                result = self._functions[name](argument)
                return self._dynamic(result) if isinstance(result, str) else result
            if name.startswith("Fn::"):
                raise TemplateError(f"Template error: {name} is not supported here")
        found = {key: self._value(value) for key, value in node.items()}
        return {key: value for key, value in found.items() if value is not NO_VALUE}

    def _reference(self, name: str, attribute_name: str) -> Any:
        return self._values[name] if name in self._values and not attribute_name else self._lookup(name, attribute_name)

    def _select(self, value: Any) -> Any:
        index, items = int(self._value(value[0])), self._value(value[1])
        if not 0 <= index < len(items):
            raise TemplateError(f"Template error: Fn::Select cannot select nonexistent value at index {index}")
        return items[index]

    def _sub(self, value: Any) -> str:
        text, bound = (value[0], self._value(value[1])) if isinstance(value, list) else (value, {})

        def replaced(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            return str(bound[name] if name in bound else self._reference(*name.partition(".")[::2]))

        return _VARIABLE.sub(replaced, text)

    def _find_in_map(self, value: Any) -> Any:
        found: Any = self._template.get("Mappings") or {}
        for key in (self._value(item) for item in value[:3]):
            if key not in found:
                raise TemplateError(f"Template error: Unable to get mapping for {'::'.join(map(str, value))}")
            found = found[key]
        return found

    def _cidr(self, value: Any) -> list[str]:
        """The argument is ``[block, count, host bits of each part]``; only for IPv6 may the last be left out."""
        block, count, bits = (str(self._value(item)) for item in value)
        network = ip_network(block)
        parts = network.subnets(new_prefix=network.max_prefixlen - int(bits))
        return [str(part) for part in islice(parts, int(count))]

    def _dynamic(self, text: str) -> str:
        if self._secret is None:
            return text
        return _DYNAMIC.sub(lambda match: self._resolved(*match.groups()), text)

    def _resolved(self, service: str, reference: str) -> str:
        if service != "secretsmanager" or self._secret is None:
            raise TemplateError(f"Template error: {{{{resolve:{service}:...}}}} is not supported here")
        parts = reference.split(":")
        cut = 7 if reference.startswith("arn:") else 1
        kind, key, *version = [*parts[cut:], "", "", "", ""][:4]
        if kind not in ("", "SecretString") or any(version):
            raise TemplateError(f"Template error: only SecretString's current version is supported, not {reference}")
        text = self._secret(":".join(parts[:cut]))
        return str(json.loads(text)[key]) if key else text
