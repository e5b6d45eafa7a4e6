"""The template says what names.py, tables.py, the SQL files and the locked requirements say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from datalake import names
from datalake.names import Lake
from datalake.tables import FILM_CATEGORY, LANDED_EVENTS, QUARANTINE, RECONCILIATION, SAKILA, STREAMING_FILMS
from infrastructure import package
from infrastructure.cfn.intrinsics import Resolver, parameter_values
from infrastructure.cfn.template import parse_template
from infrastructure.deploy import parameters_of
from infrastructure.package import render_template
from local.aws.cloudformation.plan import pseudo_parameters
from local.aws.cloudformation.reduced import output_name
from local.settings import ROOT

COMPONENTS = ("lambda", "firehose", "dms", "crawler", "jobs", "maintenance", "airflow", "analyst", "producer")
LAKES = [Lake("local", "home"), Lake("a-long-one", "123456789012")]
CODE = {
    "LambdaCodeKey": f"lambda/{'0' * 64}.zip",
    "JobsPrefix": f"jobs/{'0' * 64}/",
    "MwaaCodePrefix": f"mwaa/{'0' * 64}/",
    "MwaaCodeVersions": "plugins-version,requirements-version,startup-version",
}
NETWORK = {"VpcId": "vpc-0", "PrivateSubnetIds": "subnet-0,subnet-1"}
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


class Resolved:
    """The template's resources with every intrinsic resolved; what another resource's attribute is, stays readable."""

    def __init__(self, lake: Lake, **parameters: str) -> None:
        self.template = parse_template(render_template())
        given = {**parameters_of("local"), **CODE, **NETWORK, **parameters}
        given |= {"Environment": lake.environment, "Suffix": lake.suffix}
        values = parameter_values(
            self.template, [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()], {}
        )
        self._resolver = Resolver(self.template, values, pseudo_parameters(lake.stack, "stack-id"), self._lookup)

    def _lookup(self, logical: str, attribute: str) -> Any:
        properties = self.template["Resources"][logical]["Properties"]
        for name in ("BucketName", "Name", "DatabaseInput", "DeliveryStreamName", "LogGroupName"):
            if name in properties and attribute in ("", "Arn"):
                value = self._resolver.value(properties[name])
                return value["Name"] if isinstance(value, dict) else value
        return output_name(logical, attribute)

    def __call__(self, path: str) -> Any:
        """``path`` is LogicalId.Property[.Property...]."""
        logical, *keys = path.split(".")
        value = self._resolver.value(self.template["Resources"][logical]["Properties"])
        for key in keys:
            value = value[key]
        return value

    def of_type(self, type_name: str) -> dict[str, dict[str, Any]]:
        return {
            name: self._resolver.value(resource.get("Properties", {}))
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == type_name
        }


@pytest.fixture(scope="module", params=LAKES, ids=lambda lake: lake.environment)
def lake(request: pytest.FixtureRequest) -> Lake:
    found: Lake = request.param
    return found


@pytest.fixture(scope="module")
def resolved(lake: Lake) -> Resolved:
    return Resolved(lake)


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


def test_saved_queries_are_the_files(resolved: Resolved) -> None:
    queries = {query["Name"]: query for query in resolved.of_type("AWS::Athena::NamedQuery").values()}
    folder = ROOT / "include" / "sql" / "athena"
    assert {name: query["QueryString"] for name, query in queries.items()} == {
        "Overall-Top-Streaming-Categories": (folder / "overall_top_streaming_categories.sql").read_text(),
        "Overall-Top-Streaming-States": (folder / "overall_top_streaming_states.sql").read_text(),
        "Streaming-Reconciliation": (folder / "streaming_reconciliation.sql").read_text(),
        "Streaming-Reconciliation-Of-Runs": (folder / "streaming_reconciliation_of_runs.sql").read_text(),
        "Streaming-Quarantined-Lines": (folder / "quarantined_lines.sql").read_text(),
    }
    assert {query["Database"] for query in queries.values()} == {names.CURATED_DATABASE}


def test_replication_task_is_the_files(resolved: Resolved) -> None:
    folder = ROOT / "infrastructure" / "dms"
    mappings, settings = resolved("DmsTask.TableMappings"), resolved("DmsTask.ReplicationTaskSettings")
    assert json.loads(mappings) == json.loads((folder / "table-mappings.json").read_text())
    assert json.loads(settings) == json.loads((folder / "task-settings.json").read_text())
    assert resolved("MySql.DBName") == names.SAKILA_SCHEMA


def test_job_arguments(lake: Lake, resolved: Resolved) -> None:
    arguments = resolved("StreamingFilmsJob.DefaultArguments")
    assert arguments == resolved("FilmCategoryJob.DefaultArguments")
    assert (arguments["--landing_bucket"], arguments["--clean_bucket"], arguments["--curated_bucket"]) == (
        lake.landing_bucket, lake.clean_bucket, lake.curated_bucket,
    )  # fmt: skip
    settings = dict(item.split("=", 1) for item in arguments["--conf"].split(" --conf "))
    assert settings["spark.sql.catalog.glue_catalog.warehouse"] == f"s3://{lake.curated_bucket}/"
    for job in ("FilmCategoryJob", "StreamingFilmsJob", "MaintainLakeJob"):
        assert resolved(f"{job}.ExecutionProperty") == {"MaxConcurrentRuns": 1}


def test_glue_version_stands_in_one_place(resolved: Resolved) -> None:
    assert package.TEMPLATE.read_text().count("5.1") == 1
    assert {job["GlueVersion"] for job in resolved.of_type("AWS::Glue::Job").values()} == {"5.1"}


@pytest.mark.parametrize("requirements", ["local/requirements.txt", "requirements.txt"])
def test_jobs_take_the_locked_arrow_and_pandas(resolved: Resolved, requirements: str) -> None:
    modules = dict(
        item.split("==")
        for item in resolved("FilmCategoryJob.DefaultArguments")["--additional-python-modules"].split(",")
    )
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^ \\]+)", (ROOT / requirements).read_text(), re.MULTILINE))
    assert set(modules) == {"pyarrow", "pandas"}
    assert modules == {name: locked[name] for name in modules}


def test_cut_off_is_ten_gigabytes_and_enforced(resolved: Resolved) -> None:
    configuration = resolved("Workgroup.WorkGroupConfiguration")
    assert int(configuration["BytesScannedCutoffPerQuery"]) == 10 * 1024**3
    assert configuration["EnforceWorkGroupConfiguration"] is True


def test_no_account_region_or_arn_is_written_out() -> None:
    text = re.sub(r"AllowedPattern: .*", "", package.TEMPLATE.read_text())
    assert re.findall(r"\b\d{12}\b|\b[a-z]{2}-[a-z]+-\d\b|arn:aws", text) == []


def test_parameters_are_described_and_bounded() -> None:
    parameters = parse_template(package.TEMPLATE.read_text())["Parameters"]
    bounds = {"AllowedPattern", "AllowedValues", "MinValue"}
    assert [name for name, one in parameters.items() if not one.get("Description") or not bounds & one.keys()] == []
    for path in package.PARAMETERS.glob("*.json"):
        assert set(parameters_of(path.stem)) <= parameters.keys() - {"Environment", "Suffix", *CODE}


def test_data_outlives_the_stack_where_it_is_told_to() -> None:
    resources = parse_template(package.TEMPLATE.read_text())["Resources"]
    kept = {name for name, one in resources.items() if one.get("DeletionPolicy", "Delete") != "Delete"}
    assert kept == {
        "Key", "LandingBucket", "CleanBucket", "CuratedBucket", "ResultsBucket", "MySqlSecret", "MySql",
        "SakilaDatabase", "LandingDatabase", "CuratedDatabase",
    }  # fmt: skip
    for name in kept:
        backed_up = "Snapshot" if name == "MySql" else "Retain"
        assert resources[name]["DeletionPolicy"] == {"Fn::If": ["KeepData", backed_up, "Delete"]}, name
        assert resources[name]["UpdateReplacePolicy"] == backed_up, name


def test_outputs_feed_the_lakes_settings(lake: Lake, resolved: Resolved) -> None:
    """``Lake.from_environment`` reads them; an output's description is the setting that it feeds."""
    outputs = {
        one["Description"]: resolved._resolver.value(one["Value"]) for one in resolved.template["Outputs"].values()
    }
    settings = {f"LAKE_{field.name.upper()}": getattr(lake, field.name) for field in fields(Lake)}
    assert settings.items() <= {name: value for name, value in outputs.items() if isinstance(value, str)}.items()


