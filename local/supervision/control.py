"""A home as its user controls it: start it, wait for it, read its state, stop it, remove it. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from local.engines import accounts
from local.engines.waiting import wait_until
from local.settings import PYTHON_PATH, ROOT, TOOLS, Settings
from local.supervision import processes
from local.supervision.reaper import GRACE_SECONDS
from local.supervision.supervisor import lock
from local.supervision.units import BLOCKED, FAILED, SETTLED, WAITING, taken

PYTHON = TOOLS / "airflow" / "bin" / "python"
SUPERVISOR = [str(PYTHON), "-m", "local", "supervise"]
LONGEST_PATH = 80  # of a home: the socket below it may have 107 characters
# What tools leave in the checkout outside .local
LEFT_BEHIND = (
    ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", "spark-warehouse", "metastore_db", "derby.log",
)  # fmt: skip

State = dict[str, Any]


class HomeError(Exception):
    """The home cannot do what was asked; the message is for the user."""


def supervisor_pid(settings: Settings) -> int | None:
    """The running supervisor's pid; None when there is none."""
    if not (settings.home / "lock").exists():
        return None

    def look() -> tuple[int | None] | None:
        if held := lock(settings):
            held.close()
            return (None,)
        state = read_state(settings)
        return (int(state["pid"]),) if state else None  # it writes its pid just after it has taken the lock

    silent = f"the supervisor of {settings.home} has not written its state (see {settings.logs}/supervisor.log)"
    (pid,) = wait_until(look, 10, silent)
    return pid


def read_state(settings: Settings) -> State | None:
    """What the supervisor last wrote; None when there is no supervisor."""
    with contextlib.suppress(FileNotFoundError):
        state: State = json.loads((settings.home / "state.json").read_text())
        return state
    return None


def as_running(settings: Settings) -> Settings:
    """The home with the ports on which it runs, whatever LAKE_PORT says now; unchanged when it does not run."""
    state = read_state(settings) if supervisor_pid(settings) else None
    return replace(settings, port=state.get("port", settings.port)) if state else settings


def served_by(settings: Settings) -> str | None:
    """LAKE_HOME of the home whose server answers at this home's port; None when none answers."""
    try:
        with urllib.request.urlopen(f"{settings.server_url}/health", timeout=5) as reply:  # noqa: S310
            return str(json.load(reply)["home"])
    except (OSError, ValueError, KeyError):
        return None


def check_up(settings: Settings) -> None:
    """Raise HomeError unless this home runs, under our supervisor or in containers."""
    if not supervisor_pid(settings) and (found := served_by(settings)) != str(settings.home):
        other = f"; at {settings.server_url} answers another home, LAKE_HOME={found}" if found else ""
        raise HomeError(f"the home {settings.home} is not running: start it with make up{other}")
    if not settings.component_tokens.exists():
        raise HomeError(f"the home {settings.home} is starting for the first time: wait for make up, see make status")


def check_startable(settings: Settings, ports: Mapping[int, str]) -> None:
    """Raise HomeError or OSError when a home that does not run cannot start; ``ports`` are those of its services."""
    if len(str(settings.home)) > LONGEST_PATH:
        raise HomeError(f"LAKE_HOME={settings.home} is too long for a socket in it: {LONGEST_PATH} characters at most")
    sweep(settings)
    for port, service in ports.items():
        if holder := processes.holder(port):
            raise HomeError(taken(port, service, holder))
    settings.home.mkdir(parents=True, exist_ok=True)


def start(settings: Settings, ports: Mapping[int, str]) -> bool:
    """Start the supervisor, or have the running one try again; True when it was started.

    ``ports`` are those that the services will take. Raises HomeError when one is taken or the tools are not installed.
    """
    if pid := supervisor_pid(settings):
        before = _state_of(settings)["round"]
        os.kill(pid, signal.SIGUSR1)
        wait_until(lambda: _state_of(settings)["round"] > before, 10, "the supervisor has not answered")
        return False
    if not PYTHON.exists():
        raise HomeError(f"{PYTHON} is missing: run `make up`, which installs it")
    check_startable(settings, ports)
    _keep_old_logs(settings)
    (settings.home / "state.json").unlink(missing_ok=True)
    log = settings.logs / "supervisor.log"
    own = {"LAKE_HOME": str(settings.home), "LAKE_PORT": str(settings.port), "PYTHONPATH": PYTHON_PATH}
    with log.open("ab") as output:
        child = subprocess.Popen(
            SUPERVISOR,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **own},
            cwd=ROOT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: bool(read_state(settings)) or child.poll() is not None, 20, "the supervisor has not started")
    except BaseException:
        child.terminate()
        child.wait()
        raise
    if child.poll() is not None:
        raise HomeError(f"the supervisor ended at once; see {log}")
    return True


