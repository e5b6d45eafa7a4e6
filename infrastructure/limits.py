"""AWS's limits that a template can exceed, and how much of each it uses.

Sources: "AWS CloudFormation quotas", "IAM and AWS STS quotas" (white space is not counted), "Bucket policies" of the S3
User Guide, "Resource quotas" of the KMS Developer Guide. Policies are measured as they will be deployed, with
parameters filled in, the longer branch of every Fn::If, and long samples for ids that AWS chooses: a size may be
overestimated, never underestimated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infrastructure.cfn.intrinsics import Resolver
from infrastructure.cfn.template import Json

TEMPLATE_BYTES = 1_000_000  # of a template that is read from S3
RESOURCES, PARAMETERS, OUTPUTS, MAPPINGS = 500, 200, 200, 200
PARAMETER_BYTES, DESCRIPTION_BYTES = 4096, 1024
INLINE_POLICIES, MANAGED_POLICY, TRUST_POLICY = 10_240, 6_144, 2_048
MANAGED_POLICIES_OF_ROLE = 10
BUCKET_POLICY, KEY_POLICY = 20_480, 32_768

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Region": "ap-southeast-1",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackId": "arn:aws:cloudformation:ap-southeast-1:123456789012:stack/sakila-streams-production/" + "0" * 36,
}
NAMES = ("BucketName", "FunctionName", "QueueName", "TopicName", "RoleName", "ManagedPolicyName", "Name",
         "DeliveryStreamName", "ResourceIdentifier", "LogGroupName", "DBInstanceIdentifier")  # fmt: skip
UNNAMED = "x" * 40  # an id that AWS generates, of a key or a query
_REF_IS_ARN = ("AWS::DMS::", "AWS::SNS::", "AWS::IAM::ManagedPolicy", "AWS::SecretsManager::")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, order=True)
class Measure:
    """The share of a limit that is used."""

    share: float
    what: str
    size: int
    limit: int

    def __str__(self) -> str:
        return f"{self.share:6.1%}  {self.what}: {self.size:,} of {self.limit:,}"


def measured(template: Json, text: str, values: Mapping[str, str]) -> list[Measure]:
    """Every limit, the most used first. ``text`` is the template as it is uploaded, ``values`` its parameters."""

    def measures() -> Iterator[tuple[str, int, int]]:
        yield "template, bytes", len(text.encode()), TEMPLATE_BYTES
        yield "template's description, bytes", len(template.get("Description", "").encode()), DESCRIPTION_BYTES
        yield "resources", len(template["Resources"]), RESOURCES
        yield "parameters", len(template.get("Parameters", {})), PARAMETERS
        yield "outputs", len(template.get("Outputs", {})), OUTPUTS
        yield "mappings", len(template.get("Mappings", {})), MAPPINGS
        for name, value in values.items():
            yield f"value of parameter {name}, bytes", len(value.encode()), PARAMETER_BYTES
        yield from _policies(template, values)

    found = [Measure(size / limit, what, size, limit) for what, size, limit in measures()]
    return sorted(found, reverse=True)


def exceeded(template: Json, text: str, values: Mapping[str, str]) -> list[Measure]:
    """The limits that the template exceeds."""
    return [one for one in measured(template, text, values) if one.share > 1]


def _policies(template: Json, values: Mapping[str, str]) -> Iterator[tuple[str, int, int]]:
    filled = _Filled(template, values)
    for logical, resource in template["Resources"].items():
        properties = resource.get("Properties") or {}
        match resource["Type"]:
            case "AWS::IAM::Role":
                inline = [filled.size(one["PolicyDocument"]) for one in properties.get("Policies", [])]
                yield f"inline policies of role {logical}, characters", sum(inline), INLINE_POLICIES
                trust = filled.size(properties["AssumeRolePolicyDocument"])
                yield f"trust policy of role {logical}, characters", trust, TRUST_POLICY
                attached = len(properties.get("ManagedPolicyArns", []))
                yield f"managed policies of role {logical}", attached, MANAGED_POLICIES_OF_ROLE
            case "AWS::IAM::ManagedPolicy":
                size = filled.size(properties["PolicyDocument"])
                yield f"managed policy {logical}, characters", size, MANAGED_POLICY
            case "AWS::S3::BucketPolicy":
                yield f"bucket policy {logical}, bytes", filled.size(properties["PolicyDocument"]), BUCKET_POLICY
            case "AWS::KMS::Key":
                yield f"key policy of {logical}, bytes", filled.size(properties["KeyPolicy"]), KEY_POLICY


class _Filled(Resolver):
    """Parts of a template with values of realistic length."""

    def __init__(self, template: Json, values: Mapping[str, str]) -> None:
        parameters = {name: values.get(name, UNNAMED) for name in template.get("Parameters") or {}}
        super().__init__(template, parameters, PSEUDO, self._named)
        self._resources: Json = template["Resources"]

    def size(self, node: Any) -> int:
        """Characters of a policy as JSON, without white space."""
        return len(_SPACE.sub("", json.dumps(self.value(node), separators=(",", ":"))))

    def chosen(self, condition: str, then: Any, otherwise: Any) -> Any:  # noqa: ARG002 (both branches are possible)
        """The longer branch."""
        return max(map(self._value, (then, otherwise)), key=lambda branch: len(json.dumps(branch, default=str)))

    def _named(self, logical: str, attribute: str) -> str:
        type_name = self._resources[logical]["Type"]
        if not attribute and not type_name.startswith(_REF_IS_ARN):
            return self._name(logical)
        if type_name == "AWS::S3::Bucket":
            return f"arn:aws:s3:::{self._name(logical)}"
        service, kind = type_name.lower().split("::")[1:3]
        return f"arn:aws:{service}:{PSEUDO['AWS::Region']}:{PSEUDO['AWS::AccountId']}:{kind}/{self._name(logical)}"

    def _name(self, logical: str) -> str:
        properties = self._resources[logical].get("Properties") or {}
        return next((str(self.value(properties[name])) for name in NAMES if name in properties), UNNAMED)
