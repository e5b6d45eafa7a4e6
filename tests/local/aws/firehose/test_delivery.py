"""Firehose through the real server and emulator: boto3, enforced roles, and kills of server and emulator."""

from __future__ import annotations

import gzip
import json
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from kdg.generator import Generator
from kdg.sender import Ledger, Sender, run
from kdg.template import EVENTS, Template
from local.engines.waiting import wait_until
from tests.support.aws_services import (  # noqa: F401
    LakeServer,
    emulator,
    lake_server,
    make_role,
    running_emulator,
    server_process,
)

pytestmark = pytest.mark.services
ARN = "arn:aws:firehose:us-east-1:123456789012:deliverystream"


def destination(role: str, bucket: str, **changes: Any) -> dict[str, Any]:
    return {
        "RoleARN": role,
        "BucketARN": f"arn:aws:s3:::{bucket}",
        "Prefix": "streaming/!{timestamp:yyyy/MM/}",
        "ErrorOutputPrefix": "streaming-errors/!{firehose:error-output-type}/",
        "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1},
        **changes,
    }


def objects(s3: Any, bucket: str) -> dict[str, bytes]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    return {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def writer(lake_server: LakeServer, name: str, bucket: str) -> str:  # noqa: F811
    allowed = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/streaming/*"}
    return lake_server.role(name, allowed)


def test_records_put_by_a_producer_arrive_in_s3(lake_server: LakeServer) -> None:  # noqa: F811
    s3, bucket = lake_server.emulator.client("s3"), "firehose-arrival"
    s3.create_bucket(Bucket=bucket)
    key_arn = lake_server.emulator.client("kms").create_key()["KeyMetadata"]["Arn"]
    firehose = lake_server.client("firehose")
    made = firehose.create_delivery_stream(
        DeliveryStreamName="arrival",
        DeliveryStreamType="DirectPut",
        ExtendedS3DestinationConfiguration=destination(
            writer(lake_server, "arrival-firehose", bucket),
            bucket,
            CompressionFormat="GZIP",
            EncryptionConfiguration={"KMSEncryptionConfig": {"AWSKMSKeyARN": key_arn}},
        ),
        Tags=[{"Key": "team", "Value": "films"}],
    )
    assert made["DeliveryStreamARN"] == f"{ARN}/arrival"
    described = firehose.describe_delivery_stream(DeliveryStreamName="arrival")["DeliveryStreamDescription"]
    assert (described["DeliveryStreamStatus"], described["CreateTimestamp"].year >= 2026) == ("ACTIVE", True)
    assert "arrival" in firehose.list_delivery_streams()["DeliveryStreamNames"]
    puts = {"Effect": "Allow", "Action": "firehose:PutRecordBatch", "Resource": f"{ARN}/arrival"}
    producer = lake_server.session(lake_server.role("arrival-producer", puts)).client("firehose")
    lines = [f'{{"n": {n}, "text": "\u00e9\\n"}}\n'.encode() for n in range(500)]
    reply = producer.put_record_batch(DeliveryStreamName="arrival", Records=[{"Data": line} for line in lines])
    assert (reply["FailedPutCount"], len(reply["RequestResponses"])) == (0, 500)
    wait_until(lambda: bool(objects(s3, bucket)), 60, "no object was delivered")
    ((key, body),) = objects(s3, bucket).items()
    assert key.endswith(".gz")
    assert gzip.decompress(body) == b"".join(lines)
    head = s3.head_object(Bucket=bucket, Key=key)
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key_arn)
    with pytest.raises(ClientError, match=r"not authorized to perform: firehose:PutRecord on"):
        producer.put_record(DeliveryStreamName="arrival", Record={"Data": b"x"})
    with pytest.raises(firehose.exceptions.ResourceNotFoundException, match="Firehose nope under account"):
        firehose.put_record(DeliveryStreamName="nope", Record={"Data": b"x"})
    with pytest.raises(ClientError, match="less than or equal to 500"):
        firehose.put_record_batch(DeliveryStreamName="arrival", Records=[{"Data": b"x"}] * 501)
    with pytest.raises(firehose.exceptions.InvalidArgumentException, match="unable to assume role"):
        firehose.create_delivery_stream(
            DeliveryStreamName="roleless",
            ExtendedS3DestinationConfiguration=destination("arn:aws:iam::123456789012:role/none", bucket),
        )
    firehose.delete_delivery_stream(DeliveryStreamName="arrival")


def test_delivery_runs_under_the_streams_role_and_waits_for_a_missing_right(lake_server: LakeServer) -> None:  # noqa: F811
    s3, bucket = lake_server.emulator.client("s3"), "firehose-rights"
    s3.create_bucket(Bucket=bucket)
    firehose = lake_server.client("firehose")
    role = writer(lake_server, "rights-firehose", "another-bucket")
    firehose.create_delivery_stream(
        DeliveryStreamName="rights", ExtendedS3DestinationConfiguration=destination(role, bucket)
    )
    firehose.put_record(DeliveryStreamName="rights", Record={"Data": b"a\n"})
    (api,) = [item for item in lake_server.server.apis if item.service == "firehose"]
    (stream,) = [stream for name, stream in api.streams.items() if name == "rights"]  # type: ignore[attr-defined]
    wait_until(lambda: any(delivery.failures for delivery in stream._closed), 60, "nothing was refused")
    assert objects(s3, bucket) == {}
    writer(lake_server, "rights-firehose", bucket)
    wait_until(lambda: stream.pending() == 0, 60, "nothing was delivered after the grant")
    assert list(objects(s3, bucket).values()) == [b"a\n"]
    firehose.delete_delivery_stream(DeliveryStreamName="rights")


def test_kills_of_server_and_emulator_lose_no_acknowledged_event(tmp_path: Path) -> None:
    """A generator sends all the time; every id in its ledger is in S3 and every line is complete."""
    with running_emulator(tmp_path) as emulator, server_process(emulator) as server:  # noqa: F811
        s3 = emulator.client("s3")
        grant = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::landing-zone/*"}
        make_role(emulator, "firehose", {"Service": "firehose.amazonaws.com"}, grant)
        s3.create_bucket(Bucket="landing-zone")
        emulator.stop()  # saves the state to which a kill falls back
        emulator.start()
        firehose = server.client("firehose", config=Config(retries={"total_max_attempts": 1}, read_timeout=5))
        firehose.create_delivery_stream(
            DeliveryStreamName="events",
            ExtendedS3DestinationConfiguration=destination(
                "arn:aws:iam::123456789012:role/firehose",
                "landing-zone",
                BufferingHints={"SizeInMBs": 1, "IntervalInSeconds": 2},
                ProcessingConfiguration={"Enabled": True, "Processors": [{"Type": "AppendDelimiterToRecord"}]},
            ),
        )
        generator = Generator(Template.read(EVENTS), seed=1, run_id=uuid.uuid4())
        with Ledger(tmp_path / "ids") as ledger:
            sender = Sender(firehose, "events", ledger)
            amount = {"rate": 4000, "seconds": 300, "events": 30_000}  # more than the time before the last kill allows
            sending = threading.Thread(target=run, args=(generator, sender), kwargs=amount)
            sending.start()
            for target in (server, server, emulator, server):
                time.sleep(1.7)
                target.kill()
                target.start()
            sending.join()
        summary = sender.summary
        assert summary.acknowledged == summary.sent == 30_000
        assert summary.failed_attempts > 0
        acknowledged = (tmp_path / "ids").read_text().split()
        lines: list[bytes] = []

        def arrived() -> bool:
            lines[:] = b"".join(objects(s3, "landing-zone").values()).splitlines()
            return len(set(lines)) >= len(set(acknowledged))

        wait_until(arrived, 60, "not every acknowledged event arrived")
        ids = Counter(json.loads(line)["event_id"] for line in lines)
        assert set(ids) == set(acknowledged)
        # a call that was stored but not answered because of the kill is sent again with the same ids
        assert sum(ids.values()) - len(ids) <= summary.failed_attempts
