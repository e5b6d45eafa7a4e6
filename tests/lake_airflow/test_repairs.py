"""Repairs of quarantined lines: checked against the quarantine, published once, and kept by every later run."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Collection
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Template

from datalake.events import Event, Supersedes, parse_object
from datalake.json_lines import SEVERAL_VALUES
from datalake.landing import parse_key
from datalake.months import Month
from lake_airflow import repairs
from lake_airflow.defaults import SQL_PATH
from tests.glue.lake import NOVEMBER, TestLake, at, event, key, lines
from tests.support.aws_services import Emulator

NOON = at("2026-11-20 12:00:00")
FILE = "streaming/2026/11/events-1-2026-11-20-12-00-00-00000000-0000-4000-8000-000000000001"
OTHER = FILE[:-1] + "2"
NOT_JSON = "not JSON"
NO_REPAIR = 'is not {"supersedes": {"source_file": ..., "source_line": ...}, "event": {...}}'


def repair(file: str, line: int, **changes: Any) -> dict[str, Any]:
    """An uploaded line."""
    fixed = event(NOON, event_id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{file} {line}")), **changes)
    return {"supersedes": {"source_file": file, "source_line": line}, "event": fixed}


def text(upload: dict[str, Any]) -> bytes:
    return json.dumps(upload).encode()


def read(upload: dict[str, Any] | bytes, month: Month = NOVEMBER) -> repairs.Repair | str:
    return repairs.read_repair("here", upload if isinstance(upload, bytes) else text(upload), month)


def test_a_good_line_is_a_repair_as_it_was_written() -> None:
    upload = repair(FILE, 3, bitrate=7)
    assert read(upload) == repairs.Repair(Supersedes(FILE, 3), text(upload), "here")


@pytest.mark.parametrize(
    ("upload", "why"),
    [
        (b"{broken", NO_REPAIR),
        (b"[1]", NO_REPAIR),
        (b"\xff\xfe", NO_REPAIR),
        (b"[" * 100_000, NO_REPAIR),
        ({"event": event(NOON)}, NO_REPAIR),
        ({"supersedes": {"source_file": 7, "source_line": 1}, "event": event(NOON)}, NO_REPAIR),
        (
            {"supersedes": {"source_file": FILE, "source_line": "1"}, "event": event(NOON)},
            "supersedes: expected a line of another object of the same month and time, found {",
        ),
        ({"supersedes": {"source_file": FILE, "source_line": 1}}, "missing field: event"),
        (repair(FILE, 1, eventType="lend"), 'eventtype: expected rent or buy or trailer, found "lend"'),
        (repair(FILE, 1, timestamp="2026-11-21T12:00:00Z"), "too late"),
        (repair(FILE.replace("2026/11", "2026/10"), 1), "lies in 2026-10, not in 2026-11"),
        (repair("streaming/2026/11/by-hand.json", 1), "has no time"),
        (repair("elsewhere.json", 1), "lies in unknown-unknown, not in 2026-11"),
    ],
)
def test_what_the_job_would_not_take_is_refused_with_a_reason(upload: dict[str, Any] | bytes, why: str) -> None:
    refused = read(upload)
    assert isinstance(refused, str)
    assert why in refused


def test_a_repair_object_is_the_same_in_any_order_and_bears_the_time_of_what_it_repairs() -> None:
    good = [r for r in (read(repair(FILE, n)) for n in range(1, 20)) if isinstance(r, repairs.Repair)]
    good += [r for r in [read(repair(OTHER, 1))] if isinstance(r, repairs.Repair)]
    made = list(repairs.repair_objects(good))
    random.Random(1).shuffle(good)
    assert list(repairs.repair_objects(good)) == made
    for (name, body), repaired in zip(made, (FILE, OTHER), strict=True):
        landed, source = parse_key(name), parse_key(repaired)
        assert (landed.is_repair, landed.month, landed.time) == (True, source.month, source.time)
        parsed = [line.outcome for line in parse_object(name, body)]
        named = [one.supersedes.source_file for one in parsed if isinstance(one, Event) and one.supersedes]
        assert named == [repaired] * len(parsed)
    assert len({name for name, _ in made}) == 2


def test_other_bytes_are_another_object() -> None:
    one, other = (read(repair(FILE, 1, state=state)) for state in ("Ohio", "Utah"))
    assert isinstance(one, repairs.Repair)
    assert isinstance(other, repairs.Repair)
    assert next(repairs.repair_objects([one]))[0] != next(repairs.repair_objects([other]))[0]


class Landing:
    """A bucket of the emulator's, and a quarantine that is a dict."""

    def __init__(self, emulator: Emulator) -> None:
        self.s3, self.bucket = emulator.client("s3"), f"landing-{uuid.uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.quarantine: dict[tuple[str, int], str] = {}  # source_file, source_line -> reason

    def upload(self, name: str, *uploads: dict[str, Any] | bytes) -> None:
        body = b"\n".join(one if isinstance(one, bytes) else text(one) for one in uploads)
        self.s3.put_object(Bucket=self.bucket, Key=f"repairs/2026-11/{name}", Body=body)

    def publish(self, reason: str = "all") -> repairs.Published:
        def held(keys: Collection[str]) -> dict[tuple[str, int], str]:
            return {line: reason for line, reason in self.quarantine.items() if line[0] in keys}

        return repairs.publish(self.s3, self.bucket, NOVEMBER, reason, held)

    def objects(self) -> dict[str, bytes]:
        """The repair objects."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix="streaming-repaired/").get("Contents", [])
        return {o["Key"]: self.s3.get_object(Bucket=self.bucket, Key=o["Key"])["Body"].read() for o in listed}


@pytest.fixture
def landing(emulator: Emulator) -> Landing:
    return Landing(emulator)


@pytest.mark.services
class TestPublish:
    def test_twice_writes_once(self, landing: Landing) -> None:
        landing.quarantine = {
            (FILE, 1): NOT_JSON,
            (FILE, 2): "too late",
            (OTHER, 5): NOT_JSON,
        }
        landing.upload("a.json", repair(FILE, 1), b"", repair(FILE, 2))
        landing.upload("b.json", repair(OTHER, 5), repair(FILE, 1))  # one of them for the second time
        first = landing.publish()
        assert (first.new, first.before, first.refused) == ({NOT_JSON: 2, "too late": 1}, 0, [])
        objects = landing.objects()
        assert sorted(objects) == sorted(first.keys)
        assert [body.count(b"\n") for body in objects.values()] in ([1, 2], [2, 1])
        again = landing.publish()
        assert (again.new, again.before, again.keys, again.refused) == ({}, 3, [], [])
        assert landing.objects() == objects

    def test_each_event_of_a_line_without_newlines_is_repaired_once(self, landing: Landing) -> None:
        landing.quarantine = {(FILE, 1): SEVERAL_VALUES, (OTHER, 1): NOT_JSON}

        def value(file: str, index: int, **changes: Any) -> dict[str, Any]:
            one = repair(file, 1, **changes)
            return one | {"supersedes": one["supersedes"] | {"source_index": index}}

        landing.upload("a.json", *(value(FILE, n, state=f"State {n}") for n in range(1, 1001)), value(OTHER, 2))
        landing.upload("b.json", value(FILE, 7, state="another"))
        found = landing.publish()
        assert found.new == {SEVERAL_VALUES: 1000}
        assert found.refused == [
            "repairs/2026-11/b.json line 1: repairs/2026-11/a.json line 7 repairs the same line differently",
            f"repairs/2026-11/a.json line 1001: {OTHER} line 1 holds one event: source_index must be 1, not 2",
        ]
        assert (again := landing.publish()).before == 1000
        assert again.new == {}

    @pytest.mark.parametrize("writes", [0, 1, 2])
    def test_a_run_that_is_killed_anywhere_is_completed_by_the_next(
        self, landing: Landing, monkeypatch: pytest.MonkeyPatch, writes: int
    ) -> None:
        files = [FILE[:-1] + str(n) for n in range(3)]
        landing.quarantine = {(file, line): NOT_JSON for file in files for line in (1, 2)}
        landing.upload("all.json", *(repair(file, line) for file in files for line in (1, 2)))
        expected = dict(
            repairs.repair_objects(
                r for r in map(read, [repair(f, n) for f in files for n in (1, 2)]) if isinstance(r, repairs.Repair)
            )
        )

        put: Callable[..., Any] = landing.s3.put_object
        done: list[str] = []

        def killed(**request: Any) -> Any:
            if len(done) == writes:
                raise KeyboardInterrupt
            done.append(request["Key"])
            return put(**request)

        with monkeypatch.context() as patch:
            patch.setattr(landing.s3, "put_object", killed)
            with pytest.raises(KeyboardInterrupt):
                landing.publish()
        assert len(landing.objects()) == writes
        completed = landing.publish()
        assert (completed.before, completed.new.total()) == (2 * writes, 6 - 2 * writes)
        assert landing.objects() == expected

    def test_lines_uploaded_later_are_added(self, landing: Landing) -> None:
        landing.quarantine = {(FILE, 1): NOT_JSON, (FILE, 2): NOT_JSON}
        landing.upload("a.json", repair(FILE, 1))
        landing.publish()
        first = landing.objects()
        landing.upload("b.json", repair(FILE, 2))
        second = landing.publish()
        assert (second.new.total(), second.before) == (1, 1)
        assert landing.objects().items() > first.items()

    def test_what_matches_nothing_is_refused_by_file_and_line_and_the_rest_is_published(self, landing: Landing) -> None:
        landing.quarantine = {
            (FILE, 1): NOT_JSON,
            (FILE, 2): "too late",
            (FILE, 3): "duplicate",
        }
        landing.upload(
            "a.json", repair(FILE, 1), b"{broken", repair(FILE, 2), repair(FILE, 3), repair(FILE, 4), repair(OTHER, 1)
        )
        landing.upload("b.json", repair(FILE, 1, state="Ohio"))
        found = landing.publish(NOT_JSON)
        assert found.new == {NOT_JSON: 1}
        assert found.refused == [
            "repairs/2026-11/a.json line 2: " + NO_REPAIR,
            "repairs/2026-11/b.json line 1: repairs/2026-11/a.json line 1 repairs the same line differently",
            f"repairs/2026-11/a.json line 3: {FILE} line 2 is quarantined for 'too late', not for 'not JSON'",
            f"repairs/2026-11/a.json line 4: {FILE} line 3 is quarantined as 'duplicate': nothing is wrong with it",
            f"repairs/2026-11/a.json line 5: {FILE} line 4 is not in the quarantine",
            f"repairs/2026-11/a.json line 6: {OTHER} line 1 is not in the quarantine",
        ]
        assert len(landing.objects()) == 1

    def test_a_line_is_not_repaired_twice_with_other_content(self, landing: Landing) -> None:
        landing.quarantine = {(FILE, 1): NOT_JSON}
        landing.upload("a.json", repair(FILE, 1))
        (published,) = landing.publish().keys
        landing.upload("a.json", repair(FILE, 1, state="Ohio"))
        found = landing.publish()
        assert found.new == {}
        assert found.refused == [f"repairs/2026-11/a.json line 1: {published} line 1 has repaired the line differently"]


@pytest.mark.spark
def test_repaired_lines_are_brought_in_once_and_no_rebuild_undoes_it(lake: TestLake) -> None:
    landed = lake.put(key(NOON), b"{broken\n" + lines(event(NOON, state="Iowa")) + b"{worse\n{never mended\n")
    lake.land(NOON + timedelta(hours=1))
    lake.hourly()
    upload = [repair(landed, 1, state="Ohio"), repair(landed, 3, state="Texas"), repair(landed, 2, state="Maine")]
    lake.put("repairs/2026-11/mended.json", lines(*upload))

    def quarantined(keys: Collection[str]) -> dict[tuple[str, int], str]:
        """What the DAG asks of Athena, asked of Spark."""
        sql = Template((Path(SQL_PATH) / "tasks/quarantined_lines_of_objects.sql").read_text())
        statement = sql.render(month=NOVEMBER, keys=sorted(keys)).replace("from curated", "from glue_catalog.curated")
        return {(row.source_file, row.source_line): row.reason for row in lake.spark.sql(statement).collect()}

    for attempt in (1, 2):
        found = repairs.publish(lake.s3, lake.landing, NOVEMBER, "all", quarantined)
        assert (found.new.total(), found.before) == ((2, 0) if attempt == 1 else (0, 2))
        assert found.refused == [f"repairs/2026-11/mended.json line 3: {landed} line 2 is not in the quarantine"]
        report = lake.rebuild("2026-11")
        # 4 + 1 landed lines and 2 repairs; the two repaired lines stay in quarantine, and so does the third
        assert (report.landed, report.enriched, report.quarantined, report.duplicates) == (7, 4, 3, 0)
        assert sorted(row.state for row in lake.films().collect()) == ["Iowa", "Ohio", "Texas", "Utah"]
        assert lake.hourly().landed == 0
    assert lake.same_after_rebuild("2026-11")
