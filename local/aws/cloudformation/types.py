"""Which resource types we make, which we only record, and the interface of those that we make."""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from local.aws.protocol import AwsError
from local.aws.settings import ACCOUNT, REGION, ROOT_ACCESS_KEY, AwsSettings

Json = dict[str, Any]
Property = Callable[[str], Any]

# Types that exist on AWS alone. The home notes them as made, gives them an id, and creates nothing.
RECORDED = {
    "AWS::Budgets::Budget": "",
    "AWS::DMS::ReplicationSubnetGroup": "",
    "AWS::EC2::InternetGateway": "igw-",
    "AWS::EC2::Route": "",
    "AWS::EC2::RouteTable": "rtb-",
    "AWS::EC2::SecurityGroup": "sg-",
    "AWS::EC2::SecurityGroupEgress": "",
    "AWS::EC2::SecurityGroupIngress": "",
    "AWS::EC2::Subnet": "subnet-",
    "AWS::EC2::SubnetRouteTableAssociation": "rtbassoc-",
    "AWS::EC2::VPC": "vpc-",
    "AWS::EC2::VPCEndpoint": "vpce-",
    "AWS::EC2::VPCGatewayAttachment": "",
    "AWS::Glue::SecurityConfiguration": "",
    "AWS::MWAA::Environment": "",
    "AWS::RDS::DBParameterGroup": "",
    "AWS::RDS::DBSubnetGroup": "",
    "AWS::SecretsManager::RotationSchedule": "",
}


def invalid(message: str) -> AwsError:
    """CloudFormation's answer to a template or request that it cannot take."""
    return AwsError("ValidationError", message)


class Failure(Exception):
    """A resource could not be made, changed or removed; the message is its reason in the stack's events."""


@dataclass(frozen=True)
class Context:
    """What a resource type works with. Its clients are root's, at the same addresses as everybody's."""

    settings: AwsSettings
    clients: Callable[[str], Any]


def root_clients(settings: AwsSettings) -> Callable[[str], Any]:
    """Clients of the deployment: our server for the services that it answers, the emulator for the others."""
    session = boto3.Session(
        aws_access_key_id=ROOT_ACCESS_KEY, aws_secret_access_key=ROOT_ACCESS_KEY, region_name=REGION
    )

    @functools.cache
    def client(service: str) -> Any:
        return session.client(service, endpoint_url=settings.endpoint(service))

    return client


class OwnType:
    """A resource type that we make."""

    replaces: tuple[str, ...] = ()  # properties whose change takes a new resource, as AWS's reference says
    adopts = False  # whether one that is there already is taken over

    def known(self, prop: Property) -> Json:
        """The attributes that are known before the resource is made; "" is what Ref gives.

        ``prop("A.B")`` is the value of a property (of B in A), which must not depend on other resources.
        """
        raise NotImplementedError

    def create(self, context: Context, properties: Json) -> Json:
        """Make the resource, wait until it can be used and return all its attributes; raises Failure."""
        raise NotImplementedError

    def update(self, context: Context, physical: str, properties: Json) -> Json:
        """Change the resource to ``properties`` and return all its attributes."""
        raise NotImplementedError

    def delete(self, context: Context, physical: str, properties: Json) -> None:
        """Remove the resource; does nothing when it is gone."""
        raise NotImplementedError

    def exists(self, context: Context, physical: str, properties: Json) -> bool:
        """Whether the resource is there."""
        raise NotImplementedError


def recorded_attributes(type_name: str, stack: str, logical: str) -> Callable[[str], str]:
    """What stands for a resource that is only recorded: an id as AWS would give it, the same at every deployment."""
    prefix = RECORDED[type_name].format(region=REGION, account=ACCOUNT)
    digest = hashlib.sha256(f"{stack}/{logical}".encode()).hexdigest()
    physical = prefix + digest[:17] if prefix else f"{stack}-{logical}-{digest[:12]}".lower()
    return lambda name: f"arn:aws:recorded:{REGION}:{ACCOUNT}:{physical}" if name.endswith("Arn") else physical


def shaped(service: str, operation: str, properties: Json, drop: tuple[str, ...] = ()) -> Json:
    """Template properties as arguments of an API call: numbers and booleans may be written as text in a template.

    Raises Failure for a property that the call does not know.
    """
    shape = _model(service).operation_model(operation).input_shape
    kept = {name: value for name, value in properties.items() if name not in drop}
    arguments: Json = _shaped(shape, kept, operation)
    return arguments


@functools.cache
def _model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def _shaped(shape: Shape | None, value: Any, where: str) -> Any:
    if isinstance(shape, StructureShape):
        if unknown := sorted(set(value) - set(shape.members)):
            raise Failure(f"The local home does not know property {where}.{unknown[0]}")
        return {name: _shaped(shape.members[name], item, f"{where}.{name}") for name, item in value.items()}
    if isinstance(shape, ListShape):
        return [_shaped(shape.member, item, where) for item in value]
    if isinstance(shape, MapShape):
        return {key: _shaped(shape.value, item, f"{where}.{key}") for key, item in value.items()}
    kind = shape.type_name if shape is not None else ""
    if kind == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    if kind in ("integer", "long"):
        return int(value)
    if kind in ("float", "double"):
        return float(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def getter(properties: Json) -> Property:
    """``OwnType.known``'s way to ask, over properties that are resolved."""
    return lambda path: _inside(properties, path)


def _inside(properties: Any, path: str) -> Any:
    for name in path.split("."):
        properties = properties.get(name) if isinstance(properties, dict) else None
    return properties


def gone(error: ClientError, *codes: str) -> bool:
    """Whether an error says that the thing is not there; any other is raised again."""
    if error.response["Error"]["Code"] not in codes:
        raise error
    return True


def wait_until(state: Callable[[], str], good: str, bad: tuple[str, ...], what: str, seconds: float = 120.0) -> None:
    """Ask for a state until it is the good one; raises Failure for a bad one and after ``seconds``."""
    deadline = time.monotonic() + seconds
    while (found := state()) != good:
        if found in bad or time.monotonic() > deadline:
            raise Failure(f"{what} is {found or 'absent'}, not {good}")
        time.sleep(0.2)


def without(properties: Mapping[str, Any], *names: str) -> Json:
    """The properties but for some."""
    return {name: value for name, value in properties.items() if name not in names}
