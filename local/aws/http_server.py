"""The HTTP side of the server: /health, /credentials/..., /internal/..., and AWS calls on all other paths."""

from __future__ import annotations

import contextlib
import hmac
import os
from collections.abc import AsyncIterator

import anyio
import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.aws.protocol import AwsError, RawRequest
from local.aws.server import Server

HANDLER_THREADS = 128  # a handler may call this server again, so there must be threads to spare


class _Endpoints:
    """The paths of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def health(self, _: HttpRequest) -> Response:
        """Which process answers here, for which home."""
        services = sorted({api.service for api in self._server.apis})
        return JSONResponse({"pid": os.getpid(), "home": str(self._server.settings.home), "services": services})

    def credentials(self, request: HttpRequest) -> Response:
        """A role's credentials, as a container's SDK asks for them."""
        token = request.headers.get("authorization", "")
        try:
            return JSONResponse(self._server.credentials.answer(request.path_params["name"], token))
        except AwsError as error:
            return JSONResponse({"code": error.code, "message": error.message}, error.status)

    def internal(self, request: HttpRequest) -> Response:
        """Call a method that a ServiceApi lists in ``internal``; only for holders of the home's token."""
        token = request.headers.get("authorization", "")
        if not hmac.compare_digest(token.encode(), self._server.home_token.encode()):
            return JSONResponse({"message": "the home's own token is needed"}, 403)
        name = request.path_params["name"]
        apis = [api for api in self._server.apis if name in getattr(api, "internal", ())]
        done = {type(api).__name__: getattr(api, name)() for api in apis}
        return JSONResponse(done, 200 if done else 404)

    async def aws(self, request: HttpRequest) -> Response:
        """An AWS call; a thread answers it."""
        query = request.scope["query_string"].decode("latin-1")
        raw = RawRequest(
            request.method,
            request.scope["raw_path"].decode("latin-1") + (f"?{query}" if query else ""),
            tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.scope["headers"]),
            await request.body(),
        )
        reply = await anyio.to_thread.run_sync(self._server.serve, raw)
        response = Response(reply.body, reply.status)
        own = [(name, value) for name, value in response.raw_headers if name == b"content-length"]
        kept = [(name, value) for name, value in reply.headers if name.lower() != "content-length"]
        response.raw_headers = own + [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept]
        return response


def application(server: Server) -> Starlette:
    """The server as an ASGI application, which starts and stops the server's services with itself."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = HANDLER_THREADS
        await anyio.to_thread.run_sync(server.start)
        yield
        await anyio.to_thread.run_sync(server.stop)

    endpoints = _Endpoints(server)
    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/health", endpoints.health, methods=["GET"]),
            Route("/credentials/{name:path}", endpoints.credentials, methods=["GET"]),
            Route("/internal/{name}", endpoints.internal, methods=["POST"]),
            Route("/{path:path}", endpoints.aws, methods=["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]),
        ],
    )


def run(server: Server, host: str, port: int) -> None:
    """Serve until SIGTERM."""
    uvicorn.run(
        application(server),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=10,
    )
