"""Rules on what brings data in: DMS, the delivery stream, queues."""

from __future__ import annotations

import json
from typing import Any

from infrastructure.rules.rule import Complaints, Rule
from infrastructure.rules.view import View, all_are, at, texts

ENDPOINT, STREAM = "AWS::DMS::Endpoint", "AWS::KinesisFirehose::DeliveryStream"
STRICT = {
    "DataErrorPolicy": "STOP_TASK",
    "DataTruncationErrorPolicy": "STOP_TASK",
    "TableErrorPolicy": "STOP_TASK",
    "FailOnNoTablesCaptured": True,
}


def _dms_secret(view: View) -> Complaints:
    for name, properties in view.of_type(ENDPOINT):
        if at(properties, "Password") or at(properties, "Username"):
            yield name, "contains a login instead of naming a secret"
        elif all_are(properties, "EndpointType", "source") and not any(
            at(settings, "SecretsManagerSecretId") for settings in properties.values() if isinstance(settings, dict)
        ):
            yield name, "names no secret"


def _dms_tls(view: View) -> Complaints:
    for name, properties in view.of_type(ENDPOINT):
        source = all_are(properties, "EndpointType", "source")
        if source and not all_are(properties, "SslMode", "verify-ca", "verify-full"):
            yield name, "does not verify the database's certificate (SslMode)"


def _dms_rows(view: View) -> Complaints:
    for name, properties in view.of_type("AWS::DMS::ReplicationTask"):
        errors = _json(at(properties, "ReplicationTaskSettings")).get("ErrorBehavior", {})
        for key, value in STRICT.items():
            if errors.get(key) != value:
                yield name, f"continues without rows or tables that it cannot copy: {key} is not {value}"


def _dms_files(view: View) -> Complaints:
    for name, properties in view.of_type(ENDPOINT):
        if not all_are(properties, "EngineName", "s3"):
            continue
        settings = properties.get("S3Settings", {})
        if all_are(properties, "EndpointType", "target"):
            if not all_are(settings, "AddColumnName", True):
                yield name, "writes no header, so columns are known by their position only (AddColumnName)"
            if not at(settings, "CsvNullValue"):
                yield name, "writes NULL as a text that may also be a value (CsvNullValue)"
            if not all_are(settings, "Rfc4180", True):
                yield name, "does not quote values (Rfc4180)"
        if not all_are(settings, "EncryptionMode", "sse-kms") or not at(settings, "ServerSideEncryptionKmsKeyId"):
            yield name, "does not encrypt with our own key"
        if not at(settings, "ExpectedBucketOwner"):
            yield name, "may write to another account's bucket of this name (no ExpectedBucketOwner)"


def _stream_encrypted(view: View) -> Complaints:
    for name, properties in view.of_type(STREAM):
        if not all_are(properties, "DeliveryStreamEncryptionConfigurationInput.KeyType", "CUSTOMER_MANAGED_CMK"):
            yield name, "does not encrypt undelivered events with our own key"
        if not at(properties, "ExtendedS3DestinationConfiguration.EncryptionConfiguration.KMSEncryptionConfig"):
            yield name, "does not deliver with our own key"


def _stream_errors(view: View) -> Complaints:
    for name, properties in view.of_type(STREAM):
        destination = properties.get("ExtendedS3DestinationConfiguration", {})
        prefix = "".join(text for _, text in texts(destination.get("Prefix", "")))
        errors = "".join(text for _, text in texts(destination.get("ErrorOutputPrefix", "")))
        root = prefix.partition("/")[0]
        if "!{firehose:error-output-type}" not in errors:
            yield name, "ErrorOutputPrefix does not distinguish kinds of failures"
        if errors.startswith("!{") or (root and errors.startswith(f"{root}/")):
            yield name, "failed records have no prefix of their own, so readers take them for events"
        if not all_are(destination, "CloudWatchLoggingOptions.Enabled", True):
            yield name, "does not log why it cannot deliver"


def _dead_letters(view: View) -> Complaints:
    queues = dict(view.of_type("AWS::SQS::Queue"))
    for name, properties in view.of_type("AWS::Lambda::EventSourceMapping"):
        queue = view.named(properties.get("EventSourceArn"))
        if queue not in queues:
            continue
        if not at(queues[queue], "RedrivePolicy.deadLetterTargetArn"):
            yield queue, "has no dead-letter queue: a message that cannot be processed is repeated until it is dropped"
        if "ReportBatchItemFailures" not in at(properties, "FunctionResponseTypes"):
            yield name, "one bad message makes its whole batch be repeated (ReportBatchItemFailures)"
        if not at(properties, "ScalingConfig.MaximumConcurrency"):
            yield name, "a burst uses up the account's concurrency (MaximumConcurrency)"
    for name, _ in view.of_type("AWS::Lambda::Permission"):
        if all_are(view.resources[name]["Properties"], "Principal", "s3.amazonaws.com"):
            yield name, "S3 calls the function directly: no queue keeps what it cannot process"


def _json(values: list[Any]) -> dict[str, Any]:
    found = json.loads(values[0]) if values and isinstance(values[0], str) else {}
    return found if isinstance(found, dict) else {}


RULES = (
    Rule(
        "DMS-1", "DMS takes its login from a secret", "Everybody who may describe an endpoint would see the login",
        "AWS DMS User Guide, Using secrets to access AWS DMS endpoints", _dms_secret,
    ),
    Rule(
        "DMS-2", "DMS verifies the database's certificate", "Otherwise anybody could answer instead of the server",
        "AWS DMS User Guide, Using SSL with AWS DMS", _dms_tls,
    ),
    Rule(
        "DMS-3", "A replication that cannot copy a row fails", "The defaults log the row, skip it and succeed",
        "AWS DMS User Guide, Error handling task settings", _dms_rows,
    ),
    Rule(
        "DMS-4", "Replicated files are unambiguous, encrypted, and written to our own bucket",
        "Without a header, a NULL token and quotes, values end up in wrong columns",
        "AWS DMS User Guide, Endpoint settings when using Amazon S3 as a target", _dms_files,
    ),
    Rule(
        "FIREHOSE-1", "The stream encrypts what it buffers and what it delivers with our own key",
        "Firehose stores events for up to 24 hours while it cannot deliver",
        "Amazon Data Firehose Developer Guide, Data protection in Amazon Data Firehose", _stream_encrypted,
    ),
    Rule(
        "FIREHOSE-2", "Records that cannot be delivered have a prefix of their own, and are logged",
        "Under the events' prefix they would be read as events; without a log nobody would notice",
        "Amazon Data Firehose Developer Guide, Understand custom prefixes for Amazon S3 objects", _stream_errors,
    ),
    Rule(
        "QUEUE-1", "Messages that a function cannot process are set aside one by one, and bursts wait",
        "S3 notifies once for each object; if the notification is dropped, the object is never processed",
        "AWS Lambda Developer Guide, Handling errors for an SQS event source", _dead_letters,
    ),
)  # fmt: skip
