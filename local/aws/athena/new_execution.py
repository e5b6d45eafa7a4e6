"""A new query execution: its document, and where and how its result is stored."""

from __future__ import annotations

import time
from typing import Any

from local.aws.athena.api import DATA_CATALOG, invalid, split_location
from local.aws.athena.statements import WRITE_KINDS, Statement
from local.aws.athena.store import Document
from local.aws.protocol import Payload

ENGINE_VERSION = {
    "SelectedEngineVersion": "Athena engine version 3",
    "EffectiveEngineVersion": "Athena engine version 3",
}


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
    return document


def output_location(statement: Statement, base: str, execution_id: str) -> tuple[str, str]:
    """(result location without extension, extension)."""
    if statement.kind == "CREATE_TABLE_AS_SELECT":
        return f"{base}tables/{execution_id}", ""
    if statement.kind in WRITE_KINDS:
        return base + execution_id, ""
    return base + execution_id, ".csv" if statement.kind == "SELECT" else ".txt"


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
