"""The actions on query executions: start and stop them, return their states and results."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from functools import partial

from botocore.exceptions import ClientError

from local.aws.athena import api, executions, hive_ddl, results, statements, translate, trino_client
from local.aws.athena.executions import Executions
from local.aws.athena.query_run import AcceptedQuery
from local.aws.athena.saved_api import SavedApi
from local.aws.athena.statements import WRITE_KINDS, Statement
from local.aws.athena.store import Document, Store
from local.aws.athena.tokens import SqlError
from local.aws.athena.translate import Translation
from local.aws.athena.trino_client import EngineError
from local.aws.protocol import AwsError, Handler, Payload, Request, Services

RESULT_ROWS = 1000  # largest page of GetQueryResults
_CHUNK = 1 << 20  # bytes read from S3 at once


class QueryApi:
    """Handlers of the actions on query executions."""

    def __init__(self, services: Services, store: Store, executions: Executions, saved: SavedApi) -> None:
        self._services, self._store, self._executions, self._saved = services, store, executions, saved
        self.actions: dict[str, Handler] = {
            "StartQueryExecution": self._start,
            "StopQueryExecution": self._stop,
            "GetQueryExecution": lambda request: {"QueryExecution": _public(self._found(request))},
            "BatchGetQueryExecution": self._batch_get,
            "ListQueryExecutions": self._list_executions,
            "GetQueryResults": self._get_results,
            "GetQueryRuntimeStatistics": self._runtime_statistics,
        }

    # start

    def _start(self, request: Request) -> Payload:
        payload = request.payload
        workgroup = api.authorized_workgroup(self._services, request)
        configuration = api.workgroup_configuration(self._services, workgroup)
        database = executions.default_database(payload.get("QueryExecutionContext") or {})
        target = executions.result_configuration(payload.get("ResultConfiguration") or {}, configuration)
        execution_id = str(uuid.uuid4())
        base = target["OutputLocation"].rstrip("/") + "/"
        try:
            statement = self._statement(payload, workgroup)
            translation = self._translation(statement, database, base, execution_id, configuration)
        except (SqlError, EngineError) as error:
            message = error.message if isinstance(error, EngineError) else str(error)
            raise api.invalid(message, "MALFORMED_QUERY") from error
        output, extension = executions.output_location(statement, base, execution_id)
        document = executions.new_document(payload, execution_id, statement, database, workgroup)
        document["ResultConfiguration"] = {**target, "OutputLocation": output + extension}
        fingerprint = json.dumps({**payload, "ClientRequestToken": None}, sort_keys=True)
        token = payload.get("ClientRequestToken")
        stored_id, stored_fingerprint = self._store.add_execution(document, token, fingerprint)
        if stored_fingerprint != fingerprint:
            raise api.invalid("Idempotent parameters do not match", "IDEMPOTENT_PARAMETERS_DO_NOT_MATCH")
        if stored_id == execution_id:
            options, cutoff = executions.put_options(target), configuration.get("BytesScannedCutoffPerQuery")
            action = self._action(statement, workgroup)
            query = AcceptedQuery(
                document, request.caller, statement, translation, database, output, options, cutoff, action
            )
            self._executions.submit(query)
        return {"QueryExecutionId": stored_id}

    def _statement(self, payload: Payload, workgroup: str) -> Statement:
        """The statement to run: for EXECUTE the prepared one, with the parameters in their places."""
        sql = api.required(payload, "QueryString")
        try:
            statement = Statement.parse(sql)
        except statements.UnknownStatement:
            trino_client.check_syntax(self._services.settings, sql)  # Trino says more about a misspelt statement
            raise
        values = list(payload.get("ExecutionParameters") or [])
        if statement.kind == "EXECUTE":
            name, given = statements.execute(statement)
            try:
                prepared = self._saved.prepared(workgroup, name)
            except AwsError as error:  # StartQueryExecution declares no ResourceNotFoundException
                raise api.invalid(error.message) from error
            statement = Statement.parse(prepared["QueryStatement"])
            values = given or values
        elif not values:
            return statement
        return statements.bind(statement, values)

    def _translation(
        self, statement: Statement, database: str, base: str, execution_id: str, configuration: Payload
    ) -> Translation | None:
        """What to send to Trino, None for the catalog's statements; raises SqlError or EngineError when malformed."""
        match statement.kind:
            case "CREATE_TABLE_AS_SELECT":
                enforced = bool(configuration.get("EnforceWorkGroupConfiguration", True))
                translation = translate.ctas(statement, database, f"{base}tables/{execution_id}/", enforced)
            case "UNLOAD":
                translation = translate.unload(statement, execution_id)
            case "CREATE_VIEW":
                translation = translate.view(statement, database)
            case "EXPLAIN":
                translation = translate.explain(statement)
            case kind if kind in statements.ENGINE_KINDS:
                translation = translate.query(statement)
            case "CREATE_TABLE":
                hive_ddl.parse_create_table(statement.cursor(), database)
                return None
            case _:
                return None
        try:
            trino_client.check_syntax(self._services.settings, translation.sql)
        except EngineError as error:
            if error.user:  # an engine that is down makes the query fail, not this call
                raise
        return translation

    def _action(self, statement: Statement, workgroup: str) -> Callable[[], None] | None:
        """What PREPARE and DEALLOCATE PREPARE do: they concern neither Trino nor the catalog."""
        if statement.kind == "PREPARE":
            name, sql = statements.prepare(statement)
            return partial(self._saved.add_prepared, workgroup, name, sql)
        if statement.kind == "DEALLOCATE_PREPARE":
            return partial(self._saved.drop_prepared, workgroup, statements.deallocate(statement))
        return None

    # states

    def _found(self, request: Request) -> Document:
        execution_id = api.required(request.payload, "QueryExecutionId")
        document = self._store.execution(execution_id)
        if document is None:
            raise api.invalid(f"QueryExecution {execution_id} was not found")
        api.authorize(self._services, request, document["WorkGroup"])
        return document

    def _stop(self, request: Request) -> Payload:
        self._executions.cancel(self._found(request)["QueryExecutionId"])
        return {}

    def _batch_get(self, request: Request) -> Payload:
        ids = api.required(request.payload, "QueryExecutionIds")
        found, missing = api.found_and_missing(ids, self._store.execution)
        for document in found:
            api.authorize(self._services, request, document["WorkGroup"])
        unprocessed = [{"QueryExecutionId": name, **api.not_found("QueryExecution", name)} for name in missing]
        return {"QueryExecutions": list(map(_public, found)), "UnprocessedQueryExecutionIds": unprocessed}

    def _list_executions(self, request: Request) -> Payload:
        workgroup = api.authorized_workgroup(self._services, request)
        return api.page("QueryExecutionIds", request.payload, partial(self._store.execution_ids, workgroup))

    def _runtime_statistics(self, request: Request) -> Payload:
        """GetQueryRuntimeStatistics, without the stages."""
        document = self._found(request)
        statistics = document["Statistics"]
        timeline = {name: statistics[name] for name in statistics if name.endswith("InMillis")}
        return {"QueryRuntimeStatistics": {"Timeline": timeline, "Rows": document.get("_rows", {})}}

    # results

    def _get_results(self, request: Request) -> Payload:
        """GetQueryResults: rows of the result file in S3, which the caller must be allowed to read."""
        document = self._found(request)
        state = document["Status"]["State"]
        if state in ("QUEUED", "RUNNING"):
            raise api.invalid(f"Query has not yet finished. Current state: {state}", "INVALID_QUERY_EXECUTION_STATE")
        if state != "SUCCEEDED":
            message = f"Query did not finish successfully. Final query state: {state}"
            raise api.invalid(message, "INVALID_QUERY_EXECUTION_STATE")
        columns, count = document.get("_columns", []), document.get("_update_count", 0)
        result: Payload = {"Rows": [], "ResultSetMetadata": {"ColumnInfo": columns}}
        reply: Payload = {"UpdateCount": count, "ResultSet": result}
        location = document["ResultConfiguration"]["OutputLocation"]
        if document["SubstatementType"] in WRITE_KINDS:
            return reply
        limit, offset = api.paging(request.payload, RESULT_ROWS)
        bucket, key = api.split_location(location)
        self._services.authorize(request.caller, "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
        try:
            rows, following = self._page(bucket, key, offset, limit)
        except ClientError as error:
            raise api.invalid(f"Could not find results at {location}: {error}") from error
        result["Rows"] = [{"Data": [{} if value is None else {"VarCharValue": value} for value in row]} for row in rows]
        if following is not None:
            reply["NextToken"] = str(following)
        return reply

    def _page(self, bucket: str, key: str, offset: int, limit: int) -> tuple[list[results.Row], int | None]:
        """Up to ``limit`` rows from byte ``offset`` of a result file, and where the next page begins."""
        s3 = self._executions.clients.s3
        size = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
        rows: list[results.Row] = []
        read, taken = b"", 0
        while len(rows) < limit and offset + len(read) < size:
            start = offset + len(read)
            wanted = f"bytes={start}-{min(start + _CHUNK, size) - 1}"
            read += s3.get_object(Bucket=bucket, Key=key, Range=wanted)["Body"].read()
            text = read.decode("utf-8", "ignore")  # the end may cut a character of an incomplete row
            rows, characters = (results.parse_csv if key.endswith(".csv") else results.parse_lines)(text, limit)
            taken = len(text[:characters].encode())
        return rows, offset + taken if offset + taken < size else None


def _public(document: Document) -> Document:
    """A document without the fields that only this service uses."""
    return {name: value for name, value in document.items() if not name.startswith("_")}
