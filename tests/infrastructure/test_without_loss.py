"""The whole template in a real home: updated in place without loss, destroyed completely."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from datalake.names import LAMBDA_PREFIX
from infrastructure import deploy as deployment
from infrastructure import package, plan
from infrastructure.command_line import Terminal
from infrastructure.destroy import destroy
from infrastructure.stack import Refused
from local.engines import mysql
from local.engines.waiting import wait_until
from tests.support.deployed_lake import (
    Deployed,
    deploy_instead,
    everything,
    other_code,
    physical_ids,
    run_in_mysql,
    template,
)
from tests.support.lake_home import LAKE, lake_home

pytestmark = [pytest.mark.services, pytest.mark.in_order]


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with lake_home(tmp_path_factory.mktemp("without-loss")) as home:
        made = Deployed(home, everything(home), [])
        made.deploy()
        assert made.stack()["StackStatus"] == "CREATE_COMPLETE"
        yield made


def test_an_update_in_place_loses_nothing(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    home = deployed.home
    s3, glue, secrets = home.clients("s3"), home.clients("glue"), home.clients("secretsmanager")
    for bucket in (LAKE.landing_bucket, LAKE.clean_bucket, LAKE.curated_bucket, LAKE.results_bucket):
        s3.put_object(Bucket=bucket, Key="kept/object", Body=bucket.encode())
    glue.create_table(
        DatabaseName="curated", TableInput={"Name": "kept", "Parameters": {"metadata_location": "s3://here"}}
    )
    run_in_mysql(home, "CREATE TABLE kept (id INT)", "INSERT INTO kept VALUES (7)")
    secret, ids = secrets.get_secret_value(SecretId=LAKE.mysql_secret)["SecretString"], physical_ids(home)
    function = home.clients("lambda").get_function(FunctionName=LAKE.csv_function)["Configuration"]["CodeSha256"]

    monkeypatch.setattr(deployment, "build_code", lambda: other_code("a"))
    deployed.deploy(MySqlBackupDays="3")

    assert deployed.stack()["StackStatus"] == "UPDATE_COMPLETE"
    assert any(line.strip().startswith("change") and "CsvFunction" in line for line in deployed.lines), deployed.lines
    assert any("replace?" in line and "BackupRetentionPeriod" in line for line in deployed.lines), deployed.lines
    assert deployed.lines[-1].startswith("✓")
    now = home.clients("lambda").get_function(FunctionName=LAKE.csv_function)["Configuration"]["CodeSha256"]
    assert now != function
    assert physical_ids(home) == ids
    for bucket in (LAKE.landing_bucket, LAKE.clean_bucket, LAKE.curated_bucket, LAKE.results_bucket):
        assert s3.get_object(Bucket=bucket, Key="kept/object")["Body"].read() == bucket.encode()
    table = glue.get_table(DatabaseName="curated", Name="kept")["Table"]
    assert table["Parameters"]["metadata_location"] == "s3://here"
    assert run_in_mysql(home, "SELECT id FROM kept") == ((7,),)
    assert secrets.get_secret_value(SecretId=LAKE.mysql_secret)["SecretString"] == secret


def test_code_that_neither_this_nor_the_last_deployment_uses_is_removed(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = deployed.home.clients("s3")

    def functions() -> list[str]:
        listed = s3.list_objects_v2(Bucket=LAKE.artifacts_bucket, Prefix=LAMBDA_PREFIX).get("Contents", [])
        return sorted(one["Key"].removeprefix(LAMBDA_PREFIX)[:1] for one in listed)

    for letter in ("b", "c"):
        monkeypatch.setattr(deployment, "build_code", lambda letter=letter: other_code(letter))
        deployed.deploy()
    assert functions() == ["b", "c"]
    deployed.deploy()
    assert f"{LAKE.stack} is up to date" in deployed.lines
    assert functions() == ["b", "c"]  # what a rollback would need is kept
    rules = s3.get_bucket_lifecycle_configuration(Bucket=LAKE.artifacts_bucket)["Rules"]
    assert {rule["ID"] for rule in rules} == {"leftovers", "templates"}


@pytest.mark.parametrize(
    ("logical", "change"),
    [
        ("MySql", {"DBName": "other"}),
        ("LandingBucket", {"BucketName": "another-name-of-the-landing-zone"}),
        ("MySqlSecret", {"Name": "another-secret"}),
    ],
)
def test_an_update_that_would_lose_data_is_refused_before_anything_happens(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, logical: str, change: dict[str, str]
) -> None:
    home, cloudformation = deployed.home, deployed.home.clients("cloudformation")
    stack, ids = deployed.stack(), physical_ids(home)
    events = cloudformation.describe_stack_events(StackName=LAKE.stack)["StackEvents"]
    changed = template()
    changed["Resources"][logical]["Properties"] |= change
    changed["Resources"]["CsvQueue"]["Properties"]["DelaySeconds"] = 1
    deploy_instead(monkeypatch, changed)
    with pytest.raises(Refused, match=rf"{logical} \(AWS::\S+\) would be replaced for {next(iter(change))}"):
        deployed.deploy()
    assert deployed.stack() == stack
    assert cloudformation.describe_stack_events(StackName=LAKE.stack)["StackEvents"] == events
    assert physical_ids(home) == ids
    proposed = cloudformation.list_change_sets(StackName=LAKE.stack)["Summaries"]
    assert [one for one in proposed if one["ExecutionStatus"] == "AVAILABLE"] == []


def test_cloudformation_refuses_it_too_when_somebody_else_asks(deployed: Deployed) -> None:
    cloudformation, changed = deployed.home.clients("cloudformation"), template()
    changed["Resources"]["CsvQueue"]["Properties"]["DelaySeconds"] = 1
    changed["Resources"]["ResultsBucket"]["Properties"]["BucketName"] = "another-name-of-the-results"
    ids = physical_ids(deployed.home)
    s3, key = deployed.home.clients("s3"), "templates/by-hand.json"
    s3.put_object(Bucket=LAKE.artifacts_bucket, Key=key, Body=json.dumps(package._with_files(changed)).encode())
    cloudformation.update_stack(
        StackName=LAKE.stack,
        TemplateURL=f"{s3.meta.endpoint_url}/{LAKE.artifacts_bucket}/{key}",
        Parameters=[{"ParameterKey": name, "UsePreviousValue": True} for name in changed["Parameters"]],
        Capabilities=deployment.CAPABILITIES,
    )
    wait_until(lambda: not deployed.stack()["StackStatus"].endswith("_IN_PROGRESS"), 60, "the rollback did not end")
    assert deployed.stack()["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    events = cloudformation.describe_stack_events(StackName=LAKE.stack)["StackEvents"]
    refused = {one["LogicalResourceId"]: one["ResourceStatusReason"] for one in events if
               one.get("ResourceStatusReason", "").startswith("Action denied by stack policy")}  # fmt: skip
    assert refused.keys() == {"ResultsBucket"}
    assert "[Update:Replace]" in refused["ResultsBucket"]
    assert physical_ids(deployed.home) == ids


def test_what_is_named_may_go_and_the_policy_is_back_afterwards(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    changed = template()
    changed["Resources"]["Extra"] = {
        "Type": "AWS::S3::Bucket",
        "Properties": {
            **changed["Resources"]["CleanBucket"]["Properties"], "BucketName": "an-extra-bucket-of-the-lake"
        },
    }  # fmt: skip
    deploy_instead(monkeypatch, changed)
    guarding = json.loads(package.STACK_POLICY.read_text())
    guarding["Statement"].append(
        {"Effect": "Deny", "Principal": "*", "Action": "Update:*", "Resource": "LogicalResourceId/Extra"}
    )
    (tmp_path / "policy.json").write_text(json.dumps(guarding))
    monkeypatch.setattr(deployment, "STACK_POLICY", tmp_path / "policy.json")
    deployed.deploy()
    buckets = deployed.home.clients("s3").list_buckets
    assert "an-extra-bucket-of-the-lake" in {one["Name"] for one in buckets()["Buckets"]}
    monkeypatch.setattr(deployment, "render_template", package.render_template)
    with pytest.raises(Refused, match=r"Extra \(AWS::S3::Bucket\) would be removed.*--replace Extra"):
        deployed.deploy()
    deployed.deploy(allowed=("Extra",))
    assert "an-extra-bucket-of-the-lake" not in {one["Name"] for one in buckets()["Buckets"]}
    policy = deployed.home.clients("cloudformation").get_stack_policy(StackName=LAKE.stack)["StackPolicyBody"]
    assert json.loads(policy) == guarding


def test_a_plan_tells_the_change_and_leaves_no_change_set(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    home, before = deployed.home, deployed.stack()
    assert list(plan.compare(LAKE, home.clients)) == [f"{LAKE.stack} is up to date"]
    changed = template()
    changed["Resources"]["CsvQueue"]["Properties"]["DelaySeconds"] = 1
    changed["Resources"]["MySql"]["Properties"]["DBName"] = "other"
    monkeypatch.setattr(plan, "render_template", lambda: json.dumps(package._with_files(changed)))
    said = "\n".join(plan.compare(LAKE, home.clients))
    assert "replace     MySql" in said
    assert "CsvQueue" in said
    assert "It would be refused: MySql" in said
    assert deployed.stack() == before
    proposed = home.clients("cloudformation").list_change_sets(StackName=LAKE.stack)["Summaries"]
    assert [one for one in proposed if one["ExecutionStatus"] == "AVAILABLE"] == []


def test_what_aws_would_not_take_is_refused_beforehand(deployed: Deployed) -> None:
    with pytest.raises(Refused, match=r"value of parameter MySqlCa, bytes: 5,0\d\d of 4,096"):
        deployed.deploy(MySqlCa="-----BEGIN CERTIFICATE-----" + "A" * 5000)


def test_who_says_no_changes_nothing(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    before = deployed.stack()
    changed = template()
    changed["Resources"]["CsvQueue"]["Properties"]["DelaySeconds"] = 1
    deploy_instead(monkeypatch, changed)
    asked: list[str] = []
    with pytest.raises(Refused, match="Nothing was changed"):
        deployed.deploy(Terminal(interactive=True, ask=lambda question: asked.append(question) or "n"))  # type: ignore[func-returns-value]
    assert asked == [f"Update {LAKE.stack}? [y/N] "]
    assert any("CsvQueue" in line and "DelaySeconds" in line for line in deployed.lines)
    assert deployed.stack() == before


def test_nothing_is_left_after_destroy(deployed: Deployed) -> None:
    home = deployed.home
    home.clients("s3").put_object(Bucket=LAKE.landing_bucket, Key="streaming/2026/11/an-object", Body=b"{}\n")
    logs = home.clients("logs")
    ours, others = f"dms-tasks-{LAKE.dms_instance}", "dms-tasks-of-another-lake"
    for group in (ours, others):  # DMS creates it with its first log line
        logs.create_log_group(logGroupName=group)
    lines: list[str] = []
    with pytest.raises(Refused):
        destroy(LAKE, home.clients, lines.append, Terminal())
    destroy(LAKE, home.clients, lines.append)
    assert any("RetainData is false" in line for line in lines)
    assert [one["logGroupName"] for one in logs.describe_log_groups()["logGroups"]] == [others]
    logs.delete_log_group(logGroupName=others)
    after = everything(home)
    assert len(deployed.before) > 100
    assert after.keys() == deployed.before.keys()
    assert {name: (said, after[name]) for name, said in deployed.before.items() if after[name] != said} == {}
    kms = home.clients("kms")
    states = {kms.describe_key(KeyId=one["KeyId"])["KeyMetadata"]["KeyState"] for one in kms.list_keys()["Keys"]}
    assert states <= {"PendingDeletion"}
    socket = str(mysql.socket_path(home.settings))
    with pymysql.connect(unix_socket=socket, user="root") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM mysql.user WHERE user = 'lake'")
        assert cursor.fetchone() == (0,)
        cursor.execute("SHOW DATABASES LIKE 'sakila'")
        assert cursor.fetchall() == ()
    destroy(LAKE, home.clients, lines.append)
    assert lines[-1] == f"{LAKE.stack} does not exist"
