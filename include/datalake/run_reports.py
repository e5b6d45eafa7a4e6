"""What a job run did, as one JSON object that is written after its commits."""

from __future__ import annotations

import json
from typing import Any

from datalake.names import RUNS_PREFIX


def report_key(job: str, run_id: str) -> str:
    """Key of a run's report in the curated bucket; ``job`` is the stem of the job's script."""
    return f"{RUNS_PREFIX}{job}/{run_id}.json"


def write_report(s3: Any, bucket: str, report: dict[str, Any]) -> None:
    """Write the report of ``report["job"]`` and ``report["run_id"]``. ``s3`` is a boto3 client."""
    body = json.dumps(report, indent=2).encode()
    s3.put_object(
        Bucket=bucket, Key=report_key(report["job"], report["run_id"]), Body=body, ContentType="application/json"
    )
