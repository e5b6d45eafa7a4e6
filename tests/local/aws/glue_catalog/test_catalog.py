"""The Glue catalog: every completion of the emulator's replies, rights, clients, concurrent changes."""

from __future__ import annotations

import contextlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from local.aws.glue_catalog import GlueCatalog
from local.aws.glue_catalog.journal import Journal
from local.engines.waiting import wait_until
from local.settings import ACCOUNT, REGION
from tests.local.aws.glue_catalog.calls import MONTHS, ONCE, refused, replay
from tests.support.aws_services import Emulator, LakeServer, running_emulator, running_server

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running_emulator(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="module")
def lake(home: Emulator) -> Iterator[LakeServer]:
    with running_server(home, [GlueCatalog]) as running:
        yield running


@pytest.fixture
def glue(lake: LakeServer, request: pytest.FixtureRequest) -> Any:
    """A root client; the database is called ``db`` and empty."""
    client = lake.client("glue", config=ONCE)
    with contextlib.suppress(client.exceptions.EntityNotFoundException):
        client.delete_database(Name="db")
    client.create_database(DatabaseInput={"Name": "db"})
    return client


def months(glue: Any, *names: tuple[str, str]) -> None:
    glue.create_table(DatabaseName="db", TableInput=MONTHS)
    glue.batch_create_partition(
        DatabaseName="db",
        TableName="events",
        PartitionInputList=[{"Values": list(name), "StorageDescriptor": {"Location": "s3://b/"}} for name in names],
    )


def listed(glue: Any, **arguments: Any) -> list[list[str]]:
    found = glue.get_partitions(DatabaseName="db", TableName="events", **arguments)["Partitions"]
    return sorted(partition["Values"] for partition in found)


def test_names_are_stored_in_lower_case(glue: Any) -> None:
    glue.create_database(DatabaseInput={"Name": "MixedCase"})
    glue.create_table(DatabaseName="MIXEDcase", TableInput={"Name": "Films"})
    assert [t["Name"] for t in glue.get_tables(DatabaseName="mixedcase")["TableList"]] == ["films"]
    assert glue.get_table(DatabaseName="MixedCase", Name="FILMS")["Table"]["DatabaseName"] == "mixedcase"
    glue.delete_database(Name="MixedCase")


def test_replies_hold_what_aws_always_sends(glue: Any) -> None:
    months(glue, ("2026", "1"))
    table = glue.get_table(DatabaseName="db", Name="events")["Table"]
    partition = glue.get_partitions(DatabaseName="db", TableName="events")["Partitions"][0]
    for descriptor in (table["StorageDescriptor"], partition["StorageDescriptor"]):
        assert descriptor["NumberOfBuckets"] == 0
        assert descriptor["SerdeInfo"] == {}
        assert descriptor["Columns"] == []
    assert "ViewOriginalText" not in table


def test_projection_that_is_off_is_told_to_trino_and_never_stored(lake: LakeServer, glue: Any) -> None:
    definition = {"Name": "films", "Parameters": {"projection.enabled": "false", "classification": "parquet"}}
    glue.create_table(DatabaseName="db", TableInput=definition)
    shown = glue.get_table(DatabaseName="db", Name="films")["Table"]["Parameters"]
    assert shown == {**definition["Parameters"], "trino.partition_projection.ignore": "true"}  # type: ignore[dict-item]
    glue.update_table(DatabaseName="db", TableInput={"Name": "films", "Parameters": shown})
    stored = lake.emulator.client("glue").get_table(DatabaseName="db", Name="films")["Table"]["Parameters"]
    assert stored == definition["Parameters"]


def test_partitions_are_filtered(glue: Any) -> None:
    months(glue, ("2025", "12"), ("2026", "1"), ("2026", "11"))
    assert listed(glue, Expression="year = '2026' AND month > 9") == [["2026", "11"]]
    assert len(listed(glue)) == 3
    assert refused(glue.get_partitions, DatabaseName="db", TableName="events", Expression="x = 1")[0] == (
        "InvalidInputException"
    )


def test_segments_split_the_partitions(glue: Any) -> None:
    everything = [("2026", str(month)) for month in range(1, 13)]
    months(glue, *everything)
    parts = [listed(glue, Segment={"SegmentNumber": n, "TotalSegments": 3}) for n in range(3)]
    assert sorted(values for part in parts for values in part) == sorted(list(values) for values in everything)
    assert all(parts)


