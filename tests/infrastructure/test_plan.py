"""``make plan``: what it prints without an AWS account, and what makes it fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infrastructure import limits, plan
from infrastructure.cfn.template import parse_template
from infrastructure.package import render_template
from infrastructure.stack import DeployError
from tests.infrastructure.test_command_line import nobody  # noqa: F401 (a fixture)


@pytest.fixture
def checks_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the slow checks, which have tests of their own."""
    monkeypatch.setattr(plan, "CHECKS", {"cfn-lint": ["true"]})


@pytest.mark.usefixtures("nobody", "checks_pass")
def test_without_an_account_it_says_all_but_the_difference(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main(["--environment", "prod"]) == 0
    said = capsys.readouterr().out
    resources = parse_template(render_template())["Resources"]
    for words in (
        "✓ cfn-lint",
        "managed policy OperatorPolicy, characters",
        "of 1,000,000",
        'MySqlCa = ""  (default)',
        "Environment = prod  (this deployment)",
        "RetainData = true  (parameters file)",
        f"Resources: {len(resources)} of",
        "  5 AWS::Athena::NamedQuery",
        "USD a month",
        "no AWS credentials or region: not compared",
    ):
        assert words in said, words


@pytest.mark.usefixtures("nobody")
def test_a_check_that_fails_fails_the_plan_and_is_quoted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plan, "CHECKS", {"a checker": ["sh", "-c", "echo E3001 no such type; exit 2"]})
    assert plan.main(["--environment", "dev"]) == 1
    told = capsys.readouterr()
    assert "✗ a checker" in told.out
    assert "E3001 no such type" in told.out
    assert told.err == "Failed: a checker\n"


@pytest.mark.usefixtures("checks_pass")
def test_a_limit_that_is_passed_fails_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TEMPLATE_BYTES", 1000)
    with pytest.raises(DeployError, match="limit exceeded: template, bytes"):
        list(plan.plan("dev"))


@pytest.mark.usefixtures("checks_pass")
def test_a_parameter_that_the_template_does_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "parameters_of", lambda _: {"Colour": "red"})
    with pytest.raises(DeployError, match="no parameter Colour"):
        list(plan.plan("dev"))


def test_the_checkers_are_the_ones_of_make_lint(tmp_path: Path) -> None:
    broken = tmp_path / "template.json"
    broken.write_text(json.dumps({"Resources": {"X": {"Type": "AWS::Nope::Thing"}}}))
    assert Path(plan.CHECKS["cfn-lint"][0]).name == "cfn-lint"
    assert Path(plan.CHECKS["cfn-lint"][0]).exists()
