"""When the lake is deployed into a home, and which services are restarted with it.

The emulator saves its state only at a clean stop, so it is stopped and started after each deployment; after a crash it
has fallen back to its last clean stop, so the catalog's journal is replayed before. Trino keeps a session of its role
that the new emulator does not know, and asks for another only when that one expires; so a Trino that was serving before
the deployment is restarted, too.
"""

from __future__ import annotations

import asyncio
import urllib.request
from typing import Protocol

from local.engines import files
from local.engines.waiting import wait_until
from local.settings import ROOT, TOOLS, Settings
from local.supervision.supervisor import Hooks, Supervisor
from local.supervision.units import StartError, Unit

STEP, EMULATOR, TRINO = "deploy", "emulator", "trino"
# What a deployment is made from; when it has changed, the home deploys again.
DEPLOYED_FROM = (ROOT / "infrastructure", ROOT / "include", TOOLS / "sakila")
ATTEMPTS = 3  # at a deployment during which the emulator crashes
REPLAY_SECONDS = 30  # until the server takes the call


class Services(Protocol):
    """The services of a home, whoever watches over them: our supervisor or a container engine."""

    def is_ready(self, name: str) -> bool:
        """Whether there is such a service and it works."""

    async def run_step(self, name: str) -> None:
        """Run a step to its end; raises an exception when it fails."""

    async def restart(self, name: str) -> None:
        """Stop a service cleanly and wait until it works again; raises an exception when it does not."""


async def deploy(settings: Settings, services: Services, replay: bool) -> None:
    """Deploy, after a replay of the catalog if ``replay``; then restart what the module's docstring names."""
    trino_served = services.is_ready(TRINO)
    if replay:
        await asyncio.to_thread(replay_catalog, settings)
    await services.run_step(STEP)
    await services.restart(EMULATOR)
    if trino_served:
        await services.restart(TRINO)


def replay_catalog(settings: Settings) -> None:
    """Have the server tell a restarted emulator what the catalog's journal holds; raises TimeoutError."""
    request = urllib.request.Request(  # noqa: S310
        f"{settings.server_url}/internal/replay",
        method="POST",
        headers={"Authorization": settings.home_token.read_text()},
    )

    def replayed() -> bool:
        with urllib.request.urlopen(request, timeout=60):  # noqa: S310
            return True

    wait_until(replayed, REPLAY_SECONDS, "the server has not replayed the catalog", pause=0.5, ignoring=(OSError,))


class Deployment(Hooks):
    """The supervisor's hooks of a home: it deploys what has changed, and checks again after the emulator crashed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._deployed = settings.home / "deployed"  # the hash of what was deployed last
        self._checked = 0  # the emulator's crashes after which the deployment was checked

    async def run_step(self, supervisor: Supervisor, unit: Unit) -> None:
        """Deploy if what is deployed has changed or the emulator crashed; raises StartError. Run other steps always."""
        if unit.service.name != STEP:
            await super().run_step(supervisor, unit)
            return
        wanted = await asyncio.to_thread(files.digest, DEPLOYED_FROM)
        emulator = supervisor.units[EMULATOR]
        deployed = self._deployed.read_text() if self._deployed.exists() else ""
        if emulator.status.restarts == self._checked and deployed == wanted:
            return
        for _ in range(ATTEMPTS):
            await emulator.settled.wait()
            crashes = emulator.status.restarts
            self._deployed.unlink(missing_ok=True)
            try:
                await deploy(self._settings, supervisor, replay=crashes != self._checked)
            except (OSError, StartError):
                if emulator.status.restarts == crashes:
                    raise
            if emulator.status.restarts == crashes:
                self._checked = crashes
                files.write_atomically(self._deployed, wanted)
                return
        raise StartError(f"the emulator ended during each of {ATTEMPTS} deployments; see its log")

    def crashed(self, supervisor: Supervisor, unit: Unit) -> None:
        """Check the deployment, once the emulator is back."""
        step = supervisor.units.get(STEP)
        if unit.service.name == EMULATOR and step and step.settled.is_set():
            supervisor.begin(step)
