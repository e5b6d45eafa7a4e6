"""The query protocol (CloudFormation's): forms and XML bodies as the values that a service model describes.

Source: the AWS Query protocol in Smithy's documentation; botocore's ``QuerySerializer`` and ``QueryParser`` are the
other ends.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from xml.etree import ElementTree as ET

from botocore.model import ListShape, OperationModel, Shape, StructureShape

from local.aws.protocol import Payload

_OF_THE_PROTOCOL = {"Action", "Version"}


def read(shape: Shape, form: Payload) -> tuple[Payload, list[str]]:
    """The nested request of form fields such as ``Parameters.member.1.ParameterKey``, and the fields it has not.

    A field whose text is no value of its type is kept as text.
    """
    fields = {name: _first(value) for name, value in form.items() if name not in _OF_THE_PROTOCOL}
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
    """What an XML reply says, and the elements that its model does not know."""
    unknown: list[str] = []
    root = ET.fromstring(body)  # noqa: S314 (our own reply)
    shape = model.output_shape
    if shape is None:
        return {}, unknown
    wrapper = shape.serialization.get("resultWrapper", f"{model.name}Result")
    element = next((child for child in root if _tag(child) == wrapper), None)
    if element is None:
        return {}, [f"{wrapper} is missing"]
    said: Payload = _element(shape, element, unknown)
    return said, unknown


def _element(shape: Shape, element: ET.Element, unknown: list[str]) -> Any:
    if isinstance(shape, StructureShape):
        said: Payload = {}
        for child in element:
            if _tag(child) in shape.members:
                said[_tag(child)] = _element(shape.members[_tag(child)], child, unknown)
            else:
                unknown.append(_tag(child))
        return said
    if isinstance(shape, ListShape):
        unknown += [_tag(child) for child in element if _tag(child) != "member"]
        return [_element(shape.member, child, unknown) for child in element if _tag(child) == "member"]
    return _scalar(shape, element.text or "")


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
