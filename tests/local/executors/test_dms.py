"""DMS through boto3 and through Airflow's operators: real MariaDB, real emulator with IAM, real files."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lake_airflow.mysql import run_script
from local.executors.dms import Dms
from local.settings import ACCOUNT, REGION
from tests.mariadb import MariaDb, mariadb
from tests.services import LakeServer, root_client, running_emulator, running_server

pytestmark = pytest.mark.services

ROOT = Path(__file__).resolve().parents[3]
BUCKET = "dms-landing"
SETTINGS = (ROOT / "infrastructure/dms/task-settings.json").read_text()
MAPPINGS = json.loads((ROOT / "infrastructure/dms/table-mappings.json").read_text())
SELECT_SHOP = {
    "rule-type": "selection",
    "rule-id": "1",
    "rule-name": "shop",
    "object-locator": {"schema-name": "shop", "table-name": "%"},
    "rule-action": "include",
}

SHOP = r"""
DROP SCHEMA IF EXISTS shop;
CREATE SCHEMA shop CHARACTER SET utf8mb4;
USE shop;
CREATE TABLE product (
  product_id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(100) NULL,
  price DECIMAL(5,2) NULL,
  made YEAR NULL,
  size ENUM('s', 'm, l') NULL,
  tags SET('red', 'dark blue', 'green') NULL,
  picture BLOB NULL,
  place GEOMETRY NULL,
  sold DATETIME(6) NULL,
  last_update TIMESTAMP NOT NULL DEFAULT '2020-01-01 00:00:00'
) ENGINE=InnoDB;
CREATE TABLE nothing (id INT PRIMARY KEY, note TEXT);
CREATE TABLE one_column (word VARCHAR(10));
CREATE TABLE old_fashioned (id INT, word CHAR(5)) ENGINE=MyISAM;
CREATE VIEW cheap AS SELECT name FROM product WHERE price < 2;
DELIMITER $$
CREATE PROCEDURE fill() BEGIN INSERT INTO old_fashioned VALUES (1, 'a;b'); END$$
DELIMITER ;
CALL fill();
INSERT INTO one_column VALUES (''), ('x'), (NULL);
INSERT INTO product (name, price, made, size, tags, picture, place, sold, last_update) VALUES
  ('plain', 0.99, 2006, 's', 'red,dark blue', 0x00FF, POINT(1, 2), '2005-05-24 22:53:30.000001', '2006-02-15 04:34:33'),
  ('a "quoted", listed
and broken name', 100.00, 1999, 'm, l', '', '', NULL, '2005-05-24 22:53:30', '2006-02-15 04:34:33'),
  ('carriage\rreturn\r\n', -1.50, NULL, NULL, NULL, NULL, NULL, NULL, '2006-02-15 04:34:33'),
  ('', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2006-02-15 04:34:33'),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2006-02-15 04:34:33'),
  ('NULL', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2006-02-15 04:34:33'),
  ('back\\slash \\N', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2006-02-15 04:34:33'),
  ('žluťoučký 🎬', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2006-02-15 04:34:33');
"""


@pytest.fixture(scope="module")
def mysql() -> Iterator[MariaDb]:
    with mariadb() as running:
        with running.connect() as connection:
            run_script(connection, SHOP.encode())
        yield running


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeServer]:
    with running_emulator(tmp_path_factory.mktemp("home")) as emulator, running_server(emulator, (Dms,)) as server:
        emulator.client("s3").create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture(scope="module")
def role(lake: LakeServer, mysql: MariaDb) -> str:
    secret = {**mysql.secret, "host": "127.0.0.1"}
    lake.emulator.client("secretsmanager").create_secret(Name="shop-login", SecretString=json.dumps(secret))
    return lake.role(
        "dms-role",
        {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"},
        {"Effect": "Allow", "Action": ["s3:PutObject", "s3:DeleteObject"], "Resource": f"arn:aws:s3:::{BUCKET}/dms*"},
    )


@dataclass
class Maker:
    """Makes instances, endpoints and tasks under names that no other test has."""

    dms: Any
    role: str
    ca: str
    count: int = 0

    def name(self, what: str) -> str:
        self.count += 1
        return f"{what}-{self.count}"

    def instance(self) -> str:
        made = self.dms.create_replication_instance(
            ReplicationInstanceIdentifier=self.name("instance"), ReplicationInstanceClass="dms.t3.micro"
        )
        return str(made["ReplicationInstance"]["ReplicationInstanceArn"])

    def source(self, **changes: Any) -> str:
        login = {"SecretsManagerSecretId": "shop-login", "SecretsManagerAccessRoleArn": self.role}
        certificate = self.dms.import_certificate(
            CertificateIdentifier=self.name("ca"), CertificatePem=Path(self.ca).read_text()
        )
        given = {
            "EndpointIdentifier": self.name("source"),
            "EndpointType": "source",
            "EngineName": "mysql",
            "SslMode": "verify-full",
            "CertificateArn": certificate["Certificate"]["CertificateArn"],
            "MySQLSettings": login,
        }
        return str(self.dms.create_endpoint(**{**given, **changes})["Endpoint"]["EndpointArn"])

    def target(self, **settings: Any) -> str:
        """An S3 target whose folder is its own; settings as the lake's template gives them."""
        name = self.name("target")
        given = {
            "BucketName": BUCKET,
            "BucketFolder": f"dms/{name}",
            "ServiceAccessRoleArn": self.role,
            "AddColumnName": True,
            "CsvNullValue": "\\N",
            "Rfc4180": True,
        }
        made = self.dms.create_endpoint(
            EndpointIdentifier=name, EndpointType="target", EngineName="s3", S3Settings={**given, **settings}
        )
        return str(made["Endpoint"]["EndpointArn"])

    def task(self, source: str = "", target: str = "", rules: list[Any] | None = None, settings: str = SETTINGS) -> str:
        made = self.dms.create_replication_task(
            ReplicationTaskIdentifier=self.name("task"),
            SourceEndpointArn=source or self.source(),
            TargetEndpointArn=target or self.target(),
            ReplicationInstanceArn=self.instance(),
            MigrationType="full-load",
            TableMappings=json.dumps({"rules": rules or [SELECT_SHOP]}),
            ReplicationTaskSettings=settings,
        )["ReplicationTask"]
        assert made["Status"] == "creating"
        return str(made["ReplicationTaskArn"])

    def folder(self, task: str) -> str:
        target = self.described(task)["TargetEndpointArn"]
        endpoint = self.dms.describe_endpoints(Filters=[{"Name": "endpoint-arn", "Values": [target]}])["Endpoints"][0]
        return f"{endpoint['S3Settings']['BucketFolder']}/"

    def described(self, task: str) -> dict[str, Any]:
        wanted = [{"Name": "replication-task-arn", "Values": [task]}]
        return dict(self.dms.describe_replication_tasks(Filters=wanted)["ReplicationTasks"][0])

    def run(self, task: str, kind: str = "start-replication") -> dict[str, Any]:
        """Start a task and wait until it has ended."""
        started = self.dms.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType=kind)
        assert started["ReplicationTask"]["Status"] == "starting"
        return self.ended(task)

    def ended(self, task: str) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while (found := self.described(task))["Status"] not in ("stopped", "failed"):
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        return found

    def statistics(self, task: str) -> dict[str, dict[str, Any]]:
        found = self.dms.describe_table_statistics(ReplicationTaskArn=task)["TableStatistics"]
        return {table["TableName"]: table for table in found}


@pytest.fixture(scope="module")
def make(lake: LakeServer, role: str, mysql: MariaDb) -> Maker:
    return Maker(lake.client("dms"), role, mysql.ca)


@pytest.fixture(scope="module")
def objects(lake: LakeServer) -> Callable[[str], dict[str, bytes]]:
    s3 = lake.emulator.client("s3")

    def read(prefix: str) -> dict[str, bytes]:
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return {
            item["Key"].removeprefix(prefix): s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
            for item in listed
        }

    return read


def error_of(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


# a full load


PRODUCT_CSV = (
    "product_id,name,price,made,size,tags,picture,sold,last_update\n"
    '1,plain,0.99,2006,s,"red,dark blue",00ff,2005-05-24 22:53:30.000001,2006-02-15 04:34:33\n'
    '2,"a ""quoted"", listed\nand broken name",100.00,1999,"m, l",,,2005-05-24 22:53:30.000000,2006-02-15 04:34:33\n'
    '3,"carriage\rreturn\r\n",-1.50,\\N,\\N,\\N,\\N,\\N,2006-02-15 04:34:33\n'
    "4,,\\N,\\N,\\N,\\N,\\N,\\N,2006-02-15 04:34:33\n"
    "5,\\N,\\N,\\N,\\N,\\N,\\N,\\N,2006-02-15 04:34:33\n"
    "6,NULL,\\N,\\N,\\N,\\N,\\N,\\N,2006-02-15 04:34:33\n"
    "7,back\\slash \\N,\\N,\\N,\\N,\\N,\\N,\\N,2006-02-15 04:34:33\n"
    "8,žluťoučký 🎬,\\N,\\N,\\N,\\N,\\N,\\N,2006-02-15 04:34:33\n"
)
NO_PLACE = {
    "rule-type": "transformation",
    "rule-id": "2",
    "rule-name": "no place",
    "rule-target": "column",
    "object-locator": {"schema-name": "shop", "table-name": "prod%", "column-name": "place"},
    "rule-action": "remove-column",
}


def test_a_full_load_writes_every_table_as_aws_does(make: Maker, objects: Callable[[str], dict[str, bytes]]) -> None:
    before = time.time()
    task = make.task(rules=[SELECT_SHOP, NO_PLACE])
    assert make.described(task)["Status"] == "ready"
    ended = make.run(task)

    assert (ended["Status"], ended["StopReason"]) == ("stopped", "Stop Reason FULL_LOAD_ONLY_FINISHED")
    assert "LastFailureMessage" not in ended
    stats = ended["ReplicationTaskStats"]
    assert (stats["FullLoadProgressPercent"], stats["TablesLoaded"], stats["TablesErrored"]) == (100, 4, 0)
    assert (stats["TablesLoading"], stats["TablesQueued"]) == (0, 0)
    assert before < stats["FreshStartDate"].timestamp() <= stats["StartDate"].timestamp()
    assert stats["StartDate"] <= stats["StopDate"]
    assert stats["ElapsedTimeMillis"] < 1000 * (time.time() - before) + 1

    files = objects(make.folder(task))
    assert files == {
        "shop/product/LOAD00000001.csv": PRODUCT_CSV.encode(),
        "shop/one_column/LOAD00000001.csv": b"word\n\nx\n\\N\n",
        "shop/old_fashioned/LOAD00000001.csv": b"id,word\n1,a;b\n",
    }, "no file for the empty table, none for the view"

    tables = make.statistics(task)
    assert {name: (table["FullLoadRows"], table["TableState"]) for name, table in tables.items()} == {
        "product": (8, "Table completed"),
        "nothing": (0, "Table completed"),
        "one_column": (3, "Table completed"),
        "old_fashioned": (1, "Table completed"),
    }
    product = tables["product"]
    assert product["SchemaName"] == "shop"
    assert not product["FullLoadReloaded"]
    assert product["FullLoadStartTime"].timestamp() >= before
    assert product["FullLoadStartTime"] <= product["FullLoadEndTime"]


def test_aws_defaults_no_header_null_as_text(make: Maker, objects: Callable[[str], dict[str, bytes]]) -> None:
    target = make.dms.create_endpoint(
        EndpointIdentifier=make.name("target"),
        EndpointType="target",
        EngineName="s3",
        S3Settings={"BucketName": BUCKET, "BucketFolder": "dms/defaults", "ServiceAccessRoleArn": make.role},
    )["Endpoint"]["EndpointArn"]
    task = make.task(target=target, settings="")
    assert make.run(task)["Status"] == "stopped"
    files = objects("dms/defaults/")
    assert files["shop/one_column/LOAD00000001.csv"] == b"\nx\nNULL\n"
    lines = files["shop/product/LOAD00000001.csv"].decode().splitlines()
    # GEOMETRY is its bytes in hexadecimal: SRID, then WKB
    assert lines[0].startswith('1,plain,0.99,2006,s,"red,dark blue",00ff,000000000101000000000000000000f03f')


def test_delimiters_and_no_quoting(make: Maker, objects: Callable[[str], dict[str, bytes]]) -> None:
    target = make.target(CsvDelimiter="\\t", CsvRowDelimiter="\\r\\n", Rfc4180=False)
    task = make.task(target=target, rules=[SELECT_SHOP, NO_PLACE])
    make.run(task)
    files = objects(make.folder(task))
    assert files["shop/old_fashioned/LOAD00000001.csv"] == b"id\tword\r\n1\ta;b\r\n"
    assert b'\ta "quoted", listed\nand broken name\t' in files["shop/product/LOAD00000001.csv"]


def test_reload_overwrites_the_same_keys_and_nothing_else(
    make: Maker, mysql: MariaDb, lake: LakeServer, objects: Callable[[str], dict[str, bytes]]
) -> None:
    task = make.task()
    make.run(task)
    folder = make.folder(task)
    first = objects(folder)
    s3 = lake.emulator.client("s3")
    strangers = {"shop/product/notes.csv": b"mine", "shop/product/LOAD00000002.csv": b"of a longer load"}
    for key, body in strangers.items():
        s3.put_object(Bucket=BUCKET, Key=folder + key, Body=body)
    with mysql.connect("shop") as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO one_column VALUES ('new')")
        connection.commit()
        try:
            ended = make.run(task, "reload-target")
        finally:
            cursor.execute("DELETE FROM one_column WHERE word = 'new'")
            connection.commit()
    assert ended["Status"] == "stopped"
    expected = {**first, **strangers, "shop/one_column/LOAD00000001.csv": b"word\n\nx\n\\N\nnew\n"}
    assert objects(folder) == expected
    tables = make.statistics(task)
    assert tables["one_column"]["FullLoadRows"] == 4
    assert all(table["FullLoadReloaded"] for table in tables.values())


@pytest.mark.parametrize("mode", ["DROP_AND_CREATE", "TRUNCATE_BEFORE_LOAD"])
def test_preparation_removes_what_dms_itself_wrote_in_the_folder(
    make: Maker, lake: LakeServer, objects: Callable[[str], dict[str, bytes]], mode: str
) -> None:
    settings = json.dumps({"FullLoadSettings": {"TargetTablePrepMode": mode}})
    task = make.task(settings=settings)
    folder = make.folder(task)
    s3 = lake.emulator.client("s3")
    for key in ("shop/nothing/LOAD0000000A.csv", "shop/nothing/notes.csv", "shop/nothing_else/LOAD00000001.csv"):
        s3.put_object(Bucket=BUCKET, Key=folder + key, Body=b"x")
    make.run(task)
    files = objects(folder)
    assert "shop/nothing/LOAD0000000A.csv" not in files
    assert {"shop/nothing/notes.csv", "shop/nothing_else/LOAD00000001.csv"} < files.keys()


def test_files_are_cut_at_their_size_and_counted_in_hexadecimal(
    make: Maker, mysql: MariaDb, objects: Callable[[str], dict[str, bytes]]
) -> None:
    with mysql.connect("shop") as connection:
        run_script(
            connection,
            b"CREATE SCHEMA IF NOT EXISTS big; USE big;"
            b"CREATE OR REPLACE TABLE numbers AS SELECT seq, REPEAT('x', 90) AS filler FROM seq_1_to_200;",
        )
    rule = {**SELECT_SHOP, "object-locator": {"schema-name": "big", "table-name": "numbers"}}
    task = make.task(target=make.target(MaxFileSize=1), rules=[rule])
    make.run(task)
    files = objects(make.folder(task))
    count = len(files)
    assert count > 17
    assert list(files) == [f"big/numbers/LOAD{number:08X}.csv" for number in range(1, count + 1)]
    assert "big/numbers/LOAD0000000A.csv" in files
    assert all(len(body) <= 1024 and body.startswith(b"seq,filler\n") for body in files.values())
    numbers = [int(row[0]) for body in files.values() for row in list(csv.reader(io.StringIO(body.decode())))[1:]]
    assert numbers == list(range(1, 201))


def test_encryption_is_asked_of_s3(make: Maker, lake: LakeServer) -> None:
    key = lake.emulator.client("kms").create_key()["KeyMetadata"]["Arn"]
    target = make.target(EncryptionMode="sse-kms", ServerSideEncryptionKmsKeyId=key)
    task = make.task(target=target)
    make.run(task)
    found = lake.emulator.client("s3").head_object(
        Bucket=BUCKET, Key=f"{make.folder(task)}shop/product/LOAD00000001.csv"
    )
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", key)


# mappings


def rule(number: int, action: str, table: str, schema: str = "shop") -> dict[str, Any]:
    locator = {"schema-name": schema, "table-name": table}
    return {
        **SELECT_SHOP,
        "rule-id": str(number),
        "rule-name": f"r{number}",
        "object-locator": locator,
        "rule-action": action,
    }


@pytest.mark.parametrize(
    ("rules", "tables"),
    [
        ([rule(1, "include", "%o%"), rule(2, "exclude", "old%")], {"product", "nothing", "one_column"}),
        ([rule(1, "exclude", "%"), rule(2, "include", "%")], set()),
        ([rule(1, "explicit", "one_column")], {"one_column"}),
        ([rule(1, "explicit", "one%")], set()),  # no wildcard in an explicit rule
        ([rule(1, "include", "product", schema="sh_p")], {"product"}),
        ([rule(1, "include", "PRODUCT")], set()),
        ([rule(1, "include", "[po]%")], {"product", "one_column", "old_fashioned"}),
    ],
)
def test_selection_rules(make: Maker, rules: list[Any], tables: set[str]) -> None:
    settings = json.dumps({"ErrorBehavior": {"FailOnNoTablesCaptured": False}})
    task = make.task(rules=rules, settings=settings)
    assert make.run(task)["Status"] == "stopped"
    assert make.statistics(task).keys() == tables


def test_no_table_at_all_fails_the_task(make: Maker) -> None:
    ended = make.run(make.task(rules=[rule(1, "include", "absent")]))
    assert (ended["Status"], ended["StopReason"]) == ("failed", "Stop Reason FATAL_ERROR")
    assert "No tables were found" in ended["LastFailureMessage"]


def refused_rule(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**SELECT_SHOP, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("mappings", "message"),
    [
        ("{", "table mappings must be JSON"),
        ('{"rules": []}', "must have a selection rule"),
        ([refused_rule(filters=[{"filter-type": "source"}])], "filters are not served"),
        ([refused_rule(**{"load-order": 2})], "'load-order' is not served"),
        ([refused_rule(**{"rule-action": "sometimes"})], "selection with action 'sometimes' is not served"),
        ([refused_rule(**{"rule-type": "table-settings"})], "table-settings with action 'include' is not served"),
        ([SELECT_SHOP, {**NO_PLACE, "rule-action": "rename"}], "transformation with action 'rename' is not served"),
        ([SELECT_SHOP, {**NO_PLACE, "value": "x"}], "'value' is not served"),
        ([SELECT_SHOP, {**NO_PLACE, "rule-id": "1"}], "rule-id must be given and unique"),
        ([refused_rule(**{"object-locator": {"schema-name": "shop"}})], "object-locator needs table-name"),
        (
            [refused_rule(**{"object-locator": {"schema-name": "a", "table-name": "b", "table-type": "view"}})],
            "table-type 'view' is not served",
        ),
    ],
)
def test_mappings_that_are_not_served_are_refused_by_name(make: Maker, mappings: Any, message: str) -> None:
    text = mappings if isinstance(mappings, str) else json.dumps({"rules": mappings})
    code, found = error_of(
        make.dms.create_replication_task,
        ReplicationTaskIdentifier="refused",
        SourceEndpointArn=make.source(),
        TargetEndpointArn=make.target(),
        ReplicationInstanceArn=make.instance(),
        MigrationType="full-load",
        TableMappings=text,
    )
    assert code == "InvalidParameterValueException"
    assert message in found


def test_the_lakes_own_mappings_and_settings_are_served(make: Maker) -> None:
    task = make.task(rules=MAPPINGS["rules"])
    settings = json.loads(make.described(task)["ReplicationTaskSettings"])
    assert settings["FullLoadSettings"]["TargetTablePrepMode"] == "DO_NOTHING"
    assert settings["ErrorBehavior"]["DataErrorPolicy"] == "STOP_TASK"
    assert settings["ErrorBehavior"]["ApplyErrorInsertPolicy"] == "LOG_ERROR"  # AWS's default is filled in


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{", "task settings are not JSON"),
        ({"TargetMetadata": {"FullLobMode": True}}, "TargetMetadata.FullLobMode=True"),
        ({"TargetMetadata": {"TargetSchema": "other"}}, "TargetMetadata.TargetSchema='other'"),
        ({"ValidationSettings": {"EnableValidation": True}}, "ValidationSettings.EnableValidation=True"),
        ({"FullLoadSettings": {"TargetTablePrepMode": "BURN"}}, "FullLoadSettings.TargetTablePrepMode='BURN'"),
        ({"ErrorBehavior": {"Shrug": True}}, "ErrorBehavior.Shrug is not known"),
        ({"TTSettings": {"EnableTT": True}}, "section TTSettings is not served"),
    ],
)
def test_settings_that_are_not_served_are_refused_by_name(make: Maker, settings: Any, message: str) -> None:
    task = make.task()
    text = settings if isinstance(settings, str) else json.dumps(settings)
    code, found = error_of(make.dms.modify_replication_task, ReplicationTaskArn=task, ReplicationTaskSettings=text)
    assert code == "InvalidParameterValueException"
    assert message in found


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"DataFormat": "parquet"}, "S3Settings.DataFormat='parquet' is not served"),
        ({"CompressionType": "gzip"}, "S3Settings.CompressionType='gzip' is not served"),
        ({"CdcPath": "cdc"}, "S3Settings.CdcPath is not served"),
        ({"IncludeOpForFullLoad": True}, "S3Settings.IncludeOpForFullLoad=True is not served"),
        ({"MaxFileSize": 0}, "MaxFileSize=0"),
        ({"EncryptionMode": "rot13"}, "EncryptionMode='rot13'"),
        ({"BucketName": ""}, "S3Settings.BucketName must be given"),
    ],
)
def test_target_settings_that_are_not_served_are_refused_by_name(
    make: Maker, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match="InvalidParameterValueException") as caught:
        make.target(**settings)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"EngineName": "oracle"}, "engine 'oracle' is not served"),
        ({"EndpointType": "target"}, "a target endpoint of engine 'mysql' is not served"),
        ({"SslMode": "verify-ca", "CertificateArn": ""}, "SslMode verify-ca needs CertificateArn"),
        ({"MySQLSettings": {"Username": "u"}}, "MySQLSettings.Username is not served"),
        ({"MySQLSettings": {}}, "MySQLSettings.SecretsManagerSecretId must be given"),
        ({"ExtraConnectionAttributes": "a=b"}, "ExtraConnectionAttributes is not served"),
    ],
)
def test_source_settings_that_are_not_served_are_refused_by_name(
    make: Maker, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match="InvalidParameterValueException") as caught:
        make.source(**changes)
    assert message in str(caught.value)


