"""Crawls for the tests: a crawler's role, what lands, what is seen of its tables."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from local.engines.waiting import wait_until
from local.settings import ACCOUNT, REGION
from tests.support.aws_services import LakeServer

BUCKET = "crawled-bucket"
GLUE = f"arn:aws:glue:{REGION}:{ACCOUNT}"
EVENT = {"timestamp": "2026-09-01T00:00:00Z", "eventType": "rent", "film_id": 7, "state": "Ohio"}


def parquet() -> bytes:
    table = pa.table({"Id": pa.array([1, 2]), "paid": pa.array([None, None], pa.decimal128(5, 2))})
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


def role(lake: LakeServer, name: str = "crawler-role", *, may_update: bool = True) -> str:
    catalog = ["glue:GetDatabase", "glue:GetTable", "glue:CreateTable", "glue:GetPartitions"]
    catalog += ["glue:BatchCreatePartition", *(["glue:UpdateTable"] if may_update else [])]
    logs = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    return lake.role(
        name,
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": f"arn:aws:s3:::{BUCKET}*"},
        {
            "Effect": "Allow",
            "Action": catalog,
            "Resource": [f"{GLUE}:catalog", f"{GLUE}:database/landing", f"{GLUE}:table/landing/*"],
        },
        {
            "Effect": "Allow",
            "Action": logs,
            "Resource": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws-glue/crawlers*",
        },
    )


def land(lake: LakeServer, name: str, path: str, *events: dict[str, Any] | bytes) -> None:
    body = b"".join(e if isinstance(e, bytes) else json.dumps(e).encode() + b"\n" for e in events)
    lake.emulator.client("s3").put_object(Bucket=BUCKET, Key=f"{name}/streaming/{path}", Body=body)


def crawl(glue: Any, name: str) -> Any:
    glue.start_crawler(Name=name)
    wait_until(lambda: glue.get_crawler(Name=name)["Crawler"]["State"] == "READY", 60, "the crawl did not end")
    return glue.get_crawler(Name=name)["Crawler"]["LastCrawl"]


def table(glue: Any, name: str) -> Any:
    return glue.get_table(DatabaseName="landing", Name=f"{name}_streaming")["Table"]


def columns(glue: Any, name: str) -> dict[str, str]:
    return {column["Name"]: column["Type"] for column in table(glue, name)["StorageDescriptor"]["Columns"]}


def months(glue: Any, name: str) -> list[str]:
    partitions = glue.get_partitions(DatabaseName="landing", TableName=f"{name}_streaming")["Partitions"]
    return sorted("/".join(partition["Values"]) for partition in partitions)


def log(lake: LakeServer, name: str) -> str:
    events = lake.emulator.client("logs").get_log_events(logGroupName="/aws-glue/crawlers", logStreamName=name)
    return "\n".join(event["message"] for event in events["events"])
