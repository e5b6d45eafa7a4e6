"""The parser against what partners send, and against everything else."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalake import events
from datalake.events import EXPECTED, OBJECT_NAME, REPAIRABLE, Event, Rejection, Supersedes, parse_object
from datalake.json_lines import quarantine_text
from datalake.landing import parse_key

NAME = "lake-events-1-2026-11-10-12-00-00-0f8fad5b-d9cb-469f-a165-70867728950e"
KEY = f"streaming/2026/11/{NAME}"
OBJECT_TIME = datetime(2026, 11, 10, 12, tzinfo=UTC)
GOOD: dict[str, Any] = {
    "timestamp": "2026-11-10T12:59:00+01:00",
    "eventType": "trailer",
    "film_id": 17,
    "distributor": "google play",
    "platform": "smart tv",
    "state": "New York",
}


def parse(line: bytes | str | dict[str, Any], key: str = KEY) -> Event | str:
    """The event, or the reason."""
    body = json.dumps(line) if isinstance(line, dict) else line
    (parsed,) = parse_object(key, body.encode() if isinstance(body, str) else body)
    return parsed.outcome.reason if isinstance(parsed.outcome, Rejection) else parsed.outcome


def test_a_partners_event() -> None:
    assert parse(GOOD) == Event(
        timestamp="2026-11-10T12:59:00+01:00",
        eventtype="trailer",
        film_id=17,
        distributor="google play",
        platform="smart tv",
        state="New York",
        event_id=None,
        event_time="2026-11-10T11:59:00Z",
        unknown_fields=(),
        supersedes=None,
    )


def test_keys_match_in_any_case_and_unknown_ones_are_named() -> None:
    event = parse({name.upper(): value for name, value in GOOD.items()} | {"Price": None, "éa\n": {"x": 1, "X": 2}})
    assert isinstance(event, Event)
    assert (event.film_id, event.unknown_fields) == (17, ("\\xe9a\\n", "price"))


def test_event_ids_are_optional_and_compare_in_lower_case() -> None:
    event = parse(GOOD | {"event_id": "0F8FAD5B-D9CB-469F-A165-70867728950E"})
    assert isinstance(event, Event)
    assert event.event_id == "0f8fad5b-d9cb-469f-a165-70867728950e"
    assert isinstance(parse(GOOD | {"event_id": None}), Event)


@pytest.mark.parametrize("name", ["timestamp", "eventType", "film_id", "distributor", "platform", "state"])
def test_a_missing_field(name: str) -> None:
    reason = f"missing field: {name.lower()}"
    assert parse({field: value for field, value in GOOD.items() if field != name}) == reason
    assert parse(GOOD | {name: None}) == reason


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (
            "film_id",
            ["12abc", "012", " 12", "+12", "1e2", "١٢", "", "9" * 10, True, 1.5, 0, -0.0, -3, 2**31, 1e300, [1], {}],
        ),
        ("eventType", ["Rent", "watch", "", 1]),
        ("distributor", ["", " \t", 7, ["youtube"], "\ud800"]),
        ("state", ["", {}, False]),
        ("event_id", ["", "17", 17, "0f8fad5bd9cb469fa16570867728950e", "{0f8fad5b-d9cb-469f-a165-70867728950e}"]),
        (
            "timestamp",
            [
                "2026-11-10T12:00:00",
                "2026-11-10 12:00:00",
                "2026-11-10 12:00:00 UTC",
                "2026-11-10  12:00:00Z",
                "2026-11-10",
                "2026-02-30T12:00:00Z",
                "2026-11-10T25:00:00Z",
                "2026-11-10T12:00:00+25:00",
                "2026-11-10T11:59:00+00:60",
                "2026-W46-2T12:00:00Z",
                "٢٠٢٦-11-10T12:00:00Z",
                "10/11/2026 12:00",
                "",
                176_277_600,
                17_627_760_000,
                1_762_776_000.5,
                -1_762_776_000,
                "01762776000",
                True,
            ],
        ),
    ],
)
def test_impossible_values(name: str, values: list[Any]) -> None:
    assert {parse(GOOD | {name: value}) for value in values} == {EXPECTED[name.lower()]}


@pytest.mark.parametrize("film_id", [17, "17", 17.0])
def test_a_films_number_is_taken_as_meant(film_id: float | str) -> None:
    event = parse(GOOD | {"film_id": film_id})
    assert isinstance(event, Event)
    assert (event.film_id, type(event.film_id)) == (17, int)


def test_a_byte_order_mark_is_no_part_of_a_record() -> None:
    # RFC 8259, 8.1: "implementations that parse JSON texts MAY ignore the presence of a byte order mark"
    assert parse("\ufeff" + json.dumps(GOOD)) == parse(GOOD)


@pytest.mark.parametrize(
    ("written", "event_time"),
    [
        ("2026-11-10T12:00:00Z", "2026-11-10T12:00:00Z"),
        ("2026-11-10T12:00:00.999999999Z", "2026-11-10T12:00:00Z"),
        ("2026-11-01T00:30:00+0100", "2026-10-31T23:30:00Z"),
        ("2026-11-09T23:59:59-05:30", "2026-11-10T05:29:59Z"),
        ("2026-11-10T13:00:00+01", "2026-11-10T12:00:00Z"),
    ],
)
def test_timestamps_stay_as_written_and_are_given_in_utc(written: str, event_time: str) -> None:
    event = parse(GOOD | {"timestamp": written})
    assert isinstance(event, Event)
    assert (event.timestamp, event.event_time) == (written, event_time)


@pytest.mark.parametrize(
    ("written", "timestamp"),
    [
        ("2026-11-10 13:00:00+01:00", "2026-11-10T13:00:00+01:00"),
        ("2026-11-10 13:00:00.25+01", "2026-11-10T13:00:00.25+01"),  # as PostgreSQL writes a timestamptz
        (1_794_312_000, "2026-11-10T12:00:00Z"),
        ("1794312000", "2026-11-10T12:00:00Z"),
        (1_794_312_000_007, "2026-11-10T12:00:00.007Z"),
        ("1794312000000", "2026-11-10T12:00:00.000Z"),
    ],
)
def test_a_time_with_one_meaning_is_taken_as_meant(written: int | str, timestamp: str) -> None:
    for _ in range(2):  # the second time from the parser's memory
        event = parse(GOOD | {"timestamp": written})
        assert isinstance(event, Event)
        assert (event.timestamp, event.event_time) == (timestamp, "2026-11-10T12:00:00Z")


def test_time_is_judged_by_the_objects_name() -> None:
    def outcome(shift: timedelta) -> Event | str:
        return parse(GOOD | {"timestamp": (OBJECT_TIME + shift).isoformat()})

    second = timedelta(seconds=1)
    assert isinstance(outcome(events.TOO_LATE), Event)
    assert outcome(events.TOO_LATE + second) == "too late"
    assert isinstance(outcome(-events.TOO_EARLY), Event)
    assert outcome(-events.TOO_EARLY - second) == "too early"
    assert parse(GOOD | {"timestamp": "0001-01-01T00:00:00+14:00"}) == "too early"
    assert parse(GOOD | {"timestamp": "9999-12-31T23:59:59-14:00"}) == "too late"


@pytest.mark.parametrize("key", ["streaming/2026/11/notes.json", "streaming/loose", f"streaming/2026/01/{NAME}", ""])
def test_lines_of_an_object_with_an_odd_key_are_kept_with_that_reason(key: str) -> None:
    assert parse(GOOD, key) == "object name"


def test_a_repair_names_the_line_it_supersedes() -> None:
    repair = KEY.replace("streaming/", "streaming-repaired/")[:-1] + "f"
    event = parse({"supersedes": {"source_file": KEY, "source_line": 4}, "event": GOOD}, repair)
    assert isinstance(event, Event)
    assert (event.supersedes, event.film_id) == (Supersedes(KEY, 4), 17)
    assert parse(GOOD, repair) == "missing field: supersedes"
    line = {"source_file": KEY, "source_line": 4}
    assert parse({"supersedes": line}, repair) == "missing field: event"
    assert parse({"supersedes": line, "event": {}}, repair) == "missing field: timestamp"
    second = parse({"supersedes": line | {"source_index": 2}, "event": GOOD}, repair)
    assert isinstance(second, Event)
    assert second.supersedes == Supersedes(KEY, 4, 2)
    for wrong in (
        {"source_line": 0},
        {"source_line": True},
        {"source_index": 0},
        {"source_index": "1"},
        {"source_file": KEY.replace("12-00", "12-01")},
    ):
        assert parse({"supersedes": line | wrong, "event": GOOD}, repair) == EXPECTED["supersedes"]


def test_a_rejection_shows_what_was_found_in_few_words() -> None:
    (line,) = parse_object(KEY, json.dumps(GOOD | {"film_id": "12abc"}).encode())
    assert str(line.outcome) == 'film_id: expected a whole number from 1 to 2147483647, found "12abc"'
    (line,) = parse_object(KEY, json.dumps(GOOD | {"film_id": {"x" * 500: 1}}).encode())
    assert len(str(line.outcome)) < 150


def test_blank_lines_count_and_are_no_events() -> None:
    body = b"\n" + json.dumps(GOOD).encode() + b"\r\n \t\r\n{\n" + json.dumps(GOOD).encode()
    assert [(line.source_line, isinstance(line.outcome, Event)) for line in parse_object(KEY, body)] == [
        (2, True),
        (4, False),
        (5, True),
    ]
    assert list(parse_object(KEY, b"")) == []


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "timestamp": st.one_of(
            st.datetimes(
                timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
            ).map(datetime.isoformat),
            st.from_regex(
                r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[+-][0-9]{2}:[0-9]{2}", fullmatch=True
            ),
            st.text(),
        ),
        "eventType": st.sampled_from(["rent", "buy", "x", ""]),
        "film_id": st.one_of(st.integers(), st.floats(), st.text(), st.booleans()),
        "distributor": st.one_of(st.text(), st.none()),
        "platform": st.just("ios"),
        "state": st.text(st.characters(), min_size=1),
        "event_id": st.one_of(st.uuids().map(str), st.text()),
        "STATE": st.text(),
    },
)
LINES = st.one_of(
    st.binary(max_size=60),
    FIELDS.map(lambda fields: json.dumps(fields).encode()),
    FIELDS.map(lambda fields: json.dumps(GOOD | fields).encode()),
    st.just(json.dumps(GOOD).encode()),
    st.sampled_from([b"", b"  ", b"\r"]),
)


@given(
    lines=st.lists(LINES, max_size=20),
    key=st.one_of(
        st.just(KEY),
        st.just(KEY.replace("streaming/", "streaming-repaired/")),
        st.datetimes().map(lambda t: f"streaming/{t:%Y/%m}/s-1-{t:%Y-%m-%d-%H-%M-%S}-{NAME[-36:]}"),
        st.text(),
    ),
)
def test_every_line_that_is_not_blank_ends_exactly_once(lines: list[bytes], key: str) -> None:
    body = b"\n".join(lines)
    expected = [number for number, line in enumerate(body.split(b"\n"), start=1) if line.strip()]
    parsed = list(parse_object(key, body))
    assert [line.source_line for line in parsed] == expected
    for line in parsed:
        outcome = line.outcome
        if isinstance(outcome, Event):
            assert "T" in outcome.timestamp
            time = datetime.fromisoformat(outcome.timestamp)
            assert outcome.event_time == time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            assert 1 <= outcome.film_id < 2**31
            "".join((outcome.distributor, outcome.platform, outcome.state, *outcome.unknown_fields)).encode()
        else:
            assert outcome.reason
            if not parse_key(key).is_repair:
                assert outcome.reason in {*REPAIRABLE, OBJECT_NAME}, "an operator cannot choose it"
        text, encoding = quarantine_text(line.raw)
        assert (text.encode() if encoding == "utf-8" else base64.b64decode(text)) == line.raw
