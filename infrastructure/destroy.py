"""Removes a deployment: its stack and, unless RetainData is true, everything else that would still be billed.

``python -m infrastructure.destroy --environment dev`` shows what is deleted and what is kept, asks, and does it.
Besides the stack it deletes the objects in its buckets, the artifacts bucket, and what services created by themselves:
log groups, Glue's log streams of our jobs, secrets in their recovery window. Snapshots are listed, never deleted.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import boto3

from datalake.names import Lake
from infrastructure import stack as stacks
from infrastructure import upload
from infrastructure.command_line import Terminal, argument_parser, run, signed_in
from infrastructure.cost.prices import read_prices
from infrastructure.leftovers import Leftovers
from infrastructure.stack import Clients, Progress

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackResourceSummaryTypeDef
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_s3 import S3Client

BUCKET, DATABASE = "AWS::S3::Bucket", "AWS::RDS::DBInstance"
# The types that are kept when RetainData is true: what of them is billed, and the name of the price in
# infrastructure/cost/prices.json (which lacks RDS's price of backup storage beyond the free part).
BILLED = {
    BUCKET: ("every version of every object", "s3.storage"),
    "AWS::KMS::Key": ("the key", "kms.key"),
    "AWS::SecretsManager::Secret": ("the secret", "secretsmanager.secret"),
    DATABASE: ("its last snapshot by the GB-month", ""),
}


def destroy(
    lake: Lake, clients: Clients = boto3.client, progress: Progress = print, terminal: Terminal | None = None
) -> None:
    """Delete the stack; unless RetainData is true, empty its buckets first and remove everything else afterwards.

    Raises DeployError with the reason when a resource cannot be deleted, Refused when it is not confirmed.
    """
    s3: S3Client = clients("s3")
    cloudformation: CloudFormationClient = clients("cloudformation")
    stack = stacks.describe(cloudformation, lake.stack)
    keeps = stack is not None and stacks.parameters(stack).get("RetainData", "true") == "true"
    listed = stacks.resources(cloudformation, lake.stack) if stack else []
    account = clients("sts").get_caller_identity()["Account"]
    if stack is None and not upload.exists(s3, lake.artifacts_bucket, account):
        progress(f"{lake.stack} does not exist")
        return
    for line in _announcement(lake, listed, keeps):
        progress(line)
    (terminal or Terminal(yes=True)).confirm(f"Remove {lake.stack}?")
    leftovers = Leftovers(lake, clients, progress)
    if stack:
        leftovers.remember(listed)  # the runs of a job cannot be listed once the job is deleted
        if keeps:
            _disable_deletion_protection(clients, listed)
        for bucket in [one["PhysicalResourceId"] for one in listed if one["ResourceType"] == BUCKET]:
            if not keeps or bucket == lake.airflow_bucket:  # which holds only code and is not kept
                upload.empty(s3, bucket, progress)
        stacks.delete(cloudformation, stack, progress)
    if keeps:
        progress(f"s3://{lake.artifacts_bucket} is kept, too: a deployment over the kept data needs its code")
    else:
        upload.empty(s3, lake.artifacts_bucket, progress)
        try:
            s3.delete_bucket(Bucket=lake.artifacts_bucket)
        except s3.exceptions.NoSuchBucket:
            progress(f"s3://{lake.artifacts_bucket} does not exist any more")
        leftovers.remove()
    for snapshot in leftovers.snapshots():
        progress(f"snapshot kept: {snapshot}")


def _announcement(lake: Lake, listed: Sequence[StackResourceSummaryTypeDef], keeps: bool) -> Iterator[str]:
    """What is deleted, what is kept, and what that costs."""
    counts = Counter(one["ResourceType"] for one in listed)
    yield f"{lake.stack}: {len(listed)} resources of {len(counts)} types"
    for type_name, count in sorted(counts.items()):
        if not (keeps and type_name in BILLED):
            yield f"  deleted  {count:>3} {type_name}"
    for one in [one for one in listed if one["ResourceType"] in BILLED]:
        named = f"{one['LogicalResourceId']}: {one.get('PhysicalResourceId', '')}"
        yield f"  kept     {named}, {_price(one['ResourceType'])}" if keeps else f"  DELETED  {named}, with its content"
    if keeps:
        yield f"RetainData is true: what is kept, s3://{lake.artifacts_bucket} too, is billed until you delete it."
    else:
        yield f"RetainData is false: data, s3://{lake.artifacts_bucket} and logs are deleted. This cannot be undone."


def _price(type_name: str) -> str:
    what, name = BILLED[type_name]
    if not name:
        return f"billed for {what}"
    price = read_prices().prices[name]
    return f"billed for {what}: {price.usd / price.per:g} USD a {price.unit} by the list price of us-east-1"


def _disable_deletion_protection(clients: Clients, listed: Sequence[StackResourceSummaryTypeDef]) -> None:
    """CloudFormation cannot delete a protected database; a last snapshot keeps its data."""
    rds: RDSClient = clients("rds")
    for name in [one["PhysicalResourceId"] for one in listed if one["ResourceType"] == DATABASE]:
        with suppress(rds.exceptions.DBInstanceNotFoundFault):
            rds.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=False, ApplyImmediately=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    options = argument_parser("destroy", "Remove a deployment.").parse_args(arguments)

    def command() -> None:
        session, which = signed_in(options.environment, options.suffix)
        destroy(which, session.client, terminal=Terminal.of_this_process(options.yes))

    return run(command)


if __name__ == "__main__":
    sys.exit(main())
