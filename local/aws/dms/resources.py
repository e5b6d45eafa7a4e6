"""Instances, endpoints, tasks, certificates and connections of DMS: kept, found, filtered, cut into pages."""

from __future__ import annotations

import json
import secrets
import string
import threading
from pathlib import Path

from local.aws.protocol import AwsError, Payload
from local.aws.settings import ACCOUNT, REGION
from local.engines.files import write_atomically

INSTANCES, ENDPOINTS, TASKS, CERTIFICATES, CONNECTIONS, TAGS = (
    "instances",
    "endpoints",
    "tasks",
    "certificates",
    "connections",
    "tags",
)
_KINDS = {INSTANCES: "rep", ENDPOINTS: "endpoint", TASKS: "task", CERTIFICATES: "cert"}
_WORDS = {
    INSTANCES: "Replication instance",
    ENDPOINTS: "Endpoint",
    TASKS: "Replication task",
    CERTIFICATES: "Certificate",
}


class Resources:
    """All of DMS's state in one JSON file. Hold ``lock`` while reading and changing; ``save`` before leaving it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lock = threading.RLock()
        self._all: dict[str, dict[str, Payload]] = {kind: {} for kind in (*_KINDS, CONNECTIONS, TAGS)}

    def load(self) -> None:
        """Read what an earlier process saved."""
        if self._path.exists():
            with self.lock:
                self._all.update(json.loads(self._path.read_text()))

    def save(self) -> None:
        """Write everything, so that it survives a kill."""
        with self.lock:
            write_atomically(self._path, json.dumps(self._all))

    def of(self, kind: str) -> dict[str, Payload]:
        """Resources of a kind by ARN."""
        return self._all[kind]

    def get(self, kind: str, arn: str) -> Payload:
        """One resource; raises ResourceNotFoundFault."""
        try:
            return self._all[kind][arn]
        except KeyError:
            raise AwsError("ResourceNotFoundFault", f"{_WORDS[kind]} {arn} not found.") from None

    def must_exist(self, arn: str) -> None:
        """Raise ResourceNotFoundFault unless the ARN is that of a resource of any kind."""
        if not any(arn in self._all[kind] for kind in _KINDS):
            raise AwsError("ResourceNotFoundFault", f"Resource {arn} not found.")

    def new_arn(self, kind: str, identifier_key: str, identifier: str, resource_identifier: str | None) -> str:
        """ARN of a new resource; raises ResourceAlreadyExistsFault when its identifier is taken."""
        if any(found[identifier_key] == identifier for found in self._all[kind].values()):
            raise AwsError("ResourceAlreadyExistsFault", f"{_WORDS[kind]} {identifier} already exists.")
        unique = resource_identifier or "".join(
            secrets.choice(string.ascii_uppercase + string.digits) for _ in range(26)
        )
        return f"arn:aws:dms:{REGION}:{ACCOUNT}:{_KINDS[kind]}:{unique}"

    def delete(self, kind: str, arn: str) -> None:
        """Forget a resource, its tags and its connections."""
        del self._all[kind][arn]
        self._all[TAGS].pop(arn, None)
        self.forget_connections(arn)

    def forget_connections(self, arn: str) -> None:
        """What was tested with this instance or endpoint is not known any more."""
        for name in [name for name in self._all[CONNECTIONS] if arn in name.split(" ")]:
            del self._all[CONNECTIONS][name]


def filtered(items: list[Payload], filters: list[Payload] | None, keys: dict[str, str], what: str) -> list[Payload]:
    """The items that match every filter; ``keys`` maps filter names to the items' keys.

    Raises:
        AwsError: InvalidParameterValueException for a filter AWS does not have; ResourceNotFoundFault when filters
            match nothing (the waiters for deletion rely on it).
    """
    for wanted in filters or []:
        key = keys.get(wanted["Name"])
        if key is None:
            raise AwsError("InvalidParameterValueException", f"Filter {wanted['Name']} is not one of {sorted(keys)}")
        items = [item for item in items if item.get(key) in wanted["Values"]]
    if filters and not items:
        raise AwsError("ResourceNotFoundFault", f"No {what} found matching given filter")
    return items


def page(items: list[Payload], payload: Payload, key: str, most: int = 100) -> Payload:
    """One page of a listing: ``MaxRecords`` from 20 to ``most``, ``Marker`` as the page before gave it."""
    size = payload.get("MaxRecords") or 100
    if not 20 <= size <= most:
        raise AwsError("InvalidParameterValueException", f"MaxRecords {size} is not between 20 and {most}")
    marker = payload.get("Marker") or "0"
    if not marker.isdigit():
        raise AwsError("InvalidParameterValueException", f"Marker {marker!r} was not given by an earlier page")
    begin = int(marker)
    answer: Payload = {key: items[begin : begin + size]}
    if begin + size < len(items):
        answer["Marker"] = str(begin + size)
    return answer
