"""Real services for tests: the emulator with IAM enforced, and our server in front of it, on free ports.

The fixtures ``emulator`` and ``lake_server`` are shared by a whole test session, so each test uses names of its own for
what it makes. A test that kills or restarts something uses the context managers, which start services for it alone.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import uvicorn

from local.aws import emulator as ministack
from local.aws.credentials import SESSION_SECONDS
from local.aws.http_server import application
from local.aws.protocol import ServiceApi, Services
from local.aws.root_clients import root_client as root_client  # noqa: PLC0414  other tests take it from here
from local.aws.server import SERVICE_APIS, Server
from local.aws.service_models import UNLIKE_AWS
from local.commands.aws_server import aws_settings
from local.engines.waiting import wait_until
from local.environment import endpoints
from local.settings import ACCOUNT, HOST, ROOT, ROOT_ACCESS_KEY, TOOLS, Settings
from tests.support.ports import free_ports

START_SECONDS = 60


def free_settings(home: Path) -> Settings:
    """Settings of a home whose ten ports are free now."""
    return Settings(home=home, port=free_ports(10))


def answers(url: str) -> bool:
    """Whether an HTTP server answers 200 there."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@dataclass
class Emulator:
    """A running emulator of one home."""

    settings: Settings
    process: subprocess.Popen[bytes]

    def client(self, service: str) -> Any:
        """A root client, straight at the emulator."""
        return root_client(self.settings.emulator_url, service)

    def stop(self) -> None:
        """Stop it cleanly, so that it saves its state."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def kill(self) -> None:
        """Kill it: everything but S3 falls back to the last saved state."""
        self.process.kill()
        self.process.wait(30)

    def start(self) -> None:
        """Start (again) on the same state."""
        self.process = _start_emulator(self.settings)


def _start_emulator(settings: Settings) -> subprocess.Popen[bytes]:
    state = settings.data / "emulator"
    for folder in (state / "state", state / "s3", state / "tmp", settings.logs):
        folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **ministack.environment(HOST, settings.emulator_port, state),
        "PATH": os.environ["PATH"],
        "TMPDIR": str(state / "tmp"),
        "PYTHONPATH": str(ROOT),
        "AWS_ENDPOINT_URL_GLUE": settings.server_url,  # handed to Lambda functions, whose catalog writes we journal
    }
    with (settings.logs / "emulator.log").open("ab") as log:
        command = ministack.command(TOOLS / "emulator" / "bin" / "python", settings.iam_decisions)
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    wait_until(
        lambda: answers(f"{settings.emulator_url}/_ministack/health"), START_SECONDS, "the emulator did not start"
    )
    return process


@contextmanager
def running_emulator(home: Path) -> Iterator[Emulator]:
    """An emulator with its own state under ``home``."""
    settings = free_settings(home)
    running = Emulator(settings, _start_emulator(settings))
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait(30)


@dataclass
class LakeServer:
    """Our server in the test's own process, so that tests can look into it, and its emulator."""

    settings: Settings
    emulator: Emulator
    server: Server

    def client(self, service: str, **options: Any) -> Any:
        """A root client at our server."""
        return root_client(self.settings.server_url, service, **options)

    def session(self, role_arn: str, name: str = "test") -> boto3.Session:
        """A session under a role, as services get it."""
        return self.server.session(role_arn, name)

    def role(self, name: str, *statements: dict[str, Any], trusted: str = f"arn:aws:iam::{ACCOUNT}:root") -> str:
        """Make or replace a role with these policy statements; returns its ARN."""
        return make_role(self.emulator, name, {"AWS": trusted}, *statements)


