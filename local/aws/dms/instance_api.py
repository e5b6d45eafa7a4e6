"""Replication instances: names that tasks run on."""

from __future__ import annotations

import time
from collections.abc import Mapping

from local.aws.dms.api import Api, in_state
from local.aws.dms.resources import INSTANCES, TASKS, Resources
from local.aws.protocol import Handler, Payload, Request, Services

_KEPT = {
    "ReplicationInstanceIdentifier",
    "ReplicationInstanceClass",
    "AllocatedStorage",
    "AvailabilityZone",
    "PreferredMaintenanceWindow",
    "MultiAZ",
    "EngineVersion",
    "AutoMinorVersionUpgrade",
    "KmsKeyId",
    "PubliclyAccessible",
    "NetworkType",
}
_NETWORK = {"VpcSecurityGroupIds", "ReplicationSubnetGroupIdentifier"}


class InstanceApi(Api):
    """CreateReplicationInstance and its kin."""

    def __init__(self, services: Services, resources: Resources) -> None:
        super().__init__(services, resources)
        self.actions: Mapping[str, Handler] = {
            "CreateReplicationInstance": self.create,
            "DescribeReplicationInstances": self.describe,
            "ModifyReplicationInstance": self.modify,
            "DeleteReplicationInstance": self.delete,
        }

    def create(self, request: Request) -> Payload:
        """Make an instance; it is available at once."""
        given = self.given(request, "*", known=_KEPT | _NETWORK | {"Tags", "ResourceIdentifier"})
        with self.resources.lock:
            arn = self.new_arn(INSTANCES, "ReplicationInstanceIdentifier", given)
            instance = {
                "AllocatedStorage": 50,
                "MultiAZ": False,
                "PubliclyAccessible": True,
                "AutoMinorVersionUpgrade": True,
                "VpcSecurityGroups": [],
                "ReplicationInstanceStatus": "available",
                "InstanceCreateTime": time.time(),
                "ReplicationInstanceArn": arn,
                **_described(given),
            }
            self.resources.of(INSTANCES)[arn] = instance
            self.resources.save()
        return {"ReplicationInstance": {**instance, "ReplicationInstanceStatus": "creating"}}

    def describe(self, request: Request) -> Payload:
        """List instances."""
        keys = {
            "replication-instance-arn": "ReplicationInstanceArn",
            "replication-instance-id": "ReplicationInstanceIdentifier",
            "replication-instance-class": "ReplicationInstanceClass",
            "engine-version": "EngineVersion",
        }
        return self.listed(request, INSTANCES, keys, "ReplicationInstances")

    def modify(self, request: Request) -> Payload:
        """Change an instance, at once."""
        known = _KEPT | {"VpcSecurityGroupIds", "ApplyImmediately", "AllowMajorVersionUpgrade"}
        arn = self.given_arn(request, "ReplicationInstanceArn", known)
        with self.resources.lock:
            instance = self.resources.get(INSTANCES, arn)
            instance.update(_described(request.payload))
            self.resources.save()
            return {"ReplicationInstance": dict(instance)}

    def delete(self, request: Request) -> Payload:
        """Delete an instance on which no task runs."""
        arn = self.given_arn(request, "ReplicationInstanceArn")
        with self.resources.lock:
            instance = self.resources.get(INSTANCES, arn)
            if any(task["ReplicationInstanceArn"] == arn for task in self.resources.of(TASKS).values()):
                raise in_state(f"Replication instance {arn} cannot be deleted: a replication task uses it.")
            self.resources.delete(INSTANCES, arn)
            self.resources.save()
        return {"ReplicationInstance": {**instance, "ReplicationInstanceStatus": "deleting"}}


def _described(given: Payload) -> Payload:
    """Parameters of a call as Describe returns them."""
    described = {key: value for key, value in given.items() if key in _KEPT}
    if "VpcSecurityGroupIds" in given:
        described["VpcSecurityGroups"] = [
            {"VpcSecurityGroupId": group, "Status": "active"} for group in given["VpcSecurityGroupIds"]
        ]
    if "ReplicationSubnetGroupIdentifier" in given:
        described["ReplicationSubnetGroup"] = {
            "ReplicationSubnetGroupIdentifier": given["ReplicationSubnetGroupIdentifier"]
        }
    return described
