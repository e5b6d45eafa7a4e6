"""Default encryption and lifecycle rules of buckets, which the emulator's CloudFormation does not apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infrastructure.cfn.intrinsics import Json
from local.aws.cloudformation.resource_types.base import Context, shaped, without

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TYPE = "AWS::S3::Bucket"
PROPERTIES = ("BucketName", "BucketEncryption", "LifecycleConfiguration")


def apply(context: Context, properties: Json) -> None:
    """Put a bucket's encryption and lifecycle rules through the S3 API."""
    s3: S3Client = context.clients("s3")
    bucket = properties["BucketName"]
    if encryption := properties.get("BucketEncryption"):
        rules: list[Any] = [
            {
                **without(rule, "ServerSideEncryptionByDefault"),
                "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
            }
            for rule in encryption["ServerSideEncryptionConfiguration"]
        ]
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    if lifecycle := properties.get("LifecycleConfiguration"):
        rules = [_lifecycle_rule(rule) for rule in lifecycle["Rules"]]
        request = {"Bucket": bucket, "LifecycleConfiguration": {"Rules": rules}}
        s3.put_bucket_lifecycle_configuration(**shaped("s3", "PutBucketLifecycleConfiguration", request))


def _lifecycle_rule(rule: Json) -> Json:
    made = without(rule, "Id", "Prefix", "ExpirationInDays", "ExpiredObjectDeleteMarker")
    made["Filter"] = {"Prefix": rule.get("Prefix", "")}
    if "Id" in rule:
        made["ID"] = rule["Id"]
    if "ExpirationInDays" in rule:
        made["Expiration"] = {"Days": rule["ExpirationInDays"]}
    if "ExpiredObjectDeleteMarker" in rule:
        made["Expiration"] = {"ExpiredObjectDeleteMarker": rule["ExpiredObjectDeleteMarker"]}
    return made