def test_every_alarm_and_every_failure_is_told_to_the_topic(resolved: Resolved) -> None:
    topic = resolved._lookup("AlarmTopic", "")
    alarms = resolved.of_type("AWS::CloudWatch::Alarm")
    rules = resolved.of_type("AWS::Events::Rule")
    assert {name for name, one in alarms.items() if one["AlarmActions"] == one["OKActions"] == [topic]} == alarms.keys()
    assert {name for name, one in rules.items() if [to["Arn"] for to in one["Targets"]] == [topic]} == rules.keys()
    assert (len(alarms), len(rules)) == (5, 4)


def test_the_network_is_the_one_that_is_named_or_one_without_a_way_out(lake: Lake) -> None:
    named = Resolved(lake, VpcId="vpc-1", PrivateSubnetIds="subnet-1,subnet-2")
    assert named("MySqlSubnets.SubnetIds") == ["subnet-1", "subnet-2"]
    assert {named(f"{group}.VpcId") for group in ("DmsSecurityGroup", "MySqlSecurityGroup")} == {"vpc-1"}
    own = Resolved(lake, VpcId="", PrivateSubnetIds="")
    assert own("MySqlSubnets.SubnetIds") == own("DmsSubnets.SubnetIds") == [
        own._lookup("SubnetA", ""), own._lookup("SubnetB", ""),
    ]  # fmt: skip
    ways_out = {"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::Route"}
    assert not any(own.of_type(kind) for kind in ways_out)


