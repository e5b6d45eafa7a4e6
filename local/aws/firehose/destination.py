"""A stream's S3 destination: AWS's ExtendedS3DestinationConfiguration, checked and parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from local.aws.firehose.prefix import Prefix, PrefixError, parse_prefixes
from local.aws.protocol import AwsError

MIB = 1024 * 1024
DEFAULT_HINTS = {"SizeInMBs": 5, "IntervalInSeconds": 300}
NO_ENCRYPTION = {"NoEncryptionConfig": "NoEncryption"}


def invalid(message: str) -> AwsError:
    """AWS's error for an argument that fits the service's model but is not allowed."""
    return AwsError("InvalidArgumentException", message)


@dataclass(frozen=True)
class Destination:
    """Where and how a stream delivers. ``size`` is in bytes, ``interval`` in seconds."""

    role_arn: str
    bucket: str
    prefix: Prefix
    size: int
    interval: int
    gzip: bool
    extension: str
    zone: tzinfo
    delimiter: bytes
    kms_key: str | None
    log: tuple[str, str] | None  # log group and log stream for failed deliveries

    @classmethod
    def parse(cls, configuration: Mapping[str, Any]) -> Destination:
        """Check and parse a configuration that fits the service's model.

        Raises:
            AwsError: InvalidArgumentException, for what AWS refuses and for what is not supported here.
        """
        _refuse_unsupported(configuration)
        try:
            prefix = parse_prefixes(configuration.get("Prefix") or "", configuration.get("ErrorOutputPrefix") or "")
        except PrefixError as error:
            raise invalid(str(error)) from error
        size, interval = _buffering(configuration.get("BufferingHints"))
        gzip = configuration.get("CompressionFormat", "UNCOMPRESSED") == "GZIP"
        extension = configuration.get("FileExtension") or ""
        encryption = configuration.get("EncryptionConfiguration") or {}
        return cls(
            role_arn=configuration["RoleARN"],
            bucket=configuration["BucketARN"].rpartition(":")[2],
            prefix=prefix,
            size=size,
            interval=interval,
            gzip=gzip,
            extension=extension or (".gz" if gzip else ""),
            zone=_time_zone(configuration.get("CustomTimeZone") or "UTC"),
            delimiter=_delimiter(configuration.get("ProcessingConfiguration") or {}),
            kms_key=encryption.get("KMSEncryptionConfig", {}).get("AWSKMSKeyARN"),
            log=_log_stream(configuration.get("CloudWatchLoggingOptions") or {}),
        )


def describe(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as DescribeDeliveryStream returns it, with AWS's defaults filled in."""
    return {
        "BufferingHints": DEFAULT_HINTS,
        "CompressionFormat": "UNCOMPRESSED",
        "EncryptionConfiguration": NO_ENCRYPTION,
        "CloudWatchLoggingOptions": {"Enabled": False},
        "S3BackupMode": "Disabled",
        **configuration,
    }


def _refuse_unsupported(configuration: Mapping[str, Any]) -> None:
    enabled = {
        "data format conversion": configuration.get("DataFormatConversionConfiguration", {}).get("Enabled", False),
        "dynamic partitioning": configuration.get("DynamicPartitioningConfiguration", {}).get("Enabled", False),
        "S3 backup": configuration.get("S3BackupMode") == "Enabled" or "S3BackupConfiguration" in configuration,
    }
    for feature, on in enabled.items():
        if on:
            raise invalid(f"{feature} is not supported by the local Firehose")
    compression = configuration.get("CompressionFormat", "UNCOMPRESSED")
    if compression not in ("UNCOMPRESSED", "GZIP"):
        refused = f"CompressionFormat {compression} is not supported"
        raise invalid(f"{refused} by the local Firehose (UNCOMPRESSED and GZIP are)")


def _buffering(hints: Mapping[str, int] | None) -> tuple[int, int]:
    """Buffer size in bytes and interval in seconds; AWS wants both or neither."""
    if hints and set(hints) != set(DEFAULT_HINTS):
        raise invalid("BufferingHints: SizeInMBs and IntervalInSeconds must be given together")
    chosen = hints or DEFAULT_HINTS
    return chosen["SizeInMBs"] * MIB, chosen["IntervalInSeconds"]


def _log_stream(options: Mapping[str, Any]) -> tuple[str, str] | None:
    if not options.get("Enabled", False):
        return None
    if not options.get("LogGroupName") or not options.get("LogStreamName"):
        raise invalid("CloudWatchLoggingOptions: LogGroupName and LogStreamName are needed when logging is enabled")
    return options["LogGroupName"], options["LogStreamName"]


def _time_zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise invalid(f"CustomTimeZone {name!r} is not a time zone") from error


def _delimiter(processing: Mapping[str, Any]) -> bytes:
    r"""What AppendDelimiterToRecord appends to each record; the console's default is a newline, written ``\\n``."""
    delimiter = b""
    if not processing.get("Enabled", False):
        return delimiter
    for processor in processing.get("Processors", []):
        if processor["Type"] != "AppendDelimiterToRecord":
            raise invalid(f"processor {processor['Type']} is not supported by the local Firehose")
        values = {p["ParameterName"]: p["ParameterValue"] for p in processor.get("Parameters", [])}
        delimiter = values.get("Delimiter", r"\n").replace(r"\n", "\n").encode()
    return delimiter
