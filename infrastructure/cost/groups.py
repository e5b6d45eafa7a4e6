"""The groups by which a bill is summarised, by type of resource."""

from __future__ import annotations

from infrastructure.cost.bill import Bill

REST = "the rest"
GROUPS = {
    "AWS::MWAA::Environment": "Airflow",
    "AWS::RDS::DBInstance": "MySQL",
    "AWS::DMS::ReplicationInstance": "DMS",
    "AWS::EC2::VPCEndpoint": "network",
    "AWS::EC2::NatGateway": "network",
    "AWS::KinesisFirehose::DeliveryStream": "Firehose",
    "AWS::Glue::Job": "Glue jobs",
    "AWS::Glue::Crawler": "crawler",
    "AWS::Athena::WorkGroup": "Athena",
    "AWS::S3::Bucket": "S3",
}
NAMES = tuple(dict.fromkeys([*GROUPS.values(), REST]))


def by_group(bill: Bill) -> dict[str, float]:
    """USD of each group, in the order of NAMES."""
    sums = dict.fromkeys(NAMES, 0.0)
    for line in bill.lines:
        sums[GROUPS.get(line.type, REST)] += line.usd
    return sums
