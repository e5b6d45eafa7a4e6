"""The resources on which a caller needs a right to make a call."""

from __future__ import annotations

from local.aws.protocol import Payload


def authorized_resources(action: str, payload: Payload) -> list[str]:
    """The resources on which AWS authorises an action: the catalog, and the database and tables that the call names.

    Source: AWS Glue Developer Guide, "Specifying AWS Glue resource ARNs".
    """
    named = ["catalog"]
    database = payload.get("DatabaseName")
    if action in {"GetDatabase", "UpdateDatabase", "DeleteDatabase"}:
        database = payload["Name"]
    elif action == "CreateDatabase":
        database = payload["DatabaseInput"]["Name"]
    if database is None:
        return named
    named.append(f"database/{database}")
    tables: list[str] = []
    if action in {"DeleteDatabase", "GetTables"}:
        tables = ["*"]
    elif action == "BatchDeleteTable":
        tables = payload["TablesToDelete"]
    elif action in {"CreateTable", "UpdateTable"}:
        tables = [payload["TableInput"]["Name"]]
    elif action in {"GetTable", "DeleteTable"}:
        tables = [payload["Name"]]
    elif "TableName" in payload:
        tables = [payload["TableName"]]
    return named + [f"table/{database}/{table}" for table in tables]
