"""DMS and Firehose run in a process of their own, so that its end takes no other service with it, as on AWS.

The server in front verifies each call and forwards it unchanged, with two headers more: the caller's name and the
home's token. The process behind it (an ``IngestionServer``) trusts both headers and rejects all other callers.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from local.aws.passthrough import Emulator, RawReply
from local.aws.protocol import AwsError, Caller, Handler, RawRequest, Request, Services

TOKEN, CALLER = "x-lake-token", "x-lake-caller"


class ForwardedService:
    """In the server in front: a service whose calls are forwarded to the process behind it."""

    passes_through = False

    def __init__(self, service: str, services: Services) -> None:
        self.service = service
        self.actions: Mapping[str, Handler] = _AnyAction(self._send)
        self._ingestion = Emulator(services.settings.ingestion_url)
        self._token = services.settings.home_token.read_text

    def start(self) -> None:
        """Nothing: the process behind is started and stopped by itself."""

    def stop(self) -> None:
        """Nothing."""

    def _send(self, request: Request) -> RawReply:
        """Forward the call; raises ServiceUnavailableException while the process behind does not answer."""
        if request.raw is None:
            raise ValueError("a request without its raw form cannot be sent on")
        given = request.raw
        kept = tuple((name, value) for name, value in given.headers if name.lower() not in {TOKEN, CALLER})
        headers = (*kept, (TOKEN, self._token()), (CALLER, json.dumps(asdict(request.caller))))
        return self._ingestion.send(RawRequest(given.method, given.target, headers, given.body))


def announced_caller(raw: RawRequest, home_token: str) -> Caller:
    """In the process behind: the caller whom the front has verified. Raises AwsError for a call from anywhere else."""
    if not hmac.compare_digest(raw.header(TOKEN).encode(), home_token.encode()):
        raise AwsError("MissingAuthenticationTokenException", "Only the server in front is answered here", 403)
    return Caller(**json.loads(raw.header(CALLER)))


class _AnyAction(Mapping[str, Handler]):
    """The same handler for every action: only the process behind knows which actions there are."""

    def __init__(self, handler: Callable[[Request], Any]) -> None:
        self._handler = handler

    def __getitem__(self, action: str) -> Handler:
        return self._handler

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
