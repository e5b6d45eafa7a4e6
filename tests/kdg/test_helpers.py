"""Helpers of numbers, dates and elements, compared with what the Kinesis Data Generator made of the same chance."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC
from random import Random
from typing import Any

import pytest

from kdg.helpers import HELPERS, REFUSED
from kdg.template import Template, TemplateError
from tests.kdg.recorded import NOTHING, NOW, RECORDED, Chance

MADE: dict[str, Any] = RECORDED["helpers"]
NO_VALUES = {"NaN", "undefined", "[object Object]", "Invalid Date"}
# The Kinesis Data Generator fails, as it does not expect these spaces and empty parentheses
TAKEN_ALL_THE_SAME = {"random.number()": "random.number", " random.number ": "random.number"}
# What it makes of these cannot be meant: a join of two texts as maximum, single letters of a text
MISTAKEN = {'random.number({"min":"1","max":"9"})', "random.arrayElement(OK,FAIL)", "random.arrayElement(['a','b'])"}
# It rounds the sum of the weights to two digits, and writes undefined from there on
EXACT_HERE = 'random.weightedArrayElement({"weights":[0.001,0.001],"data":["a","b"]})'


def made(call: str, count: int = 6) -> list[str]:
    (draw,) = Template.parse(f'{{"x": "{{{{{call}}}}}"}}', UTC).draws
    return [str(value) for value in draw([NOW] * count, Chance())]


def has_no_value(call: str) -> bool:
    return "error" in MADE[call] or bool(NO_VALUES & set(MADE[call]))


def test_every_helper_is_there_or_refused_by_name() -> None:
    assert HELPERS.keys() | REFUSED.keys() == {*RECORDED["names"], "current.timestamp"}
    assert not HELPERS.keys() & REFUSED.keys()


@pytest.mark.parametrize("call", sorted(MADE.keys() - MISTAKEN - {EXACT_HERE}))
def test_a_helper_makes_what_the_kinesis_data_generator_makes(call: str) -> None:
    if call in TAKEN_ALL_THE_SAME:
        assert "error" in MADE[call]
        assert made(call) == MADE[TAKEN_ALL_THE_SAME[call]]
    elif call == "current.timestamp":
        assert made(call) == MADE["date.now"]
    elif has_no_value(call):
        with pytest.raises(TemplateError, match="line 1, column 8: "):
            made(call)
    else:
        assert made(call) == [value.replace(NOTHING, "") for value in MADE[call]]


@pytest.mark.parametrize("call", sorted(MISTAKEN))
def test_what_cannot_be_meant_is_refused(call: str) -> None:
    with pytest.raises(TemplateError, match=r"random\.\w+: .*; found \{\{random|not JSON .*texts need double quotes"):
        made(call)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_refused_helper_says_why(name: str) -> None:
    with pytest.raises(TemplateError) as error:
        made(name)
    assert f"column 8: {name} is not supported: {REFUSED[name]}" in str(error.value)


def test_small_weights_are_exact() -> None:
    assert set(MADE[EXACT_HERE]) == {"undefined"}
    (draw,) = Template.parse(f'{{"x": "{{{{{EXACT_HERE}}}}}"}}').draws
    assert 900 < Counter(draw([NOW] * 2000, Random(1)))["a"] < 1100


def test_a_fine_precision_gives_all_its_steps() -> None:
    """The arithmetic of random.number in faker.js: precision * floor(a number from min/precision to max/precision)."""
    (draw,) = Template.parse('{"x": {{random.number({"min":0,"max":1,"precision":0.00001})}}}').draws
    numbers = [float(str(value)) for value in draw([NOW] * 5000, Random(1))]
    assert len(set(numbers)) > 4000
    assert 0 <= min(numbers) < 0.01
    assert 0.99 < max(numbers) <= 1.00001


def test_a_fractional_minimum_leaves_no_number_out() -> None:
    (draw,) = Template.parse('{"x": {{random.number({"min":0.5,"max":10})}}}').draws
    assert {json.loads(str(value)) for value in draw([NOW] * 2000, Random(1))} == set(range(11))


@pytest.mark.parametrize("name", sorted(HELPERS))
def test_values_do_not_depend_on_how_many_are_drawn_at_a_time(name: str) -> None:
    draw, whole, apart = HELPERS[name](None, UTC), Random(5), Random(5)
    assert list(draw([NOW] * 7, whole)) == [value for _ in range(7) for value in draw([NOW], apart)]