def test_partition_calls_fail_as_on_aws(glue: Any) -> None:
    whose = {"DatabaseName": "db", "TableName": "events"}
    assert refused(glue.get_partitions, **whose)[0] == "EntityNotFoundException"
    assert refused(glue.create_partition, **whose, PartitionInput={"Values": ["1"]})[0] == "EntityNotFoundException"
    months(glue, ("2026", "1"))
    assert refused(glue.create_partition, **whose, PartitionInput={"Values": ["1"]})[0] == "InvalidInputException"
    assert refused(glue.create_partition, **whose, PartitionInput={"Values": ["2026", "1"]})[0] == (
        "AlreadyExistsException"
    )
    assert refused(glue.delete_partition, **whose, PartitionValues=["2026", "2"])[0] == "EntityNotFoundException"
    assert refused(glue.get_tables, DatabaseName="absent")[0] == "EntityNotFoundException"


def test_partition_calls_that_the_emulator_lacks(glue: Any) -> None:
    months(glue, ("2026", "1"), ("2026", "2"))
    whose = {"DatabaseName": "db", "TableName": "events"}
    glue.update_partition(
        **whose,
        PartitionValueList=["2026", "1"],
        PartitionInput={"Values": ["2026", "3"], "Parameters": {"a": "b"}},
    )
    assert listed(glue) == [["2026", "2"], ["2026", "3"]]
    reply = glue.batch_delete_partition(**whose, PartitionsToDelete=[{"Values": ["2026", n]} for n in "279"])
    assert [error["PartitionValues"] for error in reply["Errors"]] == [["2026", "7"], ["2026", "9"]]
    assert listed(glue) == [["2026", "3"]]
    assert (
        refused(
            glue.update_partition, **whose, PartitionValueList=["2026", "8"], PartitionInput={"Values": ["2026", "8"]}
        )[0]
        == "EntityNotFoundException"
    )


def test_an_update_replaces_the_definition_and_checks_the_version(glue: Any) -> None:
    glue.create_table(DatabaseName="db", TableInput={"Name": "t", "Parameters": {"a": "1"}, "Description": "old"})
    created = glue.get_table(DatabaseName="db", Name="t")["Table"]
    assert "Owner" not in created  # an empty one could not be sent back
    version = created["VersionId"]
    glue.update_table(DatabaseName="db", VersionId=version, TableInput={"Name": "t", "Owner": "me"})
    table = glue.get_table(DatabaseName="db", Name="t")["Table"]
    assert (table["Description"], table["Parameters"], table["Owner"]) == ("", {}, "me")
    assert int(table["VersionId"]) == int(version) + 1
    stale = {"DatabaseName": "db", "VersionId": version, "TableInput": {"Name": "t"}}
    assert refused(glue.update_table, **stale)[0] == "ConcurrentModificationException"


def test_tables_are_searched_and_old_versions_refused(glue: Any) -> None:
    glue.create_table(DatabaseName="db", TableInput={"Name": "film_category"})
    columns = {"Columns": [{"Name": "category_id", "Type": "int"}]}
    glue.create_table(DatabaseName="db", TableInput={"Name": "joins", "StorageDescriptor": columns})
    glue.create_table(DatabaseName="db", TableInput={"Name": "other"})
    found = glue.search_tables(SearchText="category")["TableList"]
    assert sorted(table["Name"] for table in found) == ["film_category", "joins"]
    named = glue.search_tables(Filters=[{"Key": "Name", "Value": "other"}])["TableList"]
    assert [table["Name"] for table in named] == ["other"]
    code, message = refused(glue.get_table_versions, DatabaseName="db", TableName="other")
    assert code == "UnknownOperationException"
    assert "no old versions" in message


def test_callers_are_authorised_on_catalog_database_and_table(lake: LakeServer, glue: Any) -> None:
    glue.create_table(DatabaseName="db", TableInput={"Name": "films"})
    arn = f"arn:aws:glue:{REGION}:{ACCOUNT}"
    grant = {
        "Effect": "Allow",
        "Action": ["glue:GetTable", "glue:GetDatabase"],
        "Resource": [f"{arn}:catalog", f"{arn}:database/db", f"{arn}:table/db/films"],
    }
    reader = lake.session(lake.role("films-reader", grant)).client("glue", config=ONCE)
    assert reader.get_database(Name="db")
    assert reader.get_table(DatabaseName="db", Name="films")
    code, message = refused(reader.get_table, DatabaseName="db", Name="other")
    assert code == "AccessDeniedException"
    assert f"glue:GetTable on resource: {arn}:table/db/other because no identity-based policy" in message
    assert refused(reader.delete_table, DatabaseName="db", Name="films")[0] == "AccessDeniedException"


