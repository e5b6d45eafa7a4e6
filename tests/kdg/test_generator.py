"""Events: the same for the same seed and run, each with an id of its own; faults only where asked for."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdg.generator import Event, Faults, Generator, event_ids
from kdg.template import EVENTS, Template

RUN = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
TIMES = [1_790_000_000.0 + n / 10 for n in range(10_000)]
TEMPLATE = Template.read(EVENTS, zone=UTC)


def make(faults: Faults | None = None, seed: int = 1, run_id: uuid.UUID = RUN) -> list[Event]:
    return Generator(TEMPLATE, seed=seed, run_id=run_id, faults=faults).take(TIMES)


def content(events: list[Event]) -> list[dict[str, object]]:
    return [{k: v for k, v in json.loads(event.data).items() if k != "event_id"} for event in events]


@given(run_id=st.uuids(), first=st.integers(0, 10**9))
def test_ids_are_version_5_uuids_of_the_run(run_id: uuid.UUID, first: int) -> None:
    assert event_ids(run_id, first, 3) == [str(uuid.uuid5(run_id, str(n))) for n in range(first, first + 3)]


def test_seed_and_run_decide() -> None:
    assert make() == make()
    assert content(make(seed=2)) != content(make())
    other_run = make(run_id=uuid.UUID(int=1))
    assert content(other_run) == content(make())
    assert not {event.event_id for event in other_run} & {event.event_id for event in make()}


@given(st.lists(st.integers(0, 70), max_size=8))
def test_events_do_not_depend_on_how_many_are_taken_at_a_time(sizes: list[int]) -> None:
    generator = Generator(TEMPLATE, seed=3, run_id=RUN, faults=Faults(late=0.2, malformed=0.1, unknown_film=0.1))
    taken: list[Event] = []
    for size in sizes:
        taken += generator.take(TIMES[len(taken) : len(taken) + size])
    whole = Generator(TEMPLATE, seed=3, run_id=RUN, faults=Faults(late=0.2, malformed=0.1, unknown_film=0.1))
    assert taken == whole.take(TIMES[: len(taken)])


def test_the_timestamp_is_the_time_given() -> None:
    for time, fields in zip(TIMES, content(make()), strict=True):
        assert datetime.fromisoformat(str(fields["timestamp"])).timestamp() == int(time)


class TestFaults:
    def test_none_by_default(self) -> None:
        assert make(Faults()) == make()
        assert len({event.event_id for event in make()}) == len(TIMES)

    def test_late(self) -> None:
        ages = [
            time - datetime.fromisoformat(str(fields["timestamp"])).timestamp()
            for time, fields in zip(TIMES, content(make(Faults(late=0.3))), strict=True)
        ]
        late = [age for age in ages if age > 1]
        assert 0.28 < len(late) / len(ages) < 0.32
        assert 3600 <= min(late) < max(late) <= 35 * 86_400 + 1

    def test_unknown_film(self) -> None:
        films = [fields["film_id"] for fields in content(make(Faults(unknown_film=0.1)))]
        unknown = [film for film in films if not 1 <= film <= 1000]  # type: ignore[operator]
        assert 0.09 < len(unknown) / len(films) < 0.11

    def test_malformed_lines_are_no_json_and_keep_their_id(self) -> None:
        bad = 0
        for event in make(Faults(malformed=0.05)):
            try:
                json.loads(event.data)
            except json.JSONDecodeError:
                bad += 1
                assert f'"event_id":"{event.event_id}"\n'.encode() in event.data
        assert 400 < bad < 600

    def test_duplicates_come_again_unchanged_with_the_next_take(self) -> None:
        generator = Generator(TEMPLATE, seed=1, run_id=RUN, faults=Faults(duplicate=0.1))
        first, second = generator.take(TIMES[:5000]), generator.take(TIMES[5000:])
        assert len(first) == 5000
        assert 400 < len(second) - 5000 < 600
        assert set(second[:-5000]) < set(first)
        assert max(Counter(event.event_id for event in first + second).values()) == 2

    def test_a_share_lies_between_0_and_1(self) -> None:
        with pytest.raises(ValueError, match="late must be a share from 0 to 1, not 2"):
            Faults(late=2)

    def test_unknown_film_needs_the_field(self) -> None:
        with pytest.raises(ValueError, match="film_id"):
            Generator(Template.parse("{}"), seed=1, run_id=RUN, faults=Faults(unknown_film=0.1))
