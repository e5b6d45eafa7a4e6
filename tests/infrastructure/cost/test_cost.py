"""The environments' bills, the levers, and the document with both."""

from __future__ import annotations

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from infrastructure.cost import estimate, summary
from infrastructure.cost.bill import NAMES, by_group
from infrastructure.cost.chart import COLOURS, draw
from infrastructure.cost.document import DOCUMENT, LOWER, PICTURE, TITLE, bars, render
from infrastructure.cost.levers import AT_REST, IDLE_LEVERS, LOAD_LEVERS, Lever
from infrastructure.cost.usage import IDLE, LOADS, TEN, THOUSAND, Load
from infrastructure.package import ROOT

SDLF = 15.0  # USD: an idle month, by its README


def test_dev_at_rest_is_cheaper_than_sdlf() -> None:
    assert estimate("dev", IDLE, AT_REST).usd < SDLF


def test_an_idle_month_of_dev_by_hand() -> None:
    lines = {(line.resource, line.what): line.usd for line in estimate("dev", IDLE).lines}
    by_hand = {
        ("Key", "key"): 1.0,
        ("MySqlSecret", "secret"): 0.40,
        ("MySql", "instance"): 730 / 8 * 0.016,
        ("MySql", "storage (as much backup costs nothing)"): 20 * 0.115,
        ("DmsInstance", "instance"): 730 * 0.018,
        ("SecretsEndpoint", "interface, in each of its zones"): 730 * 0.01,
        ("CsvQueue", "Lambda's polls"): 0.657 * 0.40,
        ("FilmCategoryJob", "runs"): 30 * 90 / 3600 * 2 * 0.44,  # two workers
        ("CsvFunction", "duration"): 30 * 16 * 15 * 0.0000166667,  # 1 GB
    }
    assert {key: lines[key] for key in by_hand} == pytest.approx(by_hand)
    rest = [usd for key, usd in lines.items() if key not in by_hand]
    assert max(rest) <= 0.11  # alarms, a few runs of Glue, requests
    assert sum(rest) < 1.0


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_more_events_cost_more_and_no_group_is_lost(environment: str) -> None:
    bills = [estimate(environment, load) for load in LOADS]
    assert bills[0].usd < bills[1].usd < bills[2].usd
    for bill in bills:
        assert sum(by_group(bill).values()) == pytest.approx(bill.usd)


@pytest.mark.parametrize("lever", [*IDLE_LEVERS, *LOAD_LEVERS], ids=lambda one: f"{one.title}, {one.load.name}")
def test_every_lever_lowers_its_bill(lever: Lever) -> None:
    before, after = lever.usd()
    assert after < before - 1


def test_the_parameters_that_the_levers_name_are_those_of_the_template() -> None:
    named = {name for lever in IDLE_LEVERS for name in re.findall(r"`([A-Z]\w+)`", lever.how)}
    named |= {name for how in LOWER.values() for name in re.findall(r"`([A-Z]\w+)`", how)}
    assert {"CreateDms", "MySqlNightlyStop"} <= named
    for name in named:
        estimate("dev", IDLE, {name: "true"})  # raises for an unknown parameter


@pytest.mark.parametrize("load", [TEN, THOUSAND], ids=lambda load: load.name)
def test_joined_records_lower_firehose_and_nothing_else(load: Load) -> None:
    [lever] = (one for one in LOAD_LEVERS if one.load == load and "events_per_record" in one.usage)
    before, after = lever.usd()
    assert before - after == pytest.approx(by_group(estimate("dev", load))["Firehose"] * 25 / 26)


def test_a_summary_names_each_load_its_sum_and_its_largest_line() -> None:
    shown = summary("prod").splitlines()
    for load, line in zip(LOADS, shown, strict=False):
        bill = estimate("prod", load)
        assert line.strip().startswith(f"{load.name}: ")
        assert f" {bill.usd:,.2f} USD a month (most of it: {bill.largest(1)[0].resource} " in line
    assert len(shown) == len(LOADS) + 1


def test_the_document_and_its_picture_are_fresh() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == render(), "run: make docs"
    assert PICTURE.read_text(encoding="utf-8") == draw(TITLE, bars()), "run: make docs"


def test_the_document_does_not_depend_on_the_process() -> None:
    """The text does not depend on the hash seed, which changes the order of sets."""
    code = "from infrastructure.cost.document import render; print(render(), end='')"
    command = [sys.executable, "-c", code]
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": "include", "PYTHONIOENCODING": "utf-8"}
    output = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True).stdout
    assert output.decode() == render()


def luminance(colour: str) -> float:
    """The contrast ratio of WCAG 2.1."""
    parts = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_picture_can_be_read_in_light_and_in_dark() -> None:
    svg = draw(TITLE, bars())
    light, dark = (dict(re.findall(r"\.(\w+)\{fill:(#\w{6})", part)) for part in svg.split("@media")[:2])
    for mode in (light, dark):
        assert contrast(mode["background"], mode["text"]) > 7
        assert contrast(mode["background"], mode["quiet"]) > 4.5
    for name in NAMES:
        assert contrast(*COLOURS[name]) >= 4.5, name


def test_the_picture_is_an_svg_whose_bars_fill_their_width() -> None:
    root = ElementTree.fromstring(draw(TITLE, bars()))  # noqa: S314 (our own text)
    widths: dict[str, float] = {}
    for bar in root.iter("{http://www.w3.org/2000/svg}rect"):
        if bar.get("class") == "gap":
            widths[bar.attrib["y"]] = widths.get(bar.attrib["y"], 0.0) + float(bar.attrib["width"])
    assert len(widths) == len(bars())
    assert all(width == pytest.approx(686, abs=1.5) for width in widths.values())
