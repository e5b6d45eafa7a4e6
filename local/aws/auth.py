"""Authentication and authorisation of callers: access keys, SigV4 signatures, IAM's decisions.

Sources: AWS General Reference, "Signature Version 4"; IAM User Guide, "Troubleshoot access denied error messages".
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, HTTPHeaders
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

from local.aws.iam_decisions import DecisionLog
from local.aws.passthrough import xml_leaves
from local.aws.protocol import AwsError, Caller, RawRequest, Request
from local.aws.settings import ROOT_ACCESS_KEY, ROOT_ARN
from local.engines.files import write_atomically

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

CLOCK_SKEW_SECONDS = 300  # what AWS tolerates between a signature's time and its own clock
DECISION_SECONDS = 5.0  # how long a decision of IAM is remembered
EXPIRED_KEPT_SECONDS = 86_400  # for a day, an expired key is answered ExpiredToken; after that it is unknown


@dataclass(frozen=True)
class Key:
    """An access key and its owner; ``expires`` is in epoch seconds (None: a long-lived key)."""

    access_key: str
    secret_key: str
    arn: str
    principal_arn: str
    token: str = ""
    expires: float | None = None

    @property
    def caller(self) -> Caller:
        """The identity behind the key."""
        return Caller(arn=self.arn, principal_arn=self.principal_arn, access_key=self.access_key)


class KeyRing:
    """All access keys whose owners are known, kept in a file of mode 0600."""

    def __init__(self, path: Path, lookup: Callable[[str], Key | None] = lambda _: None) -> None:
        self._path = path
        self._lookup = lookup  # finds keys that were not handed out through us
        self._lock = threading.Lock()
        self._root = Key(ROOT_ACCESS_KEY, ROOT_ACCESS_KEY, ROOT_ARN, ROOT_ARN)
        stored = json.loads(path.read_text()) if path.exists() else []
        self._keys = {key["access_key"]: Key(**key) for key in stored}

    def find(self, access_key: str) -> Key | None:
        """The key of that id, or None."""
        if access_key == self._root.access_key:
            return self._root
        return self._keys.get(access_key) or self._lookup(access_key)

    def add(self, key: Key) -> None:
        """Remember a key; on disk before this returns."""
        with self._lock:
            self._keys[key.access_key] = key
            self._write()

    def remove(self, access_key: str) -> None:
        """Forget a key that was deleted or switched off."""
        with self._lock:
            if self._keys.pop(access_key, None):
                self._write()

    def _write(self) -> None:
        oldest = time.time() - EXPIRED_KEPT_SECONDS
        self._keys = {name: key for name, key in self._keys.items() if key.expires is None or key.expires > oldest}
        write_atomically(self._path, json.dumps([asdict(key) for key in self._keys.values()]))


@dataclass(frozen=True)
class Authorization:
    """The parts of an ``Authorization: AWS4-HMAC-SHA256`` header."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str

    @classmethod
    def of(cls, request: RawRequest) -> Authorization | None:
        """Read the header; None without one. Raises IncompleteSignatureException when it is malformed."""
        text = request.header("authorization")
        if not text:
            return None
        algorithm, _, rest = text.partition(" ")
        fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        scope = fields.get("Credential", "").split("/")
        if algorithm != "AWS4-HMAC-SHA256" or len(scope) != 5 or not {"SignedHeaders", "Signature"} <= fields.keys():
            raise AwsError("IncompleteSignatureException", "The Authorization header is no AWS4-HMAC-SHA256 signature.")
        access_key, date, region, service, _ = scope
        return cls(access_key, date, region, service, tuple(fields["SignedHeaders"].split(";")), fields["Signature"])


class _Verifier(SigV4Auth):
    """botocore's signer, limited to the headers that the client chose to sign."""

    def __init__(self, key: Key, authorization: Authorization) -> None:
        super().__init__(Credentials(key.access_key, key.secret_key), authorization.service, authorization.region)
        self._names = authorization.signed_headers

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        chosen = HTTPHeaders()
        for name in self._names:
            for value in request.headers.get_all(name, []):
                chosen[name] = value
        return chosen


