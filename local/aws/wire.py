"""The forms of AWS calls: a request's action and parameters, a reply or an error as its protocol words it."""

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

# Names of the JSON protocols' errors in the query protocol.
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
    """Action and parameters of a JSON call (X-Amz-Target) or of a form (query protocol); no action: neither.

    The parameters of a JSON call are whatever its body is, or None when it is no JSON.
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
    """Whether a request is of a JSON protocol; else it is of the query protocol."""
    return "x-amz-target" in request.headers


def reply(result: Payload | str | RawReply) -> RawReply:
    """A handler's result as its protocol has it: a dict as JSON, text as XML, a raw reply as it is."""
    if isinstance(result, RawReply):
        return result
    if isinstance(result, str):
        return _made(200, "text/xml", result)
    return _made(200, "application/x-amz-json-1.1", json.dumps(result, default=_plain))


def error_reply(error: AwsError, as_json: bool) -> RawReply:
    """An error as the caller's protocol words it."""
    if as_json:
        body = json.dumps({"__type": error.code, "message": error.message, **error.fields}, default=_plain)
        return _made(error.status, "application/x-amz-json-1.1", body, ("x-amzn-errortype", error.code))
    code = QUERY_CODES.get(error.code, error.code)
    request_id = uuid.uuid4()
    body = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{escape(code)}</Code><Message>{escape(error.message)}</Message>"
        f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    status = 403 if error.status == 400 and error.code in QUERY_CODES else error.status
    return _made(status, "text/xml", body)


def _made(status: int, content_type: str, body: str, *headers: tuple[str, str]) -> RawReply:
    request_id = ("x-amzn-requestid", str(uuid.uuid4()))
    return RawReply(status, (("content-type", content_type), request_id, *headers), body.encode())


def _plain(value: Any) -> Any:
    """JSON forms of what AWS replies hold: datetimes are epoch seconds, blobs base64."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} has no JSON form")