def test_the_stack_policy_guards_exactly_what_holds_data() -> None:
    """An update that would replace or delete one of them is refused (CloudFormation User Guide, "Stack policies")."""
    resources = parse_template(package.TEMPLATE.read_text())["Resources"]
    policy = json.loads((ROOT / "infrastructure" / "stack-policy.json").read_text())
    allow, deny = policy["Statement"]
    assert allow == {"Effect": "Allow", "Principal": "*", "Action": "Update:*", "Resource": "*"}
    assert (deny["Effect"], deny["Principal"]) == ("Deny", "*")
    assert set(deny["Action"]) == {"Update:Replace", "Update:Delete"}
    guarded = [resource.removeprefix("LogicalResourceId/") for resource in deny["Resource"]]
    holds_data = [name for name, one in resources.items() if one.get("DeletionPolicy", "Delete") != "Delete"]
    assert sorted(guarded) == sorted(holds_data)


def test_policies_fit_into_iams_limits(resolved: Resolved) -> None:
    """6,144 characters a managed policy, 10,240 all inline policies of a role, blanks apart (IAM quotas)."""
    for name, policy in resolved.of_type("AWS::IAM::ManagedPolicy").items():
        assert len(json.dumps(policy["PolicyDocument"], separators=(",", ":"))) <= 6144, name
    for name, role in resolved.of_type("AWS::IAM::Role").items():
        assert (
            sum(len(json.dumps(item["PolicyDocument"], separators=(",", ":"))) for item in role.get("Policies", []))
            <= 10240
        ), name


def test_no_action_is_a_wildcard(resolved: Resolved) -> None:
    for role in resolved.of_type("AWS::IAM::Role").values():
        for policy in role.get("Policies", []):
            assert "*" not in json.dumps([item["Action"] for item in policy["PolicyDocument"]["Statement"]])


def test_cfn_lint_is_clean(tmp_path: Path) -> None:
    """As it stands in the repository, and as it is deployed."""
    rendered = tmp_path / "template.json"
    rendered.write_text(render_template())
    linter = Path(sys.executable).parent / "cfn-lint"
    found = subprocess.run([linter, package.TEMPLATE, rendered], capture_output=True, text=True, check=False)
    assert (found.stdout, found.returncode) == ("", 0)
