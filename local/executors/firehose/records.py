"""Records of a put: read within AWS's limits, answered one by one."""

from __future__ import annotations

import binascii
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from local.executors.firehose.configuration import invalid
from local.executors.protocol import AwsError

MAX_RECORDS = 500  # a call
MAX_RECORD_BYTES = 1_024_000
MAX_CALL_BYTES = 4 * 1024 * 1024
FAILURES = {"ServiceUnavailableException": "Slow down.", "InternalFailure": "Internal service failure."}

# fault(stream, records in the call) -> error code by position of the records to refuse; for tests
Fault = Callable[[str, int], Mapping[int, str]]


def decode(records: Any) -> list[bytes]:
    """The records' bytes; raises AwsError in AWS's words when a limit is exceeded."""
    if not isinstance(records, list) or not 1 <= len(records) <= MAX_RECORDS:
        too_many = isinstance(records, list) and records
        bound = f"less than or equal to {MAX_RECORDS}" if too_many else "greater than or equal to 1"
        raise _constraint("records", bound)
    try:
        data = [binascii.a2b_base64(record["Data"], strict_mode=True) for record in records]
    except (KeyError, TypeError, ValueError) as error:
        raise AwsError("SerializationException", f"a record's Data is not base64: {error}") from error
    sizes = [len(record) for record in data]
    if max(sizes) > MAX_RECORD_BYTES:
        position = next(i for i, size in enumerate(sizes, 1) if size > MAX_RECORD_BYTES)
        raise _constraint(f"records.{position}.member.data", f"less than or equal to {MAX_RECORD_BYTES}")
    if sum(sizes) > MAX_CALL_BYTES:
        raise invalid("Records size exceeds 4 MB limit")
    return data


def _constraint(member: str, bound: str) -> AwsError:
    return AwsError(
        "ValidationException",
        f"1 validation error detected: Value at '{member}' failed to satisfy constraint: "
        f"Member must have length {bound}",
    )


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
