"""One service of the home in the foreground, for something else that watches over it, such as a container's engine.

``python -m local.supervision.run SERVICE``          prepares and becomes the service; a step that ends, such as
``deploy``, is run ``python -m local.supervision.run --ready SERVICE``  ends with 0 when the service works, else with 1:
a health check

Command, environment, preparation and readiness are those of ``local.home``; order and restarts are the watcher's.
"""

from __future__ import annotations

import argparse
import os
import pwd
import socket
import subprocess
import sys
import time
from datetime import timedelta

from local import home as services
from local.home import Service
from local.settings import HOST, ROOT, Settings
from local.supervision import processes
from local.supervision.reaper import GRACE_SECONDS, children_of

BEAT_SECONDS = 60  # a heartbeat of Airflow's older than this is none; the slowest part sends one every 5 s


def find(settings: Settings, name: str) -> Service:
    """The service of that name; raises ValueError with the names that there are."""
    described = {service.name: service for service in services.services(settings)}
    if name not in described:
        raise ValueError(f"{name!r} is no service; there are {', '.join(described)}")
    return described[name]


def is_ready(service: Service) -> bool:
    """Whether the service answers now, or has shown a sign of life in the last minute."""
    try:
        if service.port:
            socket.create_connection((HOST, service.port), timeout=2).close()
        return service.ready(services.now() - timedelta(seconds=BEAT_SECONDS))
    except (OSError, ValueError, KeyError):
        return False


def become(settings: Settings, service: Service) -> None:
    """Prepare the service and put it in this process's place; raises CalledProcessError, OSError or ValueError."""
    environment = _environment(settings, service)
    if service.prepare:
        subprocess.run(service.prepare, check=True, cwd=ROOT, env=environment)
    command = service.command()
    if service.user:
        account = pwd.getpwnam(service.user)
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    os.chdir(ROOT)
    os.execvpe(command[0], command, environment)  # noqa: S606  the command is the service's own


def deploy(settings: Settings, service: Service) -> None:
    """Deploy, then have the emulator end cleanly, for only then does it save what the deployment made.

    As in ``local.supervision.supervisor``, a Trino that was serving before is ended, too. Whatever watches over the two
    starts them again; raises TimeoutError when nothing does, CalledProcessError when the deployment fails.
    """
    trino = find(settings, "trino")
    served = is_ready(trino)
    services.replay_catalog(settings)
    environment = _environment(settings, service)
    subprocess.run(service.command(), check=True, cwd=ROOT, env=environment, timeout=service.seconds)
    for other in (find(settings, "emulator"), *([trino] if served else [])):
        _bounce(settings, other)


def _bounce(settings: Settings, service: Service) -> None:
    """End a service and wait until it is back."""
    found = processes.of_home(str(settings.home), service.name)
    started_by_them = {child for pid in found for child in children_of(pid)}
    print(f"{service.name} is started anew", flush=True)
    processes.end([pid for pid in found if pid not in started_by_them], GRACE_SECONDS)
    deadline = time.monotonic() + service.seconds
    while not is_ready(service):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing has started {service.name} again within {service.seconds:.0f} s")
        time.sleep(0.5)


def _environment(settings: Settings, service: Service) -> dict[str, str]:
    """As under the supervisor; makes the folders that it would have made."""
    for folder in (settings.logs, settings.data, settings.home / "tmp"):
        folder.mkdir(parents=True, exist_ok=True)
    settings.secrets.mkdir(mode=0o700, exist_ok=True)
    return {**services.base_environment(settings), **service.environment(), "LAKE_SERVICE": service.name}


def main(arguments: list[str] | None = None) -> int:
    """The module's docstring; 1 with the reason when the service cannot be started."""
    parser = argparse.ArgumentParser(prog="python -m local.supervision.run", description="Run one service of the home.")
    parser.add_argument("service", help="a name in local/home.py")
    parser.add_argument("--ready", action="store_true", help="only tell by the exit code whether it works")
    options = parser.parse_args(arguments)
    settings = Settings.from_environment()
    try:
        service = find(settings, options.service)
        if options.ready:
            return 0 if is_ready(service) else 1
        if service.name == "deploy":
            deploy(settings, service)
        else:
            become(settings, service)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"{options.service}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
