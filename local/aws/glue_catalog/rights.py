"""What a caller must hold a right to."""

from __future__ import annotations

from local.aws.protocol import Payload
from local.aws.settings import ACCOUNT, REGION

ARN = f"arn:aws:glue:{REGION}:{ACCOUNT}"


def resources(action: str, payload: Payload) -> list[str]:
    """What AWS authorises an action on: the catalog, and the database and table it names.

    Source: AWS Glue Developer Guide, "Specifying AWS Glue resource ARNs".
    """
    named = [f"{ARN}:catalog"]
    database = payload.get("DatabaseName")
    if action in {"GetDatabase", "UpdateDatabase", "DeleteDatabase"}:
        database = payload["Name"]
    elif action == "CreateDatabase":
        database = payload["DatabaseInput"]["Name"]
    if database is None:
        return named
    named.append(f"{ARN}:database/{database}")
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
    return named + [f"{ARN}:table/{database}/{table}" for table in tables]
