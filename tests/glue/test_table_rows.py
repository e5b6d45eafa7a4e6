"""The transforms on literal frames."""

from __future__ import annotations

from typing import Any

import pytest

from datalake.landing import LandedObject, parse_key
from datalake.tables import FILM_CATEGORY, QUARANTINE, STREAMING_FILMS
from datalake_spark import table_rows
from datalake_spark.committed_tables import of_objects
from datalake_spark.landed_lines import LINES, OBJECTS, RAW, SMALL_TASK_BYTES, TASK_BYTES, object_batch, plan_tasks
from datalake_spark.redelivery import COPY, judge, shared_copies
from tests.glue.lake import NOVEMBER, at, event, key, lines

FILMS = [(1, "ONE", "about it", 2006, 1, None, 90, "PG", "Trailers", 2, "Drama")]
HOUR = 3600
COPY_TYPES = (
    "event_id string, timestamp string, eventtype string, film_id_streaming int, distributor string, platform string, "
    "state string, object_time bigint, source_file string, source_line int, fresh boolean, mine boolean"
)


def copy(event_id: str | None, hour: int, line: int = 1, state: str = "Utah", fresh: bool = True) -> tuple[Any, ...]:
    """A copy in an object of that hour."""
    return event_id, "t", "rent", 1, "d", "p", state, hour * HOUR, f"file {hour:03}", line, fresh, fresh


def line(file: str, number: int, **changes: Any) -> dict[str, Any]:
    """A good line of film 1, as LINES."""
    names = [definition.split()[0] for definition in LINES.split(", ")]
    good = {"timestamp": "t", "eventtype": "rent", "film_id_streaming": 1, "event_id": "e", "object_time": 0}
    good["json_values"] = 1
    return dict.fromkeys(names) | good | {"source_file": file, "source_line": number, "fresh": True} | changes


