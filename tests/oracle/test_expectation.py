"""The oracle's rules on hand-made cases, and every fault that it must find, inserted on purpose."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from oracle.comparison import FILM_ROW, row_hash
from oracle.expectation import expect
from oracle.model import FAULTS, Enriched, Verdict
from tests.oracle.worlds import FILMS, NOON, World, body, event, identity, key

FIRST, SECOND = key(NOON, 1), key(NOON + timedelta(minutes=1), 2)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def fates(objects: dict[str, bytes]) -> dict[tuple[str, int], str]:
    """For every line the reason of its quarantine, or ``counts``."""
    return {
        (name, number): "counts" if isinstance(line, Enriched) else line.reason
        for name, landed in expect(objects.items(), FILMS).objects.items()
        for number, line in landed.lines.items()
    }


def test_a_line_is_judged_by_its_values_its_bounds_and_its_objects_name() -> None:
    late, early = (event(NOON + shift).get("timestamp") for shift in (HOUR + timedelta(seconds=61), -400 * DAY))
    lines = body(
        event(), b"", b"{}", event(timestamp=late), event(timestamp=early), event(film_id="1a"), b"[1]", b"\xff"
    )
    assert [fate for _, fate in sorted(fates({FIRST: lines}).items())] == [
        "counts",
        "missing field: timestamp",
        "too late",
        "too early",
        "film_id: expected a whole number from 1 to 2147483647",
        "not a JSON object",
        "not UTF-8",
    ]
    assert fates({"streaming/2026/11/notes": lines[:5]}) == {("streaming/2026/11/notes", 1): "object name"}


def test_a_line_is_nested_at_most_a_hundred_deep_whoever_asks() -> None:
    def nested(levels: int) -> bytes:
        return json.dumps(event())[:-1].encode() + b', "x": ' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"

    assert list(fates({FIRST: body(nested(100), nested(101), nested(900))}).values()) == ["counts"] + ["not JSON"] * 2


def test_of_copies_within_48_hours_the_first_counts_whatever_the_order_of_delivery() -> None:
    times = [NOON, NOON + 48 * HOUR, NOON + 97 * HOUR, NOON + 98 * HOUR]
    names = [key(time, 9 - n) for n, time in enumerate(times)]
    same = event(event_id=identity(1))
    bodies = [body(same), body(same), body(same), body({**same, "state": "Iowa"})]
    objects = dict(zip(names, bodies, strict=True))
    expected = {name: fate for (name, _), fate in fates(objects).items()}
    # The third is more than 48 hours after the second, so it counts again; the fourth contradicts it.
    assert [expected[name] for name in names] == ["counts", "duplicate", "counts", "conflicting event_id"]
    assert fates(dict(reversed(objects.items()))) == fates(objects)


def test_events_without_an_id_are_never_copies() -> None:
    assert set(fates({FIRST: body(event(), event()), SECOND: body(event())}).values()) == {"counts"}


def test_a_repair_supersedes_its_line_once() -> None:
    repairs = [key(NOON, n, root="streaming-repaired") for n in (5, 6, 7, 8)]

    def repair(file: str, line: int) -> bytes:
        return body({"supersedes": {"source_file": file, "source_line": line}, "event": event()})

    objects = {FIRST: body(event(), b"bad"), repairs[0]: repair(FIRST, 1), repairs[1]: repair(FIRST, 1)}
    objects[repairs[2]] = repair(FIRST, 2)
    objects[repairs[3]] = repair(FIRST, 3)
    assert fates(objects) == {
        (FIRST, 1): "superseded",
        (FIRST, 2): "superseded",
        (repairs[0], 1): "counts",
        (repairs[1], 1): "already repaired",
        (repairs[2], 1): "counts",
        (repairs[3], 1): "repairs no landed line",
    }


def test_a_line_of_several_values_is_superseded_when_each_of_them_is_repaired() -> None:
    def repairs(line: int, *indexes: int) -> list[dict[str, Any]]:
        target = {"source_file": FIRST, "source_line": line}
        return [{"supersedes": target | {"source_index": index}, "event": event()} for index in indexes]

    first, second = (key(NOON, n, root="streaming-repaired") for n in (5, 6))
    whole, cut = json.dumps(event()).encode(), json.dumps(event()).encode()[:-40]
    landed = body(whole * 3, whole + b" " + cut, f"[{whole.decode()}, {whole.decode()}]".encode())
    objects = {FIRST: landed, first: body(*repairs(1, 1, 2), *repairs(2, 2)), second: body(*repairs(1, 2, 4))}
    several = "several JSON values on one line: end each record with a newline"
    partly = {
        (FIRST, 1): several,
        (FIRST, 2): several,
        (FIRST, 3): "not a JSON object",
        (first, 1): "counts",
        (first, 2): "counts",
        (first, 3): "counts",
        (second, 1): "already repaired",
        (second, 2): "repairs no landed line",
    }
    assert fates(objects) == partly
    third = key(NOON, 7, root="streaming-repaired")
    objects[third] = body(*repairs(1, 3), *repairs(2, 1), *repairs(3, 1, 2))
    superseded = {(FIRST, line): "superseded" for line in (1, 2, 3)}
    assert fates(objects) == partly | superseded | {(third, line): "counts" for line in (1, 2, 3, 4)}


def world() -> World:
    """Two objects: three events and a bad line; a redelivery and an unknown film."""
    copied = event(event_id=identity(1))
    return World(
        {
            FIRST: body(copied, event(film_id=2, event_id=identity(2)), event(), b"{half"),
            SECOND: body(copied, event(film_id=999)),
        }
    ).commit()


def test_tables_that_hold_what_they_must_are_right() -> None:
    found = world().verdict(ledger=(identity(1), identity(2)))
    assert found.ok, str(found)
    assert (found.objects, found.landed, found.enriched, found.duplicates, found.unknown_films) == (2, 6, 4, 1, 1)
    assert found.quarantined == {"not JSON": 1, "duplicate": 1}


def row(rows: list[dict[str, Any]], file: str, line: int) -> dict[str, Any]:
    """One row of a world's table."""
    return next(one for one in rows if (one["source_file"], one["source_line"]) == (file, line))


