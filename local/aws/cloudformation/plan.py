"""What a template means for one stack: which resources we make, in which order, and which the emulator makes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Any

from infrastructure.cfn.intrinsics import Json, Reference, Resolver, in_order, outline, references
from infrastructure.cfn.template import parse_template
from local.aws.cloudformation import bucket_properties
from local.aws.cloudformation.errors import invalid
from local.aws.cloudformation.reduced_template import output_name, reduced_template
from local.aws.cloudformation.resource_types.base import OwnType, getter
from local.aws.cloudformation.resource_types.recorded import RECORDED, recorded_attributes
from local.aws.cloudformation.stacks import Deployed, Stack
from local.aws.settings import ACCOUNT, REGION, AwsSettings

SECRET_PROPERTIES = ("MasterUserPassword", "CertificatePem")


class Plan:
    """One template with its parameters, for one stack.

    Raises ValidationError or TemplateError for a template that is not valid.
    """

    def __init__(self, stack: Stack, deployed: Deployed, types: Mapping[str, OwnType], settings: AwsSettings) -> None:
        self._stack, self._types, self._settings = stack, types, settings
        self.template = template_of(deployed.template)
        self._parameters = deployed.parameters
        self._pseudo = pseudo_parameters(stack.name, stack.id)
        self._static = Resolver(self.template, deployed.parameters, self._pseudo, self._beforehand)
        # gives a part of the template with its values, but with ``${Logical.Attribute}`` for references to resources
        self.outline = Resolver(self.template, deployed.parameters, self._pseudo, outline).value
        declared: dict[str, Json] = self.template["Resources"]
        self.resources = {name: resource for name, resource in declared.items() if self._static.active(resource)}
        self._ours = {name for name, resource in declared.items() if resource["Type"] in types.keys() | RECORDED.keys()}

    @cached_property
    def ours(self) -> list[str]:
        """Logical ids of our active resources, each after those that it depends on."""
        return [name for name in in_order(self.resources) if name in self._ours]

    @property
    def emulated(self) -> set[str]:
        """Logical ids of the emulator's active resources."""
        return self.resources.keys() - self._ours

    @property
    def buckets(self) -> list[str]:
        """Logical ids of the active buckets."""
        return [name for name, resource in self.resources.items() if resource["Type"] == bucket_properties.TYPE]

    @cached_property
    def reduced(self) -> Json:
        """The template of the emulator's stack."""
        return reduced_template(
            self.template, self._ours, self._literal, self._needed(), self._settings, self._parameters
        )

    def kept(self, logical: str, policy: str = "DeletionPolicy") -> bool:
        """Whether a resource outlives its stack or, with ``UpdateReplacePolicy``, its replacement.

        AWS's default is Delete, except that the default at the deletion of a DBInstance is Snapshot.
        """
        resource = self.resources[logical]
        database = resource["Type"] == "AWS::RDS::DBInstance" and policy == "DeletionPolicy"
        return bool(self._static.value(resource.get(policy, "Snapshot" if database else "Delete")) != "Delete")

    def bucket_name(self, logical: str) -> str:
        """The name of a bucket, which must not depend on other resources."""
        name = self._property(logical)("BucketName")
        if not name:
            raise invalid(f"The local home needs BucketName of {logical}")
        return str(name)

    def known(self, logical: str) -> Json:
        """The attributes of one of our resources that are known before it is made; none if it is only recorded."""
        own = self._types.get(self.resources[logical]["Type"])
        return own.known(self._property(logical)) if own else {}

    def recorded(self, logical: str, name: str = "") -> str:
        """An attribute of a resource that is only recorded, by default its id."""
        type_name = self.template["Resources"][logical]["Type"]
        return recorded_attributes(type_name, self._stack.name, logical)(name)

    def resolver(self, values: Mapping[str, str], secret: Callable[[str], str]) -> Resolver:
        """A resolver of everything, for when the emulator's ``values`` (its stack's outputs) exist."""

        def lookup(logical: str, name: str) -> Any:
            if logical not in self.resources:
                raise invalid(f"Template error: {logical} is referred to, but its condition is false")
            type_name = self.resources[logical]["Type"]
            if type_name in RECORDED and type_name not in self._types:
                return self.recorded(logical, name)
            if logical in self._ours:
                attributes = self._stack.resources[logical].attributes
                if name not in attributes:
                    raise invalid(f"Template error: resource {logical} does not support attribute type {name}")
                return attributes[name]
            return values[output_name(logical, name)]

        return Resolver(self.template, self._parameters, self._pseudo, lookup, secret)

    def changed_parameters(self, before: Plan) -> set[str]:
        """Names of the parameters whose values differ between two plans."""
        return {name for name, value in self._parameters.items() if before._parameters.get(name) != value}

    def outputs(self, resolver: Resolver) -> list[Json]:
        """The stack's own outputs."""
        found = []
        for name, output in (self.template.get("Outputs") or {}).items():
            if resolver.active(output):
                described = {"Description": output["Description"]} if "Description" in output else {}
                found.append({"OutputKey": name, "OutputValue": str(resolver.value(output["Value"])), **described})
        return found

    def _needed(self) -> list[Reference]:
        """What our resources, our outputs and the buckets' completed properties need of the emulator's resources."""
        nodes = [self.resources[name].get("Properties") for name in self.ours]
        nodes += [output for output in (self.template.get("Outputs") or {}).values() if self._static.active(output)]
        for name in self.buckets:
            nodes += [self.resources[name]["Properties"].get(key) for key in bucket_properties.PROPERTIES]
        return sorted({(logical, name) for logical, name in references(nodes) if logical in self.emulated})

    def _property(self, logical: str) -> Callable[[str], Any]:
        raw = getter(self.template["Resources"][logical].get("Properties") or {})
        return lambda path: self._static.value(raw(path))

    def _beforehand(self, logical: str, name: str) -> Any:
        if logical in self._ours:
            return self._literal(logical, name)
        raise invalid(f"The local home must know {logical}{'.' * bool(name)}{name} before it is made")

    def _literal(self, logical: str, name: str) -> str:
        if logical == "AWS::StackId":
            return self._stack.id
        type_name = self.template["Resources"][logical]["Type"]
        if type_name in self._types:
            known = self._types[type_name].known(self._property(logical))
            if name not in known:
                raise invalid(
                    f"The local home cannot tell {logical}{'.' * bool(name)}{name} to other resources before it is made"
                )
            return str(known[name])
        return self.recorded(logical, name)


def pseudo_parameters(name: str, stack_id: str) -> Json:
    """The values of AWS's pseudo parameters in a stack of the home."""
    return {
        "AWS::AccountId": ACCOUNT,
        "AWS::Region": REGION,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
        "AWS::StackName": name,
        "AWS::StackId": stack_id,
        "AWS::NotificationARNs": [],
    }


@lru_cache(maxsize=8)
def template_of(text: str) -> Json:
    """A template's text as a mapping with resources, which must not be changed; raises AWS's ValidationError."""
    try:
        template = parse_template(text)
    except ValueError as error:
        raise invalid(f"Template format error: {error}") from error
    resources = template.get("Resources")
    if not isinstance(resources, dict) or not resources:
        raise invalid("Template format error: At least one Resources member must be defined.")
    for name, resource in resources.items():
        if not isinstance(resource, dict) or not isinstance(resource.get("Type"), str):
            raise invalid(
                f"Template format error: [/Resources/{name}] Every Resources object must contain a Type member."
            )
    return template


def digest(properties: Json) -> str:
    """A fingerprint of resolved properties, passwords among them."""
    return hashlib.sha256(json.dumps(properties, sort_keys=True, default=str).encode()).hexdigest()
