"""Which resources an environment has: the rendered template with its conditions and parameters worked out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infrastructure.package import Json

NO_VALUE = object()  # AWS::NoValue: the property is not there


@dataclass(frozen=True)
class Resource:
    """A resource that is created, its properties as far as parameters decide them."""

    name: str
    type: str
    properties: Json


class Environment:
    """A template under parameters; raises KeyError for a condition or a parameter that the template does not have."""

    def __init__(self, template: Json, parameters: Mapping[str, str]) -> None:
        self._template = template
        declared = template.get("Parameters", {})
        if unknown := sorted(parameters.keys() - declared.keys()):
            raise KeyError(f"parameters that the template does not have: {unknown}")
        # of those without a default (names, code) no price depends
        self.parameters = {name: str(one.get("Default", name)) for name, one in declared.items()} | dict(parameters)

    def resources(self) -> list[Resource]:
        """Every resource whose condition holds, in the template's order."""
        return [
            Resource(name, one["Type"], self._value(one.get("Properties", {})))
            for name, one in self._template["Resources"].items()
            if "Condition" not in one or self._holds({"Condition": one["Condition"]})
        ]

    def _holds(self, condition: Any) -> bool:
        [(function, argument)] = condition.items()
        match function:
            case "Condition":
                return self._holds(self._template["Conditions"][argument])
            case "Fn::Equals":
                left, right = (self._value(side) for side in argument)
                return str(left) == str(right)  # CloudFormation compares texts
            case "Fn::Not":
                return not self._holds(argument[0])
            case "Fn::And":
                return all(map(self._holds, argument))
            case "Fn::Or":
                return any(map(self._holds, argument))
        raise KeyError(f"a condition that is not understood: {function}")

    def _value(self, node: Any) -> Any:
        """The node with parameters, conditions and mappings put in; other intrinsics stay as they are."""
        if isinstance(node, list):
            return [value for value in map(self._value, node) if value is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            [(function, argument)] = node.items()
            if function == "Ref" and argument == "AWS::NoValue":
                return NO_VALUE
            if function == "Ref" and argument in self.parameters:
                is_list = "List" in self._template["Parameters"][argument]["Type"]
                return self.parameters[argument].split(",") if is_list else self.parameters[argument]
            if function == "Fn::If":
                name, then, otherwise = argument
                return self._value(then if self._holds({"Condition": name}) else otherwise)
            if function == "Fn::FindInMap":
                found: Any = self._template["Mappings"]
                for key in argument:
                    found = found[self._value(key)]
                return found
        values = {key: self._value(value) for key, value in node.items()}
        return {key: value for key, value in values.items() if value is not NO_VALUE}