def drop_event(world: World) -> None:
    world.films.remove(row(world.films, FIRST, 3))


def drop_bad_line(world: World) -> None:
    world.quarantine.remove(row(world.quarantine, FIRST, 4))


def drop_object(world: World) -> None:
    for rows in (world.films, world.quarantine, world.reconciliation):
        rows[:] = [one for one in rows if one["source_file"] != SECOND]


def double_event(world: World) -> None:
    world.films.append(row(world.films, FIRST, 2))


def double_bad_line(world: World) -> None:
    world.quarantine.append(row(world.quarantine, FIRST, 4))


def count_a_redelivery(world: World) -> None:
    copy = row(world.quarantine, SECOND, 1)
    world.quarantine.remove(copy)
    where = {name: copy[name] for name in ("source_file", "source_line", "partition_0", "partition_1")}
    world.films.append({**row(world.films, FIRST, 1), **where})


def keep_in_both(world: World) -> None:
    copy = row(world.quarantine, FIRST, 4)
    world.quarantine.append({**copy, "source_line": 1, "reason": "not JSON"})


def move_partition(world: World) -> None:
    row(world.films, SECOND, 2)["partition_1"] = "12"


def quarantine_a_good_line(world: World) -> None:
    good = row(world.films, FIRST, 3)
    world.films.remove(good)
    world.quarantine.append({**row(world.quarantine, FIRST, 4), "source_line": 3})


def change(table: str, line: int, **values: Any) -> Callable[[World], None]:
    return lambda world: row(getattr(world, table), FIRST, line).update(values)


def invent_a_line(world: World) -> None:
    world.films.append({**row(world.films, FIRST, 2), "source_line": 5})


def miscount(world: World) -> None:
    world.reconciliation[0]["enriched"] += 1


def forget_to_reconcile(world: World) -> None:
    del world.reconciliation[1]


def newer_wrong_count(world: World) -> None:
    old = world.reconciliation[1]
    world.reconciliation.insert(0, {**old, "committed_at": "2026-11-10T13:00:01Z", "duplicates": 0, "quarantined": 1})


def delete_from_landing(world: World) -> None:
    del world.objects[FIRST]


