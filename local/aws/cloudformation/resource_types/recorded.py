"""Types that exist on AWS alone: the home notes them as made, gives them an id, and creates nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from local.aws.settings import ACCOUNT, REGION

# By type, how the ids that AWS gives begin ("": the id is made of the stack's and the resource's name).
RECORDED = {
    "AWS::Budgets::Budget": "",
    "AWS::DMS::ReplicationSubnetGroup": "",
    "AWS::EC2::InternetGateway": "igw-",
    "AWS::EC2::Route": "",
    "AWS::EC2::RouteTable": "rtb-",
    "AWS::EC2::SecurityGroup": "sg-",
    "AWS::EC2::SecurityGroupEgress": "",
    "AWS::EC2::SecurityGroupIngress": "",
    "AWS::EC2::Subnet": "subnet-",
    "AWS::EC2::SubnetRouteTableAssociation": "rtbassoc-",
    "AWS::EC2::VPC": "vpc-",
    "AWS::EC2::VPCEndpoint": "vpce-",
    "AWS::EC2::VPCGatewayAttachment": "",
    "AWS::Glue::SecurityConfiguration": "",
    "AWS::MWAA::Environment": "",
    "AWS::RDS::DBParameterGroup": "",
    "AWS::RDS::DBSubnetGroup": "",
    "AWS::SecretsManager::RotationSchedule": "",
}


def recorded_attributes(type_name: str, stack: str, logical: str) -> Callable[[str], str]:
    """The attributes of a recorded resource, by name: an id as AWS would give it, the same at every deployment."""
    prefix = RECORDED[type_name].format(region=REGION, account=ACCOUNT)
    digest = hashlib.sha256(f"{stack}/{logical}".encode()).hexdigest()
    physical = prefix + digest[:17] if prefix else f"{stack}-{logical}-{digest[:12]}".lower()
    return lambda name: f"arn:aws:recorded:{REGION}:{ACCOUNT}:{physical}" if name.endswith("Arn") else physical
