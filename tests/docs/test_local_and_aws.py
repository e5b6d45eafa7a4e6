"""docs/local-and-aws.md has a row for all that the lake uses: by the template, recorded calls and our AWS server."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from infrastructure.cfn.template import parse_template
from infrastructure.package import TEMPLATE
from local.aws.cloudformation.resource_types.recorded import RECORDED
from local.aws.server import Server
from local.commands.aws_server import aws_settings
from local.settings import ROOT, Settings
from tests.docs.guides import TABLES

USED = ROOT / "infrastructure" / "iam" / "used_grants.json"
ANY = "*"  # a row for all settings of a type, allowed for types that the home only records


@dataclass(frozen=True)
class Row:
    """A row: a service or resource type, names of its actions or settings, and the last cell (``compared``)."""

    of: str
    names: tuple[str, ...]
    compared: str


def _rows(text: str) -> Iterator[tuple[str, Row]]:
    """Yield ("action" or "setting", row) for the rows of every table."""
    kind = service = resource = ""
    for line in text.splitlines():
        if heading := re.match(r"## (.*)", line):
            service = (re.findall(r"`(\w+)`", heading[1]) or [""])[-1]
        elif heading := re.match(r"### (AWS::\w+::\w+)$", line):
            resource = heading[1]
        elif head := re.match(r"\| (action|setting) \| on AWS \| at home \| compared by \|$", line):
            kind = head[1]
        elif line.startswith("| "):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == 4, f"{len(cells)} cells: {line}"
            of = service if kind == "action" else resource
            yield kind, Row(of, tuple(re.findall(r"`([^`]+)`", cells[0])), cells[3])


@cache
def rows(kind: str) -> tuple[Row, ...]:
    return tuple(row for found, row in _rows(TABLES.read_text()) if found == kind)


# --- what is used


def _granted(template: dict[str, Any]) -> set[str]:
    """Every action that a statement of the template allows, except ``kms:*``, which is a whole service."""

    def statements(node: Any) -> Iterator[dict[str, Any]]:
        if isinstance(node, dict):
            if node.get("Effect") == "Allow" and "Action" in node:
                yield node
            for value in node.values():
                yield from statements(value)
        elif isinstance(node, list):
            for value in node:
                yield from statements(value)

    found: set[str] = set()
    for statement in statements(template["Resources"]):
        actions = statement["Action"]
        found.update([actions] if isinstance(actions, str) else actions)
    return {action for action in found if not action.endswith(":*")}


def _recorded() -> set[str]:
    """The actions that components called in tests."""
    return {call["action"] for call in json.loads(USED.read_text())}


def _served(home: Path) -> set[str]:
    apis = Server(aws_settings(Settings(home=home, port=1))).apis
    return {f"{api.service}:{action}" for api in apis for action in api.actions}


def _settings(node: Any, path: str = "") -> Iterator[str]:
    """The path of every property; an intrinsic function counts as a value."""
    if isinstance(node, dict) and not any(key == "Ref" or key.startswith("Fn::") for key in node):
        for key, value in node.items():
            yield from _settings(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for value in node:
            yield from _settings(value, path)
    elif isinstance(node, dict) and "Fn::If" in node:
        for value in node["Fn::If"][1:]:
            yield from _settings(value, path)
    else:
        yield path


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return dict(parse_template(TEMPLATE.read_text()))


@pytest.fixture(scope="module")
def actions(template: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    return _granted(template) | _recorded() | _served(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def settings(template: dict[str, Any]) -> set[tuple[str, str]]:
    resources = template["Resources"].values()
    return {(one["Type"], path) for one in resources for path in _settings(one.get("Properties", {})) if path}


# --- the comparison


def _covers(name: str, path: str) -> bool:
    return name in (ANY, path) or path.startswith(f"{name}.")


def test_every_action_has_one_row_and_no_row_is_of_an_action_that_nothing_uses(actions: set[str]) -> None:
    told = Counter(f"{row.of}:{name}" for row in rows("action") for name in row.names)
    assert sorted(actions - told.keys()) == []
    assert sorted(told.keys() - actions) == []
    assert [action for action, times in told.items() if times > 1] == []


def test_every_setting_has_one_row_and_no_row_is_of_a_setting_that_the_template_has_not(
    settings: set[tuple[str, str]],
) -> None:
    told = [(row.of, name) for row in rows("setting") for name in row.names]
    covering = {
        setting: [name for of, name in told if of == setting[0] and _covers(name, setting[1])] for setting in settings
    }
    assert sorted(setting for setting, names in covering.items() if not names) == []
    assert {setting: names for setting, names in covering.items() if len(names) > 1} == {}
    idle = [(of, name) for of, name in told if not any(of == kind and _covers(name, path) for kind, path in settings)]
    assert idle == []


def test_one_row_for_all_settings_is_for_types_that_are_only_recorded() -> None:
    assert [row.of for row in rows("setting") if ANY in row.names and row.of not in RECORDED] == []


@cache
def _tests() -> Counter[str]:
    found: Counter[str] = Counter()
    for path in (ROOT / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text())
        functions = (node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
        found.update(name for name in functions if name.startswith("test_"))
    return found


def test_the_tests_that_rows_name_exist_once() -> None:
    for row in (*rows("action"), *rows("setting")):
        named = re.findall(r"`(\w+)`", row.compared)
        assert named or row.compared.startswith("none: "), f"{row}: neither a test nor the reason for none"
        assert [name for name in named if _tests()[name] != 1] == [], row


class TestTheComparisonItself:
    def test_rows_are_read(self) -> None:
        table = "| action | on AWS | at home | compared by |\n|---|---|---|---|\n| `A`, `B` | x | y | `test_z` |\n"
        assert list(_rows(f"## S3 (`s3`)\n\n{table}")) == [("action", Row("s3", ("A", "B"), "`test_z`"))]

    def test_granted_actions_are_those_of_allow_statements(self) -> None:
        statements = [
            {"Effect": "Allow", "Action": ["s3:GetObject", "kms:*"]},
            {"Effect": "Deny", "Action": "s3:PutObject"},
            {"Effect": "Allow", "Action": "kms:ReEncrypt*"},
        ]
        assert _granted({"Resources": {"R": {"Properties": {"Statement": statements}}}}) == {
            "s3:GetObject",
            "kms:ReEncrypt*",
        }

    def test_settings_are_paths_of_properties(self) -> None:
        properties = {"A": {"B": [{"C": 1}, {"Fn::If": ["X", {"D": 2}, {"Ref": "AWS::NoValue"}]}]}, "E": {"Ref": "Z"}}
        assert set(_settings(properties)) == {"A.B.C", "A.B.D", "A.B", "E"}
        assert _covers("A", "A.B.C")
        assert not _covers("A.B", "A.BC")
