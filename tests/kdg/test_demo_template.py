"""The demo's template: hits and a long tail over Sakila's films, states by population, unequal shares of the rest."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from kdg.generator import Generator
from kdg.helpers import STATES
from kdg.template import EVENTS, Template

DEMO = EVENTS.with_name("demo.template.json")
COUNT = 50_000
# U.S. Census Bureau, "2020 Census Apportionment Results Delivered to the President", 26 April 2021, and its table of
# residents by state: 331,449,281 in all, of whom 689,545 in the District of Columbia, which is no state.
RESIDENTS_OF_50_STATES = 331_449_281 - 689_545
RESIDENTS = {"California": 39_538_223, "Texas": 29_145_505, "Utah": 3_271_616, "Wyoming": 576_851}


def weights(field: str) -> dict[Any, int]:
    """Each value of a field, and its weight, as they stand in the template."""
    text = DEMO.read_text()
    argument, _ = json.JSONDecoder().raw_decode(text, text.index("{\n", text.index(f'"{field}"')))
    return dict(zip(argument["data"], argument["weights"], strict=True))


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    made = Generator(Template.read(DEMO), seed=1, run_id=uuid.UUID(int=7)).take([1_790_000_000.0] * COUNT)
    return [json.loads(event.data) for event in made]


def test_fields_and_values_are_those_of_the_partners_event(events: list[dict[str, Any]]) -> None:
    assert Template.read(DEMO).fields == Template.read(EVENTS).fields
    partners = Generator(Template.read(EVENTS), seed=1, run_id=uuid.UUID(int=7)).take([1_790_000_000.0] * COUNT)
    values = [json.loads(event.data) for event in partners]
    for field in ("eventType", "film_id", "distributor", "platform", "state"):
        assert {event[field] for event in events} == {event[field] for event in values}


def test_weights_are_whole_numbers() -> None:
    """The Kinesis Data Generator rounds running sums of weights to two decimals (its faker.js: ``toFixed(2)``)."""
    for field in ("eventType", "film_id", "distributor", "platform", "state"):
        assert all(type(weight) is int and weight > 0 for weight in weights(field).values())


def test_films_have_hits_and_a_long_tail(events: list[dict[str, Any]]) -> None:
    films = weights("film_id")
    assert sorted(films) == list(range(1, 1001))
    assert list(films.values()) == [round(10_000 / (rank + 10)) for rank in range(1, 1001)]
    counts = [count for _, count in Counter(event["film_id"] for event in events).most_common()]
    assert 0.13 < sum(counts[:10]) / COUNT < 0.17
    assert 0.49 < sum(counts[:100]) / COUNT < 0.55
    gini = sum((len(counts) + 1 - 2 * rank) * count for rank, count in enumerate(counts, 1)) / len(counts) / COUNT
    assert 0.56 < gini < 0.62  # 0 if all films were equal: the partners' uniform template has 0.08


def test_states_have_their_share_of_the_population(events: list[dict[str, Any]]) -> None:
    residents = weights("state")
    assert set(residents) == set(STATES)
    assert sum(residents.values()) == RESIDENTS_OF_50_STATES
    assert residents.items() >= RESIDENTS.items()
    counts = Counter(event["state"] for event in events)
    for state, count in counts.items():
        assert count / COUNT == pytest.approx(residents[state] / RESIDENTS_OF_50_STATES, abs=0.003)
    assert [state for state, _ in counts.most_common(4)] == ["California", "Texas", "Florida", "New York"]


@pytest.mark.parametrize("field", ["eventType", "distributor", "platform"])
def test_other_shares_differ_clearly(field: str, events: list[dict[str, Any]]) -> None:
    shares = weights(field)
    counts = Counter(event[field] for event in events)
    assert sum(shares.values()) == 100
    assert [value for value, _ in counts.most_common()] == sorted(shares, key=lambda value: -shares[value])
    assert all(one > 1.05 * other for one, other in pairwise(count for _, count in counts.most_common()))
