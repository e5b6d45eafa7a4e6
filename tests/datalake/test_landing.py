"""Keys and listings, on a client that lists as S3 does and counts the requests."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalake import landing
from datalake.landing import (
    key_at,
    key_span,
    landed_objects,
    month_objects,
    neighbours,
    new_objects,
    parse_key,
)
from datalake.months import UNKNOWN_MONTH, Month

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
NOW = datetime(2026, 11, 10, 12, tzinfo=UTC)


def key(time: datetime, stream: str = "lake-events-1-", root: str = "streaming/") -> str:
    return f"{root}{time:%Y/%m}/{stream}{time:%Y-%m-%d-%H-%M-%S}-{uuid.uuid5(uuid.NAMESPACE_OID, f'{time}{stream}')}"


class Bucket:
    """list_objects_v2 of a bucket, in pages."""

    def __init__(self, keys: list[str], page: int = 1000, empty: tuple[str, ...] = ()) -> None:
        self.sizes = {key: 0 if key in empty else 100 for key in [*keys, *empty]}
        self.page, self.requests = page, 0

    def list_objects_v2(self, Bucket: str, Prefix: str, StartAfter: str) -> dict[str, Any]:  # noqa: N803
        self.requests += 1
        keys = sorted(key for key in self.sizes if key.startswith(Prefix) and key > StartAfter)
        contents = [{"Key": key, "Size": self.sizes[key]} for key in keys[: self.page]]
        return {"IsTruncated": len(keys) > self.page, **({"Contents": contents} if contents else {})}


def test_a_key_of_firehose() -> None:
    landed = parse_key(f"streaming/2026/11/sakila-streams-dev-events-12-2026-11-10-12-34-56-{UUID}", 7)
    assert (landed.month, landed.size) == (Month("2026", "11"), 7)
    assert landed.time == datetime(2026, 11, 10, 12, 34, 56, tzinfo=UTC)
    assert landed.series == "streaming/2026/11/sakila-streams-dev-events-12-"
    assert not landed.is_repair
    assert parse_key(landed.key.replace("streaming/", "streaming-repaired/")).is_repair


@pytest.mark.parametrize(
    ("odd", "month"),
    [
        ("streaming/2026/11/notes.txt", "2026-11"),
        (f"streaming/2026/11/s-1-2026-11-31-12-00-00-{UUID}", "2026-11"),
        (f"streaming/2026/11/s-1-2026-11-10-12-00-00-{UUID}.gz", "2026-11"),
        (f"streaming/2026/11/deep/s-1-2026-11-10-12-00-00-{UUID}", "2026-11"),
        (f"streaming/2026/11/s-1-2026-09-30-12-00-00-{UUID}", "2026-11"),
        (f"streaming/2026/13/s-1-2026-11-10-12-00-00-{UUID}", UNKNOWN_MONTH.key),
        (f"streaming/s-1-2026-11-10-12-00-00-{UUID}", UNKNOWN_MONTH.key),
        ("", UNKNOWN_MONTH.key),
    ],
)
def test_an_odd_key_has_no_time_and_a_series_of_its_own(odd: str, month: str) -> None:
    landed = parse_key(odd)
    assert (landed.time, landed.series, landed.month.key) == (None, odd, month)


def test_a_delivery_may_lie_beyond_the_edge_of_its_folders_month() -> None:
    assert parse_key(f"streaming/2026/10/s-1-2026-11-01-23-00-00-{UUID}").time
    assert not parse_key(f"streaming/2026/10/s-1-2026-11-03-23-00-00-{UUID}").time


@given(st.text())
def test_no_key_is_refused(text: str) -> None:
    assert parse_key(text).key == text
    assert parse_key("streaming/2026/11/" + text).month.key == "2026-11"


@given(st.integers(0, 29 * 86400).map(lambda seconds: datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=seconds)))
def test_keys_of_a_series_lie_in_its_span(time: datetime) -> None:
    landed = parse_key(key(time))
    first, end = key_span(landed.series)
    assert first <= key_at(landed.series, time) <= landed.key < end


def test_new_objects_are_those_after_the_watermark_that_are_not_done() -> None:
    hours = [NOW - timedelta(hours=h) for h in range(200)]
    done = [key(time) for time in hours[2:]]
    late = key(NOW - timedelta(hours=20, minutes=30))
    too_late = key(NOW - timedelta(hours=27))
    other_stream = key(NOW - timedelta(hours=5), stream="another-2-")
    bucket: Any = Bucket([*(key(time) for time in hours), late, too_late.replace("lake", "zzz"), other_stream])
    new = new_objects(bucket, "landing", set(done), done[0], NOW)
    assert new == sorted([key(hours[0]), key(hours[1]), late, other_stream])
    assert new_objects(bucket, "landing", {*done, *new}, new[-1], NOW) == []


def test_nothing_done_lists_everything_but_what_holds_nothing() -> None:
    keys = [key(NOW), key(NOW - timedelta(days=200)), "streaming/odd"]
    bucket: Any = Bucket(keys, empty=("streaming/2026/11/",))
    assert new_objects(bucket, "landing", (), None, NOW) == sorted(keys)


def test_a_name_from_the_future_hides_nothing() -> None:
    future, today = key(NOW + timedelta(days=300)), key(NOW)
    bucket: Any = Bucket([future, today])
    assert new_objects(bucket, "landing", {future}, future, NOW) == [today]


def test_old_objects_cost_one_request_a_series() -> None:
    old = [key(NOW - timedelta(minutes=n), stream) for n in range(1500, 9000) for stream in ("a-1-", "b-1-")]
    recent = [key(NOW - timedelta(minutes=n), stream) for n in range(10) for stream in ("a-1-", "b-1-")]
    bucket: Any = Bucket(old + recent)
    assert new_objects(bucket, "landing", (), key(NOW), NOW) == sorted(recent)
    assert bucket.requests <= 4


def test_odd_keys_and_repairs_are_always_looked_at() -> None:
    old_repair = key(NOW - timedelta(days=90), root="streaming-repaired/")
    odd = "streaming/2026/11/aaa"
    bucket: Any = Bucket([old_repair, odd, key(NOW - timedelta(days=9)), key(NOW)], page=1)
    assert new_objects(bucket, "landing", (), key(NOW), NOW) == [old_repair, odd, key(NOW)]


def test_a_months_objects() -> None:
    november = [key(NOW), key(NOW, root="streaming-repaired/"), "streaming/2026/11/odd"]
    bucket: Any = Bucket([*november, key(NOW - timedelta(days=30)), "streaming/loose", "streaming/2026/99/x"])
    assert {o.key for o in month_objects(bucket, "landing", Month.parse("2026-11"))} == set(november)
    assert {o.key for o in month_objects(bucket, "landing", UNKNOWN_MONTH)} == {
        "streaming/loose",
        "streaming/2026/99/x",
    }


def test_neighbours_are_other_months_objects_within_a_span() -> None:
    edge = datetime(2026, 11, 1, tzinfo=UTC)
    times = [edge + timedelta(hours=h) for h in range(-24 * 40, 24 * 40)]
    bucket: Any = Bucket([key(time) for time in times] + ["streaming/2026/10/odd"])
    since, until = edge - timedelta(hours=48), edge + timedelta(days=30, hours=48)
    found = {o.key for o in neighbours(bucket, "landing", Month.parse("2026-11"), since, until)}
    assert found == {key(time) for time in times if since <= time <= until and time.month != 11}


@given(st.sets(st.integers(-200, 200)), st.integers(-200, 200), st.integers(1, 5))
def test_a_bounded_listing_is_the_whole_one_filtered(hours: set[int], since: int, page: int) -> None:
    keys = [key(NOW + timedelta(hours=h), stream) for h in hours for stream in ("a-1-", "b-1-")]
    bound = NOW + timedelta(hours=since)
    bucket: Any = Bucket(keys, page)
    listed = [o.key for o in landed_objects(bucket, "landing", "streaming/", bound)]
    assert listed == sorted(k for k in keys if (parse_key(k).time or NOW) >= bound)


def test_the_watermark_is_a_day_before_the_newest() -> None:
    assert landing.watermark(key(NOW), NOW + timedelta(days=3)) == NOW - timedelta(hours=24)
    assert landing.watermark(None, NOW) is None
    assert landing.watermark("odd", NOW) is None