# errors in the data and in the tables


@pytest.fixture
def odd(mysql: MariaDb) -> Iterator[dict[str, Any]]:
    """A schema with impossible dates and a long LOB."""
    script = b"""DROP SCHEMA IF EXISTS odd; CREATE SCHEMA odd; USE odd; SET sql_mode = '';
    CREATE TABLE a_dates (id INT, day DATE);
    INSERT INTO a_dates VALUES (1, '2005-01-01'), (2, '0000-00-00'), (3, '2006-00-10');
    CREATE TABLE b_lobs (id INT, body LONGTEXT);
    INSERT INTO b_lobs VALUES (1, 'short'), (2, REPEAT('x', 2000));
    CREATE TABLE d_fine (id INT); INSERT INTO d_fine VALUES (1);"""
    with mysql.connect() as connection:
        run_script(connection, script)
    yield rule(1, "include", "%", schema="odd")
    with mysql.connect() as connection:
        run_script(connection, b"DROP SCHEMA odd;")


def errors(lob_kilobytes: int = 1, **behaviour: Any) -> str:
    return json.dumps({"TargetMetadata": {"LobMaxSize": lob_kilobytes}, "ErrorBehavior": behaviour})


def test_aws_defaults_skip_rows_and_cut_values_and_say_so(
    make: Maker, odd: dict[str, Any], objects: Callable[[str], dict[str, bytes]]
) -> None:
    task = make.task(rules=[odd], settings=errors())
    assert make.run(task)["Status"] == "stopped"
    tables = make.statistics(task)
    assert (tables["a_dates"]["FullLoadRows"], tables["a_dates"]["FullLoadErrorRows"]) == (1, 2)
    files = objects(make.folder(task))
    assert files["odd/a_dates/LOAD00000001.csv"] == b"id,day\n1,2005-01-01\n"
    assert files["odd/b_lobs/LOAD00000001.csv"] == b"id,body\n1,short\n2," + b"x" * 1024 + b"\n"