@pytest.mark.spark
def test_which_copies_count(spark: Any) -> None:
    copies = [
        copy("a", 1),
        copy("a", 1, line=2),
        copy("a", 2, state="Iowa"),
        copy("a", 3, state="Iowa"),
        copy("a", 51),
        copy("a", 99),
        copy("a", 148),
        copy("b", 5, fresh=False),
        copy("b", 4),
        copy("b", 53, fresh=False),
        copy("b", 102, fresh=False),
    ]
    judged = judge(spark.createDataFrame(copies, COPY_TYPES)).collect()
    verdicts = {
        (row.event_id, row.object_time // HOUR, row.source_line): (row.verdict, row.displaced) for row in judged
    }
    assert verdicts == {
        ("a", 1, 1): (None, False),
        ("a", 1, 2): ("duplicate", False),
        ("a", 2, 1): ("conflicting event_id", False),
        ("a", 3, 1): ("duplicate", False),
        ("a", 51, 1): ("conflicting event_id", False),
        ("a", 99, 1): ("duplicate", False),
        ("a", 148, 1): (None, False),
        ("b", 4, 1): (None, False),
        ("b", 5, 1): ("duplicate", True),
        ("b", 53, 1): ("duplicate", False),
        ("b", 102, 1): (None, False),
    }


@pytest.mark.spark
def test_only_shared_ids_are_compared(spark: Any) -> None:
    mine = [copy("once", 1), copy("twice", 1), copy("twice", 2), copy("theirs", 3), copy(None, 4), copy(None, 4, 2)]
    others = [copy("theirs", 1, fresh=False), copy("other", 1, fresh=False), copy("other", 2, fresh=False)]
    frames = [spark.createDataFrame(rows, COPY_TYPES) for rows in (mine, others)]
    shared = sorted((row.event_id, row.object_time // HOUR) for row in shared_copies(*frames).collect())
    assert shared == [("theirs", 1), ("theirs", 3), ("twice", 1), ("twice", 2)]
    alone = shared_copies(frames[0], None)
    assert sorted(row.event_id for row in alone.collect()) == ["twice", "twice"]
    assert tuple(alone.columns) == COPY


@pytest.mark.spark
def test_enrich_keeps_every_good_line_once(spark: Any) -> None:
    rows = [
        line("f", 1),
        line("f", 2, film_id_streaming=999),
        line("f", 3, reason="bad", raw="x", raw_encoding="utf-8"),
    ]
    frame = spark.createDataFrame(rows, LINES)
    films = spark.createDataFrame(FILMS, FILM_CATEGORY.spark_ddl())
    enriched = table_rows.enrich(frame, films, NOVEMBER)
    assert tuple(enriched.columns) == STREAMING_FILMS.column_names
    found = {row.source_line: row for row in enriched.collect()}
    assert {number: (row.film_id, row.title, row.category_name) for number, row in found.items()} == {
        1: (1, "ONE", "Drama"),
        2: (None, None, None),
    }
    assert (found[1].partition_0, found[1].partition_1) == ("2026", "11")
    (bad,) = table_rows.quarantine(frame, NOVEMBER).collect()
    assert bad.asDict() == dict(zip(QUARANTINE.column_names, ("bad", "x", "utf-8", "f", 3, "2026", "11"), strict=True))


@pytest.mark.spark
def test_fields_are_counted_whatever_became_of_the_line(spark: Any) -> None:
    rows = [
        line("f", 1, event_id=None, unknown_fields=["price"]),
        line("f", 2, reason="duplicate"),
        line("f", 3, reason="bad", timestamp=None, event_id=None, raw="x"),
        line("f", 4, reason="several", timestamp=None, event_id=None, raw="{}{}{}", json_values=3),
        line("f", 5, reason="superseded", timestamp=None, event_id=None, raw="{}{}", json_values=2),
    ]
    (counts,) = table_rows.count_fields(spark.createDataFrame(rows, LINES)).collect()
    assert counts.asDict() == {
        "lines": 5,
        "events": 2,
        "with_event_id": 1,
        "with_unknown_fields": 1,
        "more_bad_values": 2,
    }


def repair(file: str, number: int, superseded: tuple[str, int], index: int = 1, **changes: Any) -> dict[str, Any]:
    """A line that repairs one value of another line."""
    target = {"supersedes_file": superseded[0], "supersedes_line": superseded[1], "supersedes_index": index}
    return line(file, number, **target, **changes)


def repaired(spark: Any, *rows: dict[str, Any]) -> dict[tuple[str, int], str | None]:
    """The reasons after these lines' repairs."""
    found = table_rows.apply_repairs(spark.createDataFrame(rows, LINES)).collect()
    return {(row.source_file, row.source_line): row.reason for row in found}


@pytest.mark.spark
def test_repairs_supersede_each_line_once(spark: Any) -> None:
    assert repaired(
        spark,
        line("f", 1),
        line("f", 2, reason="not JSON"),
        line("f", 3),
        repair("r", 1, ("f", 1)),
        repair("r", 2, ("f", 2)),
        repair("r", 3, ("f", 2)),
        repair("r", 4, ("f", 3), reason="missing field: state"),
        repair("r", 5, ("f", 4)),
        repair("r", 6, ("f", 4)),
        repair("s", 1, ("r", 1)),
        repair("s", 2, ("r", 5)),
    ) == {
        ("f", 1): "superseded",
        ("f", 2): "superseded",
        ("f", 3): None,
        ("r", 1): "superseded",
        ("r", 2): None,
        ("r", 3): "already repaired",
        ("r", 4): "missing field: state",
        ("r", 5): "superseded",
        ("r", 6): "repairs no landed line",
        ("s", 1): None,
        ("s", 2): None,
    }


@pytest.mark.spark
def test_a_line_of_several_values_is_superseded_when_each_of_them_is_repaired(spark: Any) -> None:
    assert repaired(
        spark,
        line("f", 1),
        line("g", 1, reason="several", json_values=2),
        line("g", 2, reason="several", json_values=3),
        repair("t", 1, ("g", 1), 1),
        repair("t", 2, ("g", 1), 2),
        repair("t", 3, ("g", 1), 2),
        repair("t", 4, ("g", 1), 3),
        repair("t", 5, ("g", 2), 3),
        repair("t", 6, ("f", 1), 2),
    ) == {
        ("f", 1): None,
        ("g", 1): "superseded",
        ("g", 2): "several",
        ("t", 1): None,
        ("t", 2): None,
        ("t", 3): "already repaired",
        ("t", 4): "repairs no landed line",
        ("t", 5): None,
        ("t", 6): "repairs no landed line",
    }


@pytest.mark.spark
def test_the_text_of_late_verdicts_is_taken_from_the_landed_lines(spark: Any) -> None:
    late = spark.createDataFrame([line("f", 2, reason="duplicate")], LINES)
    landed = spark.createDataFrame([("f", 1, "one", "utf-8"), ("f", 2, "two", "utf-8")], RAW)
    (row,) = table_rows.with_raw(late, landed).collect()
    assert (row.source_line, row.reason, row.raw, row.raw_encoding) == (2, "duplicate", "two", "utf-8")


@pytest.mark.spark
def test_the_condition_of_objects_is_cut_into_short_lists(spark: Any) -> None:
    keys = [f"k{n:04}" for n in range(500)]
    frame = spark.createDataFrame([(k,) for k in [*keys, "other"]], "source_file string")
    assert frame.where(of_objects(keys)).count() == 500


def test_tasks_hold_one_series_and_a_bounded_size() -> None:
    def landed(name: str, size: int, series: str = "a") -> LandedObject:
        return LandedObject(name, NOVEMBER, series, None, size)

    def planned(objects: list[LandedObject], parallelism: int = 2) -> list[str]:
        return ["".join(o.key for o in task) for task in plan_tasks(objects, parallelism)]

    assert planned([landed("3", 10), landed("1", 10), landed("2", 10)]) == ["123"]
    assert planned([landed("1", 10), landed("2", 10, "b"), landed("3", 10)]) == ["13", "2"]
    assert planned([landed(str(n), SMALL_TASK_BYTES) for n in range(4)]) == ["01", "23"]
    assert planned([landed(str(n), TASK_BYTES // 2) for n in range(8)]) == ["01", "23", "45", "67"]
    assert planned([landed("1", 3 * TASK_BYTES), landed("2", 1)]) == ["1", "2"]
    assert planned([landed(str(n), SMALL_TASK_BYTES) for n in range(9)]) == ["01234", "5678"]
    assert planned([]) == []


def test_a_batch_has_the_declared_columns_even_without_a_line() -> None:
    noon = at("2026-11-10 12:00:00")
    landed = parse_key(key(noon))
    names = [definition.split()[0] for definition in OBJECTS.split(", ")]
    full = object_batch(landed, lines(event(noon, tag=1)) + b"bad\n \t\r\n", True)
    empty = object_batch(landed, b"\n", True)
    assert full.schema.names == empty.schema.names == names
    assert full.schema == empty.schema
    first, second, count = full.to_pylist()
    assert (first["object_time"], first["unknown_fields"], first["reason"]) == (int(noon.timestamp()), ["tag"], None)
    assert (second["reason"], second["raw"], second["source_line"]) == ("not JSON", "bad", 2)
    assert (first["landed"], second["landed"], count["landed"], count["source_line"]) == (None, None, 2, None)
    assert [(row["source_file"], row["landed"]) for row in empty.to_pylist()] == [(landed.key, 0)]
