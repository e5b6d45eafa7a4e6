"""Query executions: start, watch, stop, read."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from local.aws.athena import hive_ddl, results, statements, translate, trino_client
from local.aws.athena.api import allow, invalid, needed, page, paging, split_location, workgroup_configuration
from local.aws.athena.executions import Executions
from local.aws.athena.query_run import MANIFEST_KINDS, WRITE_KINDS, AcceptedQuery
from local.aws.athena.saved_api import SavedApi
from local.aws.athena.statements import Statement
from local.aws.athena.store import Document, Store
from local.aws.athena.tokens import SqlError
from local.aws.athena.translate import Translation
from local.aws.athena.trino_client import EngineError
from local.aws.protocol import AwsError, Handler, Payload, Request, Services

ENGINE_VERSION = {
    "SelectedEngineVersion": "Athena engine version 3",
    "EffectiveEngineVersion": "Athena engine version 3",
}
RESULT_ROWS = 1000  # largest page of GetQueryResults
LISTED = 50
_CHUNK = 1 << 20


class QueryApi:
    """Handlers of the actions on query executions."""

    def __init__(self, services: Services, store: Store, executions: Executions, saved: SavedApi) -> None:
        self._services, self._store, self._executions, self._saved = services, store, executions, saved
        self.actions: dict[str, Handler] = {
            "StartQueryExecution": self.start,
            "StopQueryExecution": self.stop,
            "GetQueryExecution": lambda request: {"QueryExecution": _public(self._found(request))},
            "BatchGetQueryExecution": self.batch_get,
            "ListQueryExecutions": self.list_executions,
            "GetQueryResults": self.get_results,
            "GetQueryRuntimeStatistics": self.runtime_statistics,
        }

    # start

    def start(self, request: Request) -> Payload:
        """StartQueryExecution."""
        payload = request.payload
        workgroup = payload.get("WorkGroup") or "primary"
        allow(self._services, request, workgroup)
        configuration = workgroup_configuration(self._services, workgroup)
        context = payload.get("QueryExecutionContext") or {}
        if (context.get("Catalog") or "AwsDataCatalog").lower() != "awsdatacatalog":
            raise invalid(f"Catalog {context['Catalog']} was not found")
        database = (context.get("Database") or "default").strip("`").lower()
        target = _result_configuration(payload.get("ResultConfiguration") or {}, configuration)
        execution_id = str(uuid.uuid4())
        base = target["OutputLocation"].rstrip("/") + "/"
        try:
            statement = self._statement(payload, workgroup)
            work = self._work(statement, database, f"{base}tables/{execution_id}/", execution_id, configuration)
        except (SqlError, EngineError) as error:
            message = error.message if isinstance(error, EngineError) else str(error)
            raise invalid(message, "MALFORMED_QUERY") from error
        output, extension = _output(statement, base, execution_id)
        document: Document = {
            "QueryExecutionId": execution_id,
            "Query": str(payload["QueryString"]).strip(),
            "StatementType": statement.type,
            "SubstatementType": statement.kind,
            "ResultConfiguration": {**target, "OutputLocation": output + extension},
            "ResultReuseConfiguration": payload.get("ResultReuseConfiguration")
            or {"ResultReuseByAgeConfiguration": {"Enabled": False}},
            "QueryExecutionContext": {"Catalog": "awsdatacatalog", "Database": database},
            "Status": {"State": "QUEUED", "SubmissionDateTime": time.time()},
            "Statistics": {
                "EngineExecutionTimeInMillis": 0,
                "DataScannedInBytes": 0,
                "TotalExecutionTimeInMillis": 0,
                "QueryQueueTimeInMillis": 0,
                "QueryPlanningTimeInMillis": 0,
                "ServiceProcessingTimeInMillis": 0,
                "ResultReuseInformation": {"ReusedPreviousResult": False},
            },
            "WorkGroup": workgroup,
            "EngineVersion": ENGINE_VERSION,
        }
        if payload.get("ExecutionParameters"):
            document["ExecutionParameters"] = payload["ExecutionParameters"]
        token = payload.get("ClientRequestToken")
        fingerprint = json.dumps({**payload, "ClientRequestToken": None}, sort_keys=True)
        kept, kept_fingerprint = self._store.add_execution(document, token, fingerprint)
        if kept_fingerprint != fingerprint:
            raise invalid("Idempotent parameters do not match", "IDEMPOTENT_PARAMETERS_DO_NOT_MATCH")
        if kept == execution_id:
            cutoff = configuration.get("BytesScannedCutoffPerQuery")
            options, action = _put_options(target), self._action(statement, workgroup)
            job = AcceptedQuery(document, request.caller, statement, work, database, output, options, cutoff, action)
            self._executions.submit(job)
        return {"QueryExecutionId": kept}

    def _statement(self, payload: Payload, workgroup: str) -> Statement:
        """The statement to run: EXECUTE's prepared one, parameters in their places."""
        sql = needed(payload, "QueryString")
        try:
            statement = Statement.parse(sql)
        except statements.UnknownStatement:
            trino_client.check_syntax(self._services.settings, sql)  # for Trino's words about a misspelt one
            raise
        values = list(payload.get("ExecutionParameters") or [])
        if statement.kind == "EXECUTE":
            name, given = statements.execute(statement)
            try:
                prepared = self._saved.prepared(workgroup, name)
            except AwsError as error:  # StartQueryExecution declares no ResourceNotFoundException
                raise invalid(error.message) from error
            statement = Statement.parse(prepared["QueryStatement"])
            values = given or values
        elif not values:
            return statement
        return statements.bind(statement, values)

    def _work(
        self, statement: Statement, database: str, location: str, execution_id: str, configuration: Payload
    ) -> Translation | None:
        """What Trino has to do, None for the catalog's statements; raises SqlError or EngineError when malformed."""
        match statement.kind:
            case "CREATE_TABLE_AS_SELECT":
                enforced = bool(configuration.get("EnforceWorkGroupConfiguration", True))
                work = translate.ctas(statement, database, location, enforced)
            case "UNLOAD":
                work = translate.unload(statement, execution_id)
            case "CREATE_VIEW":
                work = translate.view(statement, database)
            case "EXPLAIN":
                work = translate.explain(statement)
            case kind if kind in statements.ENGINE_KINDS:
                work = translate.query(statement)
            case "CREATE_TABLE":
                hive_ddl.parse_create_table(statement.cursor(), database)
                return None
            case _:
                return None
        try:
            trino_client.check_syntax(self._services.settings, work.sql)
        except EngineError as error:
            if error.user:  # an engine that is down fails the query, not the call
                raise
        return work

    def _action(self, statement: Statement, workgroup: str) -> Callable[[], None] | None:
        """PREPARE and DEALLOCATE PREPARE, which concern neither Trino nor the catalog."""
        if statement.kind == "PREPARE":
            name, sql = statements.prepare(statement)
            return partial(self._saved.prepare, workgroup, name, sql)
        if statement.kind == "DEALLOCATE_PREPARE":
            return partial(self._saved.forget, workgroup, statements.deallocate(statement))
        return None

    # watch

    def _found(self, request: Request) -> Document:
        execution_id = needed(request.payload, "QueryExecutionId")
        document = self._store.execution(execution_id)
        if document is None:
            raise invalid(f"QueryExecution {execution_id} was not found")
        allow(self._services, request, document["WorkGroup"])
        return document

    def stop(self, request: Request) -> Payload:
        """StopQueryExecution."""
        self._executions.cancel(self._found(request)["QueryExecutionId"])
        return {}

    def batch_get(self, request: Request) -> Payload:
        """BatchGetQueryExecution."""
        found, missing = [], []
        for execution_id in needed(request.payload, "QueryExecutionIds"):
            document = self._store.execution(execution_id)
            if document is None:
                missing.append(
                    {
                        "QueryExecutionId": execution_id,
                        "ErrorCode": "INVALID_INPUT",
                        "ErrorMessage": f"QueryExecution {execution_id} was not found",
                    }
                )
            else:
                allow(self._services, request, document["WorkGroup"])
                found.append(_public(document))
        return {"QueryExecutions": found, "UnprocessedQueryExecutionIds": missing}

    def list_executions(self, request: Request) -> Payload:
        """ListQueryExecutions."""
        workgroup = request.payload.get("WorkGroup") or "primary"
        allow(self._services, request, workgroup)
        limit, skip = paging(request.payload, LISTED)
        return page("QueryExecutionIds", self._store.execution_ids(workgroup, limit + 1, skip), limit, skip)

    def runtime_statistics(self, request: Request) -> Payload:
        """GetQueryRuntimeStatistics, without the tree of stages."""
        document = self._found(request)
        statistics = document["Statistics"]
        timeline = {name: statistics[name] for name in statistics if name.endswith("InMillis")}
        return {"QueryRuntimeStatistics": {"Timeline": timeline, "Rows": document.get("_rows", {})}}

    # read

    def get_results(self, request: Request) -> Payload:
        """GetQueryResults: rows of the file in S3, which the caller must be allowed to read."""
        document = self._found(request)
        state = document["Status"]["State"]
        if state in ("QUEUED", "RUNNING"):
            raise invalid(f"Query has not yet finished. Current state: {state}", "INVALID_QUERY_EXECUTION_STATE")
        if state != "SUCCEEDED":
            message = f"Query did not finish successfully. Final query state: {state}"
            raise invalid(message, "INVALID_QUERY_EXECUTION_STATE")
        columns, count = document.get("_columns", []), document.get("_update_count", 0)
        result: Payload = {"Rows": [], "ResultSetMetadata": {"ColumnInfo": columns}}
        reply: Payload = {"UpdateCount": count, "ResultSet": result}
        location = document["ResultConfiguration"]["OutputLocation"]
        if document["SubstatementType"] in WRITE_KINDS:
            return reply
        limit, offset = paging(request.payload, RESULT_ROWS)
        bucket, key = split_location(location)
        self._services.authorize(request.caller, "s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
        try:
            rows, following = self._page(bucket, key, offset, limit)
        except ClientError as error:
            raise invalid(f"Could not find results at {location}: {error}") from error
        result["Rows"] = [{"Data": [{} if value is None else {"VarCharValue": value} for value in row]} for row in rows]
        if following is not None:
            reply["NextToken"] = str(following)
        return reply

    def _page(self, bucket: str, key: str, offset: int, limit: int) -> tuple[list[results.Row], int | None]:
        """Up to ``limit`` rows from byte ``offset`` of a result file, and where the next page begins."""
        s3 = self._executions.client("s3")
        size = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
        rows: list[results.Row] = []
        read, taken = b"", 0
        while len(rows) < limit and offset + len(read) < size:
            start = offset + len(read)
            wanted = f"bytes={start}-{min(start + _CHUNK, size) - 1}"
            read += s3.get_object(Bucket=bucket, Key=key, Range=wanted)["Body"].read()
            text = read.decode("utf-8", "ignore")  # the end may cut a character; its row is not complete then
            rows, characters = (results.parse_csv if key.endswith(".csv") else results.parse_lines)(text, limit)
            taken = len(text[:characters].encode())
        return rows, offset + taken if offset + taken < size else None


def _output(statement: Statement, base: str, execution_id: str) -> tuple[str, str]:
    """(result location without extension, extension)."""
    if statement.kind == "CREATE_TABLE_AS_SELECT":
        return f"{base}tables/{execution_id}", ""
    if statement.kind in WRITE_KINDS or statement.kind in MANIFEST_KINDS:
        return base + execution_id, ""
    return base + execution_id, ".csv" if statement.kind == "SELECT" else ".txt"


def _result_configuration(client: Payload, workgroup: Payload) -> Payload:
    """Location and encryption of the result: the workgroup's alone when it enforces its configuration."""
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


def _put_options(target: Payload) -> dict[str, str]:
    """Parameters of every put of a result."""
    encryption = target.get("EncryptionConfiguration") or {}
    options: dict[str, Any] = {}
    if encryption.get("EncryptionOption") == "SSE_S3":
        options["ServerSideEncryption"] = "AES256"
    elif encryption:
        options["ServerSideEncryption"] = "aws:kms"
        if encryption.get("KmsKey"):
            options["SSEKMSKeyId"] = encryption["KmsKey"]
    if target.get("ExpectedBucketOwner"):
        options["ExpectedBucketOwner"] = target["ExpectedBucketOwner"]
    return options


def _public(document: Document) -> Document:
    return {name: value for name, value in document.items() if not name.startswith("_")}
