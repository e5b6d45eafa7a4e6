"""The contract between the server and the services that it serves: requests, errors, and what each side offers.

A ``ServiceApi`` does the work of some actions of one AWS service. The server has already parsed the request, verified
its signature and found its caller. The ServiceApi authorises the caller, does the work and returns AWS's reply. Actions
that it does not list go to the emulator unchanged (``passes_through``) or are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import boto3

from local.aws.settings import AwsSettings

Payload = dict[str, Any]


class AwsError(Exception):
    """An error as AWS words it; it becomes ``__type`` and ``message`` of a JSON reply, ``fields`` its other members."""

    def __init__(self, code: str, message: str, status: int = 400, **fields: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status, self.fields = code, message, status, fields


@dataclass(frozen=True)
class Caller:
    """Who signed the request.

    ``arn`` is the identity as AWS prints it (an assumed-role session, a user, root); ``principal_arn`` is the role or
    user whose policies decide.
    """

    arn: str
    principal_arn: str
    access_key: str

    @property
    def is_root(self) -> bool:
        """Whether this is the account's root, to whom no policy applies."""
        return self.arn.endswith(":root")


@dataclass(frozen=True)
class RawRequest:
    """An HTTP request as it arrived, not decoded, so that its signature still fits. ``target`` is path and query."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The value of a header (the first one, if it is repeated), or an empty text."""
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass(frozen=True)
class Request:
    """One API call. ``payload`` is the JSON body (JSON protocols) or the form fields (query protocol).

    ``raw`` is the call as it arrived, which ``Services.forward`` sends on; a test may leave it out.
    """

    service: str
    action: str
    payload: Payload
    caller: Caller
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: RawRequest | None = None


class Services(Protocol):
    """What the server offers to each ServiceApi."""

    settings: AwsSettings

    def root(self, service: str) -> Any:
        """A boto3 client under root, straight at the emulator: for the server's own upkeep only."""

    def session(self, role_arn: str, name: str) -> boto3.Session:
        """A session under a role that renews itself; raises AwsError AccessDenied when it cannot be assumed.

        Its clients reach our server or the emulator, as ``AwsSettings.endpoint`` says.
        """

    def authorize(self, caller: Caller, action: str, *resources: str) -> None:
        """Raise AwsError AccessDeniedException in AWS's words unless the caller may do ``action`` on every resource."""

    def forward(self, request: Request) -> Any:
        """Send this call to the emulator under its caller's own signature and return the reply.

        The reply is a dict for a JSON protocol, the XML body as text for the query protocol. Raises the AwsError that
        the emulator answers.
        """

    def call_as_root(self, service: str, target: str, payload: Payload) -> Payload:
        """Send a JSON call under root to the emulator: ``call_as_root("glue", "AWSGlue.GetTable", {...})``.

        For a ServiceApi that has authorised its caller itself. Raises the AwsError that the emulator answers.
        """

    def credentials_environment(self, role_arn: str) -> dict[str, str]:
        """The environment that gives a child process a role's credentials, renewed for as long as it runs."""


# A dict becomes the JSON reply (datetimes as epoch seconds); a str is a complete XML body (query protocol).
Handler = Callable[[Request], "Payload | str"]


class ServiceApi(Protocol):
    """One AWS service, or a part of one.

    Methods that an attribute ``internal`` (a tuple) names are also called by ``POST /internal/<name>`` with the home's
    token.
    """

    @property
    def service(self) -> str:
        """The service's name in SigV4 signatures: dms, firehose, glue, athena, cloudformation."""

    @property
    def passes_through(self) -> bool:
        """Whether actions without a handler go to the emulator; every ServiceApi of one service must say the same."""

    @property
    def actions(self) -> Mapping[str, Handler]:
        """Handlers by action name."""

    def start(self) -> None:
        """Load state and start background work; called once, before the first request."""

    def stop(self) -> None:
        """Stop background work; called once. A kill instead of it must lose nothing."""
