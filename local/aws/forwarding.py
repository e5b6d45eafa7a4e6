"""DMS and Firehose in a process of their own: whatever ends it takes no other service with it, as on AWS.

The server in front verifies each call and sends it on as it came, with the caller's name and the home's token; the
process behind it (``python -m local.aws.server ingestion``) believes both, and answers nobody else.
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


class Apart:
    """The front's executor of a service whose work is done behind it."""

    passes_through = False

    def __init__(self, service: str, services: Services) -> None:
        self.service = service
        self.actions: Mapping[str, Handler] = _Every(self._send)
        self._behind = Emulator(services.settings.ingestion_url)
        self._token = services.settings.home_token.read_text

    def start(self) -> None:
        """Nothing: the process behind has its own life."""

    def stop(self) -> None:
        """Nothing."""

    def _send(self, request: Request) -> RawReply:
        """The call as it came; raises ServiceUnavailableException while the process is away."""
        if request.raw is None:
            raise ValueError("a request without its raw form cannot be sent on")
        given = request.raw
        kept = tuple((name, value) for name, value in given.headers if name.lower() not in {TOKEN, CALLER})
        headers = (*kept, (TOKEN, self._token()), (CALLER, json.dumps(asdict(request.caller))))
        return self._behind.send(RawRequest(given.method, given.target, headers, given.body))


def announced_caller(raw: RawRequest, home_token: str) -> Caller:
    """Behind the front: whom it names. Raises AwsError for a call that did not come through it."""
    if not hmac.compare_digest(raw.header(TOKEN).encode(), home_token.encode()):
        raise AwsError("MissingAuthenticationTokenException", "Only the server in front is answered here", 403)
    return Caller(**json.loads(raw.header(CALLER)))


class _Every(Mapping[str, Handler]):
    """One handler for every action; which ones there are the process behind knows."""

    def __init__(self, handler: Callable[[Request], Any]) -> None:
        self._handler = handler

    def __getitem__(self, action: str) -> Handler:
        return self._handler

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
