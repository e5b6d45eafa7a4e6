"""The supervisor with small services of its own: order, proof, restarts, messages, and that nothing is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local.engines.waiting import wait_until
from local.home import ports
from local.settings import PYTHON_PATH, Settings
from local.supervision import control, processes
from tests.support.ports import free_ports

pytestmark = pytest.mark.services


class FakeHome:
    """A home whose supervisor runs a case of fake_home.py."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder, port=free_ports(2))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, case: str) -> None:
        environment = {**os.environ, "LAKE_HOME": str(self.settings.home), "LAKE_PORT": str(self.settings.port)}
        environment["PYTHONPATH"] = PYTHON_PATH
        script = str(Path(__file__).with_name("fake_home.py"))
        self.process = subprocess.Popen([sys.executable, script, case], env=environment, stderr=subprocess.DEVNULL)
        wait_until(lambda: control.read_state(self.settings), 20, "no such state", 0.02)

    def settle(self) -> str:
        """Wait as ``make up`` does; what it would complain about."""
        try:
            control.wait(self.settings, lambda _: None)
        except control.HomeError as error:
            return str(error)
        return ""

    def service(self, name: str) -> dict[str, Any]:
        state = control.read_state(self.settings)
        assert state
        return next(service for service in state["services"] if service["service"] == name)

    def wait_for(self, name: str, **state: object) -> None:
        wait_until(lambda: state.items() <= self.service(name).items(), 20, f"{name} is not {state}", 0.02)

    def ends(self) -> list[str]:
        """What the services noted, in order."""
        notes = self.settings.home / "ends"
        return notes.read_text().split() if notes.exists() else []

    def left(self) -> list[int]:
        return processes.of_home(str(self.settings.home))


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeHome]:
    fake = FakeHome(tmp_path / "home")
    yield fake
    if fake.process:
        fake.process.kill()
        fake.process.wait()
    control.sweep(fake.settings)
    assert fake.left() == []


def test_services_start_in_order_and_stop_in_reverse(fake: FakeHome) -> None:
    fake.start("pair")
    assert fake.settle() == ""
    assert answers(fake.settings.port)
    assert answers(fake.settings.port + 1)
    assert fake.service("first")["since"] <= fake.service("second")["since"]
    assert control.stop(fake.settings)
    assert fake.ends() == ["second", "first"]
    assert fake.left() == []
    assert not control.stop(fake.settings), "a second stop finds nothing"


def test_whoever_stops_a_home_waits_for_the_supervisor_itself(fake: FakeHome) -> None:
    """``make clean`` removes the programs that it runs from; two may ask for the stop at once."""
    fake.start("lingering")
    assert fake.settle() == ""
    assert fake.process
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(control.stop, [fake.settings] * 2):
            assert not processes.lives(fake.process.pid)


def test_a_failing_start_says_why_and_what_waits_for_it(fake: FakeHome) -> None:
    fake.start("broken")
    assert fake.settle() == (
        f"first: ended with exit code 3; the last lines of {fake.settings.logs}/first.log:\n    the disk is full\n"
        "not started for that reason: second"
    )
    assert not answers(fake.settings.port + 1)


def test_a_failing_start_that_says_nothing_is_told_as_such(fake: FakeHome) -> None:
    fake.start("silent")
    assert fake.settle() == f"first: ended with exit code 3; its log {fake.settings.logs}/first.log is empty"


def test_a_taken_port_names_port_holder_and_setting(fake: FakeHome) -> None:
    with socket.create_server(("127.0.0.1", fake.settings.port + 1)):
        fake.start("pair")
        message = fake.settle()
    assert f"port {fake.settings.port + 1}, which second needs, is taken by pid {os.getpid()} (" in message
    assert message.endswith("choose other ports with LAKE_PORT")
    assert answers(fake.settings.port), "the others are not touched"