@pytest.mark.parametrize(
    ("plant", "faults", "example"),
    [
        (drop_event, {"lost": 1, "torn": 1}, f"nowhere, must be in streaming_films: {FIRST} line 3"),
        (drop_bad_line, {"lost": 1, "torn": 1}, f"nowhere, must be in quarantine as not JSON: {FIRST} line 4"),
        (drop_object, {"lost": 2}, f"nowhere, must be in streaming_films: {SECOND} line 2"),
        (double_event, {"doubled": 1}, f"twice in streaming_films: {FIRST} line 2"),
        (double_bad_line, {"doubled": 1}, f"twice in quarantine: {FIRST} line 4"),
        (
            count_a_redelivery,
            {"doubled": 1, "misplaced": 1},
            f"event {identity(1)} is also counted in {FIRST}: {SECOND}",
        ),
        (keep_in_both, {"doubled": 1, "misplaced": 1}, f"in both tables: {FIRST} line 1"),
        (move_partition, {"misplaced": 1}, f"in partition 2026-12: {SECOND} line 2"),
        (quarantine_a_good_line, {"misplaced": 1}, f"in quarantine as not JSON, must be in streaming_films: {FIRST}"),
        (change("films", 2, title="FILM 1"), {"wrong": 1}, f"title is 'FILM 1', must be 'FILM 2': {FIRST} line 2"),
        (change("films", 2, state=None, event_id=None), {"wrong": 2}, "state is None, must be 'Utah'"),
        (change("quarantine", 4, reason="late"), {"wrong": 1}, "reason is 'late', must be 'not JSON'"),
        (change("quarantine", 4, raw="{hal"), {"wrong": 1}, f"raw is not what landed: {FIRST} line 4"),
        (invent_a_line, {"wrong": 1, "doubled": 1}, f"never landed: {FIRST} line 5"),
        (miscount, {"unreconciled": 1}, f"enriched is 4, must be 3: {FIRST}"),
        (forget_to_reconcile, {"unreconciled": 1}, f"no row in streaming_reconciliation: {SECOND}"),
        (newer_wrong_count, {"unreconciled": 2}, f"duplicates is 0, must be 1: {SECOND}"),
        # without the missing object the second copy of its event becomes the first
        (
            delete_from_landing,
            {"gone": 1, "misplaced": 1, "unreconciled": 2},
            f"5 rows of an object that is not in landing: {FIRST}",
        ),
    ],
)
def test_a_planted_fault_is_found_and_named(
    plant: Callable[[World], None], faults: dict[str, int], example: str
) -> None:
    planted = world()
    plant(planted)
    found = planted.verdict()
    assert not found.ok
    assert {fault: len(getattr(found, fault)) for fault in FAULTS if getattr(found, fault)} == faults
    assert example in str(found)


def test_an_acknowledged_event_that_is_nowhere_is_lost() -> None:
    found = world().verdict(ledger=(identity(1), identity(7)))
    assert [finding.what for finding in found.lost] == [
        f"acknowledged event {identity(7)} is in no landed object and in no table"
    ]


def test_a_torn_line_still_says_which_event_it_was() -> None:
    cut = json.dumps(event(event_id=identity(3))).encode()[:-1]
    assert World({FIRST: cut}).commit().verdict(ledger=(identity(3),)).ok


def test_the_hash_is_what_its_description_says_and_knows_no_order() -> None:
    committed = world()
    found = committed.verdict()
    names = [name for name in FILM_ROW if not name.startswith("source_")]
    parts = [
        hashlib.sha256(
            json.dumps([one[name] for name in names], ensure_ascii=False, separators=(",", ":")).encode()
        ).digest()[:16]
        for one in committed.films
    ]
    assert found.hash == sum(int.from_bytes(part, "big") for part in parts) % 2**128
    committed.films.reverse()
    assert committed.verdict().hash == found.hash
    assert row_hash([]) == 0


def test_a_verdict_shows_five_examples_of_each_fault() -> None:
    none: Verdict = World({FIRST: body(*[event()] * 9)}).verdict()
    assert (len(none.lost), none.torn) == (9, [])
    assert str(none).count("lost: nowhere") == 5
    assert "... and 4 more" in str(none)
