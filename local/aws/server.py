"""The way of a request: verified, checked against AWS's model, and answered by a ServiceApi or by the emulator.

A call to a service of SERVICE_APIS is verified (SigV4) and goes to the ServiceApi that lists its action. Its other
actions, and all other services, go to the emulator unchanged.
A home runs two processes: the server in front, and behind it one with DMS and Firehose (``local.aws.forwarding``).
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import boto3
from botocore.config import Config
from botocore.credentials import Credentials

from local.aws import serialization
from local.aws.athena import Athena
from local.aws.auth import Authorization, Authorizer, Key, KeyRing, learn, verify
from local.aws.cloudformation import CloudFormation
from local.aws.credentials import SESSION_SECONDS, CredentialsEndpoint, RoleSession, Sessions, function_key
from local.aws.dms import Dms
from local.aws.firehose import Firehose
from local.aws.forwarding import ForwardedService, announced_caller
from local.aws.glue_catalog import GlueCatalog
from local.aws.glue_crawler import GlueCrawler
from local.aws.glue_jobs import GlueJobs
from local.aws.iam_decisions import DecisionLog
from local.aws.passthrough import Emulator, RawReply
from local.aws.protocol import AwsError, Caller, RawRequest, Request, ServiceApi, Services
from local.aws.queue_metrics import QueueMetrics
from local.aws.root_clients import root_client
from local.aws.service_models import answered
from local.aws.settings import AwsSettings
from local.engines.files import once

log = logging.getLogger("server")

MakeApi = Callable[[Services], ServiceApi]
SERVICE_APIS: tuple[MakeApi, ...] = (
    GlueCatalog,  # first: the others find a whole catalog when they start
    GlueJobs,
    GlueCrawler,
    Athena,
    CloudFormation,
    Dms,
    Firehose,
    QueueMetrics,
)
INGESTION_APIS: tuple[MakeApi, ...] = (Dms, Firehose)
FRONT_APIS: tuple[MakeApi, ...] = (
    *(api for api in SERVICE_APIS if api not in INGESTION_APIS),
    *(partial(ForwardedService, service) for service in (Dms.service, Firehose.service)),
)
_NOBODY = Caller(arn="", principal_arn="", access_key="")  # of a request whose signature is not verified yet


class Server:
    """What each ServiceApi is offered (``protocol.Services``), and the way of a request."""

    def __init__(
        self,
        settings: AwsSettings,
        apis: Sequence[MakeApi] = SERVICE_APIS,
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
        self.authorize = Authorizer(self.root("iam"), DecisionLog(settings.decisions)).authorize
        self.call_as_root = self.emulator.call
        self.credentials_environment = self.credentials.environment
        self.apis = [make(self) for make in apis]
        self.home_token = once(settings.home_token, lambda: secrets.token_urlsafe(32))

    # what a ServiceApi is offered

    def session(self, role_arn: str, name: str) -> boto3.Session:
        """A session under a role that renews itself; raises AwsError when the role cannot be assumed."""
        return RoleSession(self.settings, self._sessions, role_arn, name)

    def forward(self, request: Request) -> Any:
        """Send a call to the emulator as it came; its reply as a dict (JSON) or text (XML), or the AwsError."""
        reply = self._send(request)
        if reply.status >= 300:
            raise reply.error()
        text = reply.body.decode()
        return json.loads(text or "{}") if serialization.is_json(request) else text

    # the way of a request

    def start(self) -> None:
        """Start the services, in their order."""
        for api in self.apis:
            api.start()

    def stop(self) -> None:
        """Stop them, the last first."""
        for api in reversed(self.apis):
            api.stop()

    def serve(self, raw: RawRequest) -> RawReply:
        """Answer one AWS call."""
        try:
            authorization = Authorization.of(raw)
        except AwsError as error:
            return serialization.error_reply(error, as_json=bool(raw.header("x-amz-target")))
        service = authorization.service if authorization else ""
        action, payload = serialization.parse(raw)
        request = Request(service, action, payload, _NOBODY, {k.lower(): v for k, v in raw.headers}, raw)
        try:
            return self._answer(request, raw, authorization)
        except AwsError as error:
            return serialization.error_reply(error, serialization.is_json(request))
        except Exception:
            log.exception("%s:%s", service, action)
            failure = AwsError("InternalFailure", f"{service}:{action} failed in the local home; see server.log", 500)
            return serialization.error_reply(failure, serialization.is_json(request))

    def _answer(self, request: Request, raw: RawRequest, authorization: Authorization | None) -> RawReply:
        service, action = request.service, request.action
        apis = [api for api in self.apis if api.service == service]
        if not apis:
            return self._pass(request)
        caller = self._caller(raw, authorization)
        request = Request(service, action, request.payload, caller, request.headers, raw)
        for api in apis:
            if handler := api.actions.get(action):
                # a forwarded call is checked against the model by the process behind
                checked = handler(request) if isinstance(api, ForwardedService) else answered(handler, request)
                return serialization.reply(checked)
        if action and all(api.passes_through for api in apis):
            return self._send(request)
        raise AwsError("UnknownOperationException", f"The local home does not serve {service}:{action or raw.target}")

    def _caller(self, raw: RawRequest, authorization: Authorization | None) -> Caller:
        return verify(raw, authorization, self.ring).caller

    def _pass(self, request: Request) -> RawReply:
        """A service without a ServiceApi: the emulator verifies and authorises; new access keys are noted."""
        reply = self._send(request)
        if reply.status < 300 and not serialization.is_json(request):
            learn(self.ring, self.root("iam"), request, reply.body.decode())
        return reply

    def _send(self, request: Request) -> RawReply:
        if request.raw is None:
            raise ValueError("a request without its raw form cannot be sent on")
        return self.emulator.send(request.raw)

    def _root_client(self, service: str, **options: Any) -> Any:
        config = Config(max_pool_connections=32, retries={"mode": "standard", "max_attempts": 3}, **options)
        return root_client(self.settings.emulator_url, service, config=config)

    def _emulator_knows(self, key: Key) -> bool:
        return self.emulator.knows(Credentials(key.access_key, key.secret_key, key.token))


class IngestionServer(Server):
    """The process behind the front, which serves DMS and Firehose; it keeps the keys of its own sessions apart."""

    def __init__(self, settings: AwsSettings) -> None:
        super().__init__(settings, INGESTION_APIS, keys="access-keys-ingestion.json")

    def _caller(self, raw: RawRequest, authorization: Authorization | None) -> Caller:  # noqa: ARG002  it is verified
        return announced_caller(raw, self.home_token)
