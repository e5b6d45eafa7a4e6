"""AWS DMS for the local home: full loads of MySQL tables into CSV files on S3, done for real.

Serves replication instances, endpoints, certificates, connection tests, tasks and table statistics, with AWS's states
and error codes. Creation ends at once (``creating`` is seen in the reply alone); a task's run is real: full_load.py.

Left out, each refused by name: change capture and every migration type but full-load, other engines than MySQL and
MariaDB to S3, other formats than CSV, logins that do not come from a secret, ReloadTables, serverless replications,
assessments, subnet groups, events. Instances have no network of their own: class, subnets and security groups are kept
and shown, nothing more. A start does not ask for a successful connection test (AWS tests by itself when a task is
made); the run tells. What a task logs is in the process's log (ingestion.log in a home).
"""

from __future__ import annotations

from collections.abc import Mapping

from local.aws.dms.endpoint_api import EndpointApi
from local.aws.dms.instance_api import InstanceApi
from local.aws.dms.resources import Resources
from local.aws.dms.task_api import TaskApi
from local.aws.protocol import Handler, Services

__all__ = ["Dms"]


class Dms:
    """Executor of the service ``dms``."""

    service = "dms"
    passes_through = False

    def __init__(self, services: Services) -> None:
        self._resources = Resources(services.settings.data / "dms" / "state.json")
        endpoints = EndpointApi(services, self._resources)
        self._tasks = TaskApi(services, self._resources, endpoints)
        instances = InstanceApi(services, self._resources)
        self.actions: Mapping[str, Handler] = {**instances.actions, **endpoints.actions, **self._tasks.actions}

    def start(self) -> None:
        """Read the state; a task that was running when the process was killed has failed."""
        self._resources.load()
        self._tasks.recover()

    def stop(self) -> None:
        """Stop running tasks."""
        self._tasks.stop_all()
