"""What the template allows its roles to do: one grant for each role, action and resource.

Resources are written with placeholders for what differs between deployments, as in
``arn:${AWS::Partition}:s3:::sakila-streams-${Environment}-landing-${Suffix}/dms/*``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from infrastructure.cfn.intrinsics import PLACEHOLDERS, Resolver, parameter_values
from infrastructure.cfn.template import Json

STACK = "sakila-streams-${Environment}"
_ARN = "arn:${AWS::Partition}:%s:${AWS::Region}:${AWS::AccountId}:%s"
# Type -> service and end of its ARN, by its properties (Service Authorization Reference, "Resource types defined by")
_ENDINGS = {
    "AWS::DMS::Endpoint": ("dms", "endpoint:{ResourceIdentifier}"),
    "AWS::DMS::ReplicationInstance": ("dms", "rep:{ResourceIdentifier}"),
    "AWS::DMS::ReplicationTask": ("dms", "task:{ResourceIdentifier}"),
    "AWS::KMS::Key": ("kms", "key/*"),
    "AWS::KinesisFirehose::DeliveryStream": ("firehose", "deliverystream/{DeliveryStreamName}"),
    "AWS::Lambda::Function": ("lambda", "function:{FunctionName}"),
    "AWS::Logs::LogGroup": ("logs", "log-group:{LogGroupName}:*"),
    "AWS::SNS::Topic": ("sns", "{TopicName}"),
    "AWS::SQS::Queue": ("sqs", "{QueueName}"),
}
_REF_IS_ARN = ("AWS::DMS::", "AWS::SNS::Topic")
# AWS's own policies, which DMS requires by name.
_AWS_POLICIES = ("policy/service-role/AmazonDMSVPCManagementRole", "policy/service-role/AmazonDMSCloudWatchLogsRole")
_NAMES = ("BucketName", "Name", "RoleName", "ManagedPolicyName", "LogGroupName")


@dataclass(frozen=True, order=True)
class Grant:
    """A role may do an action on the resources that match a pattern (under the statement's condition, if any)."""

    role: str
    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.role} {self.action} {self.resource}"

    @classmethod
    def of(cls, text: str) -> Grant:
        """Parse what ``str`` returned."""
        return cls(*text.split(" "))


@dataclass(frozen=True)
class Statement:
    """One ``Allow`` statement of a role; ``where`` is the logical id of the role or managed policy that contains it."""

    role: str
    where: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: Json

    @property
    def grants(self) -> list[Grant]:
        """Each of its actions on each of its resources."""
        return [Grant(self.role, action, resource) for action in self.actions for resource in self.resources]


def statements(template: Json) -> list[Statement]:
    """Every statement of every role of a parsed template, its managed policies included.

    Raises ValueError for a policy that is not in the template, for ``Deny``, ``NotAction`` and ``NotResource``.
    """
    resolved = _Resolved(template)
    return [
        _statement(name.removeprefix(f"{STACK}-"), where, document)
        for name, policies in resolved.roles()
        for where, documents in policies
        for document in documents
    ]


def granted(template: Json) -> set[Grant]:
    """Every grant of a parsed template; raises like ``statements``."""
    return {grant for statement in statements(template) for grant in statement.grants}


def _statement(role: str, where: str, document: Json) -> Statement:
    if document["Effect"] != "Allow" or not {"Sid", "Effect", "Action", "Resource", "Condition"} >= document.keys():
        raise ValueError(f"{where}: {document} is not a plain Allow statement")
    return Statement(
        role, where, _texts(document["Action"]), _texts(document["Resource"]), document.get("Condition", {})
    )


def _texts(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


class _Resolved:
    """The template's roles with every intrinsic function replaced."""

    def __init__(self, template: Json) -> None:
        self._resources: dict[str, Json] = template["Resources"]
        given = {name: item.get("Default", "") for name, item in template["Parameters"].items()}
        given |= {"Environment": "${Environment}", "Suffix": "${Suffix}"}
        keys = [{"ParameterKey": name, "ParameterValue": str(value)} for name, value in given.items()]
        pseudo = PLACEHOLDERS | {"AWS::StackName": STACK, "AWS::StackId": _ARN % ("cloudformation", f"stack/{STACK}/*")}
        self._resolver = Resolver(template, parameter_values(template, keys, {}), pseudo, self._lookup)

    def roles(self) -> Iterator[tuple[str, list[tuple[str, list[Json]]]]]:
        """Each role's name, and the statements of its policies by the logical id of the resource that contains them."""
        for logical, resource in self._resources.items():
            if resource["Type"] != "AWS::IAM::Role":
                continue
            properties = resource["Properties"]
            policies = [(logical, self._statements(policy)) for policy in properties.get("Policies", [])]
            for reference in properties.get("ManagedPolicyArns", []):
                chosen = reference.get("Fn::If", [None, reference])[1]  # one that is attached under a condition counts
                if str(chosen.get("Fn::Sub", "")).endswith(_AWS_POLICIES):
                    continue
                if set(chosen) != {"Ref"}:
                    raise ValueError(f"{logical}: the policy {reference} is not in the template")
                name = chosen["Ref"]
                policies.append((name, self._statements(self._resources[name]["Properties"])))
            yield self._text(properties["RoleName"]), policies

    def _statements(self, policy: Json) -> list[Json]:
        value = self._resolver.value(policy["PolicyDocument"]["Statement"])
        return value if isinstance(value, list) else [value]

    def _text(self, node: Any) -> str:
        return str(self._resolver.value(node))

    def _lookup(self, logical: str, attribute: str) -> str:
        resource = self._resources[logical]
        properties = resource.get("Properties", {})
        kind = resource["Type"]
        if attribute == "Arn" or kind.startswith(_REF_IS_ARN):
            if kind == "AWS::S3::Bucket":
                return "arn:${AWS::Partition}:s3:::" + self._text(properties["BucketName"])
            service, ending = _ENDINGS.get(kind, ("", ""))
            if not service:
                raise ValueError(f"{logical}: _ENDINGS does not say how the ARN of {kind} ends")
            return _ARN % (service, re.sub(r"\{(\w+)\}", lambda match: self._text(properties[match[1]]), ending))
        if kind == "AWS::Glue::Database":
            return self._text(properties["DatabaseInput"]["Name"])
        return next((self._text(properties[name]) for name in _NAMES if name in properties), f"${{{logical}}}")


def matches(resource: str, pattern: str) -> bool:
    """Whether a resource matches a pattern with ``*`` and ``?``, as in IAM (IAM User Guide, "Resource")."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, resource) is not None
