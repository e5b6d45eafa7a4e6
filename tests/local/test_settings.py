"""The two settings of a home, and what it says to a value it cannot use."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.settings import ROOT, Settings


def test_defaults_lie_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKE_HOME", raising=False)
    monkeypatch.delenv("LAKE_PORT", raising=False)
    settings = Settings.from_environment()
    assert settings.home == ROOT / ".local" / "home"
    assert settings.server_url == "http://127.0.0.1:14500"


def test_ports_follow_lake_port(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKE_PORT", "20000")
    settings = Settings.from_environment()
    assert settings.logs == tmp_path / "logs"
    ports = [settings.server_port, settings.emulator_port, settings.mysql_port, settings.postgres_port]
    assert [*ports, settings.trino_port, settings.airflow_port] == list(range(20000, 20006))
    assert settings.ingestion_port == 20007, "20006 serves Airflow's logs"


@pytest.mark.parametrize("text", ["", "80", "70000", "http", "-1"])
def test_an_unusable_port_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("LAKE_PORT", text)
    with pytest.raises(ValueError, match="LAKE_PORT=.*give a number from 1024 to 65525"):
        Settings.from_environment()