@pytest.mark.parametrize(
    ("behaviour", "expected", "states"),
    [
        ({"DataErrorPolicy": "STOP_TASK"}, ("failed", "odd.a_dates: column day: '0000-00-00' is no date"), {}),
        ({"DataTruncationErrorPolicy": "STOP_TASK"}, ("failed", "odd.b_lobs: a value is longer than LobMaxSize"), {}),
        (
            {"DataErrorPolicy": "SUSPEND_TABLE"},
            ("stopped", ""),
            {"a_dates": "Table error", "d_fine": "Table completed"},
        ),
        (
            {"DataErrorPolicy": "SUSPEND_TABLE", "TableErrorPolicy": "STOP_TASK"},
            ("failed", "Table odd.a_dates: column day"),
            {"a_dates": "Table error", "d_fine": "Before load"},
        ),
        (
            {
                "DataErrorPolicy": "SUSPEND_TABLE",
                "DataTruncationErrorPolicy": "SUSPEND_TABLE",
                "TableErrorEscalationCount": 2,
            },
            ("failed", "odd.b_lobs"),
            {"a_dates": "Table error", "b_lobs": "Table error", "d_fine": "Before load"},
        ),
        ({"DataErrorEscalationCount": 2}, ("stopped", ""), {"a_dates": "Table error"}),
        ({"DataErrorEscalationCount": 3}, ("stopped", ""), {"a_dates": "Table completed"}),
        (
            {"DataErrorEscalationCount": 2, "DataErrorEscalationPolicy": "STOP_TASK"},
            ("failed", "odd.a_dates: 2 rows with data errors"),
            {},
        ),
    ],
)
def test_error_policies(
    make: Maker, odd: dict[str, Any], behaviour: dict[str, Any], expected: tuple[str, str], states: dict[str, str]
) -> None:
    task = make.task(rules=[odd], settings=errors(**behaviour))
    ended = make.run(task)
    status, message = expected
    assert ended["Status"] == status
    assert message in ended.get("LastFailureMessage", "")
    tables = make.statistics(task)
    assert {name: tables[name]["TableState"] for name in states} == states
    errored = sum(table["TableState"] == "Table error" for table in tables.values())
    assert ended["ReplicationTaskStats"]["TablesErrored"] == errored


