"""Uploads the code of Airflow on MWAA to its bucket, and creates the pool that the DAGs need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from datalake.names import STREAMING_FILMS_POOL
from infrastructure.mwaa.package import CODE, DAGS_PREFIX, build
from infrastructure.upload import put

if TYPE_CHECKING:
    from mypy_boto3_mwaa import MWAAClient
    from mypy_boto3_s3 import S3Client

POOL: dict[str, Any] = {
    "name": STREAMING_FILMS_POOL,
    "slots": 1,
    "include_deferred": True,
    "description": "one enrichment at a time",
}


def publish(s3: S3Client, bucket: str) -> dict[str, str]:
    """Upload what has changed and remove deleted DAGs; returns the template's parameters that name the code.

    The bucket is the template's AirflowBucket, which a deployment with CreateMwaa but without these parameters makes.
    """
    artifacts = build()
    versions, _ = put(s3, bucket, artifacts)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=DAGS_PREFIX)
    for key in [item["Key"] for page in pages for item in page.get("Contents", [])]:
        if key not in versions:
            s3.delete_object(Bucket=bucket, Key=key)  # its old versions are kept for a while
    code = [artifact.key for artifact in artifacts[: len(CODE)]]
    return {
        "MwaaCodePrefix": code[0].removesuffix(CODE[0]),
        "MwaaCodeVersions": ",".join(versions[key] for key in code),
    }


def make_pool(mwaa: MWAAClient, environment: str) -> None:
    """Create the pool in which runs of the Glue job queue, unless it exists; raises ClientError when that fails.

    Uses Airflow's REST API through MWAA, which also reaches a private web server ("Using the Apache Airflow REST API").
    """
    try:
        mwaa.invoke_rest_api(Name=environment, Method="POST", Path="/pools", Body=POOL)
    except mwaa.exceptions.RestApiClientException as error:
        if error.response.get("RestApiStatusCode") != 409:  # it exists
            raise