def make_role(emulator: Emulator, name: str, trusted: dict[str, str], *statements: dict[str, Any]) -> str:
    """Make or replace a role that this principal may assume, with these policy statements; returns its ARN."""
    iam = emulator.client("iam")
    trust = {"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"}
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document(trust))
    iam.put_role_policy(RoleName=name, PolicyName="test", PolicyDocument=_document(*statements))
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def _document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def point_clients_at(settings: Settings, patch: pytest.MonkeyPatch) -> None:
    """Make clients in this process, also those of Airflow's operators, reach a home as root."""
    for variable, value in endpoints(settings).items():
        patch.setenv(variable, value)
    patch.setenv("AWS_ACCESS_KEY_ID", ROOT_ACCESS_KEY)
    patch.setenv("AWS_SECRET_ACCESS_KEY", ROOT_ACCESS_KEY)


@contextmanager
def running_server(
    emulator: Emulator,
    apis: Sequence[Callable[[Services], ServiceApi]] = SERVICE_APIS,
    session_seconds: int = SESSION_SECONDS,
) -> Iterator[LakeServer]:
    """Our server in front of an emulator, with these services (default: all)."""
    server = Server(aws_settings(emulator.settings), apis, session_seconds)
    config = uvicorn.Config(
        application(server),
        host=HOST,
        port=emulator.settings.server_port,
        log_config=None,
        log_level="warning",
        access_log=False,
    )
    http = uvicorn.Server(config)
    thread = threading.Thread(target=http.run, daemon=True)
    thread.start()
    try:
        wait_until(lambda: http.started or not thread.is_alive(), START_SECONDS, "our server did not start")
        if not http.started:
            raise RuntimeError("our server did not start")
        yield LakeServer(emulator.settings, emulator, server)
    finally:
        http.should_exit = True
        thread.join(30)


@dataclass
class ServerProcess:
    """Our server as a process of its own, which can be killed and started again on the same state."""

    settings: Settings
    process: subprocess.Popen[bytes]

    def client(self, service: str, **options: Any) -> Any:
        """A root client at the server."""
        return root_client(self.settings.server_url, service, **options)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(30)

    def start(self) -> None:
        """Start (again)."""
        self.process = _start_server(self.settings)


def _start_server(settings: Settings) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "LAKE_HOME": str(settings.home),
        "LAKE_PORT": str(settings.port),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'include'}",
    }
    with (settings.logs / "server.log").open("ab") as log:
        command = [sys.executable, "-m", "local.commands.aws_server"]
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=ROOT)
    wait_until(
        lambda: answers(f"{settings.server_url}/health") or process.poll() is not None,
        START_SECONDS,
        "our server did not start",
    )
    assert process.poll() is None, "our server did not start"
    return process


@contextmanager
def server_process(emulator: Emulator) -> Iterator[ServerProcess]:
    """Our server, with every service, in front of an emulator."""
    running = ServerProcess(emulator.settings, _start_server(emulator.settings))
    try:
        yield running
        assert lines_unlike_aws(emulator.settings) == []
    finally:
        running.kill()


class _UnlikeAws(logging.Handler):
    """Collects what our server logs about replies that AWS could not have given."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


_unlike_aws = _UnlikeAws()
logging.getLogger("service_models").addHandler(_unlike_aws)


@pytest.fixture(autouse=True)
def replies_unlike_aws() -> Iterator[list[str]]:
    """Fail a test in which a reply of our server did not fit AWS's model of the service.

    A test that makes such replies on purpose clears this list of their log messages.
    """
    messages = _unlike_aws.messages
    yield messages
    found = [*messages]
    messages.clear()
    assert found == []


def lines_unlike_aws(settings: Settings) -> list[str]:
    """What the servers of a home, run as processes, have logged about such replies; must be empty."""
    logs = [path.read_text(errors="replace") for path in settings.logs.glob("*.log")]
    return [line for log in logs for line in log.splitlines() if UNLIKE_AWS in line]


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator for the whole test session."""
    with running_emulator(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture(scope="session")
def lake_server(emulator: Emulator) -> Iterator[LakeServer]:
    """One server for the whole test session, with every service."""
    with running_server(emulator) as running:
        yield running
