"""CloudFormation's query protocol: form fields in, XML out, both after botocore's own model of the service."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

import botocore.session
from botocore.model import ListShape, OperationModel, Shape, StructureShape

from local.aws import query_protocol
from local.aws.protocol import Payload

MODEL = botocore.session.get_session().get_service_model("cloudformation")


def operation(action: str) -> OperationModel:
    """The model of an action."""
    return MODEL.operation_model(action)


def read(action: str, form: Payload) -> Payload:
    """Form fields such as ``Parameters.member.1.ParameterKey`` as the nested request that boto3 took."""
    shape = operation(action).input_shape
    return {} if shape is None else query_protocol.read(shape, form)[0]


def reply(action: str, result: Payload) -> str:
    """The XML body of an action's reply; ``result`` is what boto3 shall return."""
    shape = operation(action).output_shape
    inner = ""
    if shape is not None:
        wrapper = shape.serialization.get("resultWrapper", f"{action}Result")
        inner = f"<{wrapper}>{_members(shape, result)}</{wrapper}>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><{action}Response xmlns="{MODEL.metadata["xmlNamespace"]}">{inner}'
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{action}Response>"
    )


def _members(shape: StructureShape, value: Payload) -> str:
    return "".join(
        f"<{name}>{_write(member, value[name])}</{name}>"
        for name, member in shape.members.items()
        if value.get(name) is not None
    )


def _write(shape: Shape, value: Any) -> str:
    if isinstance(shape, StructureShape):
        return _members(shape, value)
    if isinstance(shape, ListShape):
        return "".join(f"<member>{_write(shape.member, item)}</member>" for item in _items(value))
    if shape.type_name == "boolean":
        return "true" if value else "false"
    return escape(value.isoformat() if isinstance(value, datetime) else str(value))


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else [value]


def now() -> str:
    """The present as CloudFormation prints it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
