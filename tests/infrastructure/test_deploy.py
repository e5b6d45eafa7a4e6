"""The whole template, deployed into a real home: created, used, changed, deleted."""

from __future__ import annotations

import json
import time
from typing import Any

import pyarrow.parquet as pq
import pymysql
import pytest
from botocore.exceptions import ClientError

from datalake import names
from datalake.tables import FILM_CATEGORY, RECONCILIATION, STREAMING_FILMS
from datalake_spark.table_maintenance import remove_objects
from infrastructure import deploy as deployment
from infrastructure import package
from infrastructure.cfn.template import parse_template
from infrastructure.destroy import destroy
from infrastructure.stack import DeployError
from local.engines import mysql
from local.engines.waiting import wait_until
from local.settings import ACCOUNT
from tests.support.lake_home import LAKE, LakeHome

pytestmark = [pytest.mark.services, pytest.mark.in_order]

CATEGORIES = b"category_id,name,last_update\n1,Action,2006-02-15 04:46:27\n2,Animation,2006-02-15 04:46:27\n"


def _stack(home: LakeHome) -> dict[str, Any]:
    found: dict[str, Any] = home.clients("cloudformation").describe_stacks(StackName=LAKE.stack)["Stacks"][0]
    return found


def test_everything_is_created(home: LakeHome, outputs: dict[str, str]) -> None:
    assert _stack(home)["StackStatus"] == "CREATE_COMPLETE"
    resources = home.clients("cloudformation").describe_stack_resources(StackName=LAKE.stack)["StackResources"]
    template = parse_template(package.render_template())
    holding = {None, "OwnNetwork", "WithDms", "WithSecretsEndpoint"}  # the conditions that hold under local.json
    wanted = {name for name, one in template["Resources"].items() if one.get("Condition") in holding}
    assert {one["LogicalResourceId"] for one in resources} == wanted
    assert {one["ResourceStatus"] for one in resources} == {"CREATE_COMPLETE"}
    assert outputs["DmsTask"] == f"arn:aws:dms:us-east-1:{ACCOUNT}:task:local-sakila-full-load"


def test_buckets_are_private_versioned_and_encrypted(home: LakeHome, outputs: dict[str, str]) -> None:
    s3 = home.clients("s3")
    for bucket in (
        LAKE.landing_bucket,
        LAKE.clean_bucket,
        LAKE.curated_bucket,
        LAKE.results_bucket,
        LAKE.artifacts_bucket,
    ):
        rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    lifecycle = s3.get_bucket_lifecycle_configuration(Bucket=LAKE.results_bucket)["Rules"]
    assert {rule["ID"] for rule in lifecycle} == {"leftovers", "query-results"}


def test_mysql_takes_the_secrets_login_and_tls_alone(home: LakeHome, outputs: dict[str, str]) -> None:
    text = home.clients("secretsmanager").get_secret_value(SecretId=LAKE.mysql_secret)["SecretString"]
    secret = json.loads(text)
    assert set(secret) == {"engine", "host", "port", "username", "password", "dbname"}
    login = {"host": secret["host"], "port": secret["port"], "user": secret["username"], "password": secret["password"]}
    ca = str(mysql.ca_path(home.settings))
    with pymysql.connect(**login, ssl_ca=ca, database=secret["dbname"]) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE proof (id INT)")
        cursor.execute("DROP TABLE proof")
    with pytest.raises(pymysql.MySQLError):
        pymysql.connect(**login, ssl_disabled=True)


def test_own_types_are_really_there(home: LakeHome, outputs: dict[str, str]) -> None:
    dms, firehose, athena = home.clients("dms"), home.clients("firehose"), home.clients("athena")
    [task] = dms.describe_replication_tasks()["ReplicationTasks"]
    assert (task["ReplicationTaskIdentifier"], task["Status"]) == (LAKE.dms_task, "ready")
    [target] = dms.describe_endpoints(Filters=[{"Name": "endpoint-type", "Values": ["target"]}])["Endpoints"]
    assert (target["S3Settings"]["AddColumnName"], target["S3Settings"]["CsvNullValue"]) == (True, r"\N")
    stream = firehose.describe_delivery_stream(DeliveryStreamName=LAKE.delivery_stream)["DeliveryStreamDescription"]
    hints = stream["Destinations"][0]["ExtendedS3DestinationDescription"]["BufferingHints"]
    assert hints == {"SizeInMBs": 1, "IntervalInSeconds": 60}
    ids = athena.list_named_queries(WorkGroup=LAKE.workgroup)["NamedQueryIds"]
    queries = athena.batch_get_named_query(NamedQueryIds=ids)["NamedQueries"]
    assert {query["Name"] for query in queries} == {
        "Overall-Top-Streaming-Categories",
        "Overall-Top-Streaming-States",
        "Streaming-Reconciliation",
        "Streaming-Reconciliation-Of-Runs",
        "Streaming-Quarantined-Lines",
    }


