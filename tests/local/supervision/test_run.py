"""One service of the home under another watcher, as in docker-compose.yaml: started, checked, deployed, ended, back."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from local import home
from local.commands.airflow_api import AirflowApi
from local.commands.lifecycle import client_environment
from local.engines import accounts
from local.engines.waiting import wait_until
from local.settings import HOST, PYTHON_PATH, ROOT, Settings
from local.supervision.run import WatchedServices
from local.supervision.service import Service
from tests.support.aws_services import Emulator, free_settings, running_emulator
from tests.support.compose_file import services
from tests.support.plain_compose import PlainCompose, plain_compose


def module(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", "run", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": PYTHON_PATH, **environment},
    )


def test_an_unknown_service_is_named_with_those_that_there_are() -> None:
    for arguments in (["mongodb"], ["--ready", "mongodb"]):
        ended = module(*arguments)
        assert ended.returncode == 1
        assert "there is no service 'mongodb'; there are mysql, postgres, emulator, " in ended.stderr


@pytest.mark.parametrize("arguments", [[], ["emulator", "server"], ["--ready", "emulator", "server"]])
def test_a_wrong_command_line_shows_the_right_one(arguments: list[str]) -> None:
    ended = module(*arguments)
    assert ended.returncode == 2
    assert "usage: python -m local" in ended.stderr


def test_what_does_not_run_is_not_ready(tmp_path: Path) -> None:
    settings = free_settings(tmp_path)
    for name in ("postgres", "emulator", "server", "airflow-scheduler", "airflow-logs"):
        assert not WatchedServices(settings, home.services(settings)).is_ready(name), name


def test_a_port_that_answers_does_not_do_if_the_service_says_no(tmp_path: Path) -> None:
    settings = free_settings(tmp_path)
    with socket.create_server((HOST, settings.server_port)):
        good = Service("good", list, port=settings.server_port)
        bad = Service("bad", list, port=settings.server_port, ready=lambda _: False)
        services = WatchedServices(settings, [good, bad])
        assert services.is_ready("good")
        assert not services.is_ready("bad")


def test_a_deployment_whose_emulator_nobody_restarts_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = Service("emulator", list, port=free_settings(tmp_path).port, seconds=0.2)
    with pytest.raises(TimeoutError, match="nothing has started emulator again"):
        asyncio.run(WatchedServices(Settings(tmp_path, 20000), [gone]).restart("emulator"))


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[Emulator]:
    """An emulator before which no server stands, as before the one that tests share."""
    with running_emulator(tmp_path / "lonely") as running:
        yield running


@pytest.mark.services
def test_what_clients_use_listens_where_it_is_told_to(tmp_path: Path, lonely: Emulator) -> None:
    """And not where its health check, by 127.0.0.1, would see it."""
    for name, settings in (("emulator", free_settings(tmp_path)), ("server", lonely.settings)):
        told = {"LAKE_HOME": str(settings.home), "LAKE_PORT": str(settings.port), "LAKE_LISTEN": "127.0.0.2"}
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": PYTHON_PATH, "HOME": str(tmp_path)}
        port = WatchedServices(settings, home.services(settings))[name].port
        assert port
        process = subprocess.Popen([sys.executable, "-m", "local", "run", name], cwd=ROOT, env={**environment, **told})
        try:
            wait_until(lambda port=port: _listens("127.0.0.2", port), 60, f"{name} did not listen on 127.0.0.2")  # type: ignore[misc]
            assert not _listens(HOST, port)
        finally:
            process.terminate()
            process.wait(30)


def _listens(address: str, port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((address, port)) == 0


@pytest.fixture(scope="module")
def running() -> Iterator[PlainCompose]:
    """All but Trino and Airflow's parts, by the commands, the order and the checks of docker-compose.yaml."""
    folder = Path(tempfile.mkdtemp(prefix="lake-compose-"))
    folder.chmod(0o755)  # started by root, the databases run as nobody
    settings = free_settings(folder)
    with plain_compose(settings) as compose:
        compose.up("deploy", "migrate")
        yield compose
    shutil.rmtree(folder)
    shutil.rmtree(accounts.outside(settings), ignore_errors=True)


@pytest.mark.services
def test_the_compose_files_commands_make_the_lake(running: PlainCompose) -> None:
    assert running.processes["deploy"].wait(300) == 0, running.log("deploy")
    assert running.processes["migrate"].wait(300) == 0, running.log("migrate")
    for name in ("mysql", "postgres", "emulator", "server", "ingestion"):
        assert running.healthy(name), running.log(name)


@pytest.mark.services
def test_the_deployment_had_the_emulator_save_its_state(running: PlainCompose) -> None:
    assert running.processes["deploy"].wait(300) == 0, running.log("deploy")
    assert running.starts["emulator"] == 2
    assert running.starts["server"] == 1
    assert list((running.settings.data / "emulator" / "state").glob("iam*"))


@pytest.mark.services
def test_clients_get_the_homes_variables_and_they_work(running: PlainCompose, monkeypatch: pytest.MonkeyPatch) -> None:
    assert running.processes["deploy"].wait(300) == 0, running.log("deploy")
    for name, value in client_environment(running.settings).items():
        monkeypatch.setenv(name, value)
    session = boto3.Session()
    assert session.client("sts").get_caller_identity()["Arn"].endswith(":user/lake-developer")
    assert session.client("athena").list_named_queries(WorkGroup="sakila-streams-local-analysts")["NamedQueryIds"]


@pytest.mark.journey
def test_the_whole_file_comes_up_and_airflow_runs_a_dag(running: PlainCompose) -> None:
    """Trino and Airflow's parts, too: every health check passes, every DAG is read, and Sakila is loaded."""
    running.up(*services())
    for name, service in services().items():
        if "healthcheck" in service:
            wait_until(lambda name=name: running.healthy(name), 240, f"{name} did not become healthy", 1)  # type: ignore[misc]
    api = AirflowApi(f"http://{HOST}:{running.settings.airflow_port}")
    api.wait_for_dags({path.stem for path in (ROOT / "dags").glob("*.py")}, 120)
    assert api.import_errors() == []
    run_id = api.trigger("load_sakila")
    assert api.wait_run("load_sakila", run_id, lambda _: None)["state"] == "success"
