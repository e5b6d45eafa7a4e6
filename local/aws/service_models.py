"""botocore's models of the services our executors serve, held against every request and every reply.

A request that AWS would refuse by its model alone never reaches an executor. A reply that AWS could not have given is
logged as an error, and a test in which that happened fails.
Always on: a call with 500 records takes 4 ms longer, a page of 1,000 rows of Athena three times its JSON's writing.

Sources: the models themselves; the wording of AWS's constraint errors as users report them, for instance
github.com/postmates/cernan/pull/210 (Firehose), moj-analytical-services/etl_manager/issues/90 (Glue) and
Tomme/dbt-athena/issues/136 (Athena). What AWS says to a member it does not know is not documented; it is
refused here by name.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StringShape, StructureShape

from local.aws import query_protocol
from local.aws.protocol import AwsError, Handler, Payload, Request

UNLIKE_AWS = "unlike AWS's model"  # how the log's line of a reply that does not fit begins
log = logging.getLogger("service_models")

# How a service calls a request that breaks its model; DMS's and CloudFormation's are what they call a wrong parameter.
REFUSALS = {
    "athena": "InvalidRequestException",
    "cloudformation": "ValidationError",
    "dms": "InvalidParameterValueException",
    "firehose": "ValidationException",
    "glue": "ValidationException",
}
# Errors of any operation: "Common Error Types" of the services' API references, their front end's names for a bad
# signature or body, and those of the query protocol.
COMMON_ERRORS = {
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "IncompleteSignatureException",
    "InternalFailure",
    "InvalidAction",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "SerializationException",
    "ServiceUnavailable",
    "SignatureDoesNotMatch",
    "ThrottlingException",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "ValidationError",
    "ValidationException",
}
# What AWS was seen to answer although no model declares it: boto/botocore#1121, hashicorp/terraform-provider-aws#24047.
SEEN_ERRORS = {"dms": {"InvalidParameterValueException", "InvalidParameterCombinationException"}}
# A stack's events tell its own status too ("Stack status codes" in CloudFormation's user guide).
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

    ``rule`` is unknown (a member), type, required, enum, bound (a length, a size, a pattern) or null (for absent).
    """

    path: tuple[str, ...]
    rule: str
    said: str
    value: Any = None

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {'' if self.value is None else f'{self.value!r}: '}{self.said}"


@cache
def _service(name: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(name)


@cache
def operation(service: str, action: str) -> OperationModel | None:
    """The model of an action; None when the service has no such action."""
    model = _service(service)
    return model.operation_model(action) if action in model.operation_names else None


def answered(handler: Handler, request: Request) -> Payload | str:
    """What a handler answers, its request checked; a reply or an error that does not fit the model is logged.

    Raises:
        AwsError: the request does not fit, or the handler refuses it.
    """
    service, action = request.service, request.action
    check_request(service, action, request.payload)
    try:
        reply = handler(request)
    except AwsError as error:
        _log(service, error_faults(service, action, error))
        raise
    _log(service, reply_faults(service, action, reply))
    return reply


def _log(service: str, found: list[str]) -> None:
    if found:
        log.error("%s: %s:%s", UNLIKE_AWS, service, "; ".join(found))


def check_request(service: str, action: str, payload: Any) -> None:
    """Refuse a request that does not fit its model, in AWS's words.

    Raises:
        AwsError: SerializationException for a wrong type; REFUSALS for anything else.
    """
    model = operation(service, action)
    if model is None or model.input_shape is None:
        return
    if model.service_model.metadata["protocol"] == "query":
        payload, unknown = query_protocol.read(model.input_shape, payload)
        found = [Fault((name,), "unknown", "") for name in unknown]
    else:
        found = []
    found += [fault for fault in faults(model.input_shape, payload) if fault.rule != "null"]  # as if not given
    for fault in found:
        if fault.rule == "type":
            raise AwsError("SerializationException", fault.said)
    for fault in found:
        if fault.rule == "unknown":
            raise AwsError(REFUSALS[service], f"{'.'.join(fault.path)} is not a parameter of {action}")
    if found:
        told = "; ".join(
            f"{_stated(f.value)} at '{_member(f.path)}' failed to satisfy constraint: {f.said}" for f in found
        )
        plural = "s" if len(found) > 1 else ""
        raise AwsError(REFUSALS[service], f"{len(found)} validation error{plural} detected: {told}")


def reply_faults(service: str, action: str, reply: Payload | str) -> list[str]:
    """How a reply differs from what its model allows: JSON's payload, or the XML body of the query protocol.

    Lengths and patterns bind who asks; no SDK looks at them in what it is answered.
    """
    model = operation(service, action)
    if model is None:
        return [f"{service} has no action {action}"]
    found: list[Fault] = []
    if isinstance(reply, str):
        reply, unknown = query_protocol.read_reply(model, reply)
        found += [Fault((name,), "unknown", "no member of the model") for name in unknown]
    if model.output_shape is not None:
        found += faults(model.output_shape, reply)
    elif reply:
        found.append(Fault((), "unknown", f"{sorted(reply)}: the model has no output"))
    return [f"{action} {fault}" for fault in found if fault.rule != "bound"]


def error_faults(service: str, action: str, error: AwsError) -> list[str]:
    """How an error differs from those that the model declares for an action, the common ones and SEEN_ERRORS."""
    model = operation(service, action)
    if model is None or error.code in COMMON_ERRORS or error.code in SEEN_ERRORS.get(service, ()):
        return []
    for shape in model.error_shapes:
        if shape.metadata.get("error", {}).get("code", shape.name) == error.code:
            return [f"{action} {error.code} has no member {name}" for name in error.fields if name not in shape.members]
    return [f"{action} does not declare {error.code} ({error.message})"]


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
    """Faults inside a member, as those of what holds it."""
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
        said = f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
        found.append(Fault((), "enum", said, value))
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
        began = "structure or map" if isinstance(value, dict) else "list"
        return Fault((), "type", f"Start of {began} found where not expected.")
    given = "NUMBER_VALUE" if isinstance(value, (int, float)) else "STRING_VALUE"
    if isinstance(value, bool):
        given = f"{str(value).upper()}_VALUE"
    return Fault((), "type", f"{given} can not be converted to {_JSON_NAMES.get(shape.type_name, 'String')}")


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Java's pattern as Python's; one that names Unicode's classes (tags have such) allows everything."""
    if r"\p{" in pattern:
        return re.compile(r"(?s).*")
    return re.compile(pattern.replace(_SURROGATES, "\U00010000-\U0010ffff"))


def _member(path: Iterable[str]) -> str:
    """A path as AWS prints it: members begin with a small letter."""
    return ".".join(step[:1].lower() + step[1:] for step in path)


def _stated(value: Any) -> str:
    return "Value null" if value is None else f"Value '{value}'"
