"""Where a value does not fit its shape in a botocore service model, in the words of AWS's constraint errors.

Sources of the words: errors of AWS as users report them, for instance github.com/postmates/cernan/pull/210 (Firehose),
moj-analytical-services/etl_manager/issues/90 (Glue) and Tomme/dbt-athena/issues/136 (Athena).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from local.aws.protocol import Payload

# Values that AWS answers though the model does not list them: stack events also state the stack's own status
# ("Stack status codes" in CloudFormation's user guide).
SEEN_VALUES = {
    "ResourceStatus": {
        "REVIEW_IN_PROGRESS",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    }
}
_SURROGATES = r"\uD800\uDC00-\uDBFF\uDFFF"  # Java's spelling of every character beyond 16 bits
_JSON_NAMES = {"boolean": "Boolean", "integer": "Integer", "long": "Long", "float": "Float", "double": "Double"}
_TYPES = {
    "blob": (str, bytes),  # in JSON as base64
    "boolean": bool,
    "double": (int, float),
    "float": (int, float),
    "integer": int,
    "long": int,
    "timestamp": (int, float, datetime),
}


@dataclass(frozen=True)
class Fault:
    """Where a value breaks its shape, and AWS's wording of it.

    ``rule`` is one of unknown (a member), type, required, enum, bound (a length, a size, a pattern), null (written out
    where AWS leaves the member out).
    """

    path: tuple[str, ...]
    rule: str
    message: str
    value: Any = None

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {'' if self.value is None else f'{self.value!r}: '}{self.message}"


def faults(shape: Shape, value: Any) -> list[Fault]:
    """Every place where a value breaks its shape."""
    if isinstance(shape, StructureShape):
        if shape.is_document_type:
            return []
        return _of_structure(shape, value) if isinstance(value, dict) else [_wrong_type(shape, value)]
    if isinstance(shape, ListShape):
        if not isinstance(value, (list, tuple)):
            return [_wrong_type(shape, value)]
        found = _out_of_bounds(shape, "length", len(value), value)
        for position, item in enumerate(value, 1):
            if wrong := faults(shape.member, item):
                found += _at(f"{position}.member", wrong)
        return found
    if isinstance(shape, MapShape):
        if not isinstance(value, dict):
            return [_wrong_type(shape, value)]
        found = _out_of_bounds(shape, "length", len(value), value)
        for key, item in value.items():
            found += _at("key", faults(shape.key, key))
            found += _at(f"{key}.member", faults(shape.value, item))
        return found
    return _of_scalar(shape, value)


def _at(step: str, found: list[Fault]) -> list[Fault]:
    """Faults inside a member, their paths beginning at the structure that holds it."""
    return [replace(fault, path=(step, *fault.path)) for fault in found]


def _of_structure(shape: StructureShape, value: Payload) -> list[Fault]:
    found: list[Fault] = []
    for name, member in value.items():
        if name not in shape.members:
            found.append(Fault((str(name),), "unknown", "no member of the model"))
        elif member is not None:
            if wrong := faults(shape.members[name], member):
                found += _at(name, wrong)
        elif name not in shape.required_members:
            found.append(Fault((name,), "null", "null, which AWS leaves out"))
    missing = [name for name in shape.required_members if value.get(name) is None]
    return found + [Fault((name,), "required", "Member must not be null") for name in missing]


def _of_scalar(shape: Shape, value: Any) -> list[Fault]:
    kind = shape.type_name
    types: Any = _TYPES.get(kind, str)
    if not isinstance(value, types) or (isinstance(value, bool) and kind != "boolean"):
        return [_wrong_type(shape, value)]
    if isinstance(shape, StringShape):
        return _of_string(shape, value)
    if kind == "blob":
        size = len(value) if isinstance(value, bytes) else len(value) * 3 // 4 - value[-2:].count("=")
        return _out_of_bounds(shape, "length", size, "a blob")
    return _out_of_bounds(shape, "value", value, value) if kind in _JSON_NAMES else []


def _of_string(shape: StringShape, value: str) -> list[Fault]:
    found = _out_of_bounds(shape, "length", len(value), value)
    if shape.enum and value not in shape.enum and value not in SEEN_VALUES.get(shape.name, ()):
        message = f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
        found.append(Fault((), "enum", message, value))
    pattern = shape.metadata.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        found.append(Fault((), "bound", f"Member must satisfy regular expression pattern: {pattern}", value))
    return found


def _out_of_bounds(shape: Shape, what: str, size: float, value: Any) -> list[Fault]:
    metadata, bounds = shape.metadata, []
    if "min" in metadata and size < metadata["min"]:
        bounds.append(f"greater than or equal to {metadata['min']}")
    if "max" in metadata and size > metadata["max"]:
        bounds.append(f"less than or equal to {metadata['max']}")
    return [Fault((), "bound", f"Member must have {what} {bound}", value) for bound in bounds]


def _wrong_type(shape: Shape, value: Any) -> Fault:
    if value is None:
        return Fault((), "type", "Expected a value, found null")
    if isinstance(value, (dict, list)):
        opened = "structure or map" if isinstance(value, dict) else "list"
        return Fault((), "type", f"Start of {opened} found where not expected.")
    given = "NUMBER_VALUE" if isinstance(value, (int, float)) else "STRING_VALUE"
    if isinstance(value, bool):
        given = f"{str(value).upper()}_VALUE"
    return Fault((), "type", f"{given} can not be converted to {_JSON_NAMES.get(shape.type_name, 'String')}")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """A Java pattern as a Python one. A pattern with Unicode classes, as those of tags, is taken to allow anything."""
    if r"\p{" in pattern:
        return re.compile(r"(?s).*")
    return re.compile(pattern.replace(_SURROGATES, "\U00010000-\U0010ffff"))
