"""Templates in the Kinesis Data Generator's format: what they give, and how a faulty one is refused."""

from __future__ import annotations

import contextlib
import json
import re
import tomllib
from collections import Counter
from datetime import UTC, tzinfo
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdg.generator import Generator
from kdg.helpers import HELPERS, STATES, Draw
from kdg.template import EVENTS, Template, TemplateError
from tests.kdg.recorded import NOW, RECORDED, Chance

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

    @pytest.mark.parametrize(
        "text",
        [
            '{"a":\n{"b": {"c": 1}}, "d": {{random.number(0)}}\n}',  # the KDG takes the first braces for a helper's end
            '{"a": {"b": {"c": 1\n}\n}, "d": {{random.number(\n{"max": 0\n}\n)}\n}}',
            '\ufeff{"a": {"b": {"c": 1}}, "d": {{ random . number (0) }}}\n',
            '{"a": {"b": {"c": 1}}, "d": {{random.arrayElement(["0"])}}}',
        ],
    )
    def test_line_breaks_spaces_and_braces_are_taken_as_meant(self, text: str, tmp_path: Path) -> None:
        path = tmp_path / "own.template"
        path.write_text(text, encoding="utf-8")
        (event,) = Generator(Template.read(path), seed=1, run_id=RUN).take([NOON])
        assert json.loads(event.data) == {"a": {"b": {"c": 1}}, "d": 0, "event_id": event.event_id}

    def test_a_line_break_in_a_text_is_dropped_as_the_kinesis_data_generator_drops_it(self) -> None:
        assert take('{"x": "a\nb", "y": "{{random.arrayElement(["c\nd (e)"])}}"}')[0]["x"] == "ab"
        assert value('random.arrayElement(["c\nd (e)"])') == "cd (e)"


CASES = Path(__file__).parents[1] / "cases/templates"
LISTED = tomllib.loads((CASES / "cases.toml").read_text(encoding="utf-8"))["case"]
RUN_HERE = [CASES / case["file"] for case in LISTED if "error" not in case]


def named(name: str, argument: Any, zone: tzinfo | None) -> Draw:
    """A helper of words, as record.mjs has it: it gives its own name, or fills the form that it is given."""
    if "#" in str(argument):
        return HELPERS[name](argument, zone)
    return lambda times, _rng: [name for _ in times]


