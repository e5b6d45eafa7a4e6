"""Athena: AWS's API in front of a real Trino 406, the generation of Athena's engine version 3.

Queries go to Trino, Hive's DDL, SHOW and DESCRIBE to the Glue catalog, results to S3; the caller's rights are checked
first, the work itself is done under the analysts' role.

Left out: federated and cross-account catalogs, capacity reservations, notebooks and Spark, Lake Formation, result reuse
(accepted, never used), managed results, CSE_KMS, external functions, changes of an Iceberg table's properties, the
stages in GetQueryRuntimeStatistics. Encryption options apply to result files, not to the data of CTAS and UNLOAD.
"""

from __future__ import annotations

from collections.abc import Mapping

from local.aws.athena.executions import Executions
from local.aws.athena.metadata_api import MetadataApi
from local.aws.athena.query_api import QueryApi
from local.aws.athena.saved_api import SavedApi
from local.aws.athena.store import Store
from local.aws.protocol import Handler, Services


class Athena:
    """The executor of the service ``athena``."""

    service = "athena"
    passes_through = False

    def __init__(self, services: Services) -> None:
        self._store = Store(services.settings.data / "athena" / "athena.sqlite")
        self._executions = Executions(services, self._store)
        saved = SavedApi(services, self._store)
        self.actions: Mapping[str, Handler] = {
            **QueryApi(services, self._store, self._executions, saved).actions,
            **saved.actions,
            **MetadataApi(services, self._store, self._executions).actions,
        }

    def start(self) -> None:
        """Mark queries that a kill interrupted as failed."""
        self._executions.start()

    def stop(self) -> None:
        """Cancel running queries."""
        self._executions.stop()
        self._store.close()
