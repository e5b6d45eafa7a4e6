"""What every handler asks first: which workgroup, and whether the caller may do this there."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from local.aws.protocol import AwsError, Payload, Request, Services
from local.aws.settings import ACCOUNT, REGION

DATA_CATALOG = "AwsDataCatalog"


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


def needed(payload: Payload, name: str) -> Any:
    """A parameter that must be there."""
    value = payload.get(name)
    if value in (None, ""):
        raise invalid(f"{name} is required")
    return value


def paging(payload: Payload, largest: int) -> tuple[int, int]:
    """(limit, rows to skip) of MaxResults and NextToken."""
    token = payload.get("NextToken") or "0"
    if not str(token).isdigit():
        raise invalid("The NextToken is not valid")
    return min(int(payload.get("MaxResults") or largest), largest), int(token)


def page(name: str, found: list[Any], limit: int, skip: int) -> Payload:
    """A reply of a listing that was asked for one row more than ``limit``."""
    reply: Payload = {name: found[:limit]}
    if len(found) > limit:
        reply["NextToken"] = str(skip + limit)
    return reply


def allow(services: Services, request: Request, workgroup: str) -> None:
    """Raise AccessDeniedException unless the caller may do this action in the workgroup."""
    arn = f"arn:aws:athena:{REGION}:{ACCOUNT}:workgroup/{workgroup}"
    services.authorize(request.caller, f"athena:{request.action}", arn)


def allow_catalog(services: Services, request: Request, catalog: str) -> None:
    """The same for a data catalog, of which there is one."""
    arn = f"arn:aws:athena:{REGION}:{ACCOUNT}:datacatalog/{catalog}"
    services.authorize(request.caller, f"athena:{request.action}", arn)
    if catalog.lower() != DATA_CATALOG.lower():
        raise invalid(f"DataCatalog {catalog} was not found")


def workgroup_configuration(services: Services, name: str) -> Payload:
    """The configuration of a workgroup, which the emulator keeps; raises InvalidRequestException."""
    try:
        group = services.root("athena").get_work_group(WorkGroup=name)["WorkGroup"]
    except ClientError as error:
        raise invalid(f"WorkGroup {name} is not found.", "WORKGROUP_NOT_FOUND") from error
    if group.get("State") == "DISABLED":
        raise invalid(f"WorkGroup {name} is disabled.")
    configuration: Payload = group.get("Configuration") or {}
    return configuration
