"""Firehose's objects: names, compression, encryption, and retries when S3 refuses them."""

from __future__ import annotations

import gzip
import re
from typing import Any

import pytest

from local.aws.firehose.stream import RETRY_SECONDS
from local.aws.protocol import AwsError
from tests.local.aws.firehose.fakes import Api


class TestObjects:
    def test_the_prefix_is_the_arrival_of_the_oldest_record_across_a_month(self, api: Api) -> None:
        api.create()
        api.clock.now = 1_793_491_199.9  # 2026-10-31T23:59:59.9Z
        api.put(b"old\n")
        api.clock.now += 0.2
        api.put(b"new\n")
        api.tick(60)
        ((key, body),) = api.s3.objects.items()
        assert key.startswith("streaming/2026/10/events-1-2026-10-31-23-59-59-")
        assert body == b"old\nnew\n"

    def test_a_custom_time_zone_moves_prefix_and_name(self, api: Api) -> None:
        api.create(CustomTimeZone="Asia/Tokyo")
        api.clock.now = 1_793_491_199.0  # 2026-11-01T08:59:59 in Tokyo
        api.put(b"a")
        api.tick(60)
        (key,) = api.s3.objects
        assert key.startswith("streaming/2026/11/events-1-2026-11-01-08-59-59-")

    @pytest.mark.parametrize(
        ("prefix", "expected"),
        [
            ("a/!{timestamp:yyyy-MM-dd'T'HH_mm_ss}/", r"a/2026-09-21T14_13_20/"),
            ("a/!{timestamp:yy}/!{timestamp:D}/!{timestamp:EEE MMM d, h a}/", r"a/26/264/Mon Sep 21, 2 PM/"),
            ("a/!{timestamp:yyyy'''years'''}/", r"a/2026'years'/"),
            ("!{firehose:random-string}/!{timestamp:yyyy}/", r"[0-9a-f]{8}-[0-9a-f]{2}/2026/"),
            ("plain/", r"plain/2026/09/21/14/"),
            ("", r"2026/09/21/14/"),
        ],
    )
    def test_prefix_expressions(self, api: Api, prefix: str, expected: str) -> None:
        api.create(Prefix=prefix)
        api.put(b"a")
        api.tick(60)
        (key,) = api.s3.objects
        assert re.fullmatch(expected + r"events-1-2026-09-21-14-13-20-[0-9a-f-]{36}", key)

    def test_gzip_and_extension(self, api: Api) -> None:
        api.create(CompressionFormat="GZIP")
        api.create("named", CompressionFormat="GZIP", FileExtension=".json.gz")
        api.put(b"a\n", b"b\n")
        api.put(b"c\n", name="named")
        api.tick(60)
        unnamed, named = sorted(api.s3.objects)
        assert re.search(r"/events-.*[0-9a-f]{12}\.gz$", unnamed)
        assert re.search(r"/named-.*[0-9a-f]{12}\.json\.gz$", named)
        assert gzip.decompress(api.s3.objects[unnamed]) == b"a\nb\n"

    @pytest.mark.parametrize(
        "parameters",
        [
            {},  # Processor in the API reference: "You don't have to put a processor parameter"
            {"Parameters": [{"ParameterName": "Delimiter", "ParameterValue": "\\n"}]},  # as the console writes it
        ],
    )
    def test_a_delimiter_is_appended_to_each_record(self, api: Api, parameters: dict[str, Any]) -> None:
        processing = {"Enabled": True, "Processors": [{"Type": "AppendDelimiterToRecord", **parameters}]}
        api.create(ProcessingConfiguration=processing)
        api.put(b"a", b"b\n")  # also to one that ends with it: "appends" knows no exception
        api.put(b"c")
        api.tick(60)
        assert list(api.s3.objects.values()) == [b"a\nb\n\nc\n"]
        described = api("DescribeDeliveryStream", DeliveryStreamName="events")["DeliveryStreamDescription"]
        stored = described["Destinations"][0]["ExtendedS3DestinationDescription"]
        assert stored["ProcessingConfiguration"] == processing

    def test_objects_are_encrypted_with_the_streams_key(self, api: Api) -> None:
        key = "arn:aws:kms:us-east-1:123456789012:key/1"
        api.create(EncryptionConfiguration={"KMSEncryptionConfig": {"AWSKMSKeyARN": key}})
        api.put(b"a")
        api.tick(60)
        (put,) = api.s3.puts
        assert (put["ServerSideEncryption"], put["SSEKMSKeyId"]) == ("aws:kms", key)

    def test_an_update_closes_the_buffer_and_raises_the_version(self, api: Api) -> None:
        api.create()
        api.put(b"old")
        api.update("1", Prefix="new/!{timestamp:yyyy/}")
        api.put(b"new")
        api.tick(60)
        old, new = sorted(api.s3.objects, key=lambda key: api.s3.objects[key], reverse=True)
        assert old.startswith("streaming/2026/09/events-1-")
        assert new.startswith("new/2026/events-2-")
        described = api("DescribeDeliveryStream", DeliveryStreamName="events")["DeliveryStreamDescription"]
        assert described["VersionId"] == "2"
        with pytest.raises(AwsError) as stale:
            api.update("1", Prefix="x/")
        assert stale.value.code == "ConcurrentModificationException"


class TestDeliveryFailures:
    def test_a_failed_put_is_repeated_with_the_same_name_and_bytes(self, api: Api) -> None:
        api.create()
        api.put(b"a\n")
        api.s3.failing = 3
        for _ in range(10):
            api.tick(60)
        assert list(api.s3.objects.values()) == [b"a\n"]
        assert len({(put["Key"], put["Body"]) for put in api.s3.puts}) == 1
        assert len(api.s3.puts) == 4

    def test_attempts_back_off_to_a_minute(self, api: Api) -> None:
        api.create()
        api.put(b"a\n")
        api.s3.failing = float("inf")
        for _ in range(3600):
            api.tick(1)
        assert 59 <= len(api.s3.puts) <= 130

    def test_after_24_hours_the_records_are_lost_counted_and_logged(
        self, api: Api, caplog: pytest.LogCaptureFixture
    ) -> None:
        api.create()
        api.put(b"a\n", b"b\n")
        api.s3.failing = float("inf")
        api.tick(60)
        api.tick(RETRY_SECONDS - 1)
        assert api.firehose.streams["events"].pending() == 2
        api.tick(61)
        assert api.firehose.streams["events"].pending() == 0
        assert api.firehose.streams["events"].lost() == {"objects": 1, "records": 2, "bytes": 4}
        assert "LOST 2 records" in caplog.text
        api.s3.failing = 0
        api.put(b"c\n")
        api.tick(60)
        assert list(api.s3.objects.values()) == [b"c\n"]

    def test_other_streams_do_not_wait_for_one_that_fails(self, api: Api) -> None:
        api.create("first")
        api.create("second")
        api.put(b"1", name="first")
        api.put(b"2", name="second")
        api.s3.failing = 1
        api.tick(60)
        assert list(api.s3.objects.values()) == [b"2"]
