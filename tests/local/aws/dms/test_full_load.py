"""A full load through boto3: its tables, files, bytes and statistics."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from lake_airflow.mysql import run_script
from local.settings import ACCOUNT
from tests.local.aws.dms.maker import BUCKET, NO_PLACE, SELECT_SHOP, Maker, rule
from tests.support.aws_services import LakeServer
from tests.support.mariadb import MariaDb

pytestmark = pytest.mark.services


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


def test_truth_values_and_zero_dates_are_written_as_dms_documents_them(
    make: Maker, mysql: MariaDb, objects: Callable[[str], dict[str, bytes]]
) -> None:
    """DMS user guide, "Source data types for MySQL": BIT is BOOLEAN, BIT(64) is BYTES(8); zero dates become null."""
    script = rb"""DROP SCHEMA IF EXISTS old; CREATE SCHEMA old; USE old; SET sql_mode = '';
    CREATE TABLE hall (id INT, is_open BIT(1), flags BIT(16), day DATE, built DATETIME(6), seen TIMESTAMP NULL);
    INSERT INTO hall VALUES (1, b'1', b'101', '2005-01-02', '2005-01-02 03:04:05.000006', '2005-01-02 03:04:05'),
      (2, b'0', b'0', '0000-00-00', '0000-00-00', '0000-00-00'), (3, NULL, NULL, NULL, NULL, NULL);"""
    with mysql.connect() as connection:
        run_script(connection, script)
    task = make.task(rules=[rule(1, "include", "%", schema="old")])
    assert make.run(task)["Status"] == "stopped"
    assert objects(make.folder(task))["old/hall/LOAD00000001.csv"].decode().splitlines() == [
        "id,is_open,flags,day,built,seen",
        "1,true,0005,2005-01-02,2005-01-02 03:04:05.000006,2005-01-02 03:04:05",
        r"2,false,0000,\N,\N,\N",
        r"3,\N,\N,\N,\N,\N",
    ]
    assert make.statistics(task)["hall"]["FullLoadErrorRows"] == 0
    with mysql.connect() as connection:
        run_script(connection, b"DROP SCHEMA old;")


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


def test_files_are_encrypted_as_the_endpoint_says(make: Maker, lake: LakeServer) -> None:
    key = lake.emulator.client("kms").create_key()["KeyMetadata"]["Arn"]
    target = make.target(EncryptionMode="sse-kms", ServerSideEncryptionKmsKeyId=key, ExpectedBucketOwner=ACCOUNT)
    task = make.task(target=target)
    make.run(task)
    found = lake.emulator.client("s3").head_object(
        Bucket=BUCKET, Key=f"{make.folder(task)}shop/product/LOAD00000001.csv"
    )
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", key)


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


def test_the_same_table_gives_the_same_bytes(make: Maker, objects: Callable[[str], dict[str, bytes]]) -> None:
    task = make.task()
    digests = []
    for kind in ("start-replication", "reload-target", "reload-target"):
        make.run(task, kind)
        files = objects(make.folder(task))
        digests.append({key: hashlib.sha256(body).hexdigest() for key, body in files.items()})
    assert digests[0] == digests[1] == digests[2]
