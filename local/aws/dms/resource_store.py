"""Stores DMS's instances, endpoints, tasks, certificates and connections, and lists them by filters and pages."""

from __future__ import annotations

import json
import secrets
import string
import threading
from pathlib import Path

from local.aws.protocol import AwsError, Payload
from local.aws.settings import ACCOUNT, REGION
from local.engines.files import write_atomically

INSTANCES, ENDPOINTS, TASKS, CERTIFICATES = "instances", "endpoints", "tasks", "certificates"
CONNECTIONS, TAGS = "connections", "tags"
_ARN_TYPES = {INSTANCES: "rep", ENDPOINTS: "endpoint", TASKS: "task", CERTIFICATES: "cert"}
_DISPLAY_NAMES = {
    INSTANCES: "Replication instance",
    ENDPOINTS: "Endpoint",
    TASKS: "Replication task",
    CERTIFICATES: "Certificate",
}


class ResourceStore:
    """All of DMS's state, in one JSON file. Hold ``lock`` to read or change it, and ``save`` before releasing it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lock = threading.RLock()
        self._all: dict[str, dict[str, Payload]] = {kind: {} for kind in (*_ARN_TYPES, CONNECTIONS, TAGS)}

    def load(self) -> None:
        """Read what an earlier process saved."""
        if self._path.exists():
            with self.lock:
                self._all.update(json.loads(self._path.read_text()))

    def save(self) -> None:
        """Write the whole state, so that it survives a kill."""
        with self.lock:
            write_atomically(self._path, json.dumps(self._all))

    def by_arn(self, kind: str) -> dict[str, Payload]:
        """The resources of a kind by their ARN."""
        return self._all[kind]

    def get(self, kind: str, arn: str) -> Payload:
        """One resource; raises ResourceNotFoundFault."""
        try:
            return self._all[kind][arn]
        except KeyError:
            raise AwsError("ResourceNotFoundFault", f"{_DISPLAY_NAMES[kind]} {arn} not found.") from None

    def put(self, kind: str, arn: str, resource: Payload) -> None:
        """Store one resource and save the state."""
        self._all[kind][arn] = resource
        self.save()

    def must_exist(self, arn: str) -> None:
        """Raise ResourceNotFoundFault unless a resource of any kind has this ARN."""
        if not any(arn in self._all[kind] for kind in _ARN_TYPES):
            raise AwsError("ResourceNotFoundFault", f"Resource {arn} not found.")

    def new_arn(self, kind: str, identifier_key: str, identifier: str, resource_identifier: str | None) -> str:
        """The ARN of a new resource; raises ResourceAlreadyExistsFault when its identifier is taken."""
        if any(found[identifier_key] == identifier for found in self._all[kind].values()):
            raise AwsError("ResourceAlreadyExistsFault", f"{_DISPLAY_NAMES[kind]} {identifier} already exists.")
        characters = string.ascii_uppercase + string.digits
        unique = resource_identifier or "".join(secrets.choice(characters) for _ in range(26))
        return f"arn:aws:dms:{REGION}:{ACCOUNT}:{_ARN_TYPES[kind]}:{unique}"

    def delete(self, kind: str, arn: str) -> None:
        """Remove a resource, its tags and its connections, and save the state."""
        del self._all[kind][arn]
        self._all[TAGS].pop(arn, None)
        self.forget_connections(arn)
        self.save()

    def forget_connections(self, arn: str) -> None:
        """Remove the results of connection tests with this instance or endpoint."""
        for name in [name for name in self._all[CONNECTIONS] if arn in name.split(" ")]:
            del self._all[CONNECTIONS][name]


def filtered(items: list[Payload], filters: list[Payload] | None, keys: dict[str, str], what: str) -> list[Payload]:
    """The items that match every filter; ``keys`` maps filter names to the items' keys.

    Raises:
        AwsError: InvalidParameterValueException for a filter that AWS does not have; ResourceNotFoundFault when the
            filters match nothing (boto3's waiters for a deletion rely on it).
    """
    for wanted in filters or []:
        key = keys.get(wanted["Name"])
        if key is None:
            raise AwsError("InvalidParameterValueException", f"Filter {wanted['Name']} is not one of {sorted(keys)}")
        items = [item for item in items if item.get(key) in wanted["Values"]]
    if filters and not items:
        raise AwsError("ResourceNotFoundFault", f"No {what} found matching given filter")
    return items


def one_page(items: list[Payload], payload: Payload, key: str, most: int = 100) -> Payload:
    """One page of a listing: ``MaxRecords`` is 20 to ``most``, ``Marker`` comes from the page before."""
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
