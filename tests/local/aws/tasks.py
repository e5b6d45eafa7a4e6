"""A small service in the place of DMS, and what tests of the server ask of it."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.aws.protocol import Payload, Request, Services
from local.settings import ACCOUNT, REGION
from tests.support.aws_services import LakeServer

ONCE = Config(retries={"max_attempts": 0})
TASK = f"arn:aws:dms:{REGION}:{ACCOUNT}:task:one"


class Tasks:
    """A small service in the place of DMS."""

    service = "dms"
    passes_through = False

    def __init__(self, services: Services) -> None:
        self.services = services
        self.actions = {"StartReplicationTask": self.start_task, "DescribeConnections": self.broken}
        self.running = False

    def start_task(self, request: Request) -> Payload:
        arn = request.payload["ReplicationTaskArn"]
        self.services.authorize(request.caller, "dms:StartReplicationTask", arn)
        return {"ReplicationTask": {"ReplicationTaskArn": arn, "Status": request.caller.arn}}

    def broken(self, request: Request) -> Payload:
        raise RuntimeError("a bug")

    def start(self) -> None:
        self.running = True

    def stop(self) -> None:
        self.running = False


def client(lake: LakeServer, service: str, key: str, secret: str, token: str | None = None) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]  # any service
        endpoint_url=lake.settings.server_url,
        region_name=REGION,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=ONCE,
    )


def start(dms: Any, arn: str = TASK) -> Any:
    return dms.start_replication_task(ReplicationTaskArn=arn, StartReplicationTaskType="start-replication")


def refused(call: Any, *args: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(*args)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def allow(*actions: str, resource: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}
