"""Every rule finds the template that violates it and none that complies; ours complies with all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infrastructure import package
from infrastructure.cfn.template import parse_template
from infrastructure.rules import RULES, Rule, View, check
from local.settings import ROOT

FIXTURES: dict[str, dict[str, Any]] = {}
for path in sorted((Path(__file__).parent / "rules").glob("*.yaml")):
    FIXTURES |= parse_template(path.read_text())
NAIVE = Path(__file__).parent / "naive.yaml"
by_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


def test_every_rule_has_both_templates_and_an_id_of_its_own() -> None:
    assert len(RULES) >= 12
    assert [rule.id for rule in RULES] == list(dict.fromkeys(rule.id for rule in RULES))
    assert FIXTURES.keys() == {rule.id for rule in RULES}
    assert all(one["fails"] and one["passes"] for one in FIXTURES.values())
    assert all(rule.title and rule.reason and rule.source for rule in RULES)


@by_rule
def test_a_template_that_breaks_the_rule_is_found(rule: Rule) -> None:
    [found] = rule.findings(View({"Resources": FIXTURES[rule.id]["fails"]}))
    assert found.rule == rule.id
    assert "; " not in found.message  # it is one thing that is wrong


@by_rule
def test_a_template_that_keeps_the_rule_passes(rule: Rule) -> None:
    assert rule.findings(View({"Resources": FIXTURES[rule.id]["passes"]})) == []


def test_ours_keeps_every_rule() -> None:
    assert check(View.of_lake()) == []


@by_rule
def test_the_naive_set_up_breaks_most_rules(rule: Rule) -> None:
    not_there = {"SECRET-3", "IAM-5"}  # it has no secret, and no policy of AWS's
    found = rule.findings(View.of_file(NAIVE))
    assert bool(found) is (rule.id not in not_there)


def test_the_command_prints_findings_and_says_so_by_its_exit_code(tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "infrastructure.rules", *arguments]
        environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'include'}"}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    code, printed = run(str(NAIVE))
    assert code == 1
    assert "DB-1 MySqlSecurityGroup: is open to the world on port 3306" in printed
    assert run() == (0, f"0 findings by {len(RULES)} rules in {len(View.of_lake().resources)} resources\n")
    assert run(str(tmp_path / "none"))[0] == 2


# Protections of the template, and the rule that must notice when one is missing.
PROTECTIONS = {
    "LandingBucketPolicy": "S3-1",
    "GlueSecurity": "GLUE-1",
    "MySqlParameters": "DB-3",
    "MySqlSecretRotation": "SECRET-3",
    "CsvFunctionLogs": "LOGS-1",
}


@pytest.mark.parametrize(("resource", "rule"), PROTECTIONS.items())
def test_a_protection_that_is_taken_out_is_missed(resource: str, rule: str) -> None:
    template = parse_template(package.render_template())
    del template["Resources"][resource]
    assert rule in {finding.rule for finding in check(View(template))}


GUIDE = ROOT / "docs" / "security.md"


def test_every_rule_is_in_the_guide() -> None:
    text = GUIDE.read_text()
    rows = re.findall(r"^\| `([A-Z0-9]+-\d+)` \| (.+?) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    assert rows == [(rule.id, rule.title, rule.reason, rule.source) for rule in RULES]


def test_every_suppression_is_in_the_guide_and_there_are_ten_at_most() -> None:
    suppressed = [
        (one["id"], name, one["comment"])
        for name, resource in View.of_lake().resources.items()
        for one in resource.get("Metadata", {}).get("checkov", {}).get("skip", [])
    ]
    assert len(suppressed) <= 10
    rows = re.findall(r"^\| `(CKV_\w+)` \| (.+?) \| (.+?) \|$", GUIDE.read_text(), re.MULTILINE)
    assert [(check_id, name, reason) for check_id, names, reason in rows for name in names.split(", ")] == sorted(
        suppressed, key=lambda one: [row[0] for row in rows].index(one[0])
    )
