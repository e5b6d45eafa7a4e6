"""The commands as a user types them: what they print, how they fail, and what they leave."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalake.names import Lake
from local.commands import cli
from local.engines import accounts, files
from local.engines.waiting import wait_until
from local.settings import ROOT, Settings
from local.supervision import control, processes, supervisor
from tests.support.ports import free_ports


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    settings = Settings(home=tmp_path / "home", port=free_ports(10))
    monkeypatch.setenv("LAKE_HOME", str(settings.home))
    monkeypatch.setenv("LAKE_PORT", str(settings.port))
    return settings


def test_a_bare_make_lists_every_target() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = [line.split()[0] for line in listed.splitlines()]
    assert {"demo", "test", "up", "down", "status", "clean", "stream", "history", "env", "lock", "lint"} <= set(names)
    assert all(len(line.split()) > 2 for line in listed.splitlines()), "each with a word of help"


def test_an_unknown_command_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["fly"])
    assert ended.value.code == 2
    assert "invalid choice: 'fly' (choose from 'demo', 'up', 'down', 'status', 'clean'" in capsys.readouterr().err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(f"    {name} " in out or f"    {name}\n" in out for name in cli.COMMANDS)


@pytest.mark.parametrize("arguments", [["status", "--jsom"], ["down", "now"], ["history", "--rows=3"], ["demo", "-x"]])
def test_an_unknown_option_is_an_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "unrecognized arguments: " in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--months", "--events"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "x", ""])
def test_history_wants_positive_numbers(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["history", f"{option}={value}"])
    assert ended.value.code == 2
    assert f"argument {option}: {value!r} is not a whole number from 1 on" in capsys.readouterr().err


def test_a_wrong_port_is_an_error_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAKE_PORT", "80")
    assert cli.main(["status"]) == 1
    assert capsys.readouterr().err.startswith("error: LAKE_PORT='80': give a number from 1024 to 65525")


def test_nothing_running_is_said(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status"]) == 0
    assert cli.main(["status", "--json"]) == 0
    assert cli.main(["down"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out == [f"not running (home {settings.home}); start it with make up", "[]", "nothing was running"]
    assert not settings.home.exists(), "asking makes nothing"


def test_env_before_the_first_start_says_what_to_do(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["env"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"error: the home {settings.home} is not running: start it with make up\n"


@pytest.fixture
def running(settings: Settings) -> Iterator[Settings]:
    """What a supervisor leaves of itself while it runs, here on other ports than LAKE_PORT says."""
    running = Settings(home=settings.home, port=free_ports(10))
    with supervisor.lock(settings) or pytest.fail("the lock is held") as held:
        assert held
        state = {"pid": os.getpid(), "port": running.port, "services": []}
        files.write_atomically(settings.home / "state.json", json.dumps(state))
        yield running


def test_env_names_the_ports_of_the_running_home_and_is_understood_by_a_shell(
    running: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAKE_PORT")
    settings = running
    database = {"host": "127.0.0.1", "port": 3306, "username": "lake", "password": "a'b $c", "dbname": "sakila"}
    keys = {"access_key": "LKIAEXAMPLE", "secret_key": "s/e+cret"}
    files.write_atomically(settings.secrets / "mysql.json", json.dumps(database))
    files.write_atomically(settings.secrets / "developer.json", json.dumps(keys))
    assert cli.main(["env"]) == 0
    out = capsys.readouterr().out
    assert all(line.startswith("export ") for line in out.splitlines())
    script = f"{out}\nenv -0"
    shown = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True, env={"PATH": os.defpath})
    variables = dict(entry.split("=", 1) for entry in shown.stdout.split("\0") if entry)
    assert variables["MYSQL_PASSWORD"] == "a'b $c"
    assert variables["AWS_SECRET_ACCESS_KEY"] == "s/e+cret"
    assert variables["AWS_ENDPOINT_URL"] == settings.emulator_url
    assert variables["AWS_ENDPOINT_URL_ATHENA"] == settings.server_url
    assert variables["AIRFLOW_URL"] == f"http://127.0.0.1:{settings.airflow_port}"
    assert {"AWS_REGION", "LAKE_ENVIRONMENT", "LAKE_SUFFIX", "MYSQL_HOST", "MYSQL_SSL_CA"} <= set(variables)
    lake = Lake(variables["LAKE_ENVIRONMENT"], variables["LAKE_SUFFIX"])
    for zone in ("landing", "clean", "curated", "results", "artifacts"):
        assert variables[f"LAKE_{zone.upper()}_BUCKET"] == lake.bucket(zone)
    assert variables["LAKE_WORKGROUP"] == lake.workgroup
    assert variables["LAKE_PORT"] == str(running.port)


def test_a_lake_port_that_the_running_home_does_not_use_is_said(
    running: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["status"]) == 0
    assert capsys.readouterr().err == (
        f"the home {running.home} runs on the ports from {running.port} on; "
        f"LAKE_PORT={os.environ['LAKE_PORT']} will count when it is next started\n"
    )


@pytest.mark.parametrize("command", ["stream", "history", "redrive", "destroy", "plan", "deploy"])
def test_what_needs_a_running_home_says_so(
    settings: Settings, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAKE_ENVIRONMENT", raising=False)
    assert cli.main([command]) == 1
    assert capsys.readouterr().err == f"error: the home {settings.home} is not running: start it with make up\n"


def test_half_the_name_of_a_lake_on_aws_is_an_error(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_ENVIRONMENT", "prod")
    monkeypatch.delenv("LAKE_SUFFIX", raising=False)
    assert cli.main(["redrive"]) == 1
    assert "error: LAKE_ENVIRONMENT is set and LAKE_SUFFIX is not" in capsys.readouterr().err


@pytest.mark.parametrize("target", ["up", "demo"])
def test_a_taken_port_is_told_before_set_up(settings: Settings, target: str) -> None:
    """Not after the minutes that set-up may take: make stops at the first thing that it runs."""
    with socket.create_server(("127.0.0.1", settings.trino_port)):
        done = subprocess.run(["make", target], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    taken = f"error: port {settings.trino_port}, which trino needs, is taken by pid {os.getpid()}"
    assert done.stderr.startswith(taken)
    assert "startable] Error 1" in done.stderr
    assert not settings.home.exists()


def test_a_running_home_may_be_started_again(running: Settings) -> None:
    with socket.create_server(("127.0.0.1", running.trino_port)):
        assert cli.main(["startable"]) == 0


def test_a_folder_that_cannot_be_a_home_is_an_error(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.home.touch()
    assert cli.main(["startable"]) == 1
    assert f"File exists: '{settings.home}'" in capsys.readouterr().err


def test_without_python_make_says_which_one_is_needed(tmp_path: Path) -> None:
    make = shutil.which("make")
    assert make
    done = subprocess.run(
        [make, "status"], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert "Python 3.11 is needed: there is neither python3.11 nor python3 on the PATH" in done.stderr


def test_a_home_too_deep_for_a_socket_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAKE_HOME", str(settings.home / ("x" * 80)))
    monkeypatch.setattr(control, "PYTHON", Path(sys.executable))
    assert cli.main(["up"]) == 1
    assert "is too long for a socket in it: 80 characters at most" in capsys.readouterr().err


def test_without_tools_up_says_what_installs_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(control, "PYTHON", settings.home / "absent")
    assert cli.main(["up"]) == 1
    assert f"{settings.home}/absent is missing: run `make up`, which installs it" in capsys.readouterr().err


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "checkout"
    for folder in (".local/tools/airflow/bin", ".local/logs", "include/datalake/__pycache__", ".git"):
        (root / folder).mkdir(parents=True)
    (root / "include/datalake/names.py").touch()
    (root / "include/datalake/__pycache__/names.pyc").touch()
    monkeypatch.setattr(control, "ROOT", root)
    monkeypatch.setattr(control, "TOOLS", root / ".local" / "tools")
    monkeypatch.setattr(accounts, "OUTSIDE", tmp_path / "outside")
    return root


def test_clean_removes_everything_and_says_what(
    settings: Settings, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.logs.mkdir(parents=True)
    (settings.home / "lock").touch()
    (accounts.outside(settings) / "mysql").mkdir(parents=True)
    assert cli.main(["clean"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"removed {path}"
        for path in (
            settings.home,
            accounts.outside(settings),
            checkout / ".local",
            checkout / "include/datalake/__pycache__",
        )
    ]
    left = [str(path.relative_to(checkout)) for path in checkout.rglob("*") if path.is_file()]
    assert left == ["include/datalake/names.py"]
    assert not accounts.OUTSIDE.exists()
    assert cli.main(["clean"]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"


def test_clean_spares_a_folder_that_is_no_home(settings: Settings, checkout: Path) -> None:
    settings.home.mkdir()
    (settings.home / "letters.txt").touch()
    assert cli.main(["clean"]) == 0
    assert (settings.home / "letters.txt").exists()
    assert not (checkout / ".local").exists()


def test_clean_refuses_while_the_tools_are_in_use(
    settings: Settings, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = checkout / ".local/tools/airflow/bin/sleep"
    shutil.copy(shutil.which("sleep") or "", program)
    with subprocess.Popen([program, "1000"]) as other:
        assert cli.main(["clean"]) == 1
        other.kill()
    assert f"pid {other.pid} ({program}"[:90] in capsys.readouterr().err
    assert program.exists()


@pytest.mark.services
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_leaves_nothing_running(settings: Settings, tmp_path: Path, signum: signal.Signals) -> None:
    fake = [sys.executable, str(ROOT / "tests/local/supervision/fake_home.py"), "endless"]
    code = (
        "import signal, sys; from pathlib import Path\n"
        "from local.commands import cli; from local.supervision import control\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background ignores it\n"
        f"control.SUPERVISOR = {fake!r}\ncontrol.PYTHON = Path(sys.executable)\nsys.exit(cli.main(['up']))"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/include"}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE, text=True) as up:
        wait_until(lambda: len(processes.of_home(str(settings.home))) >= 2, 60, "nothing was started")
        up.send_signal(signum)
        _, errors = up.communicate(timeout=60)
    assert up.returncode == 130, errors
    assert "interrupted" in errors
    assert processes.of_home(str(settings.home)) == []
    assert control.supervisor_pid(settings) is None


def test_secrets_are_for_their_owner_alone_and_made_once(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "key"
    assert files.once(path, lambda: "first") == "first"
    assert files.once(path, lambda: "second") == "first"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["key"]
