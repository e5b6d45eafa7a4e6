"""The records of a PutRecord or PutRecordBatch call: decoding them within AWS's limits, and the reply to each."""

from __future__ import annotations

import binascii
import secrets
from collections.abc import Callable, Mapping, Sequence

from local.aws.firehose.destination import invalid
from local.aws.protocol import AwsError

MAX_CALL_BYTES = 4 * 1024 * 1024
FAILURES = {"ServiceUnavailableException": "Slow down.", "InternalFailure": "Internal service failure."}

# For tests: fault(stream, number of records in the call) -> error codes by the position of the records to refuse
Fault = Callable[[str, int], Mapping[int, str]]


def decode(records: Sequence[Mapping[str, str]]) -> list[bytes]:
    """The records' bytes; raises AwsError, as AWS words it, for the limits that the service's model does not state."""
    try:
        data = [binascii.a2b_base64(record["Data"], strict_mode=True) for record in records]
    except ValueError as error:
        raise AwsError("SerializationException", f"a record's Data is not base64: {error}") from error
    if sum(len(record) for record in data) > MAX_CALL_BYTES:
        raise invalid("Records size exceeds 4 MB limit")
    return data


def unavailable() -> AwsError:
    """AWS's error when it cannot accept records now."""
    code = "ServiceUnavailableException"
    return AwsError(code, FAILURES[code], status=503)


def responses(count: int, failures: Mapping[int, str]) -> list[dict[str, str]]:
    """The reply's RequestResponses: an id for each accepted record, an error for each refused one."""
    series = secrets.token_urlsafe(96)
    entries = [{"RecordId": f"{series}{position:03d}"} for position in range(count)]
    for position, code in failures.items():
        entries[position] = {"ErrorCode": code, "ErrorMessage": FAILURES[code]}
    return entries
