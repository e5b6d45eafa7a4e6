"""The actions of Amazon Data Firehose, over real buffers and real S3 objects.

Served: every action, for Direct PUT streams with an ExtendedS3DestinationConfiguration: buffering by size or interval,
prefix expressions, GZIP, file extension, time zone, the processor AppendDelimiterToRecord, KMS keys for objects, failed
deliveries in CloudWatch Logs, and the metrics Incoming* and DeliveryToS3.* of AWS/Firehose.
Stored without effect: encryption of the stream itself, tags. Refused by name: every other source, destination,
processor and compression, dynamic partitioning, format conversion, S3 backup. As these features are missing, nothing is
ever written to ErrorOutputPrefix; its rules are checked nevertheless.

Sources of the rules: the Firehose developer guide and API reference, and the service's model in botocore.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from local.aws.firehose import records
from local.aws.firehose.destination import Destination, describe, invalid
from local.aws.firehose.monitoring import CloudWatchReporter
from local.aws.firehose.stream_store import StreamStore
from local.aws.protocol import AwsError, Caller, Handler, Payload, Request, Services
from local.aws.settings import ACCOUNT, REGION

log = logging.getLogger(__name__)

DESTINATION = "ExtendedS3DestinationConfiguration"
DESTINATION_ID = "destinationId-000000000001"

ControlHandler = Callable[[Payload, Caller], Payload]


def _arn(name: str) -> str:
    return f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{name}"


class Firehose:
    """The service ``firehose``. Records are acknowledged once they are on disk; a kill loses none of them."""

    service = "firehose"
    passes_through = False

    def __init__(
        self, services: Services, *, clock: Callable[[], float] = time.time, fault: records.Fault | None = None
    ) -> None:
        self._services, self._clock, self._fault = services, clock, fault
        self._lock = threading.Lock()  # one control action at a time
        self._store = StreamStore(services, clock)
        self.streams = self._store.running
        logs = partial(self._store.client, "logs")
        self.reporter = CloudWatchReporter(self.streams, lambda: services.root("cloudwatch"), logs)
        control: Mapping[str, ControlHandler] = {
            "CreateDeliveryStream": self._create,
            "DescribeDeliveryStream": self._describe,
            "ListDeliveryStreams": self._list,
            "DeleteDeliveryStream": self._delete,
            "UpdateDestination": self._update,
            "StartDeliveryStreamEncryption": self._start_encryption,
            "StopDeliveryStreamEncryption": self._stop_encryption,
            "TagDeliveryStream": self._tag,
            "UntagDeliveryStream": self._untag,
            "ListTagsForDeliveryStream": self._list_tags,
        }
        self.actions: Mapping[str, Handler] = {
            **{action: self._controlled(action, handler) for action, handler in control.items()},
            "PutRecord": self._put_record,
            "PutRecordBatch": self._put_record_batch,
        }

    def start(self) -> None:
        """Load streams and buffers, deliver and report in the background."""
        self._store.start()
        self.reporter.start()

    def stop(self) -> None:
        """Stop delivering; buffered records stay on disk."""
        self._store.stop()
        self.reporter.stop()

    # records

    def _put_record(self, request: Request) -> Payload:
        reply = self._put(request, [request.payload["Record"]])
        (entry,) = reply["RequestResponses"]
        if "ErrorCode" in entry:
            raise AwsError(entry["ErrorCode"], entry["ErrorMessage"], status=503)
        return {"RecordId": entry["RecordId"], "Encrypted": reply["Encrypted"]}

    def _put_record_batch(self, request: Request) -> Payload:
        return self._put(request, request.payload["Records"])

    def _put(self, request: Request, given: list[Payload]) -> Payload:
        name = request.payload["DeliveryStreamName"]
        self._services.authorize(request.caller, f"firehose:{request.action}", _arn(name))
        stream, definition = self.streams.get(name), self._store.definitions.get(name)
        if stream is None or definition is None:
            raise _not_found(name)
        data = records.decode(given)
        failures = self._fault(name, len(data)) if self._fault else {}
        accepted = [item for position, item in enumerate(data) if position not in failures] if failures else data
        if accepted:
            try:
                stream.put(accepted)
            except OSError as error:
                log.exception("%s: records could not be stored", name)
                raise records.unavailable() from error
        return {
            "FailedPutCount": len(failures),
            "Encrypted": definition["encryption"]["Status"] == "ENABLED",
            "RequestResponses": records.responses(len(data), failures),
        }

    # streams

    def _controlled(self, action: str, handler: ControlHandler) -> Handler:
        """A handler that authorises the caller first; control actions run one at a time."""

        def handle(request: Request) -> Payload:
            payload = request.payload
            resource = "*" if action == "ListDeliveryStreams" else _arn(payload["DeliveryStreamName"])
            self._services.authorize(request.caller, f"firehose:{action}", resource)
            with self._lock:
                return handler(payload, request.caller)

        return handle

    def _definition(self, payload: Payload) -> dict[str, Any]:
        name = payload["DeliveryStreamName"]
        if name not in self._store.definitions:
            raise _not_found(name)
        return self._store.definitions[name]

    def _create(self, payload: Payload, caller: Caller) -> Payload:
        name, kind = payload["DeliveryStreamName"], payload.get("DeliveryStreamType", "DirectPut")
        if kind != "DirectPut":
            raise invalid(f"DeliveryStreamType {kind} is not supported by the local Firehose (DirectPut is)")
        others = [key for key in payload if key.endswith("Configuration") and key != DESTINATION]
        if others:
            raise invalid(f"{', '.join(others)}: not supported by the local Firehose")
        if DESTINATION not in payload:
            raise invalid(f"{DESTINATION} must be given")
        if name in self._store.definitions:
            raise AwsError("ResourceInUseException", f"Firehose {name} under accountId {ACCOUNT} already exists")
        self._check_role(Destination.parse(payload[DESTINATION]), caller)
        now = self._clock()
        definition = {
            "created": now,
            "updated": now,
            "version": 1,
            "configuration": payload[DESTINATION],
            "encryption": _encryption(payload.get("DeliveryStreamEncryptionConfigurationInput")),
            "tags": {tag["Key"]: tag.get("Value", "") for tag in payload.get("Tags", [])},
        }
        self._store.add(name, definition)
        log.info("%s: created", name)
        return {"DeliveryStreamARN": _arn(name)}

    def _check_role(self, destination: Destination, caller: Caller) -> None:
        role = destination.role_arn
        self._services.authorize(caller, "iam:PassRole", role)
        try:
            self._services.session(role, "firehose")
        except AwsError as error:
            raise invalid(f"Firehose is unable to assume role {role}. Please check the role provided.") from error

    def _describe(self, payload: Payload, _caller: Caller) -> Payload:
        definition = self._definition(payload)
        destination = {
            "DestinationId": DESTINATION_ID,
            "ExtendedS3DestinationDescription": describe(definition["configuration"]),
        }
        description = {
            "DeliveryStreamName": payload["DeliveryStreamName"],
            "DeliveryStreamARN": _arn(payload["DeliveryStreamName"]),
            "DeliveryStreamStatus": "ACTIVE",
            "DeliveryStreamEncryptionConfiguration": definition["encryption"],
            "DeliveryStreamType": "DirectPut",
            "VersionId": str(definition["version"]),
            "CreateTimestamp": definition["created"],
            "LastUpdateTimestamp": definition["updated"],
            "Destinations": [destination],
            "HasMoreDestinations": False,
        }
        return {"DeliveryStreamDescription": description}

    def _list(self, payload: Payload, _caller: Caller) -> Payload:
        after, limit = payload.get("ExclusiveStartDeliveryStreamName", ""), payload.get("Limit", 10)
        direct = payload.get("DeliveryStreamType", "DirectPut") == "DirectPut"
        names = [name for name in sorted(self._store.definitions) if name > after and direct]
        return {"DeliveryStreamNames": names[:limit], "HasMoreDeliveryStreams": len(names) > limit}

    def _delete(self, payload: Payload, _caller: Caller) -> Payload:
        self._definition(payload)
        name = payload["DeliveryStreamName"]
        self._store.delete(name)
        log.info("%s: deleted", name)
        return {}

    def _update(self, payload: Payload, caller: Caller) -> Payload:
        definition, name = self._definition(payload), payload["DeliveryStreamName"]
        given, current = payload["CurrentDeliveryStreamVersionId"], str(definition["version"])
        if payload["DestinationId"] != DESTINATION_ID:
            raise invalid(f"Destination {payload['DestinationId']} of Firehose {name} not found")
        if given != current:
            raise AwsError(
                "ConcurrentModificationException",
                f"Cannot update firehose: {name} since the current version id: {current} and specified version id: "
                f"{given} do not match",
            )
        if "ExtendedS3DestinationUpdate" not in payload:
            raise invalid("ExtendedS3DestinationUpdate must be given: other destinations are not supported")
        configuration = {**definition["configuration"], **payload["ExtendedS3DestinationUpdate"]}
        destination = Destination.parse(configuration)
        self._check_role(destination, caller)
        definition.update(configuration=configuration, version=definition["version"] + 1, updated=self._clock())
        self._store.save()
        self.streams[name].reconfigure(destination, definition["version"])
        return {}

    def _start_encryption(self, payload: Payload, _caller: Caller) -> Payload:
        given = payload.get("DeliveryStreamEncryptionConfigurationInput") or {"KeyType": "AWS_OWNED_CMK"}
        return self._change(payload, "encryption", _encryption(given))

    def _stop_encryption(self, payload: Payload, _caller: Caller) -> Payload:
        return self._change(payload, "encryption", _encryption(None))

    def _tag(self, payload: Payload, _caller: Caller) -> Payload:
        given = {tag["Key"]: tag.get("Value", "") for tag in payload["Tags"]}
        return self._change(payload, "tags", self._definition(payload)["tags"] | given)

    def _untag(self, payload: Payload, _caller: Caller) -> Payload:
        tags = self._definition(payload)["tags"]
        return self._change(payload, "tags", {k: v for k, v in tags.items() if k not in payload["TagKeys"]})

    def _change(self, payload: Payload, what: str, value: dict[str, str]) -> Payload:
        self._definition(payload)[what] = value
        self._store.save()
        return {}

    def _list_tags(self, payload: Payload, _caller: Caller) -> Payload:
        after, limit = payload.get("ExclusiveStartTagKey", ""), payload.get("Limit", 50)
        tags = [{"Key": k, "Value": v} for k, v in sorted(self._definition(payload)["tags"].items()) if k > after]
        return {"Tags": tags[:limit], "HasMoreTags": len(tags) > limit}


def _not_found(name: str) -> AwsError:
    return AwsError("ResourceNotFoundException", f"Firehose {name} under account {ACCOUNT} not found.")


def _encryption(given: Mapping[str, str] | None) -> dict[str, str]:
    return {**given, "Status": "ENABLED"} if given else {"Status": "DISABLED"}
