"""Athena: AWS's API in front of a real Trino 406, the version on which Athena's engine version 3 is based.

Queries run in Trino, Hive's DDL, SHOW and DESCRIBE against the Glue catalog; results are written to S3. The caller's
rights are checked first; the work itself is done under one role, the engine's.

How a statement travels: ``query_api`` (StartQueryExecution) parses it into a ``statements.Statement``, tokenised once
by ``tokens`` and from then on read with cursors. ``translate`` turns a query into Trino's spelling, and Trino checks
the syntax. ``store`` keeps the execution, ``executions`` queues it, and a ``query_run`` runs it: ``rights`` checks the
caller, ``trino_client`` runs a query, ``catalog`` any other statement (with ``hive_ddl`` for CREATE TABLE, ``alter``
for ALTER TABLE, ``show`` for SHOW and DESCRIBE, ``glue_tables`` for tables and their types), and ``results`` formats
the files in S3, from which GetQueryResults reads its pages.

The other actions: ``saved_api`` (named queries, prepared statements) and ``metadata_api`` (workgroups, data catalog).
``api`` is what all handlers share.

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
    """The API of the service ``athena``."""

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
        """Mark the queries that a kill interrupted as failed."""
        self._executions.start()

    def stop(self) -> None:
        """Cancel all queries and wait for their end."""
        self._executions.stop()
        self._store.close()