def test_dms_reaches_both_ends_under_its_role(home: LakeHome, outputs: dict[str, str]) -> None:
    dms = home.clients("dms")
    [instance] = dms.describe_replication_instances()["ReplicationInstances"]
    for endpoint in dms.describe_endpoints()["Endpoints"]:
        dms.test_connection(
            ReplicationInstanceArn=instance["ReplicationInstanceArn"], EndpointArn=endpoint["EndpointArn"]
        )
    wait_until(
        lambda: all(one["Status"] != "testing" for one in dms.describe_connections()["Connections"]), 60, "untested"
    )
    found = {
        one["EndpointIdentifier"]: one.get("LastFailureMessage") for one in dms.describe_connections()["Connections"]
    }
    assert found == {LAKE.dms_source: None, LAKE.dms_target: None}


def test_a_csv_in_the_landing_zone_becomes_parquet_under_the_functions_role(
    home: LakeHome, outputs: dict[str, str], tmp_path: Any
) -> None:
    s3, key = home.clients("s3"), "sakila/category/LOAD00000001.parquet"
    s3.put_object(Bucket=LAKE.landing_bucket, Key="dms/sakila/category/LOAD00000001.csv", Body=CATEGORIES)
    wait_until(
        lambda: "Contents" in s3.list_objects_v2(Bucket=LAKE.clean_bucket, Prefix=key),
        60,
        "no Parquet object was written",
    )
    path = tmp_path / "category.parquet"
    s3.download_file(LAKE.clean_bucket, key, str(path))
    assert pq.read_table(path)["name"].to_pylist() == ["Action", "Animation"]
    assert s3.head_object(Bucket=LAKE.clean_bucket, Key=key)["ServerSideEncryption"] == "aws:kms"
    glue = home.clients("glue")

    def in_catalog() -> bool:
        try:
            glue.get_table(DatabaseName="sakila", Name="category")
        except glue.exceptions.EntityNotFoundException:
            return False
        return True

    wait_until(in_catalog, 60, "no table was made")


def test_maintenance_removes_leftovers_of_tables_and_nothing_else(home: LakeHome, outputs: dict[str, str]) -> None:
    root = home.clients("s3")
    role = f"arn:aws:iam::{ACCOUNT}:role/{LAKE.role('maintenance')}"
    s3 = home.server.session(role).client("s3", endpoint_url=home.settings.emulator_url)
    leftovers = [f"{table.prefix}data/left.parquet" for table in (FILM_CATEGORY, STREAMING_FILMS, RECONCILIATION)]
    others = [f"{names.RUNS_PREFIX}streaming_films/jr_1.json", "streaming_films_of_others/data/a.parquet"]
    for key in [*leftovers, *others]:
        root.put_object(Bucket=LAKE.curated_bucket, Key=key, Body=b"a")
    assert remove_objects(s3, [f"s3://{LAKE.curated_bucket}/{key}" for key in leftovers]) == 3
    with pytest.raises((RuntimeError, ClientError), match="AccessDenied"):
        remove_objects(s3, [f"s3://{LAKE.curated_bucket}/{key}" for key in others])
    kept = root.list_objects_v2(Bucket=LAKE.curated_bucket)["Contents"]
    assert [entry["Key"] for entry in kept] == others
    for bucket in (LAKE.landing_bucket, LAKE.clean_bucket, LAKE.results_bucket):
        with pytest.raises(ClientError, match="AccessDenied"):
            s3.list_objects_v2(Bucket=bucket)


def test_deploying_again_changes_nothing(home: LakeHome, outputs: dict[str, str]) -> None:
    before = _stack(home)
    assert home.deploy() == outputs
    assert _stack(home) == before


