"""The interface of a resource type that we make ourselves, and what its implementations share."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import botocore.session
from botocore.exceptions import ClientError
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from infrastructure.cfn.intrinsics import Json
from local.aws.cloudformation.errors import Failure
from local.aws.settings import AwsSettings
from local.engines import waiting

Property = Callable[[str], Any]


@dataclass(frozen=True)
class Context:
    """What a resource type works with. ``clients`` gives clients under root, which go where every client goes."""

    settings: AwsSettings
    clients: Callable[[str], Any]


class OwnType:
    """A resource type that we make."""

    replaces: tuple[str, ...] = ()  # properties whose change needs a new resource, as AWS's reference says
    adopts = False  # whether a resource that exists already is taken over instead of refused

    def known(self, prop: Property) -> Json:  # noqa: ARG002 (by default, nothing is known)
        """The attributes that are known before the resource is made; the attribute "" is the value of a Ref.

        ``prop("A.B")`` returns the value of a property (B in A), which must not depend on other resources.
        """
        return {}

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


def shaped(service: str, operation: str, properties: Json, drop: tuple[str, ...] = ()) -> Json:
    """Template properties as arguments of an API call; numbers and booleans may be texts in a template.

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
    """The ``prop`` of ``OwnType.known`` for properties that are resolved."""
    return lambda path: _inside(properties, path)


def _inside(properties: Any, path: str) -> Any:
    for name in path.split("."):
        properties = properties.get(name) if isinstance(properties, dict) else None
    return properties


@contextlib.contextmanager
def gone_ok(code: str) -> Iterator[None]:
    """Leave the block without an error when the error has this code: the resource does not exist."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise


def wait_until(state: Callable[[], str], good: str, bad: tuple[str, ...], what: str, seconds: float = 120.0) -> None:
    """Poll ``state`` until it returns ``good``; raises Failure when it returns one of ``bad`` or after ``seconds``."""

    def settled() -> str | None:
        found = state()
        return found if found == good or found in bad else None

    try:
        found = waiting.wait_until(settled, seconds, f"{what} is not {good}", pause=0.2)
    except TimeoutError as error:
        raise Failure(str(error)) from error
    if found in bad:
        raise Failure(f"{what} is {found}, not {good}")


def without(properties: Mapping[str, Any], *names: str) -> Json:
    """The properties except those named."""
    return {name: value for name, value in properties.items() if name not in names}
