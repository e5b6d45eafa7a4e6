"""Reads the action and parameters of a request, and writes replies and errors in the caller's protocol."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from local.aws.passthrough import RawReply
from local.aws.protocol import AwsError, Payload, RawRequest, Request

# How the query protocol names errors of the JSON protocols.
QUERY_CODES = {
    "AccessDeniedException": "AccessDenied",
    "ExpiredTokenException": "ExpiredToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "UnknownOperationException": "InvalidAction",
    "UnrecognizedClientException": "InvalidClientTokenId",
}


def parse(raw: RawRequest) -> tuple[str, Any]:
    """The action and the parameters of a JSON call (header X-Amz-Target) or of a form (query protocol).

    The action is empty for a request that is neither. The parameters of a JSON call are its decoded body, or None when
    that is not JSON.
    """
    target = raw.header("x-amz-target")
    if target:
        try:
            payload = json.loads(raw.body or b"{}")
        except ValueError:
            payload = None
        return target.rpartition(".")[2], payload
    form = dict(parse_qsl(raw.body.decode("utf-8", "replace"), keep_blank_values=True))
    return form.get("Action", ""), form


def is_json(request: Request) -> bool:
    """Whether a request uses a JSON protocol; otherwise it uses the query protocol."""
    return "x-amz-target" in request.headers


def reply(result: Payload | str | RawReply) -> RawReply:
    """A handler's result as an HTTP reply: a dict becomes JSON, text is XML already, a raw reply stays as it is."""
    if isinstance(result, RawReply):
        return result
    if isinstance(result, str):
        return _raw_reply(200, "text/xml", result)
    return _raw_reply(200, "application/x-amz-json-1.1", json.dumps(result, default=_plain))


def error_reply(error: AwsError, as_json: bool) -> RawReply:
    """An error in the caller's protocol."""
    if as_json:
        body = json.dumps({"__type": error.code, "message": error.message, **error.fields}, default=_plain)
        return _raw_reply(error.status, "application/x-amz-json-1.1", body, ("x-amzn-errortype", error.code))
    code = QUERY_CODES.get(error.code, error.code)
    request_id = uuid.uuid4()
    body = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{escape(code)}</Code><Message>{escape(error.message)}</Message>"
        f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    status = 403 if error.status == 400 and error.code in QUERY_CODES else error.status
    return _raw_reply(status, "text/xml", body)


def _raw_reply(status: int, content_type: str, body: str, *headers: tuple[str, str]) -> RawReply:
    request_id = ("x-amzn-requestid", str(uuid.uuid4()))
    return RawReply(status, (("content-type", content_type), request_id, *headers), body.encode())


def _plain(value: Any) -> Any:
    """What JSON lacks: datetimes become epoch seconds, blobs become base64."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} has no JSON form")