def test_a_change_of_an_own_type_and_of_an_emulated_one(
    home: LakeHome, outputs: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    template = parse_template(package.TEMPLATE.read_text())
    resources = template["Resources"]
    resources["Events"]["Properties"]["ExtendedS3DestinationConfiguration"]["BufferingHints"]["IntervalInSeconds"] = 90
    resources["CsvQueue"]["Properties"]["MessageRetentionPeriod"] = 86400
    resources["TopStatesQuery"]["Properties"]["Description"] = "Another one"
    resources["FilmCategoryJob"]["Properties"]["Timeout"] = 45
    monkeypatch.setattr(deployment, "render_template", lambda: json.dumps(package._with_files(template)))
    changed = home.deploy()

    assert _stack(home)["StackStatus"] == "UPDATE_COMPLETE"
    stream = home.clients("firehose").describe_delivery_stream(DeliveryStreamName=LAKE.delivery_stream)
    destination = stream["DeliveryStreamDescription"]["Destinations"][0]["ExtendedS3DestinationDescription"]
    assert destination["BufferingHints"]["IntervalInSeconds"] == 90
    queue = home.clients("sqs").get_queue_attributes(QueueUrl=outputs["CsvQueue"], AttributeNames=["All"])["Attributes"]
    assert queue["MessageRetentionPeriod"] == "86400"
    assert home.clients("glue").get_job(JobName=LAKE.film_category_job)["Job"]["Timeout"] == 45
    athena = home.clients("athena")  # AWS replaces a saved query
    assert changed["TopStatesQuery"] != outputs["TopStatesQuery"]
    saved = set(athena.list_named_queries(WorkGroup=LAKE.workgroup)["NamedQueryIds"])
    assert saved >= {changed["TopCategoriesQuery"], changed["TopStatesQuery"]}
    assert outputs["TopStatesQuery"] not in saved

    monkeypatch.undo()
    back = home.deploy()
    assert {**back, "TopStatesQuery": ""} == {**outputs, "TopStatesQuery": ""}


def test_what_the_emulator_forgets_when_it_is_killed_comes_back(home: LakeHome, outputs: dict[str, str]) -> None:
    home.emulator.stop()
    home.emulator.start()
    home.clients("sqs").delete_queue(QueueUrl=outputs["CsvDeadLetterQueue"])
    roles = {role["RoleName"] for role in home.clients("iam").list_roles()["Roles"]}
    home.emulator.kill()
    home.emulator.start()
    home.deploy()
    assert {role["RoleName"] for role in home.clients("iam").list_roles()["Roles"]} == roles
    assert home.clients("sqs").get_queue_url(QueueName=LAKE.csv_dead_letter_queue)["QueueUrl"]


def test_who_is_not_root_may_look_only_as_far_as_the_policy_says(home: LakeHome, outputs: dict[str, str]) -> None:
    operator = home.server.session(outputs["OperatorRole"]).client("cloudformation")
    assert operator.describe_stacks(StackName=LAKE.stack)["Stacks"][0]["StackName"] == LAKE.stack
    with pytest.raises(ClientError, match="AccessDenied.*cloudformation:DeleteStack"):
        operator.delete_stack(StackName=LAKE.stack)
    producer = home.server.session(outputs["ProducerRole"]).client("cloudformation")
    with pytest.raises(ClientError, match="AccessDenied.*cloudformation:DescribeStacks"):
        producer.describe_stacks(StackName=LAKE.stack)


def test_a_bucket_with_objects_stops_the_deletion_as_on_aws(home: LakeHome, outputs: dict[str, str]) -> None:
    home.clients("s3").put_object(Bucket=LAKE.results_bucket, Key="reports/kept.csv", Body=b"1")
    cloudformation = home.clients("cloudformation")
    cloudformation.delete_stack(StackName=LAKE.stack)
    wait_until(lambda: not _stack(home)["StackStatus"].endswith("_IN_PROGRESS"), 60, "the stack did not settle")
    stack = _stack(home)
    assert stack["StackStatus"] == "DELETE_FAILED"
    assert "Bucket" in stack["StackStatusReason"]
    assert "not empty" in stack["StackStatusReason"]


def test_a_failed_creation_says_what_failed_and_can_be_repeated(home: LakeHome) -> None:
    destroy(LAKE, home.clients, lambda _: None)
    home.clients("glue").create_database(DatabaseInput={"Name": "landing"})  # which the stack would create
    with pytest.raises(DeployError, match=r"LandingDatabase \(AWS::Glue::Database\): .*[Ee]xists"):
        home.deploy()
    assert _stack(home)["StackStatus"] == "ROLLBACK_COMPLETE"
    home.clients("glue").delete_database(Name="landing")
    began = time.monotonic()
    home.deploy()
    assert _stack(home)["StackStatus"] == "CREATE_COMPLETE"
    assert time.monotonic() - began < 120
