"""Templates in the Kinesis Data Generator's format: what they give, and how a faulty one is refused."""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdg.generator import Generator
from kdg.helpers import HELPERS, STATES
from kdg.template import EVENTS, Template, TemplateError

NOON = 1_790_000_000.25  # 2026-09-21T14:13:20.25Z
RUN = UUID(int=7)


def take(text: str, count: int = 1, zone: ZoneInfo | None = None) -> list[dict[str, Any]]:
    events = Generator(Template.parse(text, zone), seed=1, run_id=RUN).take([NOON] * count)
    return [json.loads(event.data) for event in events]


def value(helper: str, zone: ZoneInfo | None = None) -> Any:
    return take(f'{{"x": "{{{{{helper}}}}}"}}', zone=zone)[0]["x"]


class TestPartnersEvents:
    def test_fields_and_values_are_the_original_systems(self) -> None:
        assert Template.read(EVENTS).fields == ("timestamp", "eventType", "film_id", "distributor", "platform", "state")
        events = take(EVENTS.read_text(), 20_000)
        assert {event["film_id"] for event in events} == set(range(1, 1001))
        assert {event["distributor"] for event in events} == {
            "amazon prime", "google play", "apple itunes", "vudo", "fandango now", "microsoft", "youtube",
        }  # fmt: skip
        assert {event["platform"] for event in events} == {
            "ios", "android", "xbox", "playstation", "smart tv", "other",
        }  # fmt: skip
        assert {event["state"] for event in events} == set(STATES)
        assert len(STATES) == 50
        shares = Counter(event["eventType"] for event in events)
        assert {kind: round(count / 20_000, 1) for kind, count in shares.items()} == {
            "rent": 0.3, "buy": 0.1, "trailer": 0.6,
        }  # fmt: skip

    def test_an_event_is_one_line_of_json_with_its_id_last(self) -> None:
        (event,) = Generator(Template.read(EVENTS, ZoneInfo("Europe/London")), seed=1, run_id=RUN).take([NOON])
        assert event.data.endswith(f'","event_id":"{event.event_id}"}}\n'.encode())
        assert event.data.startswith(b'{"timestamp":"2026-09-21T15:13:20+01:00","eventType":"')
        assert event.data.count(b"\n") == 1


class TestHelpers:
    @pytest.mark.parametrize(
        ("helper", "expected"),
        [
            ("date.now", "2026-09-21T23:13:20+09:00"),
            ("date.utc", "2026-09-21T14:13:20Z"),
            ('date.utc("YYYY-MM-DD HH:mm:ss.SSS")', "2026-09-21 14:13:20.250"),
            ('date.now("dddd, MMMM Do YYYY, h:mm:ss a")', "Monday, September 21st 2026, 11:13:20 pm"),
            ('date.now("ddd, hA")', "Mon, 11PM"),
            ('date.now("DD/MMM/YYYY:HH:mm:ss ZZ [at] X")', "21/Sep/2026:23:13:20 +0900 at 1790000000"),
            ("address.state", None),
            (" address.state ", None),
            ("address.state()", None),
        ],
    )
    def test_values(self, helper: str, expected: str | None) -> None:
        found = value(helper, ZoneInfo("Asia/Tokyo"))
        assert found == expected if expected else found in STATES

    def test_numbers(self) -> None:
        assert {event["x"] for event in take('{"x": {{random.number(3)}}}', 200)} == {0, 1, 2, 3}
        assert {event["x"] for event in take('{"x": {{random.number({"min": -1, "max": 1})}}}', 200)} == {-1, 0, 1}
        halves = take('{"x": {{random.number({"min": 0, "max": 1, "precision": 0.25})}}}', 200)
        assert {event["x"] for event in halves} == {0, 0.25, 0.5, 0.75, 1}
        assert all(0 <= event["x"] <= 99999 for event in take('{"x": {{random.number}}}', 200))

    def test_elements_may_be_numbers_or_quoted_by_themselves(self) -> None:
        mixed = take('{"x": {{random.arrayElement([2, 2.5, true, null])}}}', 200)
        assert {event["x"] for event in mixed} == {2, 2.5, True, None}
        text = '{"x": {{random.weightedArrayElement({"weights": [0.5, 0.5, 0], "data": ["\\"a\\"", 7, "never"]})}}}'
        assert {event["x"] for event in take(text, 200)} == {"a", 7}

    def test_uuid_boolean_ip(self) -> None:
        assert re.fullmatch(
            r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", value("random.uuid")
        )
        assert {event["x"] for event in take('{"x": {{random.boolean}}}', 50)} == {True, False}
        assert all(0 <= int(part) <= 255 for part in value("internet.ip").split("."))

    def test_every_helper_is_drawn_from_a_seed(self) -> None:
        arguments = {
            "random.arrayElement": "([1, 2, 3])",
            "random.weightedArrayElement": '({"weights": [1, 2], "data": ["a", "b"]})',
        }
        fields = ", ".join(f'"{name}": "{{{{{name}{arguments.get(name, "")}}}}}"' for name in HELPERS)
        assert take(f"{{{fields}}}", 50) == take(f"{{{fields}}}", 50)


