"""The home's supervisor: starts the services in order, restarts what dies, stops everything. Standard library only.

``python -m local.supervision.supervisor`` runs until TERM; ``local.supervision.control`` starts it in the background
and talks to it:

TERM   stop every service, each after those that need it, and exit
USR1   once more: start what has failed, deploy what has changed

What it knows stands in ``<home>/state.json``, replaced at each change. One supervisor a home: ``<home>/lock`` is locked
while it lives. Each service runs under ``local/supervision/reaper.py``, which ends it when the supervisor is gone.
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

from local import home as services
from local.engines import files
from local.installation.stamp import digest
from local.settings import ROOT, TOOLS, Settings
from local.supervision.units import BLOCKED, FAILED, READY, StartError, Unit

log = logging.getLogger("supervisor")

# What a deployment is made from; when it has changed, the home deploys again.
DEPLOYED_FROM = (ROOT / "infrastructure", ROOT / "include", TOOLS / "sakila")
ATTEMPTS = 3  # at a deployment during which the emulator crashes


class Supervisor:
    """All units of one home."""

    def __init__(self, settings: Settings, described: Iterable[services.Service]) -> None:
        self.settings = settings
        self._state = settings.home / "state.json"
        self._deployed = settings.home / "deployed"
        self._round = 1
        self._stopping = False
        self._checked = 0  # crashes of the emulator after which the deployment was checked
        self.units = {
            service.name: Unit(service, settings, self._write, self._crashed, self._run_once) for service in described
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
            unit.look()
            if unit.status.state in (FAILED, BLOCKED) or (unit.service.once and unit.settled.is_set()):
                self._begin(unit)

    async def _run_once(self, unit: Unit) -> None:
        """Run a step to its end; the deployment only if what it is made from has changed, or the emulator crashed."""
        if unit.service.name != "deploy":
            await unit.to_end(unit.service.command())
            return
        wanted = await asyncio.to_thread(digest, DEPLOYED_FROM)
        emulator = self.units["emulator"].status
        deployed = self._deployed.read_text() if self._deployed.exists() else ""
        if emulator.restarts == self._checked and deployed == wanted:
            return
        for _ in range(ATTEMPTS):
            await self.units["emulator"].settled.wait()
            crashes = emulator.restarts
            try:
                await self._deploy(unit)
            except (OSError, StartError):
                if emulator.restarts == crashes:
                    raise
            if emulator.restarts == crashes:
                self._checked = crashes
                files.write_atomically(self._deployed, wanted)
                return
        raise StartError(f"the emulator ended during each of {ATTEMPTS} deployments; see its log")

    async def _deploy(self, unit: Unit) -> None:
        """Deploy, then stop and start the emulator: only a clean stop makes it save what the deployment made.

        An emulator that crashed has fallen back to its last clean stop, so the catalog's journal is replayed before.
        Trino keeps a session of its role that the new emulator does not know, and asks for another only when that one
        expires, so a Trino that was serving before is started again, too.
        """
        self._deployed.unlink(missing_ok=True)
        emulator, trino = self.units["emulator"], self.units.get("trino")
        served = trino is not None and trino.status.state == READY
        if emulator.status.restarts != self._checked:
            await asyncio.to_thread(services.replay_catalog, self.settings)
        await unit.to_end(unit.service.command())
        await emulator.bounce()
        if trino and served:
            await trino.bounce()

    def _crashed(self, unit: Unit) -> None:
        """After a crash of the emulator the deployment is checked, once the emulator is back."""
        deploy = self.units.get("deploy")
        if unit.service.name == "emulator" and deploy and deploy.settled.is_set():
            self._begin(deploy)

    def _write(self) -> None:
        """Replace the state file."""
        state = {
            "pid": os.getpid(),
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
    for folder in (settings.secrets, settings.data / "emulator"):  # whose state holds every secret of Secrets Manager
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)

    async def run() -> None:
        await Supervisor(settings, described).run()

    asyncio.get_event_loop_policy().set_child_watcher(asyncio.PidfdChildWatcher())
    asyncio.run(run())
    return 0


if __name__ == "__main__":
    home = Settings.from_environment()
    sys.exit(supervise(home, services.services(home)))
