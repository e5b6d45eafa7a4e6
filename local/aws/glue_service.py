"""What the catalog, the crawlers and the jobs of the service ``glue`` have in common."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from local.aws.protocol import Payload, Request, Services
from local.aws.settings import ACCOUNT, REGION

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

GLUE_ARN = f"arn:aws:glue:{REGION}:{ACCOUNT}"


class GlueService:
    """Base class of the three parts. Their definitions are stored by the emulator."""

    service = "glue"
    passes_through = True

    def __init__(self, services: Services) -> None:
        self._services = services

    def _call(self, action: str, payload: Payload) -> Payload:
        """Call the emulator as root, for a caller that was authorised before."""
        return self._services.call_as_root("glue", f"AWSGlue.{action}", payload)

    def _authorize(self, request: Request, *resources: str) -> None:
        """Check that the caller may make the call on these resources, e.g. ``job/nightly``."""
        arns = [f"{GLUE_ARN}:{resource}" for resource in resources]
        self._services.authorize(request.caller, f"glue:{request.action}", *arns)

    def _authorize_role(self, request: Request, role: str) -> None:
        """Check that the caller may pass a role to Glue."""
        self._services.authorize(request.caller, "iam:PassRole", role_arn(role))


def role_arn(role: str) -> str:
    """The ARN of a role that is given by ARN or by name."""
    return role if role.startswith("arn:") else f"arn:aws:iam::{ACCOUNT}:role/{role}"


def one_page(items: Sequence[Payload], request: Request, key: str, size: int) -> Payload:
    """One page of a listing, of MaxResults or ``size`` items; NextToken is the position of the next item."""
    first = int(request.payload.get("NextToken") or 0)
    last = first + int(request.payload.get("MaxResults") or size)
    reply: Payload = {key: list(items[first:last])}
    return reply | ({"NextToken": str(last)} if last < len(items) else {})


def create_log_stream(logs: CloudWatchLogsClient, group: str, stream: str) -> None:
    """Create a log group and a stream in it, unless they exist."""
    with suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=group)
    with suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