class TestFaultyTemplates:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                '{\n"a": "{{date.now}}",\n"b": "{{name.firstName}}"\n}',
                r"line 3: unknown helper 'name\.firstName' \(known: ",
            ),
            ('{"a": {{random.number(}}}', r"line 1: the argument of random\.number is not JSON"),
            ('{"a": {{random.number(5}}}', r"line 1: random\.number lacks its closing parenthesis"),
            ('{"a": {{random.number(5)}', r"line 1: random\.number is not closed by \}\}"),
            ('{"a": {{random.number({"min": 9, "max": 1})}}}', r"random\.number: min, max and precision"),
            ('{"a": {{random.number({"mean": 9})}}}', r"random\.number: give a maximum or an object"),
            ('{"a": "{{random.arrayElement([])}}"}', r"random\.arrayElement: give an array"),
            (
                '{"a": "{{random.weightedArrayElement({"weights": [1], "data": [1, 2]})}}"}',
                "there must be as many weights",
            ),
            ('{"a": "{{random.weightedArrayElement([1])}}"}', 'give an object of "weights" and "data"'),
            ('{"a": "{{date.now("WW")}}"}', r"date\.now: unknown token 'W'"),
            ('{"a": {{address.state}}}', "the template does not give JSON"),
            ("{{random.number}}", "not a JSON object"),
            ("[1]", "not a JSON object"),
            ("", "not a JSON object"),
            ('{"event_id": "{{random.uuid}}"}', "the template has a field event_id"),
        ],
    )
    def test_it_is_refused_by_line_and_helper(self, text: str, message: str) -> None:
        with pytest.raises(TemplateError, match=message):
            Template.parse(text)

    @given(st.text(alphabet='{}()[]"\\:, \n\0%ad1.', max_size=40) | st.text(max_size=40))
    def test_no_text_makes_it_fail_in_another_way(self, text: str) -> None:
        with contextlib.suppress(TemplateError):
            Template.parse(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    fields=st.dictionaries(st.text().filter(lambda name: name not in ("event_id", "h")), json_values, max_size=4),
    indent=st.none() | st.integers(0, 4),
    ascii_only=st.booleans(),
)
def test_what_is_no_helper_stays_as_it_is(fields: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(fields | {"h": "@"}, indent=indent, ensure_ascii=ascii_only)
    if "{{" in text or '"@"' in text.replace('"h": "@"', "", 1):
        return
    (event,) = take(text.replace('"@"', '"{{random.arrayElement(["v"])}}"'), 1)
    assert event.pop("event_id")
    assert event == fields | {"h": "v"}
