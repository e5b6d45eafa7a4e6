"""Athena: AWS's API in front of a real Trino 406, the generation of Athena's engine version 3.

Queries go to Trino, Hive's DDL, SHOW and DESCRIBE to the Glue catalog, results to S3; the caller's rights are checked
first, the work itself is done under the analysts' role.

Left out: federated and cross-account catalogs, capacity reservations, notebooks and Spark, Lake Formation, result reuse
(accepted, never used), managed results, CSE_KMS, external functions, changes of an Iceberg table's properties, the
stages in GetQueryRuntimeStatistics. Encryption options apply to result files, not to the data of CTAS and UNLOAD.
"""

from __future__ import annotations

from collections.abc import Mapping

from local.aws.athena.listing import Listing
from local.aws.athena.queries import Queries
from local.aws.athena.runs import Runs
from local.aws.athena.saved import Saved
from local.aws.athena.store import Store
from local.aws.protocol import Handler, Services


class Athena:
    """The executor of the service ``athena``."""

    service = "athena"
    passes_through = False

    def __init__(self, services: Services) -> None:
        self._store = Store(services.settings.data / "athena" / "athena.sqlite")
        self._runs = Runs(services, self._store)
        saved = Saved(services, self._store)
        self.actions: Mapping[str, Handler] = {
            **Queries(services, self._store, self._runs, saved).actions,
            **saved.actions,
            **Listing(services, self._store, self._runs).actions,
        }

    def start(self) -> None:
        """Mark queries that a kill interrupted as failed."""
        self._runs.start()

    def stop(self) -> None:
        """Cancel running queries."""
        self._runs.stop()
        self._store.close()
