"""Confirmation, and the messages without credentials or a region."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import boto3
import pytest

from datalake.names import Lake
from infrastructure import deploy, destroy
from infrastructure.command_line import Terminal
from infrastructure.cost.prices import read_prices
from infrastructure.package import ROOT
from infrastructure.stack import Refused


@pytest.mark.parametrize(
    ("answer", "agreed"), [("y", True), ("Yes ", True), ("", False), ("n", False), ("yess", False)]
)
def test_only_yes_is_yes(answer: str, agreed: bool) -> None:
    asked: list[str] = []
    terminal = Terminal(interactive=True, ask=lambda question: asked.append(question) or answer)  # type: ignore[func-returns-value]
    if agreed:
        terminal.confirm("Update s?")
    else:
        with pytest.raises(Refused, match="Nothing was changed"):
            terminal.confirm("Update s?")
    assert asked == ["Update s? [y/N] "]


def test_yes_beforehand_asks_nobody_and_without_it_nobody_is_no() -> None:
    def ask(_: str) -> str:
        raise AssertionError("asked")

    Terminal(yes=True, interactive=True, ask=ask).confirm("Update s?")
    with pytest.raises(Refused, match=r"--yes \(make: YES=1\)"):
        Terminal(ask=ask).confirm("Update s?")


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment without AWS credentials, even if this machine has some."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("command", [deploy.main, destroy.main])
def test_who_is_not_signed_in_is_told_how(command: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["--environment", "dev"]) == 2  # type: ignore[operator]
    assert "aws configure sso" in capsys.readouterr().err


@pytest.mark.usefixtures("nobody")
def test_a_missing_region_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    assert deploy.main(["--environment", "dev"]) == 2
    assert "AWS_REGION" in capsys.readouterr().err


def test_the_makefile_hands_its_variables_on() -> None:
    text = (ROOT / "Makefile").read_text()
    for words in ("--mysql-ca $(MYSQL_CA)", "$(REPLACE:%=--replace %)", "$(if $(YES),--yes)"):
        assert words in text


def test_what_stays_after_a_removal_is_listed_with_its_price() -> None:
    listed: list[Any] = [
        {"LogicalResourceId": name, "ResourceType": type_name, "PhysicalResourceId": f"the-{name}"}
        for name, type_name in (("Key", "AWS::KMS::Key"), ("MySql", "AWS::RDS::DBInstance"), ("Q", "AWS::SQS::Queue"))
    ]
    kept = list(destroy._announcement(Lake("prod", "1"), listed, keeps=True))
    assert "  kept     Key: the-Key, billed for the key: 1 USD a month by the list price of us-east-1" in kept
    assert "  kept     MySql: the-MySql, billed for its last snapshot by the GB-month" in kept
    assert "  deleted    1 AWS::SQS::Queue" in kept
    assert "s3://sakila-streams-prod-artifacts-1 too" in kept[-1]
    gone = list(destroy._announcement(Lake("dev", "1"), listed, keeps=False))
    assert "  DELETED  Key: the-Key, with its content" in gone
    assert "This cannot be undone" in gone[-1]
    assert {type_name for _, type_name in destroy.BILLED.values()} - {""} <= read_prices().prices.keys()