def test_up_refuses_taken_ports_before_it_starts_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(home=tmp_path / "home", port=free_ports(10))
    monkeypatch.setattr(control, "PYTHON", Path(sys.executable))
    with (
        socket.create_server(("127.0.0.1", settings.mysql_port)),
        pytest.raises(control.HomeError, match=f"port {settings.mysql_port}, which mysql needs, is taken by pid"),
    ):
        control.start(settings, ports(settings))
    assert control.supervisor_pid(settings) is None


def test_a_killed_service_comes_back_and_is_counted(fake: FakeHome) -> None:
    fake.start("pair")
    assert fake.settle() == ""
    before = fake.service("first")["pid"]
    os.kill(before, signal.SIGKILL)
    fake.wait_for("first", restarts=1, state="ready")
    assert fake.service("first")["pid"] not in (0, before)
    assert answers(fake.settings.port)
    assert fake.service("second")["restarts"] == 0


def test_up_right_after_a_kill_waits_for_the_service(fake: FakeHome) -> None:
    fake.start("pair")
    assert fake.settle() == ""
    os.kill(fake.service("first")["pid"], signal.SIGKILL)
    control.start(fake.settings, {})
    assert fake.settle() == ""
    assert fake.service("first")["restarts"] == 1
    assert answers(fake.settings.port)


def test_a_killed_supervisor_leaves_nothing(fake: FakeHome) -> None:
    """Not even a grandchild in a session of its own."""
    fake.start("pair")
    assert fake.settle() == ""
    assert len(fake.left()) == 6, "two reapers, two servers, two sleepers"
    assert fake.process
    fake.process.kill()
    fake.process.wait()
    wait_until(lambda: fake.left() == [], 20, "no such state", 0.02)
    assert sorted(fake.ends()) == ["first", "second"], "each was ended in good order"


def test_a_killed_reaper_takes_its_service_along(fake: FakeHome) -> None:
    fake.start("pair")
    assert fake.settle() == ""
    pid = fake.service("first")["pid"]
    reaper = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(reaper, signal.SIGKILL)
    fake.wait_for("first", restarts=1, state="ready")
    assert len(fake.left()) == 6, "the old server's sleeper is gone too"


def test_a_deployment_is_followed_by_a_clean_restart_of_the_emulator(fake: FakeHome) -> None:
    """Only a clean stop saves the emulator's state."""
    fake.start("deployed")
    assert fake.settle() == ""
    assert fake.ends() == ["deployed", "emulator"]
    assert fake.service("emulator")["restarts"] == 0, "not a crash"
    assert answers(fake.settings.port)


def test_after_a_crash_of_the_emulator_the_catalog_is_replayed_and_the_deployment_checked(fake: FakeHome) -> None:
    fake.start("deployed")
    assert fake.settle() == ""
    os.kill(fake.service("emulator")["pid"], signal.SIGKILL)
    wait_until(lambda: fake.service("emulator")["restarts"] == 1, 20, "no such state", 0.02)
    assert fake.settle() == ""
    assert fake.ends() == ["deployed", "emulator", "/internal/replay", "deployed", "emulator"]
    assert fake.service("deploy")["state"] == "done"


def test_what_is_unchanged_is_not_deployed_again(fake: FakeHome) -> None:
    fake.start("deployed")
    fake.settle()
    assert fake.process
    os.kill(fake.process.pid, signal.SIGUSR1)
    wait_until(lambda: (control.read_state(fake.settings) or {})["round"] == 2, 20, "no such state", 0.02)
    assert fake.settle() == ""
    assert fake.ends() == ["deployed", "emulator"]


def test_what_failed_can_be_tried_again(fake: FakeHome) -> None:
    fake.start("repairable")
    assert "not yet" in fake.settle()
    (fake.settings.home / "repaired").touch()
    assert control.start(fake.settings, {}) is False, "the running supervisor is asked"
    assert fake.settle() == ""


def test_one_supervisor_a_home(fake: FakeHome) -> None:
    fake.start("pair")
    fake.settle()
    first = fake.process
    fake.start("pair")
    assert fake.process
    assert fake.process.wait(timeout=20) == 1
    fake.process = first
    assert answers(fake.settings.port)
