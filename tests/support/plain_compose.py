"""Runs services of docker-compose.yaml as plain processes, with its commands, environment, order, checks, restarts.

Unlike in containers, MariaDB takes the place of MySQL's image, the image's two folders are the checkout and a home of
the test on its own ports, and every service listens on 127.0.0.1 only (LAKE_LISTEN is left out).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from local.engines.waiting import wait_until
from local.settings import ROOT, Settings
from local.supervision.reaper import GRACE_SECONDS
from tests.support.compose_file import CODE, image_environment, services

START_SECONDS = 240
FOREIGN_STEPS = ("mysql-data",)  # steps of MySQL's image


@dataclass
class PlainCompose:
    """The running services by name."""

    settings: Settings
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    _watchers: list[threading.Thread] = field(default_factory=list)
    _restarting: threading.Lock = field(default_factory=threading.Lock)  # held to restart a service, or to end that
    _stopping: bool = False

    def up(self, *names: str) -> None:
        """Start services, after those on which they depend; raises AssertionError, TimeoutError."""
        for name in names:
            if name in self.starts:
                continue
            for other, dependency in self._service(name).get("depends_on", {}).items():
                self.up(other)
                if other not in FOREIGN_STEPS:
                    self._wait(other, dependency["condition"])
            if name not in FOREIGN_STEPS:
                self._begin(name)

    def healthy(self, name: str) -> bool:
        """Whether the service's health check passes."""
        command = ["python", "-m", "local", "run", "--ready", name] if name == "mysql" else self._test(name)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return not subprocess.run(command, check=False, cwd="/", env=self._environment(name), timeout=30).returncode
        return False

    def stop(self) -> None:
        """Stop all services, the last one first, each with its own signal; kill what is left."""
        with self._restarting:
            self._stopping = True
        for name, process in reversed(self.processes.items()):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.Signals[self._service(name).get("stop_signal", "SIGTERM")])
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for watcher in self._watchers:
            watcher.join()

    def _begin(self, name: str) -> None:
        self._start(name)
        if self._service(name).get("restart") == "unless-stopped":
            watcher = threading.Thread(target=self._watch, args=(name,), daemon=True)
            self._watchers.append(watcher)
            watcher.start()

    def _watch(self, name: str) -> None:
        while True:
            self.processes[name].wait()
            time.sleep(0.2)
            with self._restarting:
                if self._stopping:
                    return
                self._start(name)

    def _start(self, name: str) -> None:
        command = self._service(name)["command"]
        if name == "mysql":
            command = ["python", "-m", "local", "run", "mysql"]
        self.settings.logs.mkdir(parents=True, exist_ok=True)
        with (self.settings.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                cwd="/",
                env=self._environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.starts[name] = self.starts.get(name, 0) + 1

    def _wait(self, name: str, condition: str) -> None:
        if condition == "service_completed_successfully":
            assert self.processes[name].wait(START_SECONDS) == 0, self.log(name)
        elif condition == "service_healthy":
            try:
                wait_until(lambda: self.healthy(name), START_SECONDS, f"{name} did not become healthy", 0.5)
            except TimeoutError as error:
                raise TimeoutError(f"{error}: {self.log(name)}") from None

    def log(self, name: str) -> str:
        """The end of a service's output."""
        return (self.settings.logs / f"{name}.log").read_text(errors="replace")[-2000:]

    def _service(self, name: str) -> dict[str, Any]:
        return services()[name]

    def _test(self, name: str) -> list[str]:
        kind, *command = self._service(name)["healthcheck"]["test"]
        assert kind == "CMD"
        return list(command)

    def _environment(self, name: str) -> dict[str, str]:
        """The variables of the image and of the service, with this machine's folders and ports."""
        given = {**image_environment(), **(self._service(name).get("environment") or {})}
        del given["LAKE_HOME"]
        given.pop("LAKE_LISTEN", None)
        found = {key: value.replace(CODE, str(ROOT)) for key, value in given.items()}
        return {
            **found,
            "PATH": f"{found['PATH']}:{os.environ['PATH']}",
            "HOME": str(self.settings.home),
            "LAKE_HOME": str(self.settings.home),
            "LAKE_PORT": str(self.settings.port),
        }


@contextmanager
def plain_compose(settings: Settings) -> Iterator[PlainCompose]:
    """At first nothing runs; what ``up`` starts is stopped at the end."""
    running = PlainCompose(settings)
    try:
        yield running
    finally:
        running.stop()
