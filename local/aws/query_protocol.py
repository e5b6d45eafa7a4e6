"""The query protocol (CloudFormation's): form fields and XML bodies, read and written after a service's model.

Source: the AWS Query protocol in Smithy's documentation; botocore's ``QuerySerializer`` and ``QueryParser`` are the
clients' side.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from botocore.model import ListShape, OperationModel, Shape, StructureShape

from local.aws.protocol import Payload

_PROTOCOL_FIELDS = {"Action", "Version"}


def read(shape: Shape, form: Payload) -> tuple[Payload, list[str]]:
    """Form fields such as ``Parameters.member.1.ParameterKey`` as the nested request that they stand for.

    Also returns the names of the fields that the shape does not know. A field whose text is no value of its type is
    kept as text.
    """
    fields = {name: _first(value) for name, value in form.items() if name not in _PROTOCOL_FIELDS}
    used: set[str] = set()
    request: Payload = _read(shape, "", fields, used) or {}
    return request, sorted(fields.keys() - used)


def _first(value: Any) -> str:
    return str(value[0] if isinstance(value, list) else value)


def _read(shape: Shape, prefix: str, form: dict[str, str], used: set[str]) -> Any:
    if isinstance(shape, StructureShape):
        found = {
            name: _read(member, f"{prefix}.{name}" if prefix else name, form, used)
            for name, member in shape.members.items()
        }
        return {name: value for name, value in found.items() if value is not None} or None
    if isinstance(shape, ListShape):
        if form.get(prefix) == "":
            used.add(prefix)
            return []
        values: list[Any] = []
        while (value := _read(shape.member, f"{prefix}.member.{len(values) + 1}", form, used)) is not None:
            values.append(value)
        return values or None
    if prefix not in form:
        return None
    used.add(prefix)
    return _scalar(shape, form[prefix])


def _scalar(shape: Shape, text: str) -> Any:
    try:
        if shape.type_name == "boolean":
            return {"true": True, "false": False}[text]
        if shape.type_name in ("integer", "long"):
            return int(text)
        if shape.type_name in ("float", "double"):
            return float(text)
        if shape.type_name == "timestamp":
            return datetime.fromisoformat(text)
    except (KeyError, ValueError):
        pass
    return text


def read_reply(model: OperationModel, body: str) -> tuple[Payload, list[str]]:
    """The content of an XML reply, and the names of the elements that its model does not know."""
    unknown: list[str] = []
    root = ET.fromstring(body)  # noqa: S314 (our own reply)
    shape = model.output_shape
    if shape is None:
        return {}, unknown
    wrapper = shape.serialization.get("resultWrapper", f"{model.name}Result")
    element = next((child for child in root if _tag(child) == wrapper), None)
    if element is None:
        return {}, [f"{wrapper} is missing"]
    content: Payload = _element(shape, element, unknown)
    return content, unknown


def _element(shape: Shape, element: ET.Element, unknown: list[str]) -> Any:
    if isinstance(shape, StructureShape):
        content: Payload = {}
        for child in element:
            if _tag(child) in shape.members:
                content[_tag(child)] = _element(shape.members[_tag(child)], child, unknown)
            else:
                unknown.append(_tag(child))
        return content
    if isinstance(shape, ListShape):
        unknown += [_tag(child) for child in element if _tag(child) != "member"]
        return [_element(shape.member, child, unknown) for child in element if _tag(child) == "member"]
    return _scalar(shape, element.text or "")


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def write_reply(model: OperationModel, result: Payload) -> str:
    """The XML body of an action's reply; ``result`` is what boto3 returns to its caller."""
    shape, name = model.output_shape, model.name
    inner = ""
    if shape is not None:
        wrapper = shape.serialization.get("resultWrapper", f"{name}Result")
        inner = f"<{wrapper}>{_members(shape, result)}</{wrapper}>"
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><{name}Response xmlns="{model.service_model.metadata["xmlNamespace"]}">'
        f"{inner}<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{name}Response>"
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
