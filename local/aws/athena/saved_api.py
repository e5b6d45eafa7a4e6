"""The actions on named queries and prepared statements."""

from __future__ import annotations

import time
import uuid
from functools import partial

from local.aws.athena import api
from local.aws.athena.statements import ENGINE_KINDS, Statement
from local.aws.athena.store import Document, Store
from local.aws.athena.tokens import SqlError
from local.aws.protocol import AwsError, Handler, Payload, Request, Services


class SavedApi:
    """Handlers of the actions on saved SQL."""

    def __init__(self, services: Services, store: Store) -> None:
        self._services, self._store = services, store
        self.actions: dict[str, Handler] = {
            "CreateNamedQuery": self._create_named_query,
            "GetNamedQuery": lambda request: {"NamedQuery": self._named_query(request)},
            "BatchGetNamedQuery": self._batch_get_named_query,
            "ListNamedQueries": self._list_named_queries,
            "UpdateNamedQuery": self._update_named_query,
            "DeleteNamedQuery": self._delete_named_query,
            "CreatePreparedStatement": self._create_prepared,
            "GetPreparedStatement": self._get_prepared,
            "BatchGetPreparedStatement": self._batch_get_prepared,
            "ListPreparedStatements": self._list_prepared,
            "UpdatePreparedStatement": self._update_prepared,
            "DeletePreparedStatement": self._delete_prepared,
        }

    # named queries

    def _create_named_query(self, request: Request) -> Payload:
        payload = request.payload
        workgroup = api.authorized_workgroup(self._services, request)
        api.workgroup_configuration(self._services, workgroup)
        document = {
            "Name": api.required(payload, "Name"),
            "Description": payload.get("Description", ""),
            "Database": api.required(payload, "Database"),
            "QueryString": api.required(payload, "QueryString"),
            "NamedQueryId": str(uuid.uuid4()),
            "WorkGroup": workgroup,
        }
        return {"NamedQueryId": self._store.add_named_query(document, payload.get("ClientRequestToken"))}

    def _named_query(self, request: Request) -> Document:
        query_id = api.required(request.payload, "NamedQueryId")
        document = self._store.named_query(query_id)
        if document is None:
            raise api.invalid(f"NamedQuery {query_id} was not found")
        api.authorize(self._services, request, document["WorkGroup"])
        return document

    def _batch_get_named_query(self, request: Request) -> Payload:
        found, missing = api.found_and_missing(api.required(request.payload, "NamedQueryIds"), self._store.named_query)
        for document in found:
            api.authorize(self._services, request, document["WorkGroup"])
        unprocessed = [{"NamedQueryId": query_id, **api.not_found("NamedQuery", query_id)} for query_id in missing]
        return {"NamedQueries": found, "UnprocessedNamedQueryIds": unprocessed}

    def _list_named_queries(self, request: Request) -> Payload:
        workgroup = api.authorized_workgroup(self._services, request)
        return api.page("NamedQueryIds", request.payload, partial(self._store.named_query_ids, workgroup))

    def _update_named_query(self, request: Request) -> Payload:
        document = self._named_query(request)
        document["Name"] = api.required(request.payload, "Name")
        document["QueryString"] = api.required(request.payload, "QueryString")
        document["Description"] = request.payload.get("Description", document["Description"])
        self._store.save_named_query(document)
        return {}

    def _delete_named_query(self, request: Request) -> Payload:
        self._store.delete_named_query(self._named_query(request)["NamedQueryId"])
        return {}

    # prepared statements

    def prepared(self, workgroup: str, name: str) -> Document:
        """A prepared statement; raises ResourceNotFoundException."""
        document = self._store.prepared(workgroup, name)
        if document is None:
            message = f"PreparedStatement {name} was not found in workGroup {workgroup}."
            raise AwsError("ResourceNotFoundException", message)
        return document

    def add_prepared(self, workgroup: str, name: str, sql: str, description: str = "") -> None:
        """Save a prepared statement; raises InvalidRequestException when the name is taken or the SQL is malformed."""
        if not self._store.add_prepared(_prepared(workgroup, name, sql, description)):
            raise api.invalid(f"PreparedStatement {name} already exists in workGroup {workgroup}")

    def _create_prepared(self, request: Request) -> Payload:
        workgroup = self._workgroup(request)
        name, sql = api.required(request.payload, "StatementName"), api.required(request.payload, "QueryStatement")
        self.add_prepared(workgroup, name.lower(), sql, request.payload.get("Description", ""))
        return {}

    def _get_prepared(self, request: Request) -> Payload:
        workgroup = self._workgroup(request)
        return {"PreparedStatement": self.prepared(workgroup, api.required(request.payload, "StatementName").lower())}

    def _batch_get_prepared(self, request: Request) -> Payload:
        workgroup = self._workgroup(request)
        names = api.required(request.payload, "PreparedStatementNames")
        found, missing = api.found_and_missing(names, lambda name: self._store.prepared(workgroup, name.lower()))
        code = "STATEMENT_NOT_FOUND"
        unprocessed = [{"StatementName": name, **api.not_found("PreparedStatement", name, code)} for name in missing]
        return {"PreparedStatements": found, "UnprocessedPreparedStatementNames": unprocessed}

    def _list_prepared(self, request: Request) -> Payload:
        workgroup = self._workgroup(request)
        reply = api.page("PreparedStatements", request.payload, partial(self._store.prepared_statements, workgroup))
        shown = ("StatementName", "LastModifiedTime")
        reply["PreparedStatements"] = [{name: item[name] for name in shown} for item in reply["PreparedStatements"]]
        return reply

    def _update_prepared(self, request: Request) -> Payload:
        workgroup = self._workgroup(request)
        name = api.required(request.payload, "StatementName").lower()
        sql = api.required(request.payload, "QueryStatement")
        old = self.prepared(workgroup, name)
        description = str(request.payload.get("Description", old["Description"]))
        self._store.save_prepared(_prepared(workgroup, name, sql, description))
        return {}

    def _delete_prepared(self, request: Request) -> Payload:
        workgroup = self._workgroup(request)
        self.drop_prepared(workgroup, api.required(request.payload, "StatementName").lower())
        return {}

    def drop_prepared(self, workgroup: str, name: str) -> None:
        """Delete a prepared statement; raises ResourceNotFoundException."""
        self.prepared(workgroup, name)
        self._store.delete_prepared(workgroup, name)

    def _workgroup(self, request: Request) -> str:
        workgroup = str(api.required(request.payload, "WorkGroup"))
        api.authorize(self._services, request, workgroup)
        api.workgroup_configuration(self._services, workgroup)
        return workgroup


def _prepared(workgroup: str, name: str, sql: str, description: str) -> Document:
    try:
        statement = Statement.parse(sql)
    except SqlError as error:
        raise api.invalid(str(error), "MALFORMED_QUERY") from error
    if statement.kind not in ENGINE_KINDS - {"CREATE_VIEW", "EXPLAIN"}:
        raise api.invalid(f"{statement.kind.replace('_', ' ')} cannot be prepared", "MALFORMED_QUERY")
    return {
        "StatementName": name,
        "QueryStatement": statement.sql,
        "WorkGroupName": workgroup,
        "Description": description,
        "LastModifiedTime": time.time(),
    }