def test_awswrangler_writes_a_table_under_a_role(lake: LakeServer, glue: Any) -> None:
    import awswrangler as wr
    import pandas as pd

    lake.emulator.client("s3").create_bucket(Bucket="wrangled")
    role = lake.role("writer", {"Effect": "Allow", "Action": ["s3:*", "glue:*"], "Resource": "*"})
    session = lake.session(role)
    arguments: Any = {"dataset": True, "database": "db", "table": "rentals", "boto3_session": session}
    for mode in ("append", "overwrite_partitions"):
        frame = pd.DataFrame({"id": [1, 2], "day": ["a", "b"]})
        wr.s3.to_parquet(frame, "s3://wrangled/rentals/", partition_cols=["day"], mode=mode, **arguments)
    assert len(wr.catalog.get_partitions("db", "rentals", boto3_session=session)) == 2
    read = wr.s3.read_parquet_table("rentals", "db", boto3_session=session)
    assert sorted(read["id"]) == [1, 2]


HANDLER = """
import boto3
def handler(event, context):
    glue = boto3.client("glue")
    glue.create_table(DatabaseName="db", TableInput={"Name": "FromLambda"})
    return glue.meta.endpoint_url
"""


def test_a_functions_catalog_writes_come_through_the_server(lake: LakeServer, glue: Any) -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("code.py", HANDLER)
    function = lake.emulator.client("lambda")
    role = lake.role("function", {"Effect": "Allow", "Action": "glue:CreateTable", "Resource": "*"})
    function.create_function(
        FunctionName="writer",
        Runtime="python3.11",
        Role=role,
        Handler="code.handler",
        Code={"ZipFile": code.getvalue()},
        Timeout=60,
    )
    wait_until(
        lambda: function.get_function(FunctionName="writer")["Configuration"]["State"] == "Active",
        60,
        "the function did not become active",
    )
    reply = function.invoke(FunctionName="writer")
    assert json.load(reply["Payload"]) == lake.settings.server_url
    journal = Journal(lake.settings.data / "glue")
    assert ("db", "fromlambda") in journal.catalog.tables


def test_a_change_past_the_server_is_taken_in_not_undone(lake: LakeServer, glue: Any) -> None:
    glue.create_table(DatabaseName="db", TableInput={"Name": "t", "Description": "first"})
    lake.emulator.client("glue").update_table(DatabaseName="db", TableInput={"Name": "t", "Description": "second"})
    table = glue.get_table(DatabaseName="db", Name="t")["Table"]
    assert (table["Description"], table["VersionId"]) == ("second", "2")
    assert replay(lake.settings)["restored"] == []
    assert Journal(lake.settings.data / "glue").catalog.tables["db", "t"].version == 2


def test_of_concurrent_commits_every_one_counts_once(lake: LakeServer, glue: Any) -> None:
    """Eight writers add one to a number under optimistic locking; the journal ends with their sum."""
    glue.create_table(DatabaseName="db", TableInput={"Name": "t", "Parameters": {"n": "0"}})

    def add(times: int) -> None:
        client: Any = boto3.Session().client(
            "glue",
            endpoint_url=lake.settings.server_url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=ONCE,
        )
        while times:
            table = client.get_table(DatabaseName="db", Name="t")["Table"]
            parameters = {"n": str(int(table["Parameters"]["n"]) + 1)}
            try:
                client.update_table(
                    DatabaseName="db", VersionId=table["VersionId"], TableInput={"Name": "t", "Parameters": parameters}
                )
                times -= 1
            except client.exceptions.ConcurrentModificationException:
                pass

    writers = [threading.Thread(target=add, args=(5,)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    table = glue.get_table(DatabaseName="db", Name="t")["Table"]
    assert (table["Parameters"], table["VersionId"]) == ({"n": "40"}, "41")
    stored = Journal(lake.settings.data / "glue").catalog.tables["db", "t"]
    assert stored.definition is not None
    assert (stored.definition["Parameters"], stored.version) == ({"n": "40"}, 41)
