"""The oracle's parser of lines and the lake's implement the same specification, so they must agree."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from datalake.events import Event, parse_object
from datalake.json_lines import quarantine_text
from datalake.landing import parse_key
from oracle import lines
from oracle.model import Enriched

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
NAME = f"lake-events-1-2026-11-10-12-00-00-{UUID}"
KEY = f"streaming/2026/11/{NAME}"
REPAIR = KEY.replace("streaming/", "streaming-repaired/")
GOOD: dict[str, Any] = {
    "timestamp": "2026-11-10T12:59:00+01:00",
    "eventtype": "trailer",
    "film_id": 17,
    "distributor": "google play",
    "platform": "smart tv",
    "state": "New York",
}

OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
NEAR = st.integers(-35_000_000, 4_000).map(lambda s: datetime(2026, 11, 10, 12) + timedelta(seconds=s))  # noqa: DTZ001 (a zone is added)
STAMPS = st.one_of(
    st.builds(lambda time, zone: time.replace(tzinfo=zone).isoformat(), NEAR, OFFSETS),
    st.datetimes(timezones=OFFSETS).map(datetime.isoformat),
    st.from_regex(
        r"20[0-9]{2}-(0[0-9]|1[0-3])-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9]"
        r"(\.[0-9]{0,10})?(Z|z|[+-][0-2][0-9](:?[0-6][0-9])?)?",
        fullmatch=True,
    ),
    st.text(max_size=30),
    st.integers(1_759_000_000, 1_795_000_000),
    st.integers(1_759_000_000_000, 1_795_000_000_000),
    st.integers(1_759_000_000, 1_795_000_000).map(str),
    st.from_regex(r"-?[0-9]{9,14}(\.0)?", fullmatch=True),
)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers()), st.just(UUID.upper())
)
NAMES = ["timestamp", "eventtype", "film_id", "distributor", "platform", "state", "event_id", "event", "supersedes"]
CASES = st.sampled_from([str.upper, str.lower, str.title, lambda name: name])
FIELDS = st.lists(
    st.one_of(
        st.tuples(st.just("timestamp"), STAMPS),
        st.tuples(st.just("eventtype"), st.sampled_from(["rent", "buy", "trailer", "Rent", "x", ""])),
        st.tuples(st.just("film_id"), st.integers(-1, 2**31 + 1)),
        st.tuples(st.just("film_id"), st.integers(-1, 2**31 + 1).map(float)),
        st.tuples(st.just("film_id"), st.integers(-1, 2**31 + 1).map(str)),
        st.tuples(st.just("film_id"), st.from_regex(r"[+-]?[0-9]{0,11}(\.0)?", fullmatch=True)),
        st.tuples(st.just("event_id"), st.one_of(st.uuids().map(str), st.text(max_size=36))),
        st.tuples(st.sampled_from(NAMES), VALUES),
        st.tuples(st.text(max_size=5), VALUES),
    ),
    max_size=4,
)


def written(pairs: list[tuple[str, Any]]) -> bytes:
    """A JSON object with these pairs, also with repeated names."""
    return b"{" + b",".join(json.dumps(n).encode() + b": " + json.dumps(v).encode() for n, v in pairs) + b"}"


EVENTS = st.builds(lambda fields, case: written([(case(n), v) for n, v in fields]), FIELDS, CASES)
NEARLY_GOOD = st.builds(
    lambda changes, case: written([(case(n), v) for n, v in {**GOOD, **dict(changes)}.items()]), FIELDS, CASES
)
SOURCES = st.sampled_from([KEY, REPAIR, KEY.replace("12-00-00", "12-00-01"), "x"])
REPAIRS = st.builds(
    lambda target, event: b'{"supersedes": %s, "event": %s}' % (json.dumps(target).encode(), event),
    st.one_of(
        st.just({"source_file": KEY, "source_line": 3}),
        st.just({"source_file": KEY, "source_line": 3, "source_index": 2}),
        st.fixed_dictionaries({}, optional={"source_file": SOURCES, "source_line": VALUES, "source_index": VALUES}),
    ),
    NEARLY_GOOD,
)
ENDS = st.sampled_from([b"", b" ", b"\r", b"\x0b", b"{}", b"\xff"])
BOM = "\ufeff".encode()
PIECES = st.one_of(
    st.sampled_from([b" ", b"\t\r", BOM, b"}{", b"{", b"}", b'"', b",", b"[]", b"17", b'{"x":"}{"}', b'{"x":"}{}{"}']),
    st.sampled_from([b'{"x":' * 101 + b"1" + b"}" * 101, b'{"x":"}{}{",' + b'"x":{' * 1100]),
    st.builds(lambda line, cut: line[:cut], NEARLY_GOOD, st.integers(0, 200)),
)
LINES = st.one_of(
    st.binary(max_size=60),
    EVENTS,
    NEARLY_GOOD,
    REPAIRS,
    st.builds(lambda line, cut: line[:cut], NEARLY_GOOD, st.integers(0, 200)),
    st.builds(lambda one, other: one + other, NEARLY_GOOD, ENDS),
    st.lists(st.one_of(NEARLY_GOOD, PIECES), min_size=2, max_size=6).map(b"".join),
    st.builds(lambda mark, line: mark + line, st.sampled_from([BOM, BOM * 2, b" " + BOM]), NEARLY_GOOD),
    st.lists(NEARLY_GOOD, max_size=3).map(lambda several: b"[" + b",".join(several) + b"]"),
    st.sampled_from([b"", b"  ", b"\r", b"\x0b\x0c", b"[]", b"17", b"x" * 1_024_001, b"\xff" * 1_024_001]),
)
YEARS = datetime(1000, 1, 4), datetime(9999, 12, 28)  # noqa: DTZ001 (names are UTC)
KEYS = st.one_of(
    st.just(KEY),
    st.just(REPAIR),
    st.builds(
        lambda time, hours: f"streaming/{time + timedelta(hours=hours):%Y/%m}/s-1-{time:%Y-%m-%d-%H-%M-%S}-{UUID}",
        st.datetimes(*YEARS),
        st.integers(-60, 60),
    ),
    st.from_regex(
        r"streaming(-repaired)?/(20[0-9][0-9]|x)/[01][0-9]/(a-)?1?-2026-1[0-3]-[0-3]0-[0-2]0-[0-6]0-[0-6]0-" + UUID,
        fullmatch=True,
    ),
    st.text(),
)


@given(body=st.lists(LINES, max_size=8).map(b"\n".join), key=KEYS)
@settings(max_examples=300)
def test_the_oracle_and_the_lake_read_any_bytes_alike(body: bytes, key: str) -> None:
    mentioned: set[str] = set()
    landed = lines.read(key, body, mentioned)
    parsed = list(parse_object(key, body))
    described = parse_key(key)
    assert (landed.partition_0, landed.partition_1) == (described.month.year, described.month.number)
    assert landed.time == (described.time and int(described.time.timestamp()))
    assert list(landed.lines) == [line.source_line for line in parsed]
    for number, raw, outcome in parsed:
        mine = landed.lines[number]
        if isinstance(outcome, Event):
            assert isinstance(mine, Enriched), (raw, mine)
            assert mine[:8] == (*outcome[:8],)
            assert landed.supersedes.get(number) == outcome.supersedes
            assert outcome.event_id is None or outcome.event_id in mentioned
        else:
            assert not isinstance(mine, Enriched), (raw, outcome)
            text, encoding = quarantine_text(raw)
            assert (mine.reason, mine.encoding) == (outcome.reason, encoding)
            assert landed.values.get(number, 1) == outcome.values
            kept = text.encode() if encoding == "utf-8" else base64.b64decode(text)
            assert mine.digest == lines.digest(kept)
