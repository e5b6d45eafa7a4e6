"""The home's own AWS endpoint: executors for what the emulator only pretends to do, a pass-through for all else.

``local.commands.aws_server`` starts it. A call to a service of EXECUTORS is verified
(SigV4) and goes to the executor that lists its action; other actions, and other services, go to the emulator unchanged.
A home runs it twice: as ``front``, and behind it as ``ingestion`` with DMS and Firehose, see ``local.aws.forwarding``.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from functools import cache, partial
from typing import Any

import anyio
import anyio.to_thread
import boto3
import uvicorn
from botocore.config import Config
from botocore.credentials import Credentials
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.aws import wire
from local.aws.athena import Athena
from local.aws.auth import Authorization, Authorizer, Key, KeyRing, learn, verify
from local.aws.cloudformation import CloudFormation
from local.aws.credentials import SESSION_SECONDS, CredentialsEndpoint, RoleSession, Sessions, function_key
from local.aws.dms import Dms
from local.aws.firehose import Firehose
from local.aws.forwarding import Apart, announced_caller
from local.aws.glue_catalog import GlueCatalog
from local.aws.glue_crawler import GlueCrawler
from local.aws.glue_jobs import GlueJobs
from local.aws.iam_decisions import Calls
from local.aws.passthrough import Emulator, RawReply
from local.aws.protocol import AwsError, Caller, Executor, Payload, RawRequest, Request, Services
from local.aws.queue_metrics import QueueMetrics
from local.aws.service_models import answered
from local.aws.settings import REGION, ROOT_ACCESS_KEY, AwsSettings
from local.engines.files import write_atomically

log = logging.getLogger("server")

EXECUTORS: tuple[Callable[[Services], Executor], ...] = (
    GlueCatalog,  # first: the others find a whole catalog when they start
    GlueJobs,
    GlueCrawler,
    Athena,
    CloudFormation,
    Dms,
    Firehose,
    QueueMetrics,
)
INGESTION: tuple[Callable[[Services], Executor], ...] = (Dms, Firehose)
FRONT: tuple[Callable[[Services], Executor], ...] = (
    *(executor for executor in EXECUTORS if executor not in INGESTION),
    *(partial(Apart, service) for service in (Dms.service, Firehose.service)),
)

HANDLER_THREADS = 128  # a handler may call this server again, so there must be threads to spare


class Server:
    """What executors are offered (``protocol.Services``), and the way of a request through them."""

    def __init__(
        self,
        settings: AwsSettings,
        executors: Sequence[Callable[[Services], Executor]] = EXECUTORS,
        session_seconds: int = SESSION_SECONDS,
        keys: str = "access-keys.json",
    ) -> None:
        self.settings = settings
        self.emulator = Emulator(settings.emulator_url)
        self.root: Callable[[str], Any] = cache(self._root_client)
        self.ring = KeyRing(settings.secrets / keys, lambda access_key: function_key(self.root("lambda"), access_key))
        sts = self._root_client("sts", parameter_validation=False)  # a test's sessions are shorter than AWS's 900 s
        self._sessions = Sessions(sts, self.ring, session_seconds)
        self.credentials = CredentialsEndpoint(settings, self._sessions, self._emulator_knows)
        self._authorizer = Authorizer(self.root("iam"), Calls(settings.decisions))
        self.executors = [executor(self) for executor in executors]
        self.home_token = _home_token(settings)

    # what executors ask for

    def session(self, role_arn: str, name: str) -> boto3.Session:
        """A session under a role that renews itself; raises AwsError when the role cannot be assumed."""
        return RoleSession(self.settings, self._sessions, role_arn, name)

    def credentials_environment(self, role_arn: str) -> dict[str, str]:
        """The environment that gives a child process a role's credentials."""
        return self.credentials.environment(role_arn)

    def authorize(self, caller: Caller, action: str, *resources: str) -> None:
        """Raise AccessDeniedException unless the caller may do ``action`` on every resource."""
        self._authorizer.authorize(caller, action, *resources)

    def forward(self, request: Request) -> Any:
        """Send a call to the emulator as it came; its reply as a dict (JSON) or text (XML), or the AwsError."""
        reply = self._send(request)
        if reply.status >= 300:
            raise reply.error()
        text = reply.body.decode()
        return json.loads(text or "{}") if wire.is_json(request) else text

    def call_as_root(self, service: str, target: str, payload: Payload) -> Payload:
        """A JSON call to the emulator under root."""
        return self.emulator.call(service, target, payload)

    # the way of a request

    def start(self) -> None:
        """Start the executors, in their order."""
        for executor in self.executors:
            executor.start()

    def stop(self) -> None:
        """Stop them, the last first."""
        for executor in reversed(self.executors):
            executor.stop()

    def serve(self, raw: RawRequest) -> RawReply:
        """Answer one AWS call."""
        try:
            authorization = Authorization.of(raw)
        except AwsError as error:
            return wire.error_reply(error, as_json=bool(raw.header("x-amz-target")))
        service = authorization.service if authorization else ""
        action, payload = wire.parse(raw)
        request = Request(service, action, payload, _NOBODY, {k.lower(): v for k, v in raw.headers}, raw)
        try:
            executors = [executor for executor in self.executors if executor.service == service]
            if not executors:
                return self._pass(request)
            caller = self._caller(raw, authorization)
            request = Request(service, action, payload, caller, request.headers, raw)
            for executor in executors:
                if handler := executor.actions.get(action):
                    if isinstance(executor, Apart):  # the process behind checks
                        return wire.reply(handler(request))
                    return wire.reply(answered(handler, request))
            if action and all(executor.passes_through for executor in executors):
                return self._send(request)
            raise AwsError(
                "UnknownOperationException", f"The local home does not serve {service}:{action or raw.target}"
            )
        except AwsError as error:
            return wire.error_reply(error, wire.is_json(request))
        except Exception:
            log.exception("%s:%s", service, action)
            failure = AwsError("InternalFailure", f"{service}:{action} failed in the local home; see server.log", 500)
            return wire.error_reply(failure, wire.is_json(request))

    def _caller(self, raw: RawRequest, authorization: Authorization | None) -> Caller:
        return verify(raw, authorization, self.ring).caller

    def _pass(self, request: Request) -> RawReply:
        """A service without executor: the emulator verifies and decides; new access keys are noted."""
        reply = self._send(request)
        if reply.status < 300 and not wire.is_json(request):
            learn(self.ring, self.root("iam"), request, reply.body.decode())
        return reply

    def _send(self, request: Request) -> RawReply:
        if request.raw is None:
            raise ValueError("a request without its raw form cannot be sent on")
        return self.emulator.send(request.raw)

    def _root_client(self, service: str, **options: Any) -> Any:
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=self.settings.emulator_url,
            aws_access_key_id=ROOT_ACCESS_KEY,
            aws_secret_access_key=ROOT_ACCESS_KEY,
            config=Config(max_pool_connections=32, retries={"mode": "standard", "max_attempts": 3}, **options),
        )

    def _emulator_knows(self, key: Key) -> bool:
        return self.emulator.knows(Credentials(key.access_key, key.secret_key, key.token))


