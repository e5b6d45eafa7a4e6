"""AWS DMS: full loads of MySQL tables into CSV files on S3.

Serves replication instances (``instance_api``), endpoints, certificates and connection tests (``endpoint_api``), tasks
and table statistics (``task_api``), with AWS's states and error codes. What they create is kept by ``resource_store``.
Settings are parsed by ``endpoint_settings``, ``task_settings`` and ``table_mappings``; ``full_load`` copies the tables
and ``csv_files`` writes the files. Resources are ready at once: the state ``creating`` appears in the reply only.

Not served, and refused by name: change data capture and every migration type but full-load, other engines than MySQL
or MariaDB to S3, other formats than CSV, logins that do not come from a secret, ReloadTables, serverless replications,
assessments, subnet groups, events. The class, subnets and security groups of an instance are stored and returned but
have no effect. A task starts without a successful connection test (AWS runs one itself when it creates a task); a
connection that fails makes the run fail. A task logs to the log of the server's process.
"""

from __future__ import annotations

from collections.abc import Mapping

from local.aws.dms.endpoint_api import EndpointApi
from local.aws.dms.instance_api import InstanceApi
from local.aws.dms.resource_store import ResourceStore
from local.aws.dms.task_api import TaskApi
from local.aws.protocol import Handler, Services

__all__ = ["Dms"]


class Dms:
    """The service ``dms``."""

    service = "dms"
    passes_through = False

    def __init__(self, services: Services) -> None:
        self._resources = ResourceStore(services.settings.data / "dms" / "state.json")
        endpoints = EndpointApi(services, self._resources)
        self._tasks = TaskApi(services, self._resources, endpoints)
        instances = InstanceApi(services, self._resources)
        self.actions: Mapping[str, Handler] = {**instances.actions, **endpoints.actions, **self._tasks.actions}

    def start(self) -> None:
        """Read the stored state; a task that was running when the process was killed becomes ``failed``."""
        self._resources.load()
        self._tasks.recover()

    def stop(self) -> None:
        """Stop the tasks that are running."""
        self._tasks.stop_all()
