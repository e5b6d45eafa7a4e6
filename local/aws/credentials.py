"""Sessions of roles, for our own services, and for other processes as a container's credentials endpoint.

Source of the endpoint's format: Amazon ECS Developer Guide, "Task IAM role" (AWS_CONTAINER_CREDENTIALS_FULL_URI and
AWS_CONTAINER_AUTHORIZATION_TOKEN, which every AWS SDK understands and renews by itself).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3
import botocore.session
from botocore.credentials import CredentialProvider, CredentialResolver, Credentials, ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError

from local.aws.auth import Key, KeyRing
from local.aws.protocol import AwsError
from local.aws.settings import ACCOUNT, REGION, AwsSettings
from local.engines.files import write_atomically

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sts import STSClient

SESSION_SECONDS = 3600
# A killed emulator forgets its sessions, so clients are told a short life of their credentials: SDKs renew them 15
# minutes before they expire, which means every 5 minutes.
STATED_SECONDS = 1200
# Error codes with which services answer a session that they no longer know.
LOST_SESSION = {
    "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken",
    "UnrecognizedClientException",
}  # fmt: skip


class Sessions:
    """Sessions of roles, assumed as root and renewed when half of their time is over or the emulator has lost them."""

    def __init__(self, sts: STSClient, ring: KeyRing, seconds: int = SESSION_SECONDS) -> None:
        self._sts, self._ring, self._seconds = sts, ring, seconds
        self._keys: dict[tuple[str, str], Key] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = {}

    def key(self, role_arn: str, name: str) -> Key:
        """A key of the role with at least half of its time left; raises AwsError when the role cannot be assumed."""
        wanted = (role_arn, name)
        with self._locks.setdefault(wanted, threading.Lock()):
            key = self._keys.get(wanted)
            if key is None or (key.expires or 0.0) - time.time() < self._seconds / 2:
                key = self._assume(role_arn, name)
                self._keys[wanted] = key
            return key

    def drop(self, role_arn: str, name: str) -> None:
        """Assume the role anew at the next call."""
        self._keys.pop((role_arn, name), None)

    def _assume(self, role_arn: str, name: str) -> Key:
        try:
            # Firehose sends an ExternalId; it does no harm to roles that do not ask for one
            reply = self._sts.assume_role(
                RoleArn=role_arn, RoleSessionName=name, DurationSeconds=self._seconds, ExternalId=ACCOUNT
            )
        except ClientError as error:
            stated = error.response["Error"]
            raise AwsError("AccessDeniedException", f"{role_arn} cannot be assumed: {stated['Message']}") from error
        except BotoCoreError as error:
            raise AwsError("ServiceUnavailableException", f"STS does not answer: {error}", 503) from error
        issued = reply["Credentials"]
        key = Key(
            access_key=issued["AccessKeyId"],
            secret_key=issued["SecretAccessKey"],
            token=issued["SessionToken"],
            arn=reply["AssumedRoleUser"]["Arn"],
            principal_arn=role_arn,
            expires=issued["Expiration"].timestamp(),
        )
        self._ring.add(key)
        return key


class RoleCredentials(Credentials):
    """botocore credentials that fetch the session's key each time a request is signed."""

    def __init__(self, fetch: Callable[[], Key]) -> None:
        self._fetch = fetch
        self.method, self.account_id = "assume-role", ACCOUNT

    access_key = property(lambda self: self._fetch().access_key)
    secret_key = property(lambda self: self._fetch().secret_key)
    token = property(lambda self: self._fetch().token)

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """One consistent set of keys."""
        key = self._fetch()
        return ReadOnlyCredentials(key.access_key, key.secret_key, key.token)


