"""The home's supervisor: starts the services in order, restarts what dies, stops everything. Standard library only.

``python -m local.supervisor`` runs until TERM; ``local.home`` starts it in the background and talks to it:

TERM   stop every service, each after those that need it, and exit
USR1   once more: start what has failed, deploy what has changed

What it knows stands in ``<home>/state.json``, replaced at each change. One supervisor a home: ``<home>/lock`` is locked
while it lives. Each service runs under ``local/reaper.py``, which ends it when the supervisor is gone.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import IO

from local import secret_files, services
from local.settings import ROOT, TOOLS, Settings
from local.stamp import digest
from local.units import BLOCKED, FAILED, StartError, Unit

log = logging.getLogger("supervisor")

# What a deployment is made from; when it has changed, the home deploys again.
DEPLOYED_FROM = (ROOT / "infrastructure", ROOT / "include", TOOLS / "sakila")


class Supervisor:
    """All units of one home."""

    def __init__(self, settings: Settings, described: Iterable[services.Service]) -> None:
        self.settings = settings
        self._state = settings.home / "state.json"
        self._deployed = settings.home / "deployed"
        self._round = 1
        self._stopping = False
        self._background: set[asyncio.Task[None]] = set()
        self._deploying = asyncio.Lock()
        self.units = {
            service.name: Unit(service, settings, self._write, self._restarted, self._run_once) for service in described
        }

    async def run(self) -> None:
        """Until TERM or INT."""
        loop, asked = asyncio.get_running_loop(), asyncio.Event()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, asked.set)
        loop.add_signal_handler(signal.SIGUSR1, self._again)
        for unit in self.units.values():
            self._begin(unit)
        await asked.wait()
        self._stopping = True
        stops: dict[str, asyncio.Task[None]] = {}

        async def stop(unit: Unit) -> None:
            users = [name for name, other in self.units.items() if unit.service.name in other.service.after]
            await asyncio.gather(*(stops[name] for name in users))
            await unit.stop()

        for task in self._background:
            task.cancel()
        # A service is described after those that it needs, so its users' tasks exist before its own.
        for name, unit in reversed(self.units.items()):
            stops[name] = asyncio.create_task(stop(unit))
        await asyncio.gather(*stops.values())
        self._state.unlink()

    def _begin(self, unit: Unit) -> None:
        unit.begin([self.units[name] for name in unit.service.after])

    def _again(self) -> None:
        if self._stopping:
            return
        self._round += 1
        for unit in self.units.values():
            if unit.status.state in (FAILED, BLOCKED) or (unit.service.once and unit.settled.is_set()):
                self._begin(unit)

    async def _run_once(self, unit: Unit) -> None:
        """Run a step to its end; the deployment only if what it is made from has changed."""
        if unit.service.name != "deploy":
            await unit.to_end(unit.service.command())
            return
        wanted = await asyncio.to_thread(digest, DEPLOYED_FROM)
        if not self._deployed.exists() or self._deployed.read_text() != wanted:
            await self._deploy(unit)
            secret_files.write(self._deployed, wanted)

    async def _deploy(self, unit: Unit) -> None:
        """Deploy, then stop and start the emulator: only a clean stop makes it save what the deployment made."""
        async with self._deploying:
            self._deployed.unlink(missing_ok=True)
            await unit.to_end(unit.service.command())
            await self.units["emulator"].bounce()

    async def _restarted(self, unit: Unit) -> None:
        """A killed emulator has fallen back to its last clean stop: bring back the catalog, check the deployment."""
        if unit.service.name == "emulator" and self._deployed.exists():
            task = asyncio.create_task(self._recover())
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def _recover(self) -> None:
        try:
            wanted = self._deployed.read_text()
            await asyncio.to_thread(services.replay_catalog, self.settings)
            await self._deploy(self.units["deploy"])
            secret_files.write(self._deployed, wanted)
            log.info("the emulator is what it was: the catalog's journal is replayed, the deployment checked")
        except (OSError, StartError):
            log.exception("the lake could not be brought back after the emulator's crash; make up tries again")

    def _write(self) -> None:
        """Replace the state file."""
        state = {
            "pid": os.getpid(),
            "round": self._round,
            "stopping": self._stopping,
            "services": [asdict(unit.status) for unit in self.units.values()],
        }
        secret_files.write(self._state, json.dumps(state, indent=1))


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


def supervise(settings: Settings, described: Iterable[services.Service]) -> int:
    """Supervise services until told to stop; 1 when the home has a supervisor already."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    deadline = time.monotonic() + 2
    while not (held := lock(settings)) and time.monotonic() < deadline:
        time.sleep(0.05)  # somebody may be looking whether the lock is free
    if not held:
        log.error("%s has a supervisor already", settings.home)
        return 1
    for folder in (settings.logs, settings.data, settings.home / "tmp"):
        folder.mkdir(parents=True, exist_ok=True)
    settings.secrets.mkdir(mode=0o700, exist_ok=True)

    async def run() -> None:
        await Supervisor(settings, described).run()

    asyncio.get_event_loop_policy().set_child_watcher(asyncio.PidfdChildWatcher())
    asyncio.run(run())
    return 0


if __name__ == "__main__":
    home = Settings.from_environment()
    sys.exit(supervise(home, services.services(home)))
