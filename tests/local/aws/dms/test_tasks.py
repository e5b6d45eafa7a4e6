"""States, names, listings, rights and restarts of tasks and what they are made of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from lake_airflow.mysql import run_script
from local.engines.waiting import wait_until
from local.settings import ACCOUNT, REGION
from tests.local.aws.dms.maker import BUCKET, ROOT, Maker, error_of, rule
from tests.support.aws_services import LakeServer, answers, make_role, root_client, running_emulator
from tests.support.mariadb import MariaDb

pytestmark = pytest.mark.services


def test_starts_are_allowed_as_aws_allows_them(make: Maker) -> None:
    task = make.task()
    start = make.dms.start_replication_task
    code, message = error_of(start, ReplicationTaskArn=task, StartReplicationTaskType="reload-target")
    assert (code, message) == (
        "InvalidParameterCombinationException",
        "Start Type : RELOAD_TARGET, valid only for tasks that were started before",
    )
    make.run(task)
    code, message = error_of(start, ReplicationTaskArn=task, StartReplicationTaskType="start-replication")
    assert (code, message) == (
        "InvalidParameterCombinationException",
        "Start Type : START_REPLICATION, valid only for tasks running for the first time",
    )


def test_a_running_task_can_be_stopped_and_nothing_else(make: Maker, mysql: MariaDb, objects: Any) -> None:
    with mysql.connect() as connection:
        run_script(
            connection,
            b"CREATE SCHEMA IF NOT EXISTS slow; USE slow; CREATE OR REPLACE TABLE a_long AS SELECT seq,"
            b" REPEAT('x', 200) AS filler FROM seq_1_to_300000; CREATE OR REPLACE TABLE b (n INT);",
        )
    task = make.task(rules=[rule(1, "include", "%", schema="slow")])
    make.dms.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType="start-replication")
    described = make.described(task)
    for call, arguments in (
        (make.dms.start_replication_task, {"StartReplicationTaskType": "reload-target"}),
        (make.dms.delete_replication_task, {}),
        (make.dms.modify_replication_task, {"TableMappings": "{}"}),
    ):
        code, message = error_of(call, ReplicationTaskArn=task, **arguments)
        assert code == "InvalidResourceStateFault"
        assert "invalid state" in message
    assert (
        error_of(make.dms.delete_endpoint, EndpointArn=described["SourceEndpointArn"])[0] == "InvalidResourceStateFault"
    )
    code, _ = error_of(make.dms.modify_endpoint, EndpointArn=described["SourceEndpointArn"], SslMode="require")
    assert code == "InvalidResourceStateFault"
    stopped = make.dms.stop_replication_task(ReplicationTaskArn=task)
    assert stopped["ReplicationTask"]["Status"] == "stopping"
    ended = make.ended(task)
    assert (ended["Status"], ended["StopReason"]) == ("stopped", "Stop Reason NORMAL")
    assert make.statistics(task)["a_long"]["TableState"] in ("Table cancelled", "Before load")
    assert not objects(make.folder(task))
    assert error_of(make.dms.stop_replication_task, ReplicationTaskArn=task)[0] == "InvalidResourceStateFault"
    assert make.run(task, "resume-processing")["StopReason"] == "Stop Reason FULL_LOAD_ONLY_FINISHED"
    assert make.statistics(task)["a_long"]["FullLoadRows"] == 300000


def test_names_are_unique_and_what_is_used_is_not_deleted(make: Maker) -> None:
    task = make.task()
    described = make.described(task)
    dms = make.dms
    instance = dms.describe_replication_instances()["ReplicationInstances"][0]["ReplicationInstanceIdentifier"]
    code, _ = error_of(
        dms.create_replication_instance, ReplicationInstanceIdentifier=instance, ReplicationInstanceClass="dms.t3.micro"
    )
    assert code == "ResourceAlreadyExistsFault"
    busy = described["ReplicationInstanceArn"]
    assert error_of(dms.delete_replication_instance, ReplicationInstanceArn=busy)[0] == "InvalidResourceStateFault"
    certificate = dms.describe_endpoints(
        Filters=[{"Name": "endpoint-arn", "Values": [described["SourceEndpointArn"]]}]
    )["Endpoints"][0]["CertificateArn"]
    assert error_of(dms.delete_certificate, CertificateArn=certificate)[0] == "InvalidResourceStateFault"

    assert dms.delete_replication_task(ReplicationTaskArn=task)["ReplicationTask"]["Status"] == "deleting"
    assert dms.delete_endpoint(EndpointArn=described["SourceEndpointArn"])["Endpoint"]["Status"] == "deleting"
    assert dms.delete_endpoint(EndpointArn=described["TargetEndpointArn"])
    assert dms.delete_replication_instance(ReplicationInstanceArn=busy)
    assert dms.delete_certificate(CertificateArn=certificate)
    for call, key, arn in (
        (dms.delete_replication_task, "ReplicationTaskArn", task),
        (dms.delete_endpoint, "EndpointArn", described["SourceEndpointArn"]),
        (dms.describe_table_statistics, "ReplicationTaskArn", task),
        (dms.list_tags_for_resource, "ResourceArn", task),
    ):
        assert error_of(call, **{key: arn})[0] == "ResourceNotFoundFault"
    dms.get_waiter("replication_task_deleted").wait(Filters=[{"Name": "replication-task-arn", "Values": [task]}])


def test_a_task_that_captures_changes_is_refused_by_name(make: Maker) -> None:
    code, message = error_of(
        make.dms.modify_replication_task, ReplicationTaskArn=make.task(), MigrationType="full-load-and-cdc"
    )
    assert code == "InvalidParameterValueException"
    assert "'full-load-and-cdc' is not served" in message


def test_arns_tags_and_identifiers(make: Maker) -> None:
    made = make.dms.create_replication_instance(
        ReplicationInstanceIdentifier="Named-Instance",
        ReplicationInstanceClass="dms.t3.micro",
        AllocatedStorage=20,
        ResourceIdentifier="named-instance",
        VpcSecurityGroupIds=["sg-1"],
        ReplicationSubnetGroupIdentifier="subnets",
        Tags=[{"Key": "project", "Value": "sakila"}],
    )["ReplicationInstance"]
    assert made["ReplicationInstanceArn"] == f"arn:aws:dms:{REGION}:{ACCOUNT}:rep:named-instance"
    assert made["ReplicationInstanceIdentifier"] == "named-instance"  # AWS keeps identifiers in lower case
    assert make.dms.list_tags_for_resource(ResourceArn=made["ReplicationInstanceArn"])["TagList"] == [
        {"Key": "project", "Value": "sakila"}
    ]
    make.dms.get_waiter("replication_instance_available").wait(
        Filters=[{"Name": "replication-instance-id", "Values": ["named-instance"]}]
    )
    changed = make.dms.modify_replication_instance(
        ReplicationInstanceArn=made["ReplicationInstanceArn"],
        ReplicationInstanceClass="dms.t3.small",
        ApplyImmediately=True,
    )["ReplicationInstance"]
    assert (changed["ReplicationInstanceClass"], changed["AllocatedStorage"]) == ("dms.t3.small", 20)


def test_listings_are_filtered_and_cut_into_pages(make: Maker) -> None:
    for _ in range(21):
        make.instance()
    first = make.dms.describe_replication_instances(MaxRecords=20)
    assert len(first["ReplicationInstances"]) == 20
    rest = make.dms.describe_replication_instances(MaxRecords=100, Marker=first["Marker"])
    assert "Marker" not in rest
    names = {found["ReplicationInstanceIdentifier"] for page in (first, rest) for found in page["ReplicationInstances"]}
    assert len(names) == 20 + len(rest["ReplicationInstances"])
    tasks = make.dms.describe_replication_tasks
    absent = [{"Name": "replication-task-id", "Values": ["absent"]}]
    assert error_of(tasks, Filters=absent) == (
        "ResourceNotFoundFault",
        "No Tasks found matching given filter",
    )
    code, message = error_of(tasks, Filters=[{"Name": "colour", "Values": ["red"]}])
    assert (code, "colour" in message) == ("InvalidParameterValueException", True)
    assert error_of(tasks, MaxRecords=7)[0] == "InvalidParameterValueException"
    make.task()
    short = tasks(WithoutSettings=True)["ReplicationTasks"][0]
    assert "TableMappings" not in short
    assert "ReplicationTaskSettings" not in short
    code, message = error_of(make.dms.reload_tables, ReplicationTaskArn="x", TablesToReload=[])
    assert "does not serve dms:ReloadTables" in message


def test_statistics_are_filtered(make: Maker) -> None:
    task = make.task()
    make.run(task)
    wanted = [{"Name": "table-name", "Values": ["product"]}, {"Name": "schema-name", "Values": ["shop"]}]
    found = make.dms.describe_table_statistics(ReplicationTaskArn=task, Filters=wanted)["TableStatistics"]
    assert [table["TableName"] for table in found] == ["product"]


def test_each_action_is_authorised(make: Maker, lake: LakeServer) -> None:
    task, other = make.task(), make.task()
    arn = lake.role(
        "operator",
        {"Effect": "Allow", "Action": ["dms:StartReplicationTask", "dms:DescribeTableStatistics"], "Resource": task},
        {"Effect": "Allow", "Action": ["dms:DescribeReplicationTasks", "dms:CreateEndpoint"], "Resource": "*"},
    )
    key = root_client(lake.settings.server_url, "sts").assume_role(RoleArn=arn, RoleSessionName="operator")[
        "Credentials"
    ]
    dms = boto3.client(
        "dms",
        endpoint_url=lake.settings.server_url,
        region_name=REGION,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        aws_session_token=key["SessionToken"],
    )
    dms.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType="start-replication")
    assert make.ended(task)["Status"] == "stopped"
    assert dms.describe_table_statistics(ReplicationTaskArn=task)["TableStatistics"]
    for call, arguments in (
        (dms.start_replication_task, {"ReplicationTaskArn": other, "StartReplicationTaskType": "start-replication"}),
        (dms.stop_replication_task, {"ReplicationTaskArn": task}),
        (dms.delete_replication_task, {"ReplicationTaskArn": task}),
        (dms.describe_endpoints, {}),
    ):
        code, message = error_of(call, **arguments)
        assert "AccessDenied" in code
        assert "is not authorized to perform: dms:" in message
    settings = {"BucketName": BUCKET, "ServiceAccessRoleArn": make.role}
    code, message = error_of(
        dms.create_endpoint, EndpointIdentifier="e", EndpointType="target", EngineName="s3", S3Settings=settings
    )
    assert "iam:PassRole" in message


def test_a_kill_fails_the_running_task_and_loses_nothing_else(mysql: MariaDb, tmp_path: Path) -> None:
    script = b"""CREATE SCHEMA IF NOT EXISTS killed; USE killed;
    CREATE OR REPLACE TABLE a_long AS SELECT seq, REPEAT('x', 200) AS filler FROM seq_1_to_300000;"""
    with mysql.connect() as connection:
        run_script(connection, script)
    with running_emulator(tmp_path) as emulator:
        settings = emulator.settings
        home = {"LAKE_HOME": str(settings.home), "LAKE_PORT": str(settings.port), "PYTHONPATH": str(ROOT / "include")}
        command = [sys.executable, "-m", "local.commands.aws_server"]
        emulator.client("s3").create_bucket(Bucket=BUCKET)
        emulator.client("secretsmanager").create_secret(Name="shop-login", SecretString=json.dumps(mysql.secret))
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        role = make_role(emulator, "dms-role", {"Service": "dms.amazonaws.com"}, everything)
        servers: list[subprocess.Popen[bytes]] = []

        def serve() -> None:
            servers.append(subprocess.Popen(command, env={**os.environ, **home}, cwd=ROOT))
            wait_until(
                lambda: answers(f"{settings.server_url}/health") or servers[-1].poll() is not None,
                60,
                "our server did not start",
            )
            assert servers[-1].poll() is None

        try:
            serve()
            make = Maker(root_client(settings.server_url, "dms"), role, mysql.ca)
            task = make.task(rules=[rule(1, "include", "%", schema="killed")])
            make.dms.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType="start-replication")
            wait_until(
                lambda: any(table["FullLoadRows"] for table in make.statistics(task).values()), 60, "no row was loaded"
            )
            servers[-1].kill()
            servers[-1].wait(10)
            serve()
            found = make.described(task)
            assert (found["Status"], found["StopReason"]) == ("failed", "Stop Reason FATAL_ERROR")
            assert "restarted while the task was running" in found["LastFailureMessage"]
            assert make.statistics(task)["a_long"]["TableState"] == "Table error"
            assert make.run(task, "reload-target")["Status"] == "stopped"
            assert make.statistics(task)["a_long"]["FullLoadRows"] == 300000
        finally:
            for server in servers:
                server.kill()
                server.wait(10)


def test_airflows_operators_run_and_watch_a_task(
    make: Maker, lake: LakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.amazon.aws.operators.dms import DmsDescribeTasksOperator, DmsStartTaskOperator
    from airflow.providers.amazon.aws.sensors.dms import DmsTaskCompletedSensor

    monkeypatch.setenv("AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE", lake.settings.server_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    task = make.task()
    wanted = {"Filters": [{"Name": "replication-task-arn", "Values": [task]}]}
    _, tasks = DmsDescribeTasksOperator(task_id="describe", describe_tasks_kwargs=wanted).execute({})
    assert [found["Status"] for found in tasks] == ["ready"]
    DmsStartTaskOperator(task_id="start", replication_task_arn=task).execute({})
    make.ended(task)
    assert DmsTaskCompletedSensor(task_id="wait", replication_task_arn=task).poke({})
    make.dms.get_waiter("replication_task_stopped").wait(**wanted)
