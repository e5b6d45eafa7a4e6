"""The life of a query, from its new QueryExecution to its end, and where and how its result is stored.

Its states are QUEUED, RUNNING, then SUCCEEDED, FAILED or CANCELLED. Its result is in S3 before SUCCEEDED.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from local.aws.athena import trino_client
from local.aws.athena.api import DATA_CATALOG, invalid, split_location
from local.aws.athena.query_run import CANCELLED_BY_USER, AcceptedQuery, Cancelled, Clients, QueryRun, millis
from local.aws.athena.rights import CallerRights, Denied
from local.aws.athena.statements import WRITE_KINDS, Statement, StatementFailed
from local.aws.athena.store import Document, Store
from local.aws.athena.tokens import SqlError
from local.aws.athena.trino_client import EngineError
from local.aws.protocol import AwsError, Payload, Services

log = logging.getLogger("athena")

AT_ONCE = 4  # queries that run together; Trino has 300 MB for all of them
# Categories and types of https://docs.aws.amazon.com/athena/latest/ug/error-reference.html
SYSTEM, USER = 1, 2
INTERNAL, ENGINE_FAILED, USER_ERROR, DDL_FAILED, SYNTAX = 100, 200, 1000, 1003, 1006


ENGINE_VERSION = dict.fromkeys(("SelectedEngineVersion", "EffectiveEngineVersion"), "Athena engine version 3")
_COUNTERS = (
    "EngineExecutionTimeInMillis", "DataScannedInBytes", "TotalExecutionTimeInMillis", "QueryQueueTimeInMillis",
    "QueryPlanningTimeInMillis", "ServiceProcessingTimeInMillis",
)  # fmt: skip


class Executions:
    """Runs accepted queries and keeps their states and statistics in the store."""

    def __init__(self, services: Services, store: Store) -> None:
        self._services, self._store = services, store
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="athena")
        self._stops: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Mark the queries that an earlier server left unfinished as failed, and stop them in Trino."""
        unfinished = self._store.unfinished()
        if unfinished:
            trino_client.cancel_all(self._services.settings)
        for document in unfinished:
            _end(document, "FAILED", "The query was interrupted by a restart of the service", (SYSTEM, INTERNAL, True))
            self._store.save_execution(document, finished=True)

    def stop(self) -> None:
        """Cancel all queries and wait for their end."""
        with self._lock:
            for event in self._stops.values():
                event.set()
        self._pool.shutdown(wait=True)

    def submit(self, query: AcceptedQuery) -> None:
        """Queue an accepted query."""
        stop = threading.Event()
        with self._lock:
            self._stops[query.id] = stop
        self._pool.submit(self._run, query, stop)

    def cancel(self, execution_id: str) -> None:
        """Ask a query to stop; a query that has ended stays as it is."""
        with self._lock:
            if event := self._stops.get(execution_id):
                event.set()

    @cached_property
    def clients(self) -> Clients:
        """Clients under the role whose rights the engine has; their session renews itself."""
        session = self._services.session(self._services.settings.query_role, "athena")
        return Clients(session.client("glue"), session.client("s3"))

    def _run(self, query: AcceptedQuery, stop: threading.Event) -> None:
        document, started = query.document, time.time()
        try:
            if stop.is_set():
                raise Cancelled(CANCELLED_BY_USER)
            document["Status"]["State"] = "RUNNING"
            self._store.save_execution(document, finished=False)
            rights = CallerRights(self._services, query.caller)
            QueryRun(query, self._services.settings, rights, self.clients, stop).run()
            _end(document, "SUCCEEDED")
        except Cancelled as reason:
            _end(document, "CANCELLED", str(reason))
        except EngineError as error:
            kind = SYNTAX if error.name == "SYNTAX_ERROR" else USER_ERROR if error.user else ENGINE_FAILED
            _end(document, "FAILED", str(error), (USER if error.user else SYSTEM, kind, not error.user))
        except (SqlError, StatementFailed, Denied, AwsError, ClientError) as error:
            kind = (
                SYNTAX
                if isinstance(error, SqlError)
                else DDL_FAILED
                if isinstance(error, StatementFailed)
                else USER_ERROR
            )
            _end(document, "FAILED", str(error), (USER, kind, False))
        except Exception as error:
            log.exception("query %s", query.id)
            _end(document, "FAILED", f"Internal error: {type(error).__name__}: {error}", (SYSTEM, INTERNAL, True))
        _add_times(document, started)
        self._store.save_execution(document, finished=True)
        with self._lock:
            del self._stops[query.id]