def test_a_suspended_table_leaves_no_file(
    make: Maker, odd: dict[str, Any], objects: Callable[[str], dict[str, bytes]]
) -> None:
    task = make.task(rules=[odd], settings=errors(DataErrorPolicy="SUSPEND_TABLE"))
    make.run(task)
    assert "odd/a_dates/LOAD00000001.csv" not in objects(make.folder(task))


def test_resume_loads_only_what_is_not_completed(
    make: Maker, odd: dict[str, Any], mysql: MariaDb, objects: Callable[[str], dict[str, bytes]]
) -> None:
    task = make.task(rules=[odd], settings=errors(DataErrorPolicy="SUSPEND_TABLE"))
    make.run(task)
    before = make.statistics(task)
    with mysql.connect("odd") as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM a_dates WHERE id > 1")
        connection.commit()
    assert make.run(task, "resume-processing")["Status"] == "stopped"
    after = make.statistics(task)
    assert after["a_dates"]["TableState"] == "Table completed"
    assert after["d_fine"]["FullLoadStartTime"] == before["d_fine"]["FullLoadStartTime"]
    assert "odd/a_dates/LOAD00000001.csv" in objects(make.folder(task))


def test_a_bucket_that_may_not_be_written_is_named(make: Maker) -> None:
    ended = make.run(make.task(target=make.target(BucketFolder="elsewhere")))
    assert ended["Status"] == "failed"
    assert f"s3://{BUCKET}/elsewhere/shop/" in ended["LastFailureMessage"]
    assert "AccessDenied" in ended["LastFailureMessage"]


