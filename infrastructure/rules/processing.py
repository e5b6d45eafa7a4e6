"""Rules on what processes data: functions, Glue, Athena, and their logs and alarms."""

from __future__ import annotations

from infrastructure.rules.database import SECRET_NAME
from infrastructure.rules.rule import Complaints, Rule
from infrastructure.rules.view import View, all_are, at, references, texts

FUNCTION, JOB, WORKGROUP = "AWS::Lambda::Function", "AWS::Glue::Job", "AWS::Athena::WorkGroup"


def _environment_secrets(view: View) -> Complaints:
    for name, properties in view.of_type(FUNCTION):
        for variables in at(properties, "Environment.Variables"):
            for key in variables:
                if SECRET_NAME.search(key):
                    yield name, f"environment variable {key} contains a secret"
    for name, properties in view.of_type(JOB):
        for arguments in [*at(properties, "DefaultArguments"), *at(properties, "NonOverridableArguments")]:
            for key in arguments:
                if SECRET_NAME.search(key):
                    yield name, f"argument {key} contains a secret"
    for name, properties in view.of_type(FUNCTION, JOB):
        if any("{{resolve:secretsmanager" in text for _, text in texts(properties)):
            yield name, "its configuration contains the value of a secret"


def _logs_bounded(view: View) -> Complaints:
    groups = {}
    for name, properties in view.of_type("AWS::Logs::LogGroup"):
        groups["".join(text for _, text in texts(properties.get("LogGroupName", "")))] = name
        if not at(properties, "RetentionInDays"):
            yield name, "is kept forever"
        if not at(properties, "KmsKeyId"):
            yield name, "is not encrypted with our own key"
    for name, properties in view.of_type(FUNCTION):
        named = "".join(text for _, text in texts(properties.get("FunctionName", "")))
        if not named or f"/aws/lambda/{named}" not in groups:
            yield name, "its log group is created by Lambda: kept forever, and not encrypted with our own key"


def _glue_encrypted(view: View) -> Complaints:
    known = {name for name, _ in view.of_type("AWS::Glue::SecurityConfiguration")}
    for kind, key in ((JOB, "SecurityConfiguration"), ("AWS::Glue::Crawler", "CrawlerSecurityConfiguration")):
        for name, properties in view.of_type(kind):
            if not known & {named for named, _ in references(properties.get(key))}:
                yield name, f"does not encrypt its log with our own key ({key})"
    for name, properties in view.of_type("AWS::Glue::SecurityConfiguration"):
        for path, mode in (
            ("CloudWatchEncryption.CloudWatchEncryptionMode", "SSE-KMS"),
            ("JobBookmarksEncryption.JobBookmarksEncryptionMode", "CSE-KMS"),
            ("S3Encryptions.S3EncryptionMode", "SSE-KMS"),
        ):
            if not all_are(properties, f"EncryptionConfiguration.{path}", mode):
                yield name, f"{path} is not {mode}"


def _job_bounded(view: View) -> Complaints:
    for name, properties in view.of_type(JOB):
        if not all_are(properties, "ExecutionProperty.MaxConcurrentRuns", 1):
            yield name, "may run twice at a time: MaxConcurrentRuns is not 1"
        if not at(properties, "Timeout"):
            yield name, "may run, and be billed, for 8 hours: no Timeout"
        if not all_are(properties, "MaxRetries", 0):
            yield name, "Glue repeats it without the scheduler: MaxRetries is not 0"


def _workgroup_bounded(view: View) -> Complaints:
    for name, properties in view.of_type(WORKGROUP):
        configuration = properties.get("WorkGroupConfiguration", {})
        if not all_are(configuration, "EnforceWorkGroupConfiguration", True):
            yield name, "a client may choose where results go and how they are encrypted"
        if not at(configuration, "BytesScannedCutoffPerQuery"):
            yield name, "a query may read, and cost, any amount"
        if not all_are(configuration, "PublishCloudWatchMetricsEnabled", True):
            yield name, "nobody sees what its queries read"


def _results_encrypted(view: View) -> Complaints:
    for name, properties in view.of_type(WORKGROUP):
        result = properties.get("WorkGroupConfiguration", {}).get("ResultConfiguration", {})
        if not all_are(result, "EncryptionConfiguration.EncryptionOption", "SSE_KMS", "CSE_KMS"):
            yield name, "results are not encrypted with our own key"
        if not at(result, "ExpectedBucketOwner"):
            yield name, "may write results to another account's bucket of this name (no ExpectedBucketOwner)"


def _alarms_told(view: View) -> Complaints:
    for name, properties in view.of_type("AWS::CloudWatch::Alarm"):
        if not at(properties, "AlarmActions"):
            yield name, "notifies nobody"
        if not at(properties, "TreatMissingData"):
            yield name, "does not say what missing data means (TreatMissingData)"
        if not at(properties, "AlarmDescription"):
            yield name, "does not say what to do"
    if any(True for _ in view.of_type(FUNCTION, JOB)) and not any(True for _ in view.of_type("AWS::CloudWatch::Alarm")):
        yield "Resources", "no alarm at all"


RULES = (
    Rule(
        "SECRET-4", "No secret is in a function's environment or a job's arguments",
        "The console and Get calls show both, and every run shows a job's arguments",
        "AWS Lambda Developer Guide, Securing environment variables; AWS Glue Developer Guide, job parameters",
        _environment_secrets,
    ),
    Rule(
        "LOGS-1", "A log group has a retention, is encrypted with our own key, and exists before its writer",
        "A group that a service creates is kept forever, and logs may contain data",
        "Amazon CloudWatch Logs User Guide, Change log data retention; Encrypt log data using AWS KMS", _logs_bounded,
    ),
    Rule(
        "GLUE-1", "Jobs and crawlers have a security configuration that encrypts everything",
        "Logs and temporary files contain rows", "AWS Glue Developer Guide, Working with security configurations",
        _glue_encrypted,
    ),
    Rule(
        "GLUE-2", "A job runs once at a time, has a timeout, and is repeated by the scheduler only",
        "Two runs would write the same table, and a run that hangs is billed by the second",
        "AWS Glue API, Job: ExecutionProperty, Timeout, MaxRetries", _job_bounded,
    ),
    Rule(
        "ATHENA-1", "A workgroup has limits and enforces them",
        "Otherwise each client chooses its own, and a query without a partition filter reads everything",
        "Amazon Athena User Guide, Override client-side settings; Configure per-query data usage controls",
        _workgroup_bounded,
    ),
    Rule(
        "ATHENA-2", "Query results are encrypted and written to our own bucket", "A result is a copy of the data",
        "Amazon Athena User Guide, Encrypt Athena query results; Specify a query result location", _results_encrypted,
    ),
    Rule(
        "ALARM-1", "An alarm notifies somebody, says what to do, and says what missing data means",
        "An alarm that nobody notices, or that ignores a silent source, is useless",
        "Amazon CloudWatch User Guide, Configuring how CloudWatch alarms treat missing data", _alarms_told,
    ),
)  # fmt: skip