def _add_times(document: Document, started: float) -> None:
    status, statistics = document["Status"], document["Statistics"]
    submitted, ended = status["SubmissionDateTime"], status["CompletionDateTime"]
    statistics["QueryQueueTimeInMillis"] = millis(submitted, started)
    statistics["TotalExecutionTimeInMillis"] = millis(submitted, ended)
    known = statistics["EngineExecutionTimeInMillis"] + statistics["QueryPlanningTimeInMillis"]
    statistics["ServiceProcessingTimeInMillis"] = max(0, millis(started, ended) - known)


def _end(document: Document, state: str, reason: str = "", error: tuple[int, int, bool] | None = None) -> None:
    """Write the final state; ``error`` is (category, type, whether a retry may succeed)."""
    status = document["Status"]
    status["State"], status["CompletionDateTime"] = state, time.time()
    if reason:
        status["StateChangeReason"] = reason
    if error:
        names = ("ErrorCategory", "ErrorType", "Retryable", "ErrorMessage")
        status["AthenaError"] = dict(zip(names, (*error, reason), strict=True))


def default_database(context: Payload) -> str:
    """The default database of a QueryExecutionContext."""
    if (context.get("Catalog") or DATA_CATALOG).lower() != DATA_CATALOG.lower():
        raise invalid(f"Catalog {context['Catalog']} was not found")
    return str(context.get("Database") or "default").strip("`").lower()


def new_document(payload: Payload, execution_id: str, statement: Statement, database: str, workgroup: str) -> Document:
    """The QueryExecution of a new query."""
    reuse = payload.get("ResultReuseConfiguration") or {"ResultReuseByAgeConfiguration": {"Enabled": False}}
    document: Document = {
        "QueryExecutionId": execution_id,
        "Query": str(payload["QueryString"]).strip(),
        "StatementType": statement.type,
        "SubstatementType": statement.kind,
        "ResultReuseConfiguration": reuse,
        "QueryExecutionContext": {"Catalog": DATA_CATALOG.lower(), "Database": database},
        "Status": {"State": "QUEUED", "SubmissionDateTime": time.time()},
        "Statistics": {**dict.fromkeys(_COUNTERS, 0), "ResultReuseInformation": {"ReusedPreviousResult": False}},
        "WorkGroup": workgroup,
        "EngineVersion": ENGINE_VERSION,
    }
    if payload.get("ExecutionParameters"):
        document["ExecutionParameters"] = payload["ExecutionParameters"]
    return document


def output_location(statement: Statement, base: str, execution_id: str) -> tuple[str, str]:
    """(result location without extension, extension)."""
    folder = f"{base}tables/" if statement.kind == "CREATE_TABLE_AS_SELECT" else base
    extension = "" if statement.kind in WRITE_KINDS else ".csv" if statement.kind == "SELECT" else ".txt"
    return folder + execution_id, extension


def result_configuration(client: Payload, workgroup: Payload) -> Payload:
    """Location and encryption of the result: only the workgroup's when it enforces its configuration."""
    own: Payload = workgroup.get("ResultConfiguration") or {}
    enforced = workgroup.get("EnforceWorkGroupConfiguration", True) and own.get("OutputLocation")
    chosen = own if enforced else {**own, **client}
    if not chosen.get("OutputLocation"):
        raise invalid(
            "No output location provided. An output location is required either through the Workgroup result "
            "configuration setting or as an API input."
        )
    split_location(chosen["OutputLocation"])
    option = (chosen.get("EncryptionConfiguration") or {}).get("EncryptionOption", "SSE_S3")
    if option not in ("SSE_S3", "SSE_KMS"):
        raise invalid(f"EncryptionOption {option} is not supported by the local home")
    return dict(chosen)


def put_options(target: Payload) -> dict[str, Any]:
    """The parameters of every put of a result to S3."""
    encryption = target.get("EncryptionConfiguration") or {}
    kms = encryption.get("EncryptionOption") != "SSE_S3"
    options = {
        "ServerSideEncryption": encryption and ("aws:kms" if kms else "AES256"),
        "SSEKMSKeyId": kms and encryption.get("KmsKey"),
        "ExpectedBucketOwner": target.get("ExpectedBucketOwner"),
    }
    return {name: value for name, value in options.items() if value}