def wait(settings: Settings, look: Callable[[State], None]) -> None:
    """Until every service is ready; ``look`` gets each state seen. Raises HomeError as soon as one has failed."""
    while True:
        if not (state := read_state(settings)):
            raise HomeError(f"the supervisor is gone; see {settings.logs}/supervisor.log")
        look(state)
        if failed := [s for s in state["services"] if s["state"] == FAILED]:
            text = "\n".join(f"{s['service']}: {s['message']}" for s in failed)
            waits = _waiting_for(state, failed)
            raise HomeError(text + (f"\nnot started for that reason: {', '.join(waits)}" if waits else ""))
        if all(service["state"] in SETTLED for service in state["services"]):
            return
        time.sleep(0.1)


def stop(settings: Settings) -> bool:
    """Stop everything of this home and wait for the end; True when something was running."""
    found = supervisor_pid(settings)
    if found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(found, signal.SIGTERM)
        wait_until(lambda: not supervisor_pid(settings), 3 * GRACE_SECONDS, "the supervisor has not stopped")
    left = sweep(settings)
    (settings.home / "state.json").unlink(missing_ok=True)
    return left or bool(found)


def sweep(settings: Settings) -> bool:
    """Wait for what a killed supervisor left: its reapers end it in good order. Then end the rest, by force."""
    if not (left := processes.of_home(str(settings.home))):
        return False
    processes.wait_for_end(left, GRACE_SECONDS)
    processes.end(processes.of_home(str(settings.home)))
    return True


def clean(settings: Settings) -> list[Path]:
    """Stop the home and remove it, the tools and the caches; returns what was removed. Raises HomeError."""
    stop(settings)
    users = [pid for pid in processes.all_pids() if processes.command_line(pid).startswith(f"{ROOT}/.local/tools/")]
    if users := [pid for pid in users if pid != os.getpid()]:
        raise HomeError(
            f"still running from {TOOLS}, of another home perhaps: "
            + ", ".join(f"pid {pid} ({processes.command_line(pid)})" for pid in users)
        )
    targets = [accounts.outside(settings), ROOT / ".local", *(ROOT / name for name in LEFT_BEHIND)]
    if (settings.home / "lock").exists():  # it is a home and not, say, the user's own folder
        targets.insert(0, settings.home)
    targets += [path for path in ROOT.rglob("__pycache__") if ".local" not in path.relative_to(ROOT).parts]
    removed = []
    for target in targets:
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        elif target.exists() or target.is_symlink():
            target.unlink()
        else:
            continue
        removed.append(target)
    with contextlib.suppress(OSError):
        accounts.OUTSIDE.rmdir()  # if no other home needs it
    return removed


def _state_of(settings: Settings) -> State:
    return read_state(settings) or {"round": 0, "services": []}


def _waiting_for(state: State, failed: list[dict[str, Any]]) -> list[str]:
    """The services that cannot start because others have failed, whether or not the supervisor has blocked them yet."""
    missing, names = {service["service"] for service in failed}, []
    for service in state["services"]:  # each is described after those that it needs
        if service["state"] in (WAITING, BLOCKED) and missing.intersection(service["after"]):
            missing.add(service["service"])
            names.append(service["service"])
    return names


def _keep_old_logs(settings: Settings) -> None:
    """Each start has its own logs; those of the start before keep the ending ``.1``."""
    settings.logs.mkdir(parents=True, exist_ok=True)
    for path in settings.logs.glob("*.log"):
        path.replace(f"{path}.1")
