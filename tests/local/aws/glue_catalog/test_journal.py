"""The journal of the Glue catalog, and what is restored from it after a loss."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.aws.glue_catalog import GlueCatalog
from local.aws.glue_catalog.journal import COMPACT_BYTES, Journal, database_record
from tests.local.aws.glue_catalog.calls import MONTHS, ONCE, refused, replay
from tests.support.aws_services import running_emulator, running_server


def test_the_journal_drops_an_incomplete_record_and_nothing_else(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(database_record("a", {"Name": "a"}, 1), database_record("b", {"Name": "b"}, 1))
    journal.close()
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes() + b'{"database": "c", "sta')
    again = Journal(tmp_path)
    assert set(again.catalog.databases) == {"a", "b"}
    again.append(database_record("d", {"Name": "d"}, 1))
    assert set(Journal(tmp_path).catalog.databases) == {"a", "b", "d"}


def test_the_journal_does_not_grow_for_ever(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for n in range(60):
        journal.append(database_record("a", {"Name": "a", "Description": f"{n}" * 100_000}, 1))
    assert (tmp_path / "journal.jsonl").stat().st_size <= COMPACT_BYTES
    assert Journal(tmp_path).catalog == journal.catalog
    journal.compact()
    assert Journal(tmp_path).catalog == journal.catalog


@pytest.mark.services
def test_the_catalog_outlives_the_emulator(tmp_path: Path) -> None:
    with running_emulator(tmp_path) as emulator, running_server(emulator, [GlueCatalog]) as lake:
        glue = lake.client("glue", config=ONCE)
        emulator.client("glue").create_database(DatabaseInput={"Name": "db"})  # as the deployment makes it
        for name in ("dropped", "stale", "events"):
            glue.create_table(DatabaseName="db", TableInput={**MONTHS, "Name": name})
        whose = {"DatabaseName": "db", "TableName": "events"}
        for month in "12":
            glue.create_partition(**whose, PartitionInput={"Values": ["2026", month]})
        emulator.stop()  # saves this state
        emulator.start()
        glue.delete_table(DatabaseName="db", Name="dropped")
        for n in range(3):
            glue.update_table(DatabaseName="db", TableInput={"Name": "stale", "Parameters": {"metadata": str(n)}})
        glue.create_table(DatabaseName="db", TableInput={"Name": "new"})
        glue.create_partition(**whose, PartitionInput={"Values": ["2026", "3"]})
        changed = {"Values": ["2026", "2"], "Parameters": {"a": "b"}}
        glue.update_partition(**whose, PartitionValueList=["2026", "2"], PartitionInput=changed)
        glue.delete_partition(**whose, PartitionValues=["2026", "1"])
        glue.create_database(DatabaseInput={"Name": "made"})
        glue.create_table(DatabaseName="made", TableInput={"Name": "t"})
        before = glue.get_table(DatabaseName="db", Name="stale")["Table"]

        emulator.kill()
        emulator.start()
        direct = emulator.client("glue")
        assert {t["Name"] for t in direct.get_tables(DatabaseName="db")["TableList"]} == {"dropped", "stale", "events"}
        restored = replay(lake.settings)
        assert set(restored["restored"]) == {"db.dropped", "db.stale", "db.new", "db.events", "made", "made.t"}
        assert restored["skipped"] == []
        assert replay(lake.settings) == {"restored": [], "skipped": []}

        assert {t["Name"] for t in direct.get_tables(DatabaseName="db")["TableList"]} == {"stale", "new", "events"}
        after = glue.get_table(DatabaseName="db", Name="stale")["Table"]
        assert after["Parameters"] == {"metadata": "2"}
        assert after["VersionId"] == before["VersionId"]
        partitions = glue.get_partitions(**whose)["Partitions"]
        assert {(p["Values"][1], p.get("Parameters", {}).get("a")) for p in partitions} == {("2", "b"), ("3", None)}

        # a commit that began before the loss still succeeds once, and only once
        commit = {"DatabaseName": "db", "VersionId": before["VersionId"], "TableInput": {"Name": "stale"}}
        glue.update_table(**commit)
        assert refused(glue.update_table, **commit)[0] == "ConcurrentModificationException"


@pytest.mark.services
def test_a_reader_after_the_loss_sees_no_old_state_even_before_the_replay(tmp_path: Path) -> None:
    with running_emulator(tmp_path) as emulator, running_server(emulator, [GlueCatalog]) as lake:
        glue = lake.client("glue", config=ONCE)
        glue.create_database(DatabaseInput={"Name": "db"})
        glue.create_table(DatabaseName="db", TableInput={"Name": "t", "Parameters": {"metadata_location": "0"}})
        emulator.stop()
        emulator.start()
        for n in "12":
            glue.update_table(DatabaseName="db", TableInput={"Name": "t", "Parameters": {"metadata_location": n}})
        glue.create_table(DatabaseName="db", TableInput={"Name": "new"})
        for _ in range(2):
            emulator.kill()
            emulator.start()
            table = glue.get_table(DatabaseName="db", Name="t")["Table"]
            assert (table["Parameters"], table["VersionId"]) == ({"metadata_location": "2"}, "3")
            assert {t["Name"] for t in glue.get_tables(DatabaseName="db")["TableList"]} == {"t", "new"}
        emulator.kill()
        (lake.settings.data / "emulator" / "state").rename(tmp_path / "gone")
        emulator.start()
        assert glue.get_database(Name="db")["Database"]["Name"] == "db"
        assert glue.get_table(DatabaseName="db", Name="new")


@pytest.mark.services
def test_a_restarted_server_restores_and_waits_for_databases(tmp_path: Path) -> None:
    with running_emulator(tmp_path) as emulator:
        direct = emulator.client("glue")
        direct.create_database(DatabaseInput={"Name": "db"})
        with running_server(emulator, [GlueCatalog]) as lake:
            lake.client("glue").create_table(DatabaseName="db", TableInput={"Name": "t"})
        emulator.kill()
        emulator.start()
        with running_server(emulator, [GlueCatalog]) as lake:
            assert replay(lake.settings) == {"restored": [], "skipped": ["db.t"]}
            direct.create_database(DatabaseInput={"Name": "db"})
            assert replay(lake.settings) == {"restored": ["db.t"], "skipped": []}
            assert lake.client("glue").get_table(DatabaseName="db", Name="t")
