"""The supervisor: starts the services in order, restarts what dies, stops everything. Standard library only.

``supervise`` runs until TERM; ``local.supervision.control`` starts it in the background and talks to it by signals:

TERM   stop every service, each after those that need it, and exit
USR1   another round: start what has failed, run the steps again

What it knows is in ``<home>/state.json``, replaced at each change. A home has one supervisor: it holds a lock on
``<home>/lock`` until its process has ended. Each service runs under ``reaper.py``, which ends it when the supervisor is
gone.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from typing import IO

from local.engines import files
from local.engines.waiting import wait_until
from local.settings import Settings
from local.supervision.service import Service, make_folders
from local.supervision.units import BLOCKED, FAILED, READY, Unit

log = logging.getLogger("supervisor")
LOCK_SECONDS = 2  # somebody may be trying the lock to see whether there is a supervisor


class Hooks:
    """Where a home's own rules come in. These do nothing special."""

    async def run_step(self, supervisor: Supervisor, unit: Unit) -> None:
        """Run a service that ends (``once``) to its end; raises StartError."""
        await supervisor.run_step(unit.service.name)

    def crashed(self, supervisor: Supervisor, unit: Unit) -> None:
        """Called on every unexpected exit of a service."""


class Supervisor:
    """All units of one home."""

    def __init__(self, settings: Settings, services: Iterable[Service], hooks: Hooks) -> None:
        self._state, self._port = settings.home / "state.json", settings.port
        self._round = 1
        self._stopping = False
        crashed, run_step = partial(hooks.crashed, self), partial(hooks.run_step, self)
        self.units = {service.name: Unit(service, settings, self._write, crashed, run_step) for service in services}

    async def run(self) -> None:
        """Until TERM or INT."""
        loop, asked = asyncio.get_running_loop(), asyncio.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, asked.set)
        loop.add_signal_handler(signal.SIGUSR1, self._again)
        for unit in self.units.values():
            self.begin(unit)
        await asked.wait()
        self._stopping = True
        stops: dict[str, asyncio.Task[None]] = {}

        async def stop(unit: Unit) -> None:
            users = [name for name, other in self.units.items() if unit.service.name in other.service.after]
            await asyncio.gather(*(stops[name] for name in users))
            await unit.stop()

        # A service is described after those that it needs, so the tasks of its users exist before its own.
        for name, unit in reversed(self.units.items()):
            stops[name] = asyncio.create_task(stop(unit))
        await asyncio.gather(*stops.values())
        self._state.unlink()

    def begin(self, unit: Unit) -> None:
        """Start a unit in the background, once everything that it needs is ready."""
        unit.begin([self.units[name] for name in unit.service.after])

    def is_ready(self, name: str) -> bool:
        """Whether there is such a service and it works."""
        return name in self.units and self.units[name].status.state == READY

    async def run_step(self, name: str) -> None:
        """Run a step to its end, now; raises StartError."""
        unit = self.units[name]
        await unit.run_to_end(unit.service.command())

    async def restart(self, name: str) -> None:
        """Stop a service cleanly and start it again; raises StartError."""
        await self.units[name].restart()

    def _again(self) -> None:
        if self._stopping:
            return
        self._round += 1
        for unit in self.units.values():
            unit.look()
            if unit.status.state in (FAILED, BLOCKED) or (unit.service.once and unit.settled.is_set()):
                self.begin(unit)

    def _write(self) -> None:
        """Replace the state file."""
        state = {
            "pid": os.getpid(),
            "port": self._port,
            "round": self._round,
            "stopping": self._stopping,
            "services": [asdict(unit.status) for unit in self.units.values()],
        }
        files.write_atomically(self._state, json.dumps(state, indent=1))


def lock(settings: Settings) -> IO[str] | None:
    """The home's lock, held until the file is closed; None when another supervisor holds it."""
    settings.home.mkdir(parents=True, exist_ok=True)
    file = (settings.home / "lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def supervise(settings: Settings, services: Iterable[Service], hooks: Hooks | None = None) -> int:
    """Supervise services until told to stop; 1 when the home has a supervisor already."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    described = list(services)
    try:
        held = wait_until(lambda: lock(settings), LOCK_SECONDS, f"{settings.home} has a supervisor already", pause=0.05)
    except TimeoutError:
        log.error("%s has a supervisor already", settings.home)
        return 1
    os.dup(held.fileno())  # a copy that nobody closes, so that the lock lasts as long as the process
    make_folders(settings, described)
    asyncio.get_event_loop_policy().set_child_watcher(asyncio.PidfdChildWatcher())
    asyncio.run(Supervisor(settings, described, hooks or Hooks()).run())
    return 0
