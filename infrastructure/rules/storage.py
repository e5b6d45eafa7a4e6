"""Rules on buckets and everything else that holds data."""

from __future__ import annotations

from infrastructure.rules.rule import Complaints, Rule
from infrastructure.rules.view import View, all_are, at, branches, listed, statements

BUCKET = "AWS::S3::Bucket"
STATEFUL = (BUCKET, "AWS::RDS::DBInstance", "AWS::KMS::Key", "AWS::SecretsManager::Secret", "AWS::Glue::Database")
KEPT = {"Retain", "RetainExceptOnCreate", "Snapshot"}


def _tls_only(view: View) -> Complaints:
    guarded = set()
    for _, properties in view.of_type("AWS::S3::BucketPolicy"):
        for statement in statements(properties.get("PolicyDocument")):
            denies = statement.get("Effect") == "Deny" and statement.get("Principal") in ("*", {"AWS": "*"})
            covers = len(listed(statement.get("Resource"))) >= 2  # the bucket, and its objects
            plain = all_are(statement, "Condition.Bool.aws:SecureTransport", "false")
            if denies and plain and covers and "s3:*" in listed(statement.get("Action")):
                guarded.add(view.named(properties.get("Bucket")))
    for name, _ in view.of_type(BUCKET):
        if name not in guarded:
            yield name, "no bucket policy denies s3:* on the bucket and its objects to requests without TLS"


def _own_key(view: View) -> Complaints:
    for name, properties in view.of_type(BUCKET):
        rules = at(properties, "BucketEncryption.ServerSideEncryptionConfiguration")
        if not rules:
            yield name, "no default encryption"
        for rule in rules:
            if not all_are(rule, "ServerSideEncryptionByDefault.SSEAlgorithm", "aws:kms", "aws:kms:dsse"):
                yield name, "the default encryption is not by KMS"
            elif not at(rule, "ServerSideEncryptionByDefault.KMSMasterKeyID"):
                yield name, "the default encryption does not name our own key"
            elif not all_are(rule, "BucketKeyEnabled", True):
                yield name, "without a bucket key every object costs a KMS call, which is billed and throttled"


def _leftovers(view: View) -> Complaints:
    for name, properties in view.of_type(BUCKET):
        rules = [one for one in at(properties, "LifecycleConfiguration.Rules") if all_are(one, "Status", "Enabled")]
        whole = [one for one in rules if not at(one, "Prefix") and not at(one, "TagFilters")]
        for key, what in (
            ("AbortIncompleteMultipartUpload", "broken uploads"),
            ("NoncurrentVersionExpiration", "old versions"),
            ("ExpiredObjectDeleteMarker", "markers of deleted objects"),
        ):
            if not any(at(one, key) for one in whole):
                yield name, f"no lifecycle rule of the whole bucket removes {what}"


def _kept(view: View) -> Complaints:
    for name, resource in view.resources.items():
        if resource["Type"] not in STATEFUL:
            continue
        deleted = {str(one) for one in branches(resource.get("DeletionPolicy"))}
        replaced = {str(one) for one in branches(resource.get("UpdateReplacePolicy"))}
        if resource["Type"] == BUCKET and deleted == replaced == {"Delete"}:
            continue  # this declares that the bucket holds only copies
        if not deleted & KEPT:
            yield name, "is deleted with the stack: no DeletionPolicy that can keep it"
        if not replaced or replaced - KEPT:
            yield name, "is deleted when an update replaces it: no UpdateReplacePolicy that keeps it"


RULES = (
    Rule(
        "S3-1", "A bucket accepts requests over TLS only", "Data and signatures would cross the network unencrypted",
        "Amazon S3 User Guide, Security best practices: Enforce encryption of data in transit", _tls_only,
    ),
    Rule(
        "S3-2", "A bucket encrypts with our own key, and a bucket key",
        "S3's own key protects from nobody who may read the bucket; the use of our own key can be denied",
        "Amazon S3 User Guide, Using server-side encryption with AWS KMS keys; Reducing the cost of SSE-KMS", _own_key,
    ),
    Rule(
        "S3-3", "A bucket removes broken uploads, old versions and lone delete markers",
        "They do not appear in listings and are billed forever; deleted data would remain readable",
        "Amazon S3 User Guide, Lifecycle configuration elements", _leftovers,
    ),
    Rule(
        "DATA-1", "What holds data can outlive the stack, and is kept when an update replaces it",
        "A mistake in the template must not lose data (a bucket of copies says Delete for both)",
        "AWS CloudFormation Template Reference, DeletionPolicy and UpdateReplacePolicy attributes", _kept,
    ),
)  # fmt: skip
