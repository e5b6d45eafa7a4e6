"""Removes a deployment: its stack, and unless RetainData is true all that would go on costing something.

``python -m infrastructure.destroy --environment dev`` shows what goes and what stays, asks, and does it. Beside the
stack these are: the objects in its buckets, the artifacts bucket, and what services made by themselves - log groups,
Glue's log streams of our jobs, a secret that waits for its deletion. Snapshots are listed, never deleted.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.exceptions import ClientError

from datalake.names import Lake
from infrastructure import stack as stacks
from infrastructure import upload
from infrastructure.console import Console, arguments_of, lake, run, signed_in
from infrastructure.cost.prices import read_prices
from infrastructure.leftovers import Leftovers
from infrastructure.stack import Clients, Json, Progress

BUCKET, DATABASE = "AWS::S3::Bucket", "AWS::RDS::DBInstance"
# What stays when RetainData is true, what of it is billed, and the price's name in infrastructure/cost/prices.json
# (RDS's price of backup storage beyond the free part is not in there).
BILLED = {
    BUCKET: ("every version of every object", "s3.storage"),
    "AWS::KMS::Key": ("the key", "kms.key"),
    "AWS::SecretsManager::Secret": ("the secret", "secretsmanager.secret"),
    DATABASE: ("its last snapshot by the GB-month", ""),
}


def destroy(
    lake: Lake, clients: Clients = boto3.client, progress: Progress = print, console: Console | None = None
) -> None:
    """Delete the stack; unless RetainData is true, empty its buckets before and remove all else after.

    Raises DeployError with the reason when a resource cannot be deleted, Refused when it is not confirmed.
    """
    s3, cloudformation = clients("s3"), clients("cloudformation")
    stack = stacks.describe(cloudformation, lake.stack)
    keeps = bool(stack) and stacks.parameters(stack or {}).get("RetainData", "true") == "true"
    listed = stacks.resources(cloudformation, lake.stack) if stack else []
    account = clients("sts").get_caller_identity()["Account"]
    if stack is None and not upload.exists(s3, lake.artifacts_bucket, account):
        progress(f"{lake.stack} is not there")
        return
    for line in _announced(lake, listed, keeps):
        progress(line)
    (console or Console(yes=True)).confirm(f"Remove {lake.stack}?")
    leftovers = Leftovers(lake, clients, progress)
    if stack:
        leftovers.remember(listed)  # who asks for a job's runs later finds no job
        if keeps:
            _unprotect(clients, listed)
        for bucket in [one["PhysicalResourceId"] for one in listed if one["ResourceType"] == BUCKET]:
            if not keeps or bucket == lake.airflow_bucket:  # which holds code alone, and goes
                upload.empty(s3, bucket, progress)
        stacks.delete(cloudformation, stack, progress)
    if keeps:
        progress(f"s3://{lake.artifacts_bucket} stays, too: the code is needed to deploy over what was kept")
    else:
        upload.empty(s3, lake.artifacts_bucket, progress)
        try:
            s3.delete_bucket(Bucket=lake.artifacts_bucket)
        except s3.exceptions.NoSuchBucket:
            progress(f"s3://{lake.artifacts_bucket} is gone already")
        leftovers.remove()
    for snapshot in leftovers.snapshots():
        progress(f"a snapshot stays: {snapshot}")


def _announced(lake: Lake, listed: list[Json], keeps: bool) -> Iterator[str]:
    """What goes, what stays, and what staying costs."""
    counts = Counter(one["ResourceType"] for one in listed)
    yield f"{lake.stack}: {len(listed)} resources of {len(counts)} types"
    for type_name, count in sorted(counts.items()):
        if not (keeps and type_name in BILLED):
            yield f"  goes   {count:>3} {type_name}"
    for one in [one for one in listed if one["ResourceType"] in BILLED]:
        named = f"{one['LogicalResourceId']}: {one.get('PhysicalResourceId', '')}"
        yield f"  stays  {named}, {_price(one['ResourceType'])}" if keeps else f"  GOES   {named}, with what it holds"
    if keeps:
        yield f"RetainData is true: what stays, s3://{lake.artifacts_bucket} too, is billed until you delete it."
    else:
        yield f"RetainData is false: data, s3://{lake.artifacts_bucket} and logs go too. There is no way back."


def _price(type_name: str) -> str:
    what, name = BILLED[type_name]
    if not name:
        return f"billed for {what}"
    price = read_prices().prices[name]
    return f"billed for {what}: {price.usd / price.per:g} USD a {price.unit} by the list price of us-east-1"


def _unprotect(clients: Clients, listed: list[Json]) -> None:
    """Let the database go, whose data a last snapshot keeps: CloudFormation cannot delete a protected one."""
    for one in listed:
        if one["ResourceType"] == DATABASE:
            rds: Any = clients("rds")
            try:
                rds.modify_db_instance(
                    DBInstanceIdentifier=one["PhysicalResourceId"], DeletionProtection=False, ApplyImmediately=True
                )
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("DBInstanceNotFound", "DBInstanceNotFoundFault"):
                    raise


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    options = arguments_of("destroy", "Remove a deployment.").parse_args(arguments)

    def command() -> None:
        session = boto3.Session()
        signed_in(session)
        destroy(lake(session, options.environment, options.suffix), console=Console.here(options.yes))

    return run(command)


if __name__ == "__main__":
    sys.exit(main())
