"""The two buckets of the function, and notifications of what is put into the first."""

from __future__ import annotations

import io
import json
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq

LANDING, CLEAN = "lambda-landing", "lambda-clean"
CATEGORY = "category_id,name,last_update\n1,Action,2006-02-15 04:46:27\n2,\\N,2006-02-15 04:46:27\n"
KEY = "dms/sakila/category/LOAD00000001.csv"
PARQUET = "sakila/category/LOAD00000001.parquet"


def put(s3: Any, key: str, text: str) -> str:
    return str(s3.put_object(Bucket=LANDING, Key=key, Body=text.encode())["ETag"]).strip('"')


def notified(*keys: str, sequencer: str = "0055AED6DCD90281E5") -> dict[str, Any]:
    """A notification as S3 words it: keys are URL-encoded."""
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:CompleteMultipartUpload",
                "s3": {
                    "bucket": {"name": LANDING},
                    "object": {"key": quote_plus(key, safe="/"), "sequencer": sequencer},
                },
            }
            for key in keys
        ]
    }


def queued(*bodies: Any) -> dict[str, Any]:
    """A batch of SQS messages m0, m1, ..."""
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "eventSource": "aws:sqs",
                "body": body if isinstance(body, str) else json.dumps(body),
            }
            for number, body in enumerate(bodies)
        ]
    }


def read(s3: Any, key: str) -> pa.Table:
    return pq.read_table(io.BytesIO(s3.get_object(Bucket=CLEAN, Key=key)["Body"].read()))


def keys(s3: Any) -> list[str]:
    return [item["Key"] for item in s3.list_objects_v2(Bucket=CLEAN).get("Contents", [])]