class _RoleProvider(CredentialProvider):
    METHOD = CANONICAL_NAME = "assume-role"

    def __init__(self, credentials: RoleCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> RoleCredentials:
        return self._credentials


class RoleSession(boto3.Session):
    """A boto3 session under a role, whose clients send each service's calls to its endpoint in the home."""

    def __init__(self, settings: AwsSettings, sessions: Sessions, role_arn: str, name: str) -> None:
        sessions.key(role_arn, name)  # a role that cannot be assumed raises here, not at the first call
        core = botocore.session.Session()
        provider = _RoleProvider(RoleCredentials(lambda: sessions.key(role_arn, name)))
        core.register_component("credential_provider", CredentialResolver([provider]))
        renew = cast("Any", lambda **event: _renew_lost(event, lambda: sessions.drop(role_arn, name)))
        core.register("needs-retry", renew)
        super().__init__(botocore_session=core, region_name=REGION)
        self._settings = settings

    def client(self, service_name: str, *args: Any, endpoint_url: str | None = None, **options: Any) -> Any:
        """A client whose endpoint is our server for the services that it serves, else the emulator."""
        make = cast("Any", super()).client
        return make(service_name, *args, endpoint_url=endpoint_url or self._settings.endpoint(service_name), **options)


def _renew_lost(event: dict[str, Any], drop: Callable[[], None]) -> int | None:
    """botocore's ``needs-retry`` hook: retry once, immediately, with a new session when the old one is unknown."""
    response = event["response"]
    if response is None or event["attempts"] > 1:
        return None
    if response[1].get("Error", {}).get("Code") not in LOST_SESSION:
        return None
    drop()
    return 0


class CredentialsEndpoint:
    """Answers ``GET /credentials/<component or role ARN>`` for processes that hold the matching token."""

    def __init__(self, settings: AwsSettings, sessions: Sessions, still_known: Callable[[Key], bool]) -> None:
        self._settings, self._sessions, self._still_known = settings, sessions, still_known
        self._tokens = _kept(settings.component_tokens, tuple(settings.roles))
        self._seal = _kept(settings.secrets / "credentials-seal.json", ("seal",))["seal"].encode()

    def environment(self, role_arn: str) -> dict[str, str]:
        """The variables that let a child process fetch a role's credentials, also after a restart of the server."""
        return {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self._settings.server_url}/credentials/{role_arn}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": self._role_token(role_arn),
        }

    def answer(self, name: str, token: str) -> dict[str, str]:
        """Credentials for the holder of ``token``; raises AwsError (status 403) for any other."""
        is_role = name.startswith("arn:")
        expected = self._role_token(name) if is_role else self._tokens.get(name, "")
        if not expected or not hmac.compare_digest(expected.encode(), token.encode()):
            raise AwsError("AccessDeniedException", f"The token does not fit {name}", 403)
        role = name if is_role else self._settings.roles[name]
        session_name = role.rpartition("/")[2][:64]
        key = self._sessions.key(role, session_name)
        if not self._still_known(key):
            self._sessions.drop(role, session_name)
            key = self._sessions.key(role, session_name)
        until = min(key.expires or 0.0, time.time() + STATED_SECONDS)
        return {
            "RoleArn": role,
            "AccessKeyId": key.access_key,
            "SecretAccessKey": key.secret_key,
            "Token": key.token,
            "Expiration": datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _role_token(self, role_arn: str) -> str:
        return hmac.new(self._seal, role_arn.encode(), hashlib.sha256).hexdigest()


def _kept(path: Path, names: tuple[str, ...]) -> dict[str, str]:
    """The random tokens of a file, one for each name; the file is made or completed when needed."""
    tokens: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    missing = [name for name in names if name not in tokens]
    if missing:
        tokens |= {name: secrets.token_urlsafe(32) for name in missing}
        write_atomically(path, json.dumps(tokens, indent=1))
    return tokens


def function_key(lambda_client: LambdaClient, access_key: str) -> Key | None:
    """The key of a Lambda function's session, which the emulator derives from the ARNs of the function and its role.

    Source: ministack 1.5.33, core/lambda_runtime.py, execution_credentials. A test calls our server from a function.
    """
    for page in lambda_client.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            arn, role = function["FunctionArn"], function["Role"]
            digest = hashlib.sha256(f"{arn}:{role}".encode()).hexdigest()
            if access_key == f"ASIA{digest[:16].upper()}":
                return Key(
                    access_key=access_key,
                    secret_key=hashlib.sha256(f"secret:{digest}".encode()).hexdigest(),
                    token=hashlib.sha256(f"token:{digest}".encode()).hexdigest(),
                    arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.rpartition('/')[2]}/{function['FunctionName'][:64]}",
                    principal_arn=role,
                )
    return None
