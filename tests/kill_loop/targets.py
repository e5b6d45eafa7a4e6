"""What can be killed in a home, and what it is doing. It is read from the supervisor's state file, from /proc and from
the files of DMS and Firehose: that takes milliseconds and needs no service, which might have been killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.settings import Settings
from local.supervision.reaper import children_of, descendants_of
from local.supervision.units import FAILED, READY, STEADY_SECONDS

IN_A_ROW = 3  # kills of a service in a row, less than STEADY_SECONDS apart; the supervisor gives up at the seventh
RECENT_SECONDS = 0.3  # between two looks at a Lambda worker that say whether it works
AIRFLOW_PARTS = ("scheduler", "api-server", "triggerer", "dag-processor")


class GivenUp(Exception):
    """The home's supervisor has given up a service, which the message names."""


@dataclass(frozen=True)
class Victim:
    """A process that works for a target. ``service`` is the supervised service that ends with it."""

    target: str
    pid: int
    doing: str
    service: str | None = None


class Targets:
    """The victims of one home."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._row: dict[str, int] = {}  # kills in a row, by service
        self._used: dict[int, float] = {}  # CPU seconds of Lambda workers at the last look
        self._used_at = 0.0
        self._services: dict[str, int] = {}
        self._supervisor = 0
        self.finders: dict[str, Callable[[], list[Victim]]] = {
            "lambda": self._lambda_workers,
            "dms": self._dms,
            "firehose": self._firehose,
            "spark": self._spark,
            "task": self._tasks,
            **{part: lambda part=part: self._airflow(part) for part in AIRFLOW_PARTS},  # type: ignore[misc]
        }

    def at_work(self, target: str) -> list[Victim]:
        """Processes of a target that work now and may be killed; raises GivenUp."""
        self._look()
        return self.finders[target]()

    def kill(self, victim: Victim) -> bool:
        """Send SIGKILL if the process still exists and belongs to this home; whether that was done."""
        with contextlib.suppress(psutil.NoSuchProcess):
            if self._supervisor in (parent.pid for parent in psutil.Process(victim.pid).parents()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim.pid, signal.SIGKILL)
                    if victim.service:
                        self._row[victim.service] = self._row.get(victim.service, 0) + 1
                    return True
        return False

    def _look(self) -> None:
        state = json.loads((self._settings.home / "state.json").read_text())
        self._supervisor = state["pid"]
        self._services = {}
        for service in state["services"]:
            name = service["service"]
            if service["state"] == FAILED:
                raise GivenUp(f"{name}: {service['message']}")
            if service["state"] != READY:
                continue
            if time.time() - service["since"] > STEADY_SECONDS:
                self._row[name] = 0
            self._services[name] = service["pid"]

    def _lambda_workers(self) -> list[Victim]:
        """Workers of the emulator that have used the processor since the last look; the others are idle."""
        now = time.monotonic()
        before, is_recent = self._used, now - self._used_at < RECENT_SECONDS
        workers = children_of(self._services.get("emulator", 0))
        self._used = {pid: _cpu_seconds(pid) for pid in workers if "ministack-lambda" in " ".join(_command(pid))}
        self._used_at = now
        busy = [pid for pid, used in self._used.items() if used > before.get(pid, 0.0)] if is_recent else []
        return [Victim("lambda", pid, f"{self._used[pid]:.2f} s of CPU used") for pid in busy]

    def _dms(self) -> list[Victim]:
        """The process in which DMS and Firehose run, while a full load is under way."""
        state = self._settings.data / "dms" / "state.json"
        tasks = json.loads(state.read_text()).get("tasks", {}).values() if state.exists() else ()
        running = [task["Status"] for task in tasks if task["Status"] in ("starting", "running")]
        return self._served("dms", "ingestion", f"full load {running[0]}") if running else []

    def _firehose(self) -> list[Victim]:
        """The same process, while Firehose holds events in its buffers."""
        sizes = []
        for path in (self._settings.data / "firehose").glob("*.buffer/*.segment"):
            with contextlib.suppress(FileNotFoundError):
                sizes.append(path.stat().st_size)
        buffered = f"{len(sizes)} buffers of {sum(sizes)} bytes"
        return self._served("firehose", "ingestion", buffered) if sizes else []

    def _airflow(self, part: str) -> list[Victim]:
        return self._served(part, f"airflow-{part}", "serves")

    def _served(self, target: str, service: str, doing: str) -> list[Victim]:
        """A service's own process, unless one more kill might make the supervisor give it up."""
        pid = self._services.get(service)
        return [Victim(target, pid, doing, service)] if pid and self._row.get(service, 0) < IN_A_ROW else []

    def _spark(self) -> list[Victim]:
        """The JVM, and the Python process of the script, of each Glue job that runs."""
        victims = []
        for java in descendants_of(self._services.get("server", 0)):
            if _is_driver(command := _command(java)):
                script = next((Path(part).name for part in reversed(command) if part.endswith(".py")), "?")
                age = _age(java)
                victims.append(Victim("spark", java, f"JVM of {script} after {age:.1f} s"))
                victims += [
                    Victim("spark", child, f"Python of {script} after {age:.1f} s")
                    for child in children_of(java)
                    if any(part.endswith(script) for part in _command(child))
                ]
        return victims

    def _tasks(self) -> list[Victim]:
        """LocalExecutor's workers that have a task, and the tasks' own processes, which are known by their titles."""
        victims = []
        for pid in descendants_of(self._services.get("airflow-scheduler", 0)):
            title = " ".join(_command(pid)).strip()
            if title.startswith("airflow worker -- ") and "<idle>" not in title:
                victims.append(Victim("task", pid, title.removeprefix("airflow worker -- ")))
        return victims


def _command(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return []


def _is_driver(command: list[str]) -> bool:
    return command[0].endswith("java") and "org.apache.spark.deploy.SparkSubmit" in command if command else False


def _cpu_seconds(pid: int) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    return 0.0


def _age(pid: int) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        return time.time() - psutil.Process(pid).create_time()
    return 0.0
