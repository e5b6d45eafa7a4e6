"""The home's services under a watcher: our supervisor (``supervise``), or a container engine (``run``)."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys

from local import deployment, home
from local.settings import Settings
from local.supervision.run import WatchedServices
from local.supervision.supervisor import supervise as supervise_services


def supervise(settings: Settings, _: argparse.Namespace) -> int:
    """Supervise the home until told to stop; 1 when it has a supervisor already."""
    return supervise_services(settings, home.services(settings), deployment.Deployment(settings))


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Become the service, or with ``--ready`` only check it; returns 1 and prints the reason when it does not work.

    A deployment is run to its end; the services that it ends are started again by the watcher.
    """
    services = WatchedServices(settings, home.services(settings))
    try:
        if options.ready:
            return 0 if services.is_ready(options.service) else 1
        if options.service == deployment.STEP:
            asyncio.run(deployment.deploy(settings, services, replay=True))
        else:
            services.become(options.service)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"{options.service}: {error}", file=sys.stderr)
        return 1
    return 0