class BehindTheFront(Server):
    """The process that a front sends calls to; it keeps the keys of its own sessions apart."""

    def __init__(self, settings: AwsSettings) -> None:
        super().__init__(settings, INGESTION, keys="access-keys-ingestion.json")

    def _caller(self, raw: RawRequest, authorization: Authorization | None) -> Caller:  # noqa: ARG002  it is verified
        return announced_caller(raw, self.home_token)


_NOBODY = Caller(arn="", principal_arn="", access_key="")


def _home_token(settings: AwsSettings) -> str:
    path = settings.home_token
    if not path.exists():
        write_atomically(path, secrets.token_urlsafe(32))
    return path.read_text()


def application(server: Server) -> Starlette:
    """The HTTP face: ``/health``, ``/credentials/...``, ``/internal/...``, and AWS calls on every other path."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = HANDLER_THREADS
        await anyio.to_thread.run_sync(server.start)
        yield
        await anyio.to_thread.run_sync(server.stop)

    def health(_: HttpRequest) -> Response:
        services = sorted({executor.service for executor in server.executors})
        return JSONResponse({"pid": os.getpid(), "home": str(server.settings.home), "services": services})

    def credentials(request: HttpRequest) -> Response:
        try:
            answer = server.credentials.answer(request.path_params["name"], request.headers.get("authorization", ""))
        except AwsError as error:
            return JSONResponse({"code": error.code, "message": error.message}, error.status)
        return JSONResponse(answer)

    def internal(request: HttpRequest) -> Response:
        token = request.headers.get("authorization", "")
        if not hmac.compare_digest(token.encode(), server.home_token.encode()):
            return JSONResponse({"message": "the home's own token is needed"}, 403)
        name = request.path_params["name"]
        done = {
            type(executor).__name__: getattr(executor, name)()
            for executor in server.executors
            if name in getattr(executor, "internal", ())
        }
        return JSONResponse(done, 200 if done else 404)

    async def aws(request: HttpRequest) -> Response:
        query = request.scope["query_string"].decode("latin-1")
        raw = RawRequest(
            request.method,
            request.scope["raw_path"].decode("latin-1") + (f"?{query}" if query else ""),
            tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.scope["headers"]),
            await request.body(),
        )
        reply = await anyio.to_thread.run_sync(server.serve, raw)
        response = Response(reply.body, reply.status)
        own = [(name, value) for name, value in response.raw_headers if name == b"content-length"]
        kept = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in reply.headers
            if name.lower() != "content-length"
        ]
        response.raw_headers = own + kept
        return response

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/health", health, methods=["GET"]),
            Route("/credentials/{name:path}", credentials, methods=["GET"]),
            Route("/internal/{name}", internal, methods=["POST"]),
            Route("/{path:path}", aws, methods=["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]),
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