@pytest.mark.parametrize("path", [*RUN_HERE, *EVENTS.parent.glob("*.template.json")], ids=lambda path: path.name)
def test_a_template_makes_what_the_kinesis_data_generator_makes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the same chance, but for words; our own templates, and published ones, each named in cases.toml."""
    words = HELPERS.keys() - RECORDED["compared"] - {"current.timestamp"}
    monkeypatch.setattr("kdg.template.HELPERS", HELPERS | {name: partial(named, name) for name in words})
    template, chance = Template.read(path, UTC), Chance()
    made = [template.row % (*[draw([NOW], chance)[0] for draw in template.draws], "id") for _ in range(4)]
    expected = [json.loads(line) | {"event_id": "id"} for line in RECORDED["templates"][path.name]]
    assert [json.loads(line) for line in made] == expected
    assert all(line.count("\n") == 1 for line in made)


@pytest.mark.parametrize("path", RUN_HERE, ids=lambda path: path.name)
def test_a_published_template_makes_events(path: Path) -> None:
    take(path.read_text(encoding="utf-8"), 300)


@pytest.mark.parametrize("case", [case for case in LISTED if "error" in case], ids=lambda case: case["file"])
def test_a_published_template_that_cannot_be_used(case: dict[str, str]) -> None:
    path = CASES / case["file"]
    with pytest.raises(TemplateError) as error:
        Template.read(path)
    assert str(error.value).startswith(f"{path}, {case['error']}")


def test_every_template_of_the_cases_is_listed() -> None:
    assert sorted(case["file"] for case in LISTED) == sorted(path.name for path in CASES.glob("*.template"))
    assert all(case["source"] and case["shows"] for case in LISTED)


class TestFaultyTemplates:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                '{\n"a": "{{date.now}}",\n"b": "{{person.firstName}}"\n}',
                r"line 3, column 7: unknown helper 'person\.firstName', .* \(known: address, ",
            ),
            (
                '{"a": "{{name.first}}"}',
                r"column 8: unknown helper 'name\.first', .*known: name\.firstName, name\.lastName",
            ),
            ('{"a": {{random.number(}}}', "line 1, column 22: this parenthesis is not closed"),
            ('{"a": {{random.number(5}}}', "line 1, column 22: this parenthesis is not closed"),
            ('{"a": {{random.number(5)}', "line 1, column 7: a helper starts here, but no }} closes it"),
            (
                '{"a": 1, \n"b": {{random.number("9")}}}',
                r"line 2, column 6: random\.number: give a maximum, or an object",
            ),
            (
                '{"a": {{random.number({"max": "9"})}}}',
                r"column 7: random\.number: min, max and precision must be numbers",
            ),
            ('{"a": {{random.number({"max": 1e999})}}}', r"random\.number: min, max and precision must be numbers"),
            ('{"a": "{{random.arrayElement([])}}"}', r"random\.arrayElement: give an array"),
            ('{"a": "{{random.arrayElement(["b",\n"c" "d"])}}"}', "line 2, column 5: the argument is not JSON"),
            (
                '{"a": "{{random.weightedArrayElement({"weights": [1, 2], "data": [1]})}}"}',
                "data must have a value for each weight",
            ),
            ('{"a": "{{random.weightedArrayElement([1])}}"}', 'give an object such as {"weights"'),
            ('{"a": "{{random.weightedArrayElement({"weights": [-1, 2], "data": [1, 2]})}}"}', "none negative"),
            ('{"a": "{{date.now(2026)}}"}', r"date\.now: give a format of moment\.js"),
            ('{"a": "{{date.past(1e9)}}"}', r"date\.past: give a number above 0"),
            ('{"a": "{{lorem.words(three)}}"}', r"lorem\.words: give one number; found {{lorem\.words\(three\)}}"),
            ('{"a": "{{lorem.words(1e12)}}"}', r"lorem\.words: give a number up to 1,000"),
            ('{"a": {{random.number({"max": 1e300, "precision": 1e-300})}}}', "too far apart for this precision"),
            ('{"a": "{{company.companyName(3)}}"}', r"company\.companyName: its value comes from the library Faker"),
            ('{"a": {{address.state}}}', r"line 1, column 7: the event would be no JSON .*double quotes"),
            ('{"a": NaN}', "NaN is not JSON"),
            ("{{random.number}}", "must be a JSON object"),
            ("\n [1]", "line 2, column 2: the template must be a JSON object"),
            ("", "line 1, column 1: the template must be a JSON object"),
            ('{"event_id": "{{random.uuid}}"}', "column 2: the template has a field event_id"),
            ('{"a": "\0"}', "line 1, column 8: a NUL character is not allowed"),
        ],
    )
    def test_it_is_refused_by_line_and_helper(self, text: str, message: str) -> None:
        with pytest.raises(TemplateError, match=message):
            Template.parse(text)

    def test_a_file_that_is_no_text_is_refused_by_its_name(self, tmp_path: Path) -> None:
        path = tmp_path / "latin1.template"
        path.write_bytes('{"a": "é"}'.encode("latin-1"))
        with pytest.raises(TemplateError, match=r"latin1\.template: byte 8 is not UTF-8"):
            Template.read(path)

    @given(st.text(alphabet='{}()[]"\\:, \n\0%ad1.', max_size=40) | st.text(max_size=40))
    def test_no_text_makes_it_fail_in_another_way(self, text: str) -> None:
        with contextlib.suppress(TemplateError):
            Template.parse(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(name=st.sampled_from(sorted(HELPERS)), argument=json_values | st.text())
def test_no_argument_makes_a_helper_fail_in_another_way(name: str, argument: Any) -> None:
    given = argument if isinstance(argument, str) else json.dumps(argument)
    with contextlib.suppress(TemplateError):
        Template.parse(f'{{"a": "{{{{{name}({given})}}}}"}}', UTC)


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
