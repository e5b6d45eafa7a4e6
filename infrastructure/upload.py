"""The artifacts bucket: creating, filling, cleaning up and emptying it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from datalake.names import JOBS_PREFIX, LAMBDA_PREFIX
from infrastructure.package import Artifact
from infrastructure.stack import DeployError, Progress

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import LifecycleRuleTypeDef, ObjectIdentifierTypeDef

TEMPLATES_PREFIX = "templates/"
CODE_PREFIXES = (LAMBDA_PREFIX, JOBS_PREFIX)  # keys below them contain a hash of the content
DELETED_AT_ONCE = 1000  # DeleteObjects takes no more
# Old versions and parts of failed uploads are billed but not listed. CloudFormation reads a template only once.
LIFECYCLE: list[LifecycleRuleTypeDef] = [
    {
        "ID": "leftovers",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        "Expiration": {"ExpiredObjectDeleteMarker": True},
    },
    {"ID": "templates", "Status": "Enabled", "Filter": {"Prefix": TEMPLATES_PREFIX}, "Expiration": {"Days": 30}},
]


def make_bucket(s3: S3Client, bucket: str, account: str) -> None:
    """Create the bucket unless it exists: private, versioned, encrypted. The template adds its TLS-only policy.

    Raises DeployError when it belongs to another account, whose owner could replace the code that we deploy.
    """
    if not exists(s3, bucket, account):
        region: Any = s3.meta.region_name  # the stubs know literal names only
        if region == "us-east-1":  # the default, which S3 does not accept as a location
            s3.create_bucket(Bucket=bucket)
        else:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
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
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={  # by AWS's key: the lake's own does not exist yet
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": True}]
        },
    )
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": LIFECYCLE})


def exists(s3: S3Client, bucket: str, account: str) -> bool:
    """Whether the bucket exists; raises DeployError when it belongs to another account or cannot be accessed."""
    try:
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("404", "NoSuchBucket"):
            return False
        if code == "403":
            raise DeployError(f"s3://{bucket} belongs to another account, or you may not access it") from error
        raise
    return True


def template_artifact(template: str) -> Artifact:
    """A rendered template, under a key that contains its hash."""
    body = template.encode()
    return Artifact(f"{TEMPLATES_PREFIX}{hashlib.sha256(body).hexdigest()}.json", body)


def url(s3: S3Client, bucket: str, key: str) -> str:
    """The URL of an object, for CloudFormation."""
    return f"{s3.meta.endpoint_url}/{bucket}/{key}"


def put(s3: S3Client, bucket: str, artifacts: Iterable[Artifact]) -> tuple[dict[str, str], int]:
    """Upload the objects that do not exist with this content; returns each key's version id, and how many were sent."""
    versions: dict[str, str] = {}
    sent = 0
    for artifact in artifacts:
        digest = hashlib.sha256(artifact.body).hexdigest()
        try:
            found = s3.head_object(Bucket=bucket, Key=artifact.key)
            if found["Metadata"].get("sha256") == digest:
                versions[artifact.key] = found.get("VersionId", "")
                continue
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
                raise
        made = s3.put_object(Bucket=bucket, Key=artifact.key, Body=artifact.body, Metadata={"sha256": digest})
        versions[artifact.key] = made.get("VersionId", "")
        sent += 1
    return versions, sent


def remove_unused(s3: S3Client, bucket: str, used: Collection[str], prefixes: Iterable[str]) -> int:
    """Delete the objects below ``prefixes`` that no key or prefix in ``used`` names; returns how many.

    ``used`` holds the keys of the current and of the previous deployment, so that a rollback finds its code.
    """
    names = tuple(used)
    unused: list[ObjectIdentifierTypeDef] = [
        {"Key": entry["Key"]}
        for prefix in prefixes
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for entry in page.get("Contents", [])
        if not any(entry["Key"] == name or (name.endswith("/") and entry["Key"].startswith(name)) for name in names)
    ]
    for begin in range(0, len(unused), DELETED_AT_ONCE):
        _delete(s3, bucket, unused[begin : begin + DELETED_AT_ONCE])
    return len(unused)


def empty(s3: S3Client, bucket: str, progress: Progress) -> None:
    """Delete every version of every object, and the parts of unfinished uploads."""
    try:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found: list[ObjectIdentifierTypeDef] = [
                {"Key": version["Key"], "VersionId": version["VersionId"]}
                for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            ]
            if found:
                _delete(s3, bucket, found)
                progress(f"s3://{bucket}: {len(found)} objects deleted")
        for parts in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
            for upload in parts.get("Uploads", []):
                s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    except s3.exceptions.NoSuchBucket:
        return


def _delete(s3: S3Client, bucket: str, objects: list[ObjectIdentifierTypeDef]) -> None:
    refused = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors", [])
    if refused:
        raise DeployError(f"s3://{bucket}/{refused[0]['Key']} cannot be deleted: {refused[0]['Message']}")
