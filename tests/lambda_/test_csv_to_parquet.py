"""The function against the real emulator: notifications in, Parquet objects and catalog tables out.

L1 to L6 are the defects of the system that this lake grew from; L3 is in ``test_notifications.py``.
"""

from __future__ import annotations

import base64
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import csv_to_parquet
from csv_to_parquet import handler
from datalake.tables import SAKILA
from local.engines.waiting import wait_until
from local.settings import ACCOUNT
from tests.lambda_.buckets import CATEGORY, CLEAN, KEY, LANDING, PARQUET, keys, notified, put, queued, read
from tests.support.aws_services import Emulator, make_role, running_emulator

pytestmark = pytest.mark.services
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running_emulator(tmp_path_factory.mktemp("home")) as running:
        for bucket in (LANDING, CLEAN):
            running.client("s3").create_bucket(Bucket=bucket)
        yield running


@pytest.fixture
def s3(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Root's client; both buckets and the catalog are empty, and the function under test uses the same emulator."""
    client = emulator.client("s3")
    for bucket in (LANDING, CLEAN):
        for item in client.list_objects_v2(Bucket=bucket).get("Contents", []):
            client.delete_object(Bucket=bucket, Key=item["Key"])
    glue = emulator.client("glue")
    for database in glue.get_databases()["DatabaseList"]:
        glue.delete_database(Name=database["Name"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulator.settings.emulator_url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("CLEAN_BUCKET", CLEAN)
    boto3.setup_default_session()
    csv_to_parquet._s3.cache_clear()
    yield client
    csv_to_parquet._s3.cache_clear()


def test_l1_every_record_of_a_notification_is_converted(s3: Any) -> None:
    named = [f"dms/sakila/category/LOAD0000000{number}.csv" for number in "123A"]
    for key in named:
        put(s3, key, CATEGORY)
    expected = [f"sakila/category/LOAD0000000{number}.parquet" for number in "123A"]
    assert handler(notified(*named), None) == {"written": expected}
    assert keys(s3) == expected


def test_l2_a_repeated_notification_writes_the_same_bytes(s3: Any) -> None:
    put(s3, KEY, CATEGORY)
    handler(notified(KEY), None)
    first = s3.get_object(Bucket=CLEAN, Key=PARQUET)["Body"].read()
    for _ in range(3):
        handler(queued(notified(KEY, KEY), notified(KEY)), None)
    assert keys(s3) == [PARQUET]
    assert s3.get_object(Bucket=CLEAN, Key=PARQUET)["Body"].read() == first
    assert read(s3, PARQUET).num_rows == 2


def test_messages_of_a_batch_fail_one_by_one(s3: Any) -> None:
    other = "dms/sakila/category/LOAD00000002.csv"
    broken = "dms/sakila/language/LOAD00000001.csv"
    put(s3, KEY, CATEGORY)
    put(s3, other, CATEGORY)
    put(s3, broken, "language_id,name,last_update\none,English,2006-02-15 05:02:19\n")
    test_event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": LANDING}
    bodies = [notified(KEY), notified(broken), test_event, "no JSON", {"hello": 1}, "[1]", notified(broken, other)]
    answer = handler(queued(*bodies), None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": f"m{number}"} for number in (1, 3, 4, 5, 6)]}
    assert keys(s3) == [PARQUET, "sakila/category/LOAD00000002.parquet"]


def test_s3_itself_hears_of_each_object_that_failed_and_the_others_are_converted(s3: Any) -> None:
    put(s3, KEY, CATEGORY)
    broken = "dms/sakila/actor/LOAD00000001.csv"
    put(s3, broken, "actor_id\n")
    with pytest.raises(RuntimeError) as caught:
        handler(notified(broken, "streaming/2026/11/events", KEY), None)
    assert f"s3://{LANDING}/{broken}: line 1: table sakila.actor: column 'first_name' is missing" in str(caught.value)
    assert "key 'streaming/2026/11/events' is not dms/sakila/<table>/<file>.csv" in str(caught.value)
    assert keys(s3) == [PARQUET]


def test_an_object_that_is_gone_is_nothing_to_convert(s3: Any) -> None:
    put(s3, KEY, CATEGORY)
    handler(notified(KEY), None)
    s3.delete_object(Bucket=LANDING, Key=KEY)
    assert handler(queued(notified(KEY)), None) == {"batchItemFailures": []}
    assert read(s3, PARQUET).num_rows == 2
    s3.delete_object(Bucket=CLEAN, Key=PARQUET)
    assert handler(notified(KEY, sequencer="F"), None) == {"written": []}
    assert keys(s3) == []


@pytest.mark.parametrize(
    ("sequencer", "written"),
    [("0055AED6DC", []), ("0055AED6DC00", []), ("0055aed6db9", []), ("0055AED6DC01", [PARQUET]), (None, [PARQUET])],
    ids=["same", "same, padded", "older", "newer", "sent again by hand"],
)
def test_a_notification_that_tells_nothing_new_writes_nothing(
    s3: Any, sequencer: str | None, written: list[str]
) -> None:
    put(s3, KEY, CATEGORY)
    handler(notified(KEY, sequencer="0055AED6DC"), None)
    event = notified(KEY, sequencer=sequencer or "")
    assert handler(event, None) == {"written": written}
    kept = s3.head_object(Bucket=CLEAN, Key=PARQUET)["Metadata"]["source-sequencer"]
    assert kept == (sequencer if sequencer and written else "0055AED6DC")


def test_an_old_notification_converts_a_csv_that_is_newer_than_the_parquet(s3: Any) -> None:
    """The notification of the newer CSV may be lost."""
    put(s3, KEY, CATEGORY)
    handler(notified(KEY, sequencer="0B"), None)
    put(s3, KEY, CATEGORY + "3,Animation,2006-02-15 04:46:27\n")
    assert handler(notified(KEY, sequencer="0A"), None) == {"written": [PARQUET]}
    assert s3.head_object(Bucket=CLEAN, Key=PARQUET)["Metadata"]["source-sequencer"] == "0B"


def test_l4_types_are_declared_whatever_the_values(s3: Any) -> None:
    film = SAKILA["film"]
    row = '1,ALI FOREVER,A Epic,2006,1,\\N,6,0.99,86,20.99,PG,"Deleted Scenes,Behind the Scenes",2006-02-15 05:03:42\n'
    put(s3, "dms/sakila/film/LOAD00000001.csv", ",".join(film.column_names) + "\n" + row)
    put(s3, "dms/sakila/film/LOAD00000002.csv", ",".join(film.column_names) + "\n")
    handler(notified("dms/sakila/film/LOAD00000001.csv", "dms/sakila/film/LOAD00000002.csv"), None)
    one, empty = (read(s3, f"sakila/film/LOAD0000000{number}.parquet") for number in (1, 2))
    assert one.schema == empty.schema
    assert empty.num_rows == 0
    assert one.schema.field("original_language_id").type == pa.int64()
    assert one.schema.field("rental_rate").type == pa.decimal128(4, 2)
    assert one.column("original_language_id").to_pylist() == [None]
    assert one.column("replacement_cost").to_pylist() == [Decimal("20.99")]
    assert one.column("special_features").to_pylist() == ["Deleted Scenes,Behind the Scenes"]


def test_l6_a_file_without_header_is_refused_and_what_was_there_stays(s3: Any) -> None:
    put(s3, KEY, CATEGORY)
    handler(notified(KEY), None)
    put(s3, KEY, CATEGORY.partition("\n")[2])
    with pytest.raises(RuntimeError, match=f"s3://{LANDING}/{KEY}: line 1: .* set AddColumnName=true on DMS's target"):
        handler(notified(KEY), None)
    assert read(s3, PARQUET).num_rows == 2


def test_an_object_says_what_it_was_made_of(s3: Any) -> None:
    etag = put(s3, KEY, CATEGORY)
    handler(notified(KEY, sequencer="0A1B"), None)
    found = s3.head_object(Bucket=CLEAN, Key=PARQUET)
    assert found["Metadata"] == {"source-etag": etag, "source-rows": "2", "source-sequencer": "0A1B"}
    metadata = pq.read_metadata(io.BytesIO(s3.get_object(Bucket=CLEAN, Key=PARQUET)["Body"].read()))
    assert metadata.row_group(0).column(0).compression == "SNAPPY"  # AWS's layer cannot write zstd


def test_the_newest_bytes_win_when_the_source_is_replaced_meanwhile(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, KEY, CATEGORY)
    newest = CATEGORY + "3,Animation,2006-02-15 04:46:27\n"
    etags: list[str] = []
    write = csv_to_parquet._write

    def replaced_after_reading(*arguments: Any) -> tuple[str, int] | None:
        result = write(*arguments)
        if not etags:
            etags.append(put(s3, KEY, newest))
        return result

    monkeypatch.setattr(csv_to_parquet, "_write", replaced_after_reading)
    handler(notified(KEY), None)
    assert read(s3, PARQUET).num_rows == 3
    assert s3.head_object(Bucket=CLEAN, Key=PARQUET)["Metadata"]["source-etag"] == etags[0]


def test_a_source_that_never_rests_is_given_back_to_the_queue(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(s3, KEY, CATEGORY)
    write = csv_to_parquet._write
    versions = iter(range(100))

    def always_replaced(*arguments: Any) -> tuple[str, int] | None:
        result = write(*arguments)
        put(s3, KEY, CATEGORY + f"{next(versions)},x,2006-02-15 04:46:27\n")
        return result

    monkeypatch.setattr(csv_to_parquet, "_write", always_replaced)
    assert handler(queued(notified(KEY)), None) == {"batchItemFailures": [{"itemIdentifier": "m0"}]}


def test_versions_and_repeats_in_any_order_at_once_end_with_the_newest(s3: Any) -> None:
    texts = [CATEGORY + f"{number},x,2006-02-15 04:46:27\n" * number for number in range(1, 7)]
    with ThreadPoolExecutor(4) as pool:
        calls = []
        for text in texts:
            etag = put(s3, KEY, text)
            calls += [pool.submit(handler, queued(notified(KEY)), None) for _ in range(2)]
        assert all(call.result() == {"batchItemFailures": []} for call in calls)
    assert s3.head_object(Bucket=CLEAN, Key=PARQUET)["Metadata"]["source-etag"] == etag
    assert read(s3, PARQUET).num_rows == 8


def test_l5_the_table_is_declared_once_and_as_schemas_say(s3: Any, emulator: Emulator) -> None:
    put(s3, KEY, CATEGORY)
    handler(notified(KEY), None)
    glue = emulator.client("glue")
    table = glue.get_table(DatabaseName="sakila", Name="category")["Table"]
    columns = [{"Name": column["Name"], "Type": column["Type"]} for column in table["StorageDescriptor"]["Columns"]]
    assert columns == SAKILA["category"].glue_columns()
    assert table["StorageDescriptor"]["Location"] == f"s3://{CLEAN}/sakila/category/"
    assert table["Parameters"]["classification"] == "parquet"
    assert table["Description"] == "MySQL table sakila.category as DMS last loaded it"
    handler(notified(KEY), None)
    again = glue.get_table(DatabaseName="sakila", Name="category")["Table"]
    assert again["UpdateTime"] == table["UpdateTime"]


def test_workers_may_declare_database_and_table_at_the_same_time(s3: Any, emulator: Emulator) -> None:
    barrier = threading.Barrier(6)
    location = f"s3://{CLEAN}/sakila/category/"

    def declare() -> None:
        barrier.wait()
        csv_to_parquet._ensure_table(SAKILA["category"], location)

    with ThreadPoolExecutor(6) as pool:
        for call in [pool.submit(declare) for _ in range(6)]:
            call.result()
    assert [table["Name"] for table in emulator.client("glue").get_tables(DatabaseName="sakila")["TableList"]] == [
        "category"
    ]


def function_zip() -> bytes:
    """What the deployment uploads: the modules of the function's folder, and the package datalake."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted((ROOT / "include/lambda/csv_to_parquet").glob("*.py")):
            archive.write(path, path.name)
        for path in sorted((ROOT / "include/datalake").glob("*.py")):
            archive.write(path, f"datalake/{path.name}")
    return packed.getvalue()


def test_the_deployed_function_needs_these_rights_and_no_others_where_the_database_exists(
    s3: Any, emulator: Emulator
) -> None:
    functions = emulator.client("lambda")
    catalog = [f"arn:aws:glue:us-east-1:{ACCOUNT}:{name}" for name in ("catalog", "database/sakila", "table/sakila/*")]
    rights = [
        (["s3:GetObject"], f"arn:aws:s3:::{LANDING}/dms/*"),
        (["s3:GetObject", "s3:PutObject"], f"arn:aws:s3:::{CLEAN}/sakila/*"),
        (["s3:ListBucket"], f"arn:aws:s3:::{CLEAN}"),  # without it a key without an object is "403", not "404"
        (["glue:GetTable", "glue:CreateTable"], catalog),
    ]
    statements = [{"Effect": "Allow", "Action": actions, "Resource": resource} for actions, resource in rights]
    functions.create_function(
        FunctionName="csv-to-parquet",
        Runtime="python3.11",
        Role=make_role(emulator, "csv-function", {"Service": "lambda.amazonaws.com"}, *statements),
        Handler="csv_to_parquet.handler",
        Code={"ZipFile": function_zip()},
        Timeout=60,
        MemorySize=1024,
        Environment={"Variables": {"CLEAN_BUCKET": CLEAN, "AWS_ENDPOINT_URL_GLUE": emulator.settings.emulator_url}},
    )
    wait_until(
        lambda: functions.get_function(FunctionName="csv-to-parquet")["Configuration"]["State"] == "Active",
        60,
        "the function did not become active",
    )
    emulator.client("glue").create_database(DatabaseInput={"Name": "sakila"})
    put(s3, KEY, CATEGORY)
    event = json.dumps(queued(notified(KEY)))
    answer = functions.invoke(FunctionName="csv-to-parquet", Payload=event, LogType="Tail")
    logged = base64.b64decode(answer.get("LogResult", "")).decode()
    assert json.loads(answer["Payload"].read()) == {"batchItemFailures": []}, logged
    assert read(s3, PARQUET).column("name").to_pylist() == ["Action", None]
    assert emulator.client("glue").get_table(DatabaseName="sakila", Name="category")
