"""DMS and Firehose in a process of their own: clients see one server, and a kill ends one process only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.aws.forwarding import CALLER, TOKEN
from local.engines.waiting import wait_until
from local.settings import ACCOUNT, ROOT, ROOT_ACCESS_KEY, Settings
from tests.support.aws_services import answers, make_role, root_client, running_emulator

pytestmark = pytest.mark.services

ONCE = Config(retries={"total_max_attempts": 1})
STREAM_TO = {
    "BucketARN": "arn:aws:s3:::landed",
    "RoleARN": f"arn:aws:iam::{ACCOUNT}:role/firehose",
    "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1},
}


@contextmanager
def part(settings: Settings, name: str, url: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
        "LAKE_HOME": str(settings.home),
        "LAKE_PORT": str(settings.port),
        "PYTHONPATH": f"{ROOT}:{ROOT}/include",
    }
    with (settings.logs / f"{name}.log").open("ab") as log:
        command = [sys.executable, "-m", "local.commands.aws_server", name]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=ROOT)
    try:
        wait_until(lambda: answers(f"{url}/health"), 60, f"{name} did not become healthy")
        yield process
    finally:
        process.kill()
        process.wait()


def landed(s3: Any) -> list[bytes]:
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="landed").get("Contents", [])]
    return [line for key in keys for line in s3.get_object(Bucket="landed", Key=key)["Body"].read().splitlines()]


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_a_kill_of_dms_and_firehose_takes_nothing_else_and_loses_nothing(tmp_path: Path) -> None:
    with running_emulator(tmp_path) as emulator:
        settings = emulator.settings
        s3 = emulator.client("s3")
        grant = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::landed/*"}
        make_role(emulator, "firehose", {"Service": "firehose.amazonaws.com"}, grant)
        s3.create_bucket(Bucket="landed")
        with part(settings, "front", settings.server_url):
            firehose = root_client(settings.server_url, "firehose", config=ONCE)
            glue = root_client(settings.server_url, "glue", config=ONCE)
            with part(settings, "ingestion", settings.ingestion_url) as process:
                firehose.create_delivery_stream(
                    DeliveryStreamName="events", ExtendedS3DestinationConfiguration=STREAM_TO
                )
                with pytest.raises(ClientError) as error:
                    firehose.put_record(DeliveryStreamName="other", Record={"Data": b"x"})
                assert code(error) == "ResourceNotFoundException"
                assert root_client(settings.server_url, "dms").describe_replication_tasks()["ReplicationTasks"] == []
                firehose.put_record(DeliveryStreamName="events", Record={"Data": b"acknowledged\n"})
                process.send_signal(signal.SIGKILL)
                process.wait()
                with pytest.raises(ClientError) as error:
                    firehose.put_record(DeliveryStreamName="events", Record={"Data": b"refused\n"})
                assert code(error) == "ServiceUnavailableException"
                assert glue.get_databases()["DatabaseList"] == []
            with part(settings, "ingestion", settings.ingestion_url):
                firehose.put_record(DeliveryStreamName="events", Record={"Data": b"afterwards\n"})
                wait_until(lambda: len(landed(s3)) == 2, 60, "not both records came to S3")
                assert sorted(landed(s3)) == [b"acknowledged", b"afterwards"]
                check_who_is_answered(settings)


def check_who_is_answered(settings: Settings) -> None:
    """The front decides by the caller's own rights, whatever names the caller brings along; behind it nobody else."""
    root_client(settings.server_url, "iam").create_user(UserName="nobody")
    key = root_client(settings.server_url, "iam").create_access_key(UserName="nobody")["AccessKey"]
    nobody = boto3.client(
        "firehose",
        endpoint_url=settings.server_url,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        config=ONCE,
    )
    root = json.dumps({"arn": f"arn:aws:iam::{ACCOUNT}:root", "principal_arn": "", "access_key": ROOT_ACCESS_KEY})
    nobody.meta.events.register("before-sign", lambda request, **_: request.headers.add_header(CALLER, root))
    with pytest.raises(ClientError) as error:
        nobody.put_record(DeliveryStreamName="events", Record={"Data": b"x"})
    assert code(error) == "AccessDeniedException"
    assert "user/nobody" in str(error.value)
    request = urllib.request.Request(
        settings.ingestion_url,
        data=b"{}",
        headers={
            "Authorization": "AWS4-HMAC-SHA256 Credential=test/20261123/us-east-1/firehose/aws4_request,"
            " SignedHeaders=host, Signature=0",
            "X-Amz-Target": "Firehose_20150804.ListDeliveryStreams",
            TOKEN: "guessed",
            CALLER: root,
        },
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    assert refused.value.code == 403
    refused.value.close()
