"""One service in the foreground, for something else that watches over services, such as a container engine.

Order and restarts are the watcher's; command, environment, preparation and readiness are the service's own.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from local.engines.waiting import wait_until
from local.settings import HOST, ROOT, Settings
from local.supervision import processes
from local.supervision.reaper import GRACE_SECONDS, children_of, drop_rights
from local.supervision.service import Service, environment_of, make_folders

HEARTBEAT_SECONDS = 60  # an older heartbeat of Airflow's does not count; the slowest part sends one every 5 s


class WatchedServices:
    """The services of a home that a container engine, or the like, starts again whenever they end."""

    def __init__(self, settings: Settings, services: Iterable[Service]) -> None:
        self._settings = settings
        self._services = {service.name: service for service in services}

    def __getitem__(self, name: str) -> Service:
        """The service of that name; raises ValueError with the names that there are."""
        if name not in self._services:
            raise ValueError(f"there is no service {name!r}; there are {', '.join(self._services)}")
        return self._services[name]

    def is_ready(self, name: str) -> bool:
        """Whether the service answers now, or has shown a sign of life in the last minute."""
        service = self[name]
        try:
            if service.port:
                socket.create_connection((HOST, service.port), timeout=2).close()
            return service.ready(datetime.now(UTC) - timedelta(seconds=HEARTBEAT_SECONDS))
        except (OSError, ValueError, KeyError):
            return False

    async def run_step(self, name: str) -> None:
        """Run a step to its end; raises subprocess.SubprocessError when it fails or takes too long."""
        service = self[name]
        environment = self._environment(service)
        subprocess.run(service.command(), check=True, cwd=ROOT, env=environment, timeout=service.seconds)

    async def restart(self, name: str) -> None:
        """End a service and wait until the watcher has started it again; raises TimeoutError when nothing does."""
        service = self[name]
        found = processes.of_home(str(self._settings.home), name)
        started_by_them = {child for pid in found for child in children_of(pid)}
        print(f"{name} is restarted", flush=True)
        processes.end([pid for pid in found if pid not in started_by_them], GRACE_SECONDS)
        otherwise = f"nothing has started {name} again"
        await asyncio.to_thread(wait_until, lambda: self.is_ready(name), service.seconds, otherwise, 0.5)

    def become(self, name: str) -> None:
        """Prepare the service and put it in this process's place; raises CalledProcessError, OSError or ValueError."""
        service = self[name]
        environment = self._environment(service)
        if service.prepare:
            subprocess.run(service.prepare, check=True, cwd=ROOT, env=environment)
        command = service.command()
        if service.user:
            drop_rights(service.user)
        os.chdir(ROOT)
        os.execvpe(command[0], command, environment)  # noqa: S606  the command is the service's own

    def _environment(self, service: Service) -> dict[str, str]:
        """As under the supervisor; makes the folders that it would have made."""
        make_folders(self._settings, [service])
        return environment_of(self._settings, service)
