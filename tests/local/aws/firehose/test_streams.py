"""Firehose's streams: limits and errors like AWS's, descriptions, permissions."""

from __future__ import annotations

from typing import Any

import pytest

from local.aws.firehose.stream import Stream
from local.aws.protocol import AwsError
from tests.local.aws.firehose.fakes import CONFIGURATION, ROLE, Api, FakeServices


class TestLimitsAndErrors:
    def test_a_call_takes_1_to_500_records(self, api: Api) -> None:
        api.create()
        reply = api.put(*[b"x"] * 500)
        assert reply["FailedPutCount"] == 0
        assert len({entry["RecordId"] for entry in reply["RequestResponses"]}) == 500
        one = {"Data": "eA=="}
        for count in (0, 501):
            error = api.error("PutRecordBatch", DeliveryStreamName="events", Records=[one] * count)
            assert (error.code, "at 'records' failed" in error.message) == ("ValidationException", True)

    def test_a_record_holds_1024000_bytes_at_most(self, api: Api) -> None:
        api.create()
        api.put(b"x" * 1_024_000)
        with pytest.raises(AwsError, match=r"records\.2\.member\.data.*less than or equal to 1024000"):
            api.put(b"x", b"x" * 1_024_001)

    def test_a_call_holds_4_mib_at_most(self, api: Api) -> None:
        api.create()
        api.put(*[b"x" * 8388] * 500)
        with pytest.raises(AwsError, match="InvalidArgumentException: Records size exceeds 4 MB limit"):
            api.put(*[b"x" * 8389] * 500)

    def test_data_that_is_not_base64_is_refused(self, api: Api) -> None:
        api.create()
        for record in ({"Data": "!"}, {"Data": 1}):
            error = api.error("PutRecordBatch", DeliveryStreamName="events", Records=[record])
            assert error.code == "SerializationException"

    def test_an_unknown_stream(self, api: Api) -> None:
        with pytest.raises(AwsError, match="Firehose nope under account 123456789012 not found"):
            api.put(b"x", name="nope")
        for action in ("DescribeDeliveryStream", "DeleteDeliveryStream", "ListTagsForDeliveryStream"):
            assert api.error(action, DeliveryStreamName="nope").code == "ResourceNotFoundException"

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"BufferingHints": {"SizeInMBs": 1}}, "must be given together"),
            ({"ErrorOutputPrefix": ""}, "ErrorOutputPrefix cannot be null or empty when Prefix contains expressions"),
            ({"ErrorOutputPrefix": "e/!{timestamp:yyyy}/"}, "must contain !{firehose:error-output-type}"),
            ({"Prefix": "!{firehose:error-output-type}/"}, "Prefix cannot contain !{firehose:error-output-type}"),
            ({"Prefix": "p" * 513}, "Prefix is longer than 512 characters"),
            ({"Prefix": "a/!{timestamp:YYYY}/"}, "pattern 'YYYY' is not supported"),
            ({"Prefix": "a/!{timestamp:yyyyy-ww}/"}, "pattern 'ww' is not supported"),
            ({"Prefix": "a/!{sun:rise}/"}, "unknown expression !{sun:rise}"),
            ({"Prefix": "a/!{timestamp/"}, "can only appear in"),
            ({"Prefix": "a/!{partitionKeyFromQuery:x}/"}, "dynamic partitioning"),
            ({"CompressionFormat": "Snappy"}, "CompressionFormat Snappy is not supported"),
            ({"DataFormatConversionConfiguration": {"Enabled": True}}, "data format conversion is not supported"),
            ({"DynamicPartitioningConfiguration": {"Enabled": True}}, "dynamic partitioning is not supported"),
            ({"S3BackupMode": "Enabled"}, "S3 backup is not supported"),
            ({"ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "Lambda"}]}}, "processor Lambda"),
            ({"CustomTimeZone": "Mars/Olympus"}, "CustomTimeZone 'Mars/Olympus' is not a time zone"),
            ({"RoleARN": "arn:aws:iam::123456789012:role/nobody"}, "unable to assume role .*role/nobody"),
        ],
    )
    def test_a_configuration_that_is_refused(self, api: Api, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(AwsError, match=message) as caught:
            api.create(**changes)
        assert caught.value.code == "InvalidArgumentException"
        assert api("ListDeliveryStreams")["DeliveryStreamNames"] == []

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"BufferingHints": {"SizeInMBs": 129, "IntervalInSeconds": 60}},
                "sizeInMBs' .* equal to 128",
            ),
            ({"BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 901}}, "intervalInSeconds' .* equal to 900"),
            ({"FileExtension": "JSON"}, "'JSON' at 'extendedS3DestinationConfiguration.fileExtension'"),
            ({"BucketARN": "landing"}, "'landing' at 'extendedS3DestinationConfiguration.bucketARN'"),
        ],
    )
    def test_a_configuration_that_breaks_the_model(self, api: Api, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(AwsError, match=message) as caught:
            api.create(**changes)
        assert caught.value.code == "ValidationException"

    def test_a_stream_other_than_direct_put_to_s3(self, api: Api) -> None:
        for payload, word in (
            ({"DeliveryStreamType": "KinesisStreamAsSource"}, "KinesisStreamAsSource"),
            ({"S3DestinationConfiguration": {"RoleARN": ROLE, "BucketARN": "arn:aws:s3:::b"}}, "S3Destination"),
            ({}, "ExtendedS3DestinationConfiguration must be given"),
        ):
            error = api.error("CreateDeliveryStream", **{"DeliveryStreamName": "events", **payload})
            assert (error.code, word in error.message) == ("InvalidArgumentException", True)
        assert "Nope is not a parameter" in api.error("CreateDeliveryStream", DeliveryStreamName="x", Nope=1).message

    def test_a_name_can_be_taken_once(self, api: Api) -> None:
        api.create()
        with pytest.raises(AwsError, match="already exists") as caught:
            api.create()
        assert caught.value.code == "ResourceInUseException"

    def test_every_action_asks_for_its_own_permission(self, api: Api) -> None:
        api.create()
        arn = "arn:aws:firehose:us-east-1:123456789012:deliverystream/events"
        assert api.services.asked == [("firehose:CreateDeliveryStream", arn), ("iam:PassRole", ROLE)]
        api.services.denied = {f"firehose:{action}" for action in api.firehose.actions}
        for action in api.firehose.actions:
            more: dict[str, dict[str, Any]] = {
                "PutRecord": {"Record": {"Data": "eA=="}},
                "PutRecordBatch": {"Records": [{"Data": "eA=="}]},
                "UpdateDestination": {"CurrentDeliveryStreamVersionId": "1", "DestinationId": "d"},
                "TagDeliveryStream": {"Tags": [{"Key": "k"}]},
                "UntagDeliveryStream": {"TagKeys": ["k"]},
            }
            stream = {} if action == "ListDeliveryStreams" else {"DeliveryStreamName": "events"}
            assert api.error(action, **stream, **more.get(action, {})).code == "AccessDeniedException", action
        assert api.firehose.streams["events"].pending() == 0


class TestStreams:
    def test_describe_list_tags_encryption_delete(self, api: Api) -> None:
        api("CreateDeliveryStream", DeliveryStreamName="events", ExtendedS3DestinationConfiguration=CONFIGURATION,
            Tags=[{"Key": "team", "Value": "films"}])  # fmt: skip
        api.create("other")
        assert api("ListDeliveryStreams", Limit=1) == {
            "DeliveryStreamNames": ["events"],
            "HasMoreDeliveryStreams": True,
        }
        assert api("ListDeliveryStreams", ExclusiveStartDeliveryStreamName="events")["DeliveryStreamNames"] == ["other"]
        described = api("DescribeDeliveryStream", DeliveryStreamName="events")["DeliveryStreamDescription"]
        assert (described["DeliveryStreamStatus"], described["DeliveryStreamType"]) == ("ACTIVE", "DirectPut")
        (destination,) = described["Destinations"]
        assert destination["ExtendedS3DestinationDescription"] == {
            **CONFIGURATION,
            "CompressionFormat": "UNCOMPRESSED",
            "EncryptionConfiguration": {"NoEncryptionConfig": "NoEncryption"},
            "CloudWatchLoggingOptions": {"Enabled": False},
            "S3BackupMode": "Disabled",
        }
        api("TagDeliveryStream", DeliveryStreamName="events", Tags=[{"Key": "cost", "Value": "1"}])
        api("UntagDeliveryStream", DeliveryStreamName="events", TagKeys=["team"])
        tags = api("ListTagsForDeliveryStream", DeliveryStreamName="events")
        assert tags == {"Tags": [{"Key": "cost", "Value": "1"}], "HasMoreTags": False}
        assert api.put(b"x")["Encrypted"] is False
        api("StartDeliveryStreamEncryption", DeliveryStreamName="events")
        assert api("PutRecord", DeliveryStreamName="events", Record={"Data": "eA=="})["Encrypted"] is True
        api("StopDeliveryStreamEncryption", DeliveryStreamName="events")
        assert api.put(b"x")["Encrypted"] is False
        api("DeleteDeliveryStream", DeliveryStreamName="events")
        assert list(api.s3.objects.values()) == [b"xxx"]
        assert api("ListDeliveryStreams")["DeliveryStreamNames"] == ["other"]

    def test_streams_and_undelivered_records_come_back_after_a_restart(self, api: Api) -> None:
        api.create()
        api.update("1", Prefix="p/!{timestamp:MM/}")
        api.put(b"a\n", b"b\n")
        again = Api(api.services)
        again.tick()
        ((key, body),) = again.s3.objects.items()
        assert key.startswith("p/09/events-2-2026-09-21-14-13-20-")
        assert body == b"a\nb\n"
        assert (
            again("DescribeDeliveryStream", DeliveryStreamName="events")["DeliveryStreamDescription"]["VersionId"]
            == "2"
        )


class TestPartialFailure:
    def test_only_the_records_that_failed_say_so(self, services: FakeServices, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Stream, "start", lambda _: None)
        api = Api(services, fault=lambda _name, _count: {1: "ServiceUnavailableException", 3: "InternalFailure"})
        api.create()
        reply = api.put(b"0", b"1", b"2", b"3", b"4")
        assert reply["FailedPutCount"] == 2
        assert [entry.get("ErrorCode") for entry in reply["RequestResponses"]] == [
            None, "ServiceUnavailableException", None, "InternalFailure", None,
        ]  # fmt: skip
        api.tick(60)
        assert list(services.s3.objects.values()) == [b"024"]
