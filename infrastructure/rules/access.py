"""Rules on access: trust policies, grants, resource policies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from infrastructure.rules.rule import Complaints, Rule
from infrastructure.rules.view import View, at, branches, listed, statements, texts

ROLE = "AWS::IAM::Role"
ACCOUNT_KEYS = {
    "aws:sourceaccount", "aws:sourcearn", "sts:externalid", "kms:calleraccount", "kms:encryptioncontext:aws:logs:arn",
}  # fmt: skip
# EventBridge sends no source account when it publishes to a topic, so a condition would never hold (EventBridge User
# Guide, "Using resource-based policies").
SENDS_NO_SOURCE = ("events.amazonaws.com",)
# Actions that do not support resource-level permissions (Service Authorization Reference).
WITHOUT_RESOURCE = {
    "athena:ListDataCatalogs", "athena:ListEngineVersions", "athena:ListWorkGroups", "cloudwatch:DescribeAlarms",
    "cloudwatch:GetMetricData", "cloudwatch:ListMetrics", "cloudwatch:PutMetricData", "dms:DescribeConnections",
    "dms:DescribeEndpoints", "dms:DescribeReplicationInstances", "dms:DescribeReplicationTasks",
    "ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
    "glue:GetCrawlerMetrics", "logs:DescribeLogGroups", "s3:GetAccountPublicAccessBlock", "s3:ListAllMyBuckets",
    "xray:PutTelemetryRecords", "xray:PutTraceSegments",
}  # fmt: skip
HARD_CODED = re.compile(r"(?<![0-9a-f])\d{12}(?![0-9a-f])|\barn:aws[a-z-]*:|\b(us|eu|ap|sa|ca|me|af|il)-[a-z]+-\d\b")


def _trust_names_account(view: View) -> Complaints:
    for name, properties in view.of_type(ROLE):
        for statement in statements(properties.get("AssumeRolePolicyDocument")):
            services = at(statement, "Principal.Service")
            if services and not _keys(statement) & ACCOUNT_KEYS:
                yield name, "can be assumed by a service on behalf of any account (no aws:SourceAccount)"


def _policies_name_account(view: View) -> Complaints:
    kinds = ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy", "AWS::S3::BucketPolicy", "AWS::KMS::Key")
    for name, properties in view.of_type(*kinds):
        for statement in statements(properties.get("PolicyDocument") or properties.get("KeyPolicy")):
            services = [one for one in at(statement, "Principal.Service") if one not in SENDS_NO_SOURCE]
            if statement.get("Effect") == "Allow" and services and not _keys(statement) & ACCOUNT_KEYS:
                yield name, "gives a service access on behalf of any account (no aws:SourceAccount)"
            anyone = statement.get("Principal") in ("*", {"AWS": "*"})
            if statement.get("Effect") == "Allow" and anyone and not _keys(statement):
                yield name, "gives everybody access"
    for name, properties in view.of_type("AWS::Lambda::Permission"):
        if not at(properties, "SourceAccount"):
            yield name, "lets a service call the function on behalf of any account (no SourceAccount)"


def _exact_actions(view: View) -> Complaints:
    for name, statement in _grants(view):
        for action in listed(statement.get("Action", [])):
            if isinstance(action, str) and ("*" in action or "?" in action):
                yield name, f"grants {action}"
        if "NotAction" in statement or "NotResource" in statement:
            yield name, "grants everything but something"


def _exact_resources(view: View) -> Complaints:
    for name, statement in _grants(view):
        if "*" in listed(statement.get("Resource", [])):
            wide = [one for one in listed(statement.get("Action", [])) if one not in WITHOUT_RESOURCE]
            if wide:
                yield name, f"grants {', '.join(map(str, wide))} on everything"


def _service_policies(view: View) -> Complaints:
    """AWS's managed policies are too wide; the two that DMS requires are excepted."""
    for name, properties in view.of_type(ROLE):
        for text in [text for _, text in texts(properties.get("ManagedPolicyArns", []))]:
            if ":aws:policy/" in text and "/service-role/AmazonDMS" not in text:
                yield name, f"has AWS's managed policy {text.rpartition('/')[2]}, which is wider than its task"


def _nothing_hard_coded(view: View) -> Complaints:
    for name, resource in view.resources.items():
        for path, text in texts(resource.get("Properties") or {}):
            if found := HARD_CODED.search(text):
                yield name, f"{path} has {found[0]} hard-coded: it deploys to one account or region only"


def _grants(view: View) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, properties in view.of_type(ROLE, "AWS::IAM::User", "AWS::IAM::Group"):
        for policy in branches(properties.get("Policies")):
            yield from ((name, one) for one in statements(policy.get("PolicyDocument")) if one.get("Effect") == "Allow")
    for name, properties in view.of_type("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"):
        yield from ((name, one) for one in statements(properties.get("PolicyDocument")) if one.get("Effect") == "Allow")


def _keys(statement: dict[str, Any]) -> set[str]:
    """The condition keys of a statement, in lower case."""
    return {key.lower() for test in (statement.get("Condition") or {}).values() for key in test}


RULES = (
    Rule(
        "IAM-1", "A role that a service may assume names the account",
        "Otherwise another customer could make the service use it (the confused deputy problem)",
        "AWS Identity and Access Management User Guide, The confused deputy problem", _trust_names_account,
    ),
    Rule(
        "IAM-2", "A queue, topic, bucket, key or function that gives a service access names the account",
        "Otherwise any account's bucket could fill our queue",
        "Amazon S3 User Guide, Granting permissions to publish event notifications", _policies_name_account,
    ),
    Rule(
        "IAM-3", "Grants name their actions", "A wildcard also grants actions that AWS adds later",
        "AWS Identity and Access Management User Guide, Security best practices: Apply least-privilege permissions",
        _exact_actions,
    ),
    Rule(
        "IAM-4", 'Grants name their resources; "*" is used only where AWS supports no resource',
        "A role for one bucket must not reach another",
        "Service Authorization Reference, Actions, resources, and condition keys", _exact_resources,
    ),
    Rule(
        "IAM-5", "Roles have our own policies", "AWS's managed policies for jobs grant whole services",
        "AWS Identity and Access Management User Guide, AWS managed policies and least privilege", _service_policies,
    ),
    Rule(
        "NAME-1", "No account, region or ARN is hard-coded", "It would deploy to or grant access to a wrong account",
        "AWS CloudFormation Template Reference, Pseudo parameters", _nothing_hard_coded,
    ),
)  # fmt: skip
