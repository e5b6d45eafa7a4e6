"""Names, databases, prefixes and outputs of the template are those of names.py and tables.py."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

from datalake import names
from datalake.names import Lake
from datalake.tables import FILM_CATEGORY, LANDED_EVENTS, QUARANTINE, RECONCILIATION, SAKILA, STREAMING_FILMS
from tests.support.resolved_template import Resolved

COMPONENTS = ("lambda", "firehose", "dms", "crawler", "jobs", "maintenance", "airflow", "analyst", "producer")
# property of the template -> property of Lake
NAMES = {
    "LandingBucket.BucketName": "landing_bucket",
    "CleanBucket.BucketName": "clean_bucket",
    "CuratedBucket.BucketName": "curated_bucket",
    "ResultsBucket.BucketName": "results_bucket",
    "CsvFunction.Code.S3Bucket": "artifacts_bucket",
    "AirflowBucket.BucketName": "airflow_bucket",
    "MwaaEnvironment.Name": "mwaa_environment",
    "KeyAlias.AliasName": "key_alias",
    "MySql.DBInstanceIdentifier": "mysql_instance",
    "MySqlSecret.Name": "mysql_secret",
    "DmsInstance.ReplicationInstanceIdentifier": "dms_instance",
    "DmsSource.EndpointIdentifier": "dms_source",
    "DmsTarget.EndpointIdentifier": "dms_target",
    "DmsTask.ReplicationTaskIdentifier": "dms_task",
    "Events.DeliveryStreamName": "delivery_stream",
    "CsvQueue.QueueName": "csv_queue",
    "CsvDeadLetterQueue.QueueName": "csv_dead_letter_queue",
    "CsvDeadLettersAlarm.AlarmName": "csv_dead_letters_alarm",
    "AlarmTopic.TopicName": "alarm_topic",
    "CsvFunction.FunctionName": "csv_function",
    "Crawler.Name": "crawler",
    "FilmCategoryJob.Name": "film_category_job",
    "StreamingFilmsJob.Name": "streaming_films_job",
    "MaintainLakeJob.Name": "maintain_lake_job",
    "Workgroup.Name": "workgroup",
}


def test_every_name_follows_the_rule(lake: Lake, resolved: Resolved) -> None:
    assert {path: resolved(path) for path in NAMES} == {path: getattr(lake, name) for path, name in NAMES.items()}
    declared = {name for name, value in vars(Lake).items() if isinstance(value, property)}
    assert set(NAMES.values()) == declared - {"stack"}


def test_every_role_follows_the_rule(lake: Lake, resolved: Resolved) -> None:
    roles = {role["RoleName"] for role in resolved.of_type("AWS::IAM::Role").values()}
    assert {lake.role(component) for component in COMPONENTS} <= roles
    policies = resolved.of_type("AWS::IAM::ManagedPolicy").values()
    assert {policy["ManagedPolicyName"] for policy in policies} == {
        lake.name("analyst"),
        lake.name("operator"),
        lake.name("mwaa"),
    }


def test_every_other_name_bears_the_deployments_name(lake: Lake, resolved: Resolved) -> None:
    """Two deployments in one account must not meet: whatever is unique in an account bears the environment."""
    shared = {"AWS::Glue::Database", "AWS::Athena::NamedQuery"}  # these names are the contract itself
    of_the_account = {"DmsVpcRole", "DmsLogsRole"}  # DMS looks for them under these names
    keys = {"Name", "LogGroupName", "CertificateIdentifier", "ResourceIdentifier", "RoleName", "ManagedPolicyName"}
    for logical, resource in resolved.template["Resources"].items():
        if resource["Type"] in shared or logical in of_the_account:
            continue
        for key in keys & resource.get("Properties", {}).keys():
            name = resolved(f"{logical}.{key}")
            assert lake.environment in name, (logical, key)


def test_databases(resolved: Resolved) -> None:
    databases = {item["DatabaseInput"]["Name"] for item in resolved.of_type("AWS::Glue::Database").values()}
    assert databases == {names.SAKILA_DATABASE, names.LANDING_DATABASE, names.CURATED_DATABASE}
    tables = [*SAKILA.values(), LANDED_EVENTS, FILM_CATEGORY, STREAMING_FILMS, QUARANTINE, RECONCILIATION]
    assert {table.database for table in tables} == databases


def test_prefixes(lake: Lake, resolved: Resolved) -> None:
    assert resolved("DmsTarget.S3Settings.BucketFolder") + "/" == names.DMS_PREFIX
    rules = resolved("LandingBucket.NotificationConfiguration")["QueueConfigurations"][0]["Filter"]["S3Key"]["Rules"]
    assert rules == [{"Name": "prefix", "Value": names.DMS_PREFIX}, {"Name": "suffix", "Value": ".csv"}]
    destination = resolved("Events.ExtendedS3DestinationConfiguration")
    assert destination["Prefix"] == names.STREAMING_PREFIX + "!{timestamp:yyyy/MM/}"
    assert destination["ErrorOutputPrefix"] == (
        names.STREAMING_ERRORS_PREFIX + "!{firehose:error-output-type}/!{timestamp:yyyy/MM/}"
    )
    # Firehose API reference, Processor: it "adds a new line delimiter between records" and needs no parameter.
    processing = {"Enabled": True, "Processors": [{"Type": "AppendDelimiterToRecord"}]}
    assert destination["ProcessingConfiguration"] == processing
    assert resolved("Crawler.Targets") == {"S3Targets": [{"Path": LANDED_EVENTS.location(lake)}]}
    output = resolved("Workgroup.WorkGroupConfiguration.ResultConfiguration.OutputLocation")
    assert output == f"s3://{lake.results_bucket}/{names.QUERY_RESULTS_PREFIX}"
    for job in ("FilmCategoryJob", "StreamingFilmsJob", "MaintainLakeJob"):
        prefix = f"s3://{lake.artifacts_bucket}/{names.JOBS_PREFIX}"
        assert resolved(f"{job}.Command.ScriptLocation").startswith(prefix)
        assert resolved(f"{job}.DefaultArguments.--extra-py-files").startswith(prefix)
    assert resolved("CsvFunction.Code.S3Key").startswith(names.LAMBDA_PREFIX)


def test_roles_reach_every_table_and_nothing_else_in_a_bucket(resolved: Resolved) -> None:
    """Each grant on objects names a prefix of names.py, or a whole bucket of which all is the grantee's."""
    prefixes = {
        names.DMS_PREFIX, names.STREAMING_PREFIX, names.STREAMING_ERRORS_PREFIX, names.REPAIRED_PREFIX,
        names.REPAIRS_PREFIX,
        names.SAKILA_SCRIPTS_PREFIX, names.JOBS_PREFIX, names.QUERY_RESULTS_PREFIX, names.REPORTS_PREFIX, "",
        f"{names.RUNS_PREFIX}maintain_lake/",
        *(table.prefix for table in (FILM_CATEGORY, STREAMING_FILMS, QUARANTINE, RECONCILIATION)),
    }  # fmt: skip
    assert {table.prefix.partition("/")[0] + "/" for table in SAKILA.values()} == {"sakila/"}
    found = set()
    for role in resolved.of_type("AWS::IAM::Role").values():
        for policy in role.get("Policies", []):
            for statement in policy["PolicyDocument"]["Statement"]:
                found |= _object_prefixes(statement)
    for managed in resolved.of_type("AWS::IAM::ManagedPolicy").values():
        for statement in managed["PolicyDocument"]["Statement"]:
            found |= _object_prefixes(statement)
    assert found == prefixes


def _object_prefixes(statement: dict[str, Any]) -> set[str]:
    resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
    return {
        resource.partition("/")[2].removesuffix("*")
        for resource in resources
        if re.search(r"(Bucket|landing-|clean-|curated-|results-|artifacts-)[^/:]*/", resource)
    }


def test_outputs_feed_the_lakes_settings(lake: Lake, resolved: Resolved) -> None:
    """``Lake.from_environment`` reads them; an output's description is the setting that it feeds."""
    outputs = {
        one["Description"]: resolved._resolver.value(one["Value"]) for one in resolved.template["Outputs"].values()
    }
    settings = {f"LAKE_{field.name.upper()}": getattr(lake, field.name) for field in fields(Lake)}
    assert settings.items() <= {name: value for name, value in outputs.items() if isinstance(value, str)}.items()
