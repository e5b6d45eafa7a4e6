"""Records of a put: read within AWS's limits, answered one by one."""

from __future__ import annotations

import binascii
import secrets
from collections.abc import Callable, Mapping, Sequence

from local.aws.firehose.configuration import invalid
from local.aws.protocol import AwsError

MAX_CALL_BYTES = 4 * 1024 * 1024
FAILURES = {"ServiceUnavailableException": "Slow down.", "InternalFailure": "Internal service failure."}

# fault(stream, records in the call) -> error code by position of the records to refuse; for tests
Fault = Callable[[str, int], Mapping[int, str]]


def decode(records: Sequence[Mapping[str, str]]) -> list[bytes]:
    """The records' bytes; raises AwsError in AWS's words for what the service's model alone does not tell."""
    try:
        data = [binascii.a2b_base64(record["Data"], strict_mode=True) for record in records]
    except ValueError as error:
        raise AwsError("SerializationException", f"a record's Data is not base64: {error}") from error
    if sum(len(record) for record in data) > MAX_CALL_BYTES:
        raise invalid("Records size exceeds 4 MB limit")
    return data


def unavailable() -> AwsError:
    """What AWS answers when it cannot take records now."""
    code = "ServiceUnavailableException"
    return AwsError(code, FAILURES[code], status=503)


def answer(count: int, failures: Mapping[int, str]) -> list[dict[str, str]]:
    """RequestResponses: an id for each record taken, an error for each refused."""
    series = secrets.token_urlsafe(96)
    entries = [{"RecordId": f"{series}{position:03d}"} for position in range(count)]
    for position, code in failures.items():
        entries[position] = {"ErrorCode": code, "ErrorMessage": FAILURES[code]}
    return entries
