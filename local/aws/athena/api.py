"""What the handlers of the API share: parameters, pages, authorisation, workgroups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from local.aws.athena.store import Document
from local.aws.protocol import AwsError, Payload, Request, Services
from local.aws.settings import ACCOUNT, REGION

DATA_CATALOG = "AwsDataCatalog"
PAGE_SIZE = 50  # largest page of every listing


def invalid(message: str, code: str = "INVALID_INPUT") -> AwsError:
    """AWS's InvalidRequestException."""
    return AwsError("InvalidRequestException", message, AthenaErrorCode=code)


def split_location(location: str) -> tuple[str, str]:
    """(bucket, key prefix) of an S3 URL; raises AwsError InvalidRequestException for anything else."""
    scheme, _, rest = location.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme not in ("s3", "s3a", "s3n") or not bucket:
        raise AwsError("InvalidRequestException", f"The S3 location provided is invalid: {location}")
    return bucket, prefix


def required(payload: Payload, name: str) -> Any:
    """A parameter's value; raises AwsError InvalidRequestException when there is none."""
    value = payload.get(name)
    if value in (None, ""):
        raise invalid(f"{name} is required")
    return value


def paging(payload: Payload, largest: int = PAGE_SIZE) -> tuple[int, int]:
    """(limit, items to skip) of MaxResults and NextToken."""
    token = payload.get("NextToken") or "0"
    if not str(token).isdigit():
        raise invalid("The NextToken is not valid")
    return min(int(payload.get("MaxResults") or largest), largest), int(token)


def page(name: str, payload: Payload, fetch: Callable[[int, int], list[Any]]) -> Payload:
    """One page of a listing; ``fetch(limit, skip)`` gives up to ``limit`` items after the first ``skip``."""
    limit, skip = paging(payload)
    found = fetch(limit + 1, skip)
    reply: Payload = {name: found[:limit]}
    if len(found) > limit:
        reply["NextToken"] = str(skip + limit)
    return reply


def found_and_missing(names: list[str], find: Callable[[str], Document | None]) -> tuple[list[Document], list[str]]:
    """The documents of these ids or names, and those of them that have none."""
    documents = [(name, find(name)) for name in names]
    found = [document for _, document in documents if document is not None]
    return found, [name for name, document in documents if document is None]


def not_found(kind: str, name: str, code: str = "INVALID_INPUT") -> Payload:
    """Why a batch action leaves a name unprocessed."""
    return {"ErrorCode": code, "ErrorMessage": f"{kind} {name} was not found"}


def authorize(services: Services, request: Request, workgroup: str) -> None:
    """Raise AwsError AccessDeniedException unless the caller may do this action in the workgroup."""
    arn = f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/{workgroup}"
    services.authorize(request.caller, f"athena:{request.action}", arn)


def authorized_workgroup(services: Services, request: Request) -> str:
    """The workgroup that the request names, or the default one, in which the caller may do this action."""
    workgroup = str(request.payload.get("WorkGroup") or "primary")
    authorize(services, request, workgroup)
    return workgroup


def authorize_catalog(services: Services, request: Request, catalog: str) -> None:
    """Raise AwsError unless the caller may do this action in the data catalog, of which there is one."""
    arn = f"arn:aws:athena:{REGION}:{ACCOUNT}:datacatalog/{catalog}"
    services.authorize(request.caller, f"athena:{request.action}", arn)
    if catalog.lower() != DATA_CATALOG.lower():
        raise invalid(f"DataCatalog {catalog} was not found")


def workgroup_configuration(services: Services, name: str) -> Payload:
    """The configuration of a workgroup, which the emulator keeps; raises AwsError InvalidRequestException."""
    try:
        group = services.root("athena").get_work_group(WorkGroup=name)["WorkGroup"]
    except ClientError as error:
        raise invalid(f"WorkGroup {name} is not found.", "WORKGROUP_NOT_FOUND") from error
    if group.get("State") == "DISABLED":
        raise invalid(f"WorkGroup {name} is disabled.")
    configuration: Payload = group.get("Configuration") or {}
    return configuration
