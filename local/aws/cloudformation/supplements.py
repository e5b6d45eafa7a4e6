"""What the emulator's CloudFormation leaves out of its buckets: default encryption and lifecycle rules."""

from __future__ import annotations

from local.aws.cloudformation.types import Context, Json, shaped, without

TYPE = "AWS::S3::Bucket"
PROPERTIES = ("BucketName", "BucketEncryption", "LifecycleConfiguration")


def apply(context: Context, properties: Json) -> None:
    """Put a bucket's encryption and lifecycle rules through the S3 API."""
    s3, bucket = context.clients("s3"), properties["BucketName"]
    if encryption := properties.get("BucketEncryption"):
        rules = [
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
