"""Which resources an environment has: the rendered template with its parameters and conditions applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infrastructure.cfn.intrinsics import PLACEHOLDERS, Resolver, outline
from infrastructure.cfn.template import Json


@dataclass(frozen=True)
class Resource:
    """A resource that is created, with its properties as far as the parameters determine them."""

    name: str
    type: str
    properties: Json


class Environment(Resolver):
    """A template with parameters applied; references to resources and pseudo parameters become ``${Name.Attribute}``.

    Raises KeyError for a parameter that the template does not have, TemplateError for what cannot be resolved.
    """

    def __init__(self, template: Json, parameters: Mapping[str, str]) -> None:
        declared = template.get("Parameters", {})
        if unknown := sorted(parameters.keys() - declared.keys()):
            raise KeyError(f"parameters that the template does not have: {unknown}")
        # no price depends on the parameters without a default (names, code)
        given = {name: str(one.get("Default", name)) for name, one in declared.items()} | dict(parameters)
        super().__init__(template, given, PLACEHOLDERS, outline)
        self._resources: dict[str, Json] = template["Resources"]

    def resources(self) -> list[Resource]:
        """Every resource whose condition holds, in the template's order."""
        return [
            Resource(name, one["Type"], self.value(one.get("Properties", {})))
            for name, one in self._resources.items()
            if self.active(one)
        ]
