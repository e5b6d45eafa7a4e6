"""``make airflow``: what is typed reaches Airflow unchanged, with the home's environment, and so does its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.commands import airflow_command, cli
from local.engines import files
from local.environment import COMPONENTS
from local.settings import PYTHON_PATH, ROOT, Settings
from local.supervision import supervisor
from tests.support.ports import free_ports


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """What a running home has that Airflow's command needs before it reaches a database."""
    home = Settings(home=tmp_path, port=free_ports(10))
    monkeypatch.setenv("LAKE_HOME", str(home.home))
    monkeypatch.setenv("LAKE_PORT", str(home.port))
    held = supervisor.lock(home)
    assert held
    with held:
        files.write_atomically(home.home / "state.json", json.dumps({"pid": os.getpid(), "port": home.port}))
        files.write_atomically(home.component_tokens, json.dumps(dict.fromkeys(COMPONENTS, "token")))
        yield home


def airflow(home: Settings, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`python -m local airflow ...`, in a shell with keys and settings that are not the home's."""
    own = {"AWS_ACCESS_KEY_ID": "own", "AIRFLOW__CORE__EXECUTOR": "own", "HOME": str(home.home)}
    environment = {**os.environ, **own, "PYTHONPATH": PYTHON_PATH}
    return subprocess.run(
        [sys.executable, "-m", "local", "airflow", *arguments],
        cwd=ROOT,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_it_runs_with_the_environment_of_the_homes_airflow(running: Settings) -> None:
    done = airflow(running, AIRFLOW_ARGS="config get-value core executor")
    assert (done.returncode, done.stdout) == (0, "local.engines.airflow_executor.HomeExecutor\n"), done.stderr
    done = airflow(running, "config", "get-value", "api", "base_url")
    assert (done.returncode, done.stdout) == (0, f"{running.airflow_url}\n"), done.stderr
    assert not (running.home / "airflow").exists(), "the empty Airflow in HOME of whoever lacks the environment"


def test_its_exit_code_is_that_of_airflow(running: Settings) -> None:
    done = airflow(running, AIRFLOW_ARGS="dags fly")
    assert done.returncode == 2
    assert "invalid choice: 'fly'" in done.stderr


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("dags list", ["dags", "list"]),
        ("""dags trigger x --conf '{"a": "b c"}'""", ["dags", "trigger", "x", "--conf", '{"a": "b c"}']),
        ("variables set price '$5 for $(x)'", ["variables", "set", "price", "$5 for $(x)"]),
        ('tasks clear x -t "a b" -y', ["tasks", "clear", "x", "-t", "a b", "-y"]),
        ("dags list --help", ["dags", "list", "--help"]),
    ],
)
def test_quotes_and_dollars_are_kept(
    running: Settings, monkeypatch: pytest.MonkeyPatch, typed: str, read: list[str]
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(airflow_command.os, "execve", lambda _, arguments, __: became.append(arguments[1:]))
    passed = subprocess.run(
        ["make", "-o", "setup", "airflow", f"ARGS={typed}", "LAKE=printenv AIRFLOW_ARGS #"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert passed == f"{typed}\n", "as make passes it on"
    monkeypatch.setenv("AIRFLOW_ARGS", typed)
    cli.main(["airflow"])
    cli.main(["airflow", *read])
    assert became == [read, read]


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ("", 'no command for Airflow: make airflow ARGS="dags list", or ARGS="--help" for all commands'),
        ("dags list 'x", "ARGS: No closing quotation: dags list 'x"),
    ],
)
def test_what_cannot_be_read_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, error: str
) -> None:
    monkeypatch.setenv("AIRFLOW_ARGS", typed)
    assert cli.main(["airflow"]) == 1
    assert capsys.readouterr().err == f"error: {error}\n"


def test_without_a_running_home_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAKE_HOME", str(tmp_path))
    monkeypatch.setenv("LAKE_PORT", str(free_ports(10)))
    assert cli.main(["airflow", "dags", "list"]) == 1
    assert capsys.readouterr().err == f"error: the home {tmp_path} is not running: start it with make up\n"
