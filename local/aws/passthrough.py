"""The connection to the emulator: callers' requests forwarded unchanged, and our own calls under root."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.aws.protocol import AwsError, Payload, RawRequest
from local.aws.settings import REGION, ROOT_ACCESS_KEY

# Headers that belong to one connection, not to the message (RFC 9110, 7.6.1); no client signs them.
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
CONNECTIONS = 64
READ_SECONDS = 300.0
ROOT = Credentials(ROOT_ACCESS_KEY, ROOT_ACCESS_KEY)


@dataclass(frozen=True)
class RawReply:
    """An HTTP reply: the emulator's as it came, or one of our own."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def error(self) -> AwsError:
        """The AWS error that a JSON or XML reply states."""
        text = self.body.decode("utf-8", "replace")
        try:
            stated = json.loads(text)
            code = str(stated.get("__type") or stated.get("code") or "InternalFailure").rpartition("#")[2]
            return AwsError(code, str(stated.get("message") or stated.get("Message") or text), self.status)
        except ValueError:
            pass
        try:
            stated = xml_leaves(text)
            return AwsError(stated.get("Code", "InternalFailure"), stated.get("Message", text), self.status)
        except ET.ParseError:
            return AwsError("InternalFailure", text or f"HTTP {self.status}", self.status)


def xml_leaves(body: str) -> dict[str, str]:
    """The texts of an XML body by element name; of several elements of one name the last counts."""
    root = ET.fromstring(body)  # noqa: S314 (the emulator is ours)
    return {element.tag.rpartition("}")[2]: element.text or "" for element in root.iter()}


class Emulator:
    """A pool of persistent connections to the emulator, or to another server of ours."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._pool = urllib3.HTTPConnectionPool(
            str(self._address.hostname),
            self._address.port,
            maxsize=CONNECTIONS,
            retries=False,
            timeout=urllib3.Timeout(connect=5.0, read=READ_SECONDS),
        )

    def send(self, request: RawRequest) -> RawReply:
        """Forward a request unchanged with its headers (the signature covers them) and return the reply unchanged.

        Raises ServiceUnavailableException when the emulator does not answer.
        """
        headers = urllib3.HTTPHeaderDict()
        for name, value in request.headers:
            if name.lower() not in HOP_BY_HOP:
                headers.add(name, value)
        try:
            reply = self._pool.urlopen(
                request.method, request.target, body=request.body, headers=headers, redirect=False, decode_content=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise AwsError("ServiceUnavailableException", f"The emulator does not answer: {error}", 503) from error
        kept = tuple((name, value) for name, value in reply.headers.items() if name.lower() not in HOP_BY_HOP)
        return RawReply(reply.status, kept, reply.data)

    def call(self, service: str, target: str, payload: Payload, credentials: Credentials = ROOT) -> Payload:
        """Make a JSON call, e.g. ``call("glue", "AWSGlue.GetTable", {...})``; raises the AwsError that is answered."""
        body = json.dumps(payload).encode()
        signed = AWSRequest(
            "POST",
            self._address.geturl() + "/",
            data=body,
            headers={
                "Host": self._address.netloc,
                "Content-Type": "application/x-amz-json-1.1",
                "X-Amz-Target": target,
            },
        )
        SigV4Auth(credentials, service, REGION).add_auth(signed)
        reply = self.send(RawRequest("POST", "/", tuple(_texts(signed.headers.items())), body))
        if reply.status >= 300:
            raise reply.error()
        decoded: Payload = json.loads(reply.body or b"{}")
        return decoded

    def knows(self, credentials: Credentials) -> bool:
        """Whether the emulator accepts these credentials."""
        try:
            self.call("sts", "AWSSecurityTokenServiceV20110615.GetCallerIdentity", {}, credentials)
        except AwsError as error:
            if error.status == 503:
                raise
            return False
        return True


def _texts(headers: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, str]]:
    for name, value in headers:
        yield name, value.decode() if isinstance(value, bytes) else value