def verify(request: RawRequest, authorization: Authorization | None, ring: KeyRing) -> Key:
    """Check a request's signature and return the key that made it; raises AwsError in AWS's words."""
    if authorization is None:
        raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token")
    key = ring.find(authorization.access_key)
    if key is None or not hmac.compare_digest(key.token, request.header("x-amz-security-token")):
        raise AwsError("UnrecognizedClientException", "The security token included in the request is invalid.")
    if key.expires is not None and key.expires <= time.time():
        raise AwsError("ExpiredTokenException", "The security token included in the request is expired")
    timestamp = request.header("x-amz-date")
    _check_clock(timestamp)
    signed = AWSRequest(request.method, f"http://{request.header('host')}{request.target}", data=request.body)
    for name, value in request.headers:
        signed.headers[name] = value
    signed.context["timestamp"] = timestamp
    stated_hash = request.header("x-amz-content-sha256")
    verifier = _Verifier(key, authorization)
    expected = verifier.signature(verifier.string_to_sign(signed, verifier.canonical_request(signed)), signed)
    if (
        not hmac.compare_digest(expected, authorization.signature)
        or not {"host", "x-amz-date"} <= set(authorization.signed_headers)
        or (stated_hash and stated_hash != hashlib.sha256(request.body).hexdigest())
    ):
        raise AwsError(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details.",
        )
    return key


def _check_clock(timestamp: str) -> None:
    try:
        signed_at = datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise AwsError("IncompleteSignatureException", f"X-Amz-Date {timestamp!r} is no ISO-8601 basic time") from None
    if abs(signed_at.timestamp() - time.time()) > CLOCK_SKEW_SECONDS:
        raise AwsError(
            "InvalidSignatureException",
            f"Signature expired: {timestamp} is more than 5 min. away from {datetime.now(UTC):%Y%m%dT%H%M%SZ}",
        )


def learn(ring: KeyRing, iam: IAMClient, request: Request, reply: str) -> None:
    """Add the access key that STS or IAM has handed out to the ring, or remove the one that IAM has deleted.

    ``reply`` is the XML body of a call that succeeded.
    """
    if (request.service, request.action) == ("sts", "AssumeRole"):
        issued = xml_leaves(reply)
        ring.add(
            Key(
                access_key=issued["AccessKeyId"],
                secret_key=issued["SecretAccessKey"],
                token=issued["SessionToken"],
                arn=issued["Arn"],
                principal_arn=request.payload["RoleArn"],
                expires=datetime.fromisoformat(issued["Expiration"]).timestamp(),
            )
        )
    elif (request.service, request.action) == ("iam", "CreateAccessKey"):
        issued = xml_leaves(reply)
        arn = iam.get_user(UserName=issued["UserName"])["User"]["Arn"]
        ring.add(Key(issued["AccessKeyId"], issued["SecretAccessKey"], arn=arn, principal_arn=arn))
    elif (request.service, request.action) == ("iam", "DeleteAccessKey"):
        ring.remove(request.payload["AccessKeyId"])


class Authorizer:
    """IAM's decisions, which the emulator's ``simulate_principal_policy`` makes."""

    def __init__(self, iam: IAMClient, decision_log: DecisionLog) -> None:
        self._iam, self._log = iam, decision_log
        self._decisions: dict[tuple[str, str, str], tuple[float, str]] = {}

    def authorize(self, caller: Caller, action: str, *resources: str) -> None:
        """Raise AccessDeniedException in AWS's words unless the caller may do ``action`` on every resource."""
        if caller.is_root:
            return
        for resource in resources or ("*",):
            decision = self._decide(caller.principal_arn, action, resource)
            self._log.note(caller.principal_arn, action, resource, decision == "allowed")
            if decision != "allowed":
                reason = (
                    "with an explicit deny in an identity-based policy"
                    if decision == "explicitDeny"
                    else f"because no identity-based policy allows the {action} action"
                )
                raise AwsError(
                    "AccessDeniedException",
                    f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource} {reason}",
                )

    def _decide(self, principal: str, action: str, resource: str) -> str:
        question = (principal, action, resource)
        until, decision = self._decisions.get(question, (0.0, ""))
        if until > time.monotonic():
            return decision
        try:
            # one resource a call, because the emulator evaluates the first one only
            reply = self._iam.simulate_principal_policy(
                PolicySourceArn=principal, ActionNames=[action], ResourceArns=[resource]
            )
        except (BotoCoreError, ClientError) as error:
            raise AwsError("ServiceUnavailableException", f"IAM does not answer: {error}", status=503) from error
        decision = reply["EvaluationResults"][0]["EvalDecision"]
        if len(self._decisions) > 10_000:
            self._decisions.clear()
        self._decisions[question] = (time.monotonic() + DECISION_SECONDS, decision)
        return decision
