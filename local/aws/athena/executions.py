"""The life of a query: QUEUED, RUNNING, then SUCCEEDED, FAILED or CANCELLED. Its result is in S3 before SUCCEEDED."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from botocore.exceptions import ClientError

from local.aws.athena import trino_client
from local.aws.athena.query_run import CANCELLED_BY_USER, AcceptedQuery, Cancelled, Clients, QueryRun, millis
from local.aws.athena.rights import CallerRights, Denied
from local.aws.athena.statements import StatementFailed
from local.aws.athena.store import Document, Store
from local.aws.athena.tokens import SqlError
from local.aws.athena.trino_client import EngineError
from local.aws.protocol import AwsError, Services

log = logging.getLogger("athena")

AT_ONCE = 4  # queries that run together; Trino has 300 MB for all of them
# Categories and types of https://docs.aws.amazon.com/athena/latest/ug/error-reference.html
SYSTEM, USER = 1, 2
INTERNAL, ENGINE_FAILED, USER_ERROR, DDL_FAILED, SYNTAX = 100, 200, 1000, 1003, 1006


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
        except SqlError as error:
            _end(document, "FAILED", str(error), (USER, SYNTAX, False))
        except StatementFailed as error:
            _end(document, "FAILED", str(error), (USER, DDL_FAILED, False))
        except (Denied, AwsError, ClientError) as error:
            _end(document, "FAILED", str(error), (USER, USER_ERROR, False))
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
        category, kind, retryable = error
        status["AthenaError"] = {
            "ErrorCategory": category,
            "ErrorType": kind,
            "Retryable": retryable,
            "ErrorMessage": reason,
        }
