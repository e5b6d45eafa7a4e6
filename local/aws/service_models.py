"""Every request and every reply is checked against botocore's model of the service.

A request that AWS would refuse by its model alone never reaches a ServiceApi. A reply that AWS could not have given is
logged as an error, and a test in which that happened fails. The check is always on: it adds 4 ms to a call with 500
records, and a page of 1,000 rows of Athena takes three times as long as writing its JSON alone.

What AWS answers to a member that it does not know is not documented; here such a request is refused by name.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cache
from typing import Any

import botocore.session
from botocore.model import OperationModel, ServiceModel, StructureShape

from local.aws import query_protocol
from local.aws.protocol import AwsError, Handler, Payload, Request
from local.aws.shape_faults import Fault, faults

UNLIKE_AWS = "unlike AWS's model"  # begins the log line about a reply that does not fit

# Each service's error code for a request that breaks its model (for DMS and CloudFormation: for a wrong parameter).
REFUSALS = {
    "athena": "InvalidRequestException",
    "cloudformation": "ValidationError",
    "dms": "InvalidParameterValueException",
    "firehose": "ValidationException",
    "glue": "ValidationException",
}
# Errors of any operation: "Common Error Types" of the services' API references, the codes for a bad signature or
# body, and those of the query protocol.
COMMON_ERRORS = {
    "AccessDenied", "AccessDeniedException", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature",
    "IncompleteSignatureException", "InternalFailure", "InvalidAction", "InvalidClientTokenId",
    "InvalidSignatureException", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
    "SerializationException", "ServiceUnavailable", "SignatureDoesNotMatch", "ThrottlingException",
    "UnknownOperationException", "UnrecognizedClientException", "ValidationError", "ValidationException",
}  # fmt: skip
# What AWS was seen to answer although no model declares it: boto/botocore#1121, hashicorp/terraform-provider-aws#24047.
SEEN_ERRORS = {"dms": {"InvalidParameterValueException", "InvalidParameterCombinationException"}}

log = logging.getLogger("service_models")


@cache
def _service(name: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(name)


@cache
def operation(service: str, action: str) -> OperationModel | None:
    """The model of an action; None when the service has no such action."""
    model = _service(service)
    return model.operation_model(action) if action in model.operation_names else None


def answered(handler: Handler, request: Request) -> Payload | str:
    """Check a request, call its handler and return the reply; a reply or error that does not fit the model is logged.

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
    found: list[Fault] = []
    if model.service_model.metadata["protocol"] == "query":
        payload, unknown = query_protocol.read(model.input_shape, payload)
        found += [Fault((name,), "unknown", "") for name in unknown]
    found += [fault for fault in faults(model.input_shape, payload) if fault.rule != "null"]  # as if not given
    for fault in found:
        if fault.rule == "type":
            raise AwsError("SerializationException", fault.message)
    for fault in found:
        if fault.rule == "unknown":
            raise AwsError(REFUSALS[service], f"{'.'.join(fault.path)} is not a parameter of {action}")
    if found:
        stated = [f"{_stated(f.value)} at '{_member(f.path)}' failed to satisfy constraint: {f.message}" for f in found]
        plural = "s" if len(found) > 1 else ""
        raise AwsError(REFUSALS[service], f"{len(found)} validation error{plural} detected: {'; '.join(stated)}")


def reply_faults(service: str, action: str, reply: Payload | str) -> list[str]:
    """How a reply (a JSON payload, or the XML body of the query protocol) differs from what its model allows.

    Lengths and patterns are not checked: they bind requests only, and no SDK checks them in a reply.
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
            members = shape.members if isinstance(shape, StructureShape) else {}
            return [f"{action} {error.code} has no member {name}" for name in error.fields if name not in members]
    return [f"{action} does not declare {error.code} ({error.message})"]


def _member(path: Iterable[str]) -> str:
    """A path as AWS prints it: members begin with a small letter."""
    return ".".join(step[:1].lower() + step[1:] for step in path)


def _stated(value: Any) -> str:
    return "Value null" if value is None else f"Value '{value}'"
