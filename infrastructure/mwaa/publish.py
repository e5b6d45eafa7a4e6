"""Brings the code of Airflow on AWS into its bucket, and its pool into its metadata."""

from __future__ import annotations

import hashlib
from typing import Any

from botocore.exceptions import ClientError

from infrastructure.mwaa.package import CODE, DAGS_PREFIX, build

POOL = {"name": "streaming_films", "slots": 1, "include_deferred": True, "description": "one enrichment at a time"}


def publish(s3: Any, bucket: str) -> dict[str, str]:
    """Upload what has changed and remove DAGs that are gone; returns the template's parameters of the code.

    The bucket is the template's AirflowBucket: there after a deployment with CreateMwaa and without these parameters.
    """
    artifacts = build()
    versions = {artifact.key: _put(s3, bucket, artifact.key, artifact.body) for artifact in artifacts}
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=DAGS_PREFIX)
    there = [item["Key"] for page in pages for item in page.get("Contents", [])]
    for key in there:
        if key not in versions:
            s3.delete_object(Bucket=bucket, Key=key)  # its versions stay for a while
    code = [artifact.key for artifact in artifacts[: len(CODE)]]
    return {
        "MwaaCodePrefix": code[0].removesuffix(CODE[0]),
        "MwaaCodeVersions": ",".join(versions[key] for key in code),
    }


def make_pool(mwaa: Any, environment: str) -> None:
    """Make the pool in which the runs of one Glue job queue; raises ClientError unless it is there or can be made.

    By Airflow's REST API through MWAA, which also reaches a private web server ("Using the Apache Airflow REST API").
    """
    try:
        mwaa.invoke_rest_api(Name=environment, Method="POST", Path="/pools", Body=POOL)
    except mwaa.exceptions.RestApiClientException as error:
        if error.response.get("RestApiStatusCode") != 409:  # it is there
            raise


def _put(s3: Any, bucket: str, key: str, body: bytes) -> str:
    """S3's version id of an object with this content, uploaded unless it is there."""
    digest = hashlib.sha256(body).hexdigest()
    try:
        found = s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
            raise
    else:
        if found["Metadata"].get("sha256") == digest:
            return str(found["VersionId"])
    return str(s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"sha256": digest})["VersionId"])
