"""The API of Amazon Data Firehose over real buffers and real S3 objects.

Served: every action, for Direct PUT streams with an ExtendedS3DestinationConfiguration: buffering by size or interval,
prefix expressions, GZIP, file extension, time zone, the AppendDelimiterToRecord processor, KMS keys of objects, failed
deliveries in CloudWatch Logs, the metrics Incoming* and DeliveryToS3.* of AWS/Firehose.
Recorded without effect here: encryption of the stream itself, tags. Refused by name: every other source, destination,
processor, compression, dynamic partitioning, format conversion, S3 backup. So nothing ever goes to ErrorOutputPrefix;
its rules are checked all the same.

Sources of the rules: the Firehose developer guide and API reference, and the service's model in botocore.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from botocore.config import Config

from local.aws.firehose import records
from local.aws.firehose.configuration import Destination, describe, invalid
from local.aws.firehose.monitoring import Reporter
from local.aws.firehose.stream import Stream
from local.aws.protocol import AwsError, Caller, Handler, Payload, Request, Services
from local.aws.settings import ACCOUNT, REGION
from local.engines.files import write_atomically

log = logging.getLogger(__name__)

DESTINATION = "ExtendedS3DestinationConfiguration"
DESTINATION_ID = "destinationId-000000000001"
_ONE_ATTEMPT = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1})

Control = Callable[[Payload, Caller], Payload]


def _arn(name: str) -> str:
    return f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{name}"


class Firehose:
    """The executor. Records are acknowledged once they are on disk; a kill loses none of them."""

    service = "firehose"
    passes_through = False

    def __init__(
        self, services: Services, *, clock: Callable[[], float] = time.time, fault: records.Fault | None = None
    ) -> None:
        self._services, self._clock, self._fault = services, clock, fault
        self._folder: Path = services.settings.data / "firehose"
        self._lock = threading.Lock()  # one control action at a time
        self._records: dict[str, dict[str, Any]] = {}  # as stored, by name of the stream
        self.streams: dict[str, Stream] = {}
        self._clients: dict[tuple[str, str], Any] = {}  # by service and role
        self.reporter = Reporter(self.streams, lambda: services.root("cloudwatch"), partial(self._client, "logs"))
        control: Mapping[str, Control] = {
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

    # --- life

    def start(self) -> None:
        """Load streams and buffers, and deliver in the background; what an earlier process left goes out at once."""
        state = self._folder / "streams.json"
        self._records = json.loads(state.read_text()) if state.exists() else {}
        kept = {self._buffer(name) for name in self._records}
        for folder in self._folder.glob("*.buffer"):  # of a stream whose deletion was cut short
            if folder not in kept:
                shutil.rmtree(folder)
        for name in self._records:
            self._open(name).start()
        self.reporter.start()

    def stop(self) -> None:
        """Stop delivering; what is buffered stays on disk."""
        for stream in list(self.streams.values()):
            stream.stop()
        self.reporter.stop()

    def _buffer(self, name: str) -> Path:
        return self._folder / f"{name}.buffer"

    def _open(self, name: str) -> Stream:
        record = self._records[name]
        self.streams[name] = Stream(
            name,
            self._buffer(name),
            Destination.read(record["configuration"]),
            record["version"],
            put=self._put_object,
            clock=self._clock,
        )
        return self.streams[name]

    def _save(self) -> None:
        write_atomically(self._folder / "streams.json", json.dumps(self._records, indent=1))

    def _put_object(self, destination: Destination, bucket: str, key: str, body: bytes) -> None:
        """One attempt to write an object, under the stream's role."""
        kms = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": destination.kms_key} if destination.kms_key else {}
        self._client("s3", destination.role_arn).put_object(Bucket=bucket, Key=key, Body=body, **kms)

    def _client(self, service: str, role: str) -> Any:
        """A client under a role that tries once."""
        if (service, role) not in self._clients:
            session = self._services.session(role, "firehose")
            self._clients[service, role] = session.client(service, config=_ONE_ATTEMPT)
        return self._clients[service, role]

    # --- records

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
        stream, record = self.streams.get(name), self._records.get(name)
        if stream is None or record is None:
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
            "Encrypted": record["encryption"]["Status"] == "ENABLED",
            "RequestResponses": records.answer(len(data), failures),
        }

    # --- streams

    def _controlled(self, action: str, handler: Control) -> Handler:
        """Authorise the caller, run one at a time."""

        def handle(request: Request) -> Payload:
            payload = request.payload
            resource = "*" if action == "ListDeliveryStreams" else _arn(payload["DeliveryStreamName"])
            self._services.authorize(request.caller, f"firehose:{action}", resource)
            with self._lock:
                return handler(payload, request.caller)

        return handle

    def _record(self, payload: Payload) -> dict[str, Any]:
        name = payload["DeliveryStreamName"]
        if name not in self._records:
            raise _not_found(name)
        return self._records[name]

    def _create(self, payload: Payload, caller: Caller) -> Payload:
        name, kind = payload["DeliveryStreamName"], payload.get("DeliveryStreamType", "DirectPut")
        if kind != "DirectPut":
            raise invalid(f"DeliveryStreamType {kind} is not supported by the local Firehose (DirectPut is)")
        others = [key for key in payload if key.endswith("Configuration") and key != DESTINATION]
        if others:
            raise invalid(f"{', '.join(others)}: not supported by the local Firehose")
        if DESTINATION not in payload:
            raise invalid(f"{DESTINATION} is needed")
        if name in self._records:
            raise AwsError("ResourceInUseException", f"Firehose {name} under accountId {ACCOUNT} already exists")
        self._check_role(Destination.read(payload[DESTINATION]), caller)
        now = self._clock()
        self._records[name] = {
            "created": now,
            "updated": now,
            "version": 1,
            "configuration": payload[DESTINATION],
            "encryption": _encryption(payload.get("DeliveryStreamEncryptionConfigurationInput")),
            "tags": {tag["Key"]: tag.get("Value", "") for tag in payload.get("Tags", [])},
        }
        self._save()
        self._open(name).start()
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
        record = self._record(payload)
        destination = {
            "DestinationId": DESTINATION_ID,
            "ExtendedS3DestinationDescription": describe(record["configuration"]),
        }
        description = {
            "DeliveryStreamName": payload["DeliveryStreamName"],
            "DeliveryStreamARN": _arn(payload["DeliveryStreamName"]),
            "DeliveryStreamStatus": "ACTIVE",
            "DeliveryStreamEncryptionConfiguration": record["encryption"],
            "DeliveryStreamType": "DirectPut",
            "VersionId": str(record["version"]),
            "CreateTimestamp": record["created"],
            "LastUpdateTimestamp": record["updated"],
            "Destinations": [destination],
            "HasMoreDestinations": False,
        }
        return {"DeliveryStreamDescription": description}

    def _list(self, payload: Payload, _caller: Caller) -> Payload:
        after, limit = payload.get("ExclusiveStartDeliveryStreamName", ""), payload.get("Limit", 10)
        direct = payload.get("DeliveryStreamType", "DirectPut") == "DirectPut"
        names = [name for name in sorted(self._records) if name > after and direct]
        return {"DeliveryStreamNames": names[:limit], "HasMoreDeliveryStreams": len(names) > limit}

    def _delete(self, payload: Payload, _caller: Caller) -> Payload:
        self._record(payload)
        name = payload["DeliveryStreamName"]
        self.streams.pop(name).delete()
        del self._records[name]
        self._save()
        log.info("%s: deleted", name)
        return {}

    def _update(self, payload: Payload, caller: Caller) -> Payload:
        record, name = self._record(payload), payload["DeliveryStreamName"]
        given, current = payload["CurrentDeliveryStreamVersionId"], str(record["version"])
        if payload["DestinationId"] != DESTINATION_ID:
            raise invalid(f"Destination {payload['DestinationId']} of Firehose {name} not found")
        if given != current:
            raise AwsError(
                "ConcurrentModificationException",
                f"Cannot update firehose: {name} since the current version id: {current} and specified version id: "
                f"{given} do not match",
            )
        if "ExtendedS3DestinationUpdate" not in payload:
            raise invalid("ExtendedS3DestinationUpdate is needed: other destinations are not supported")
        configuration = {**record["configuration"], **payload["ExtendedS3DestinationUpdate"]}
        destination = Destination.read(configuration)
        self._check_role(destination, caller)
        record.update(configuration=configuration, version=record["version"] + 1, updated=self._clock())
        self._save()
        self.streams[name].reconfigure(destination, record["version"])
        return {}

    def _start_encryption(self, payload: Payload, _caller: Caller) -> Payload:
        given = payload.get("DeliveryStreamEncryptionConfigurationInput") or {"KeyType": "AWS_OWNED_CMK"}
        return self._change(payload, "encryption", _encryption(given))

    def _stop_encryption(self, payload: Payload, _caller: Caller) -> Payload:
        return self._change(payload, "encryption", _encryption(None))

    def _tag(self, payload: Payload, _caller: Caller) -> Payload:
        given = {tag["Key"]: tag.get("Value", "") for tag in payload["Tags"]}
        return self._change(payload, "tags", self._record(payload)["tags"] | given)

    def _untag(self, payload: Payload, _caller: Caller) -> Payload:
        tags = self._record(payload)["tags"]
        return self._change(payload, "tags", {k: v for k, v in tags.items() if k not in payload["TagKeys"]})

    def _change(self, payload: Payload, what: str, value: dict[str, str]) -> Payload:
        self._record(payload)[what] = value
        self._save()
        return {}

    def _list_tags(self, payload: Payload, _caller: Caller) -> Payload:
        after, limit = payload.get("ExclusiveStartTagKey", ""), payload.get("Limit", 50)
        tags = [{"Key": k, "Value": v} for k, v in sorted(self._record(payload)["tags"].items()) if k > after]
        return {"Tags": tags[:limit], "HasMoreTags": len(tags) > limit}


def _not_found(name: str) -> AwsError:
    return AwsError("ResourceNotFoundException", f"Firehose {name} under account {ACCOUNT} not found.")


def _encryption(given: Mapping[str, str] | None) -> dict[str, str]:
    return {**given, "Status": "ENABLED"} if given else {"Status": "DISABLED"}
