"""Firehose's buffers: closed by size and by age, and every byte in one object."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.aws.firehose.destination import Destination
from local.aws.firehose.stream import Stream
from tests.local.aws.firehose.fakes import CONFIGURATION, ROLE, Api, Clock

MIB = 1024 * 1024


class TestBuffering:
    def test_an_object_is_written_when_the_interval_is_over_and_not_before(self, api: Api) -> None:
        api.create()
        api.put(b'{"n": 1}\n')
        api.tick(59)
        api.put(b'{"n": 2}\n', b'{"n": 3}\n')
        api.tick(0.5)
        assert api.s3.objects == {}
        api.tick(0.5)
        ((key, body),) = api.s3.objects.items()
        assert body == b'{"n": 1}\n{"n": 2}\n{"n": 3}\n'
        uuid = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
        assert re.fullmatch(rf"streaming/2026/09/events-1-2026-09-21-14-13-20-{uuid}", key)

    def test_an_object_is_written_at_once_when_the_size_is_reached(self, api: Api) -> None:
        api.create()
        api.put(*[b"x" * 1023 + b"\n"] * 500)
        api.put(*[b"x" * 1023 + b"\n"] * 500)
        api.tick()
        assert api.s3.objects == {}
        api.put(*[b"x" * 1023 + b"\n"] * 500)
        api.tick()
        assert [len(body) for body in api.s3.objects.values()] == [MIB]
        api.tick(60)
        assert sorted(len(body) for body in api.s3.objects.values()) == [1500 * 1024 - MIB, MIB]

    def test_a_call_larger_than_the_buffer_becomes_several_objects(self, api: Api) -> None:
        api.create()
        api.put(*[bytes([65 + i]) * 600_000 for i in range(6)])
        api.tick()
        assert [len(body) for body in api.s3.objects.values()] == [1_200_000] * 3
        assert b"".join(api.s3.objects.values()) == b"".join(bytes([65 + i]) * 600_000 for i in range(6))

    def test_the_interval_counts_from_the_oldest_record(self, api: Api) -> None:
        api.create()
        api.put(b"a")
        api.tick(60)
        api.put(b"b")
        api.tick(59)
        assert list(api.s3.objects.values()) == [b"a"]
        api.tick(1)
        assert list(api.s3.objects.values()) == [b"a", b"b"]

    def test_an_interval_of_zero_delivers_at_once(self, api: Api) -> None:
        api.create(BufferingHints={"SizeInMBs": 1, "IntervalInSeconds": 0})
        api.put(b"a")
        api.tick()
        assert list(api.s3.objects.values()) == [b"a"]

    def test_the_default_is_five_megabytes_or_300_seconds(self, api: Api) -> None:
        api("CreateDeliveryStream", DeliveryStreamName="plain", ExtendedS3DestinationConfiguration={
            "RoleARN": ROLE, "BucketARN": "arn:aws:s3:::landing"})  # fmt: skip
        api.put(b"x" * 1_000_000, b"y" * 1_000_000, name="plain")
        api.tick(299)
        assert api.s3.objects == {}
        api.tick(1)
        ((key, body),) = api.s3.objects.items()
        assert key.startswith("2026/09/21/14/plain-1-")
        assert len(body) == 2_000_000

    @settings(max_examples=40)
    @given(calls=st.lists(st.lists(st.integers(0, 700), min_size=1, max_size=8), max_size=12), delimited=st.booleans())
    def test_every_byte_ends_in_one_object_and_only_full_buffers_close(
        self, calls: list[list[int]], delimited: bool, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        processing = {"Enabled": True, "Processors": [{"Type": "AppendDelimiterToRecord"}]} if delimited else {}
        destination = Destination.parse({**CONFIGURATION, "ProcessingConfiguration": processing})
        object.__setattr__(destination, "size", 1000)
        bodies: list[bytes] = []
        clock = Clock()
        stream = Stream("s", tmp_path_factory.mktemp("s"), destination, 1,
                        put=lambda _d, _b, _k, body: bodies.append(body), clock=clock)  # fmt: skip
        for number, sizes in enumerate(calls):
            stream.put([bytes([number]) * size for size in sizes])
        stream.tick()
        end = b"\n" if delimited else b""
        whole = b"".join(bytes([number]) * size + end for number, sizes in enumerate(calls) for size in sizes)
        assert all(1000 <= len(body) < 1000 + 701 for body in bodies)
        assert len(whole) - sum(map(len, bodies)) < 1000
        clock.now += 60
        stream.tick()
        assert b"".join(bodies) == whole
        assert stream.pending() == 0
