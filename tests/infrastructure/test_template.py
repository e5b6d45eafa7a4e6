"""The template agrees with the SQL files, DMS's files, the locked requirements and AWS's limits."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from datalake import names
from datalake.names import Lake
from infrastructure import package
from infrastructure.cfn.template import parse_template
from infrastructure.deploy import parameters_of
from infrastructure.package import render_template
from local.settings import ROOT
from tests.support.resolved_template import CODE, Resolved


def test_saved_queries_are_the_files(resolved: Resolved) -> None:
    queries = {query["Name"]: query for query in resolved.of_type("AWS::Athena::NamedQuery").values()}
    files = (ROOT / "include" / "sql" / "athena" / "saved").glob("*.sql")
    assert {name: query["QueryString"] for name, query in queries.items()} == {
        file.stem.replace("_", "-").title(): file.read_text() for file in files
    }
    assert {"Overall-Top-Streaming-Categories", "Overall-Top-Streaming-States"} < queries.keys(), "the seed's names"
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


def test_cfn_lint_is_clean(tmp_path: Path) -> None:
    """As it stands in the repository, and as it is deployed."""
    rendered = tmp_path / "template.json"
    rendered.write_text(render_template())
    linter = Path(sys.executable).parent / "cfn-lint"
    found = subprocess.run([linter, package.TEMPLATE, rendered], capture_output=True, text=True, check=False)
    assert (found.stdout, found.returncode) == ("", 0)
