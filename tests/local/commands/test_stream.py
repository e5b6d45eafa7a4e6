"""``make stream``: under the producer's role into the lake's stream, acknowledged ids in the home's ledger."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from datalake.names import Lake
from local.aws.firehose import Firehose
from local.engines.waiting import wait_until
from local.settings import ACCOUNT, ENVIRONMENT, REGION, ROOT, SUFFIX, Settings
from tests.support.aws_services import free_settings, running_emulator, running_server

LAKE = Lake(ENVIRONMENT, SUFFIX)


def stream(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,  # with keys of our own, which must not be used
        "LAKE_HOME": str(settings.home),
        "LAKE_PORT": str(settings.port),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'include'}",
    }
    command = [sys.executable, "-m", "local", "stream", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_home_that_was_never_started_is_told(tmp_path: Path) -> None:
    done = stream(free_settings(tmp_path))
    assert done.returncode == 1
    assert done.stderr == f"error: the home {tmp_path} is not running: start it with make up\n"


@pytest.mark.services
def test_it_runs_as_producer_and_fills_the_ledger(tmp_path: Path) -> None:
    with running_emulator(tmp_path) as emulator, running_server(emulator, (Firehose,)) as server:
        bucket = LAKE.landing_bucket
        emulator.client("s3").create_bucket(Bucket=bucket)
        delivers = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
        server.client("firehose").create_delivery_stream(
            DeliveryStreamName=LAKE.delivery_stream,
            ExtendedS3DestinationConfiguration={
                "RoleARN": server.role(LAKE.role("firehose"), delivers),
                "BucketARN": f"arn:aws:s3:::{bucket}",
                "ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "AppendDelimiterToRecord"}]},
            },
        )
        arn = f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{LAKE.delivery_stream}"
        server.role(LAKE.role("producer"), {"Effect": "Allow", "Action": "firehose:PutRecord", "Resource": arn})
        refused = stream(emulator.settings, "--rate", "0", "--events", "10")
        assert refused.returncode == 1
        assert f"assumed-role/{LAKE.role('producer')}" in refused.stderr.replace("\n", "")
        puts = {"Effect": "Allow", "Action": "firehose:PutRecordBatch", "Resource": arn}
        server.role(LAKE.role("producer"), puts)

        def accepted() -> bool:  # decisions are remembered for a few seconds
            return stream(emulator.settings, "--rate", "0", "--events", "700").returncode == 0

        wait_until(accepted, 60, "the new right did not count")
        ids = (tmp_path / "ledgers" / "live.ids").read_text().split()
        assert len(set(ids)) == len(ids) == 700
        (firehose,) = server.server.apis
        assert isinstance(firehose, Firehose)
        assert firehose.streams[LAKE.delivery_stream].pending() == 700
