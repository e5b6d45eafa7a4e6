"""The artifacts bucket: made, filled, kept small, emptied."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from typing import Any

from botocore.exceptions import ClientError

from datalake.names import JOBS_PREFIX, LAMBDA_PREFIX
from infrastructure.package import Artifact
from infrastructure.stack import DeployError, Progress

TEMPLATES_PREFIX = "templates/"
CODE_PREFIXES = (LAMBDA_PREFIX, JOBS_PREFIX)  # below them every key is named after its content
DELETED_AT_ONCE = 1000  # DeleteObjects takes no more
# Old versions and what a broken upload left cost money and are seen by nobody. CloudFormation reads a template once.
LIFECYCLE = [
    {
        "ID": "leftovers",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
    },
    {
        "ID": "templates",
        "Status": "Enabled",
        "Filter": {"Prefix": TEMPLATES_PREFIX},
        "Expiration": {"Days": 30},
    },
]


def make_bucket(s3: Any, bucket: str, account: str) -> None:
    """Make the bucket unless it is there: private, versioned, encrypted. Its TLS-only policy is the template's.

    Raises DeployError when it belongs to another account: whoever can write there could put in code that we deploy.
    """
    if not exists(s3, bucket, account):
        region = s3.meta.region_name
        place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket, **place)
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    # the lake's own key is not there yet when this bucket is made
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": LIFECYCLE})


def exists(s3: Any, bucket: str, account: str) -> bool:
    """Whether the bucket is there; raises DeployError when it is not the account's, or out of reach."""
    try:
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("404", "NoSuchBucket"):
            return False
        if code == "403":
            raise DeployError(f"s3://{bucket} belongs to another account, or you may not look at it") from error
        raise
    return True


def template_artifact(template: str) -> Artifact:
    """A rendered template under the name of its content."""
    body = template.encode()
    return Artifact(f"{TEMPLATES_PREFIX}{hashlib.sha256(body).hexdigest()}.json", body)


def url(s3: Any, bucket: str, key: str) -> str:
    """Where CloudFormation finds an object."""
    return f"{s3.meta.endpoint_url}/{bucket}/{key}"


def put(s3: Any, bucket: str, artifacts: Iterable[Artifact]) -> int:
    """Put the objects that are not there with this content; returns how many."""
    sent = 0
    for artifact in artifacts:
        digest = hashlib.sha256(artifact.body).hexdigest()
        try:
            if s3.head_object(Bucket=bucket, Key=artifact.key)["Metadata"].get("sha256") == digest:
                continue
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
                raise
        s3.put_object(Bucket=bucket, Key=artifact.key, Body=artifact.body, Metadata={"sha256": digest})
        sent += 1
    return sent


def remove_unused(s3: Any, bucket: str, used: Collection[str], prefixes: Iterable[str]) -> int:
    """Delete code that none of the ``used`` keys and prefixes name; returns how many objects.

    ``used`` are those of the running stack and of the one before, so that a rollback finds its code.
    """
    names = tuple(used)
    unused = [
        {"Key": entry["Key"]}
        for prefix in prefixes
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for entry in page.get("Contents", [])
        if not any(entry["Key"] == name or (name.endswith("/") and entry["Key"].startswith(name)) for name in names)
    ]
    for begin in range(0, len(unused), DELETED_AT_ONCE):
        _delete(s3, bucket, unused[begin : begin + DELETED_AT_ONCE])
    return len(unused)


def empty(s3: Any, bucket: str, progress: Progress) -> None:
    """Delete every version of every object, and what unfinished uploads left."""
    try:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [
                {"Key": version["Key"], "VersionId": version["VersionId"]}
                for version in page.get("Versions", []) + page.get("DeleteMarkers", [])
            ]
            if found:
                _delete(s3, bucket, found)
                progress(f"s3://{bucket}: {len(found)} objects deleted")
        for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for upload in page.get("Uploads", []):
                s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    except s3.exceptions.NoSuchBucket:
        return


def _delete(s3: Any, bucket: str, objects: list[dict[str, str]]) -> None:
    refused = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors", [])
    if refused:
        raise DeployError(f"s3://{bucket}/{refused[0]['Key']} cannot be deleted: {refused[0]['Message']}")