def test_a_source_that_is_down_is_named(make: Maker, lake: LakeServer) -> None:
    secret = {"host": "127.0.0.1", "port": 9, "username": "u", "password": "p"}
    lake.emulator.client("secretsmanager").create_secret(Name="down", SecretString=json.dumps(secret))
    login = {"SecretsManagerSecretId": "down", "SecretsManagerAccessRoleArn": make.role}
    ended = make.run(make.task(source=make.source(MySQLSettings=login)))
    assert (ended["Status"], ended["StopReason"]) == ("failed", "Stop Reason FATAL_ERROR")
    assert "Cannot connect to the MySQL source endpoint at 127.0.0.1:9" in ended["LastFailureMessage"]


def test_a_source_that_dies_midway_is_named(lake: LakeServer, make: Maker) -> None:
    with mariadb() as dying:
        with dying.connect() as connection:
            run_script(
                connection,
                b"CREATE SCHEMA shop; USE shop; CREATE TABLE long_one AS SELECT seq, REPEAT('x', 200) AS filler"
                b" FROM seq_1_to_300000;",
            )
        secret = json.dumps(dying.secret)
        lake.emulator.client("secretsmanager").create_secret(Name="dying", SecretString=secret)
        login = {"SecretsManagerSecretId": "dying", "SecretsManagerAccessRoleArn": make.role}
        task = make.task(source=make.source(MySQLSettings=login, SslMode="require"))
        make.dms.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType="start-replication")
        deadline = time.monotonic() + 30
        while not any(table["FullLoadRows"] for table in make.statistics(task).values()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        dying.process.kill()
        ended = make.ended(task)
    assert ended["Status"] == "failed"
    assert f"127.0.0.1:{dying.port}" in ended["LastFailureMessage"]
    assert make.statistics(task)["long_one"]["TableState"] == "Table error"


# states


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


# connections


def connection_after_test(make: Maker, endpoint: str) -> dict[str, Any]:
    instance = make.instance()
    begun = make.dms.test_connection(ReplicationInstanceArn=instance, EndpointArn=endpoint)["Connection"]
    assert begun["Status"] == "testing"
    deadline = time.monotonic() + 30
    while True:
        wanted = [
            {"Name": "endpoint-arn", "Values": [endpoint]},
            {"Name": "replication-instance-arn", "Values": [instance]},
        ]
        found = make.dms.describe_connections(Filters=wanted)["Connections"][0]
        if found["Status"] != "testing":
            return dict(found)
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_connections_are_really_tested(make: Maker, lake: LakeServer) -> None:
    source, target = make.source(), make.target()
    assert connection_after_test(make, source)["Status"] == "successful"
    assert connection_after_test(make, target)["Status"] == "successful"
    failed = connection_after_test(make, make.target(BucketName="no-such-bucket"))
    assert failed["Status"] == "failed"
    assert failed["LastFailureMessage"].startswith("Test Endpoint failed: ")
    make.dms.modify_endpoint(EndpointArn=source, MySQLSettings={"DatabaseName": "nowhere"})
    code, _ = error_of(make.dms.describe_connections, Filters=[{"Name": "endpoint-arn", "Values": [source]}])
    assert code == "ResourceNotFoundFault"  # what was changed must be tested again
    failed = connection_after_test(make, source)
    assert (failed["Status"], "nowhere" in failed["LastFailureMessage"]) == ("failed", True)
    make.dms.modify_endpoint(EndpointArn=target, S3Settings={"CsvNullValue": "~"})
    settings = make.dms.describe_endpoints(Filters=[{"Name": "endpoint-arn", "Values": [target]}])["Endpoints"][0][
        "S3Settings"
    ]
    assert (settings["CsvNullValue"], settings["BucketName"]) == ("~", BUCKET)


@pytest.mark.parametrize(
    ("mode", "status"), [("none", "failed"), ("require", "successful"), ("verify-ca", "successful")]
)
def test_tls_modes(make: Maker, mode: str, status: str) -> None:
    assert connection_after_test(make, make.source(SslMode=mode))["Status"] == status


def test_a_server_of_another_authority_is_refused(make: Maker, tmp_path: Path) -> None:
    from tests.mariadb import write_certificates

    write_certificates(tmp_path)
    stranger = make.dms.import_certificate(
        CertificateIdentifier=make.name("ca"), CertificatePem=(tmp_path / "ca.pem").read_text()
    )["Certificate"]["CertificateArn"]
    failed = connection_after_test(make, make.source(CertificateArn=stranger))
    assert (failed["Status"], "certificate verify failed" in failed["LastFailureMessage"]) == ("failed", True)
    code, _ = error_of(make.dms.import_certificate, CertificateIdentifier="x", CertificatePem="nothing")
    assert code == "InvalidCertificateFault"


# rights, kills, Airflow


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
    import boto3

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


def test_state_survives_a_kill_and_a_running_task_has_failed(make: Maker, lake: LakeServer) -> None:
    done, running = make.task(), make.task()
    make.run(done)
    make.run(running)
    path = lake.settings.data / "dms" / "state.json"
    state = json.loads(path.read_text())
    state["tasks"][running]["Status"] = "running"  # as a kill would have left it
    state["tasks"][running]["Tables"][0]["state"] = "Full load"

    class Kept:
        """The server's services, with a folder of another process."""

        settings = type(lake.settings)(home=lake.settings.home / "after", port=lake.settings.port)

    (Kept.settings.data / "dms").mkdir(parents=True)
    (Kept.settings.data / "dms" / "state.json").write_text(json.dumps(state))
    again = Dms(Kept())  # type: ignore[arg-type] # reading needs no more of the services
    again.start()
    tasks = again._resources.of("tasks")
    assert tasks[done]["Status"] == "stopped"
    assert (tasks[running]["Status"], tasks[running]["StopReason"]) == ("failed", "Stop Reason FATAL_ERROR")
    assert "restarted while the task was running" in tasks[running]["LastFailureMessage"]
    assert tasks[running]["Tables"][0]["state"] == "Table error"


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


def test_the_same_table_gives_the_same_bytes(make: Maker, objects: Callable[[str], dict[str, bytes]]) -> None:
    task = make.task()
    digests = []
    for kind in ("start-replication", "reload-target", "reload-target"):
        make.run(task, kind)
        files = objects(make.folder(task))
        digests.append({key: hashlib.sha256(body).hexdigest() for key, body in files.items()})
    assert digests[0] == digests[1] == digests[2]
