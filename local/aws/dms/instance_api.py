"""Replication instances. They only have a name and properties; every task runs in the server's own process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial

from local.aws.dms.base_api import BaseApi, wrong_state
from local.aws.dms.resource_store import INSTANCES, TASKS, ResourceStore
from local.aws.protocol import Handler, Payload, Request, Services

_PARAMETERS = {
    "ReplicationInstanceIdentifier", "ReplicationInstanceClass", "AllocatedStorage", "AvailabilityZone",
    "PreferredMaintenanceWindow", "MultiAZ", "EngineVersion", "AutoMinorVersionUpgrade", "KmsKeyId",
    "PubliclyAccessible", "NetworkType",
}  # fmt: skip
_NETWORK = {"VpcSecurityGroupIds", "ReplicationSubnetGroupIdentifier"}
_FILTERS = {
    "replication-instance-arn": "ReplicationInstanceArn",
    "replication-instance-id": "ReplicationInstanceIdentifier",
    "replication-instance-class": "ReplicationInstanceClass",
    "engine-version": "EngineVersion",
}


class InstanceApi(BaseApi):
    """CreateReplicationInstance and the other actions on instances."""

    def __init__(self, services: Services, resources: ResourceStore) -> None:
        super().__init__(services, resources)
        self.actions: Mapping[str, Handler] = {
            "CreateReplicationInstance": self.create,
            "DescribeReplicationInstances": partial(self.list_page, INSTANCES, "ReplicationInstances", _FILTERS),
            "ModifyReplicationInstance": self.modify,
            "DeleteReplicationInstance": self.delete,
        }

    def create(self, request: Request) -> Payload:
        """Create an instance; it is available at once."""
        given = self.authorized(request, "*", known=_PARAMETERS | _NETWORK | {"Tags", "ResourceIdentifier"})
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
            self.resources.put(INSTANCES, arn, instance)
        return {"ReplicationInstance": {**instance, "ReplicationInstanceStatus": "creating"}}

    def modify(self, request: Request) -> Payload:
        """Change an instance; every change applies at once."""
        known = _PARAMETERS | {"VpcSecurityGroupIds", "ApplyImmediately", "AllowMajorVersionUpgrade"}
        arn = self.authorized_arn(request, "ReplicationInstanceArn", known)
        with self.resources.lock:
            instance = self.resources.get(INSTANCES, arn)
            instance.update(_described(request.payload))
            self.resources.save()
            return {"ReplicationInstance": dict(instance)}

    def delete(self, request: Request) -> Payload:
        """Delete an instance that no task uses."""
        arn = self.authorized_arn(request, "ReplicationInstanceArn")
        with self.resources.lock:
            instance = self.resources.get(INSTANCES, arn)
            if any(task["ReplicationInstanceArn"] == arn for task in self.resources.by_arn(TASKS).values()):
                raise wrong_state(f"Replication instance {arn} cannot be deleted: a replication task uses it.")
            self.resources.delete(INSTANCES, arn)
        return {"ReplicationInstance": {**instance, "ReplicationInstanceStatus": "deleting"}}


def _described(given: Payload) -> Payload:
    """The parameters of a call in the form in which Describe returns them."""
    described = {key: value for key, value in given.items() if key in _PARAMETERS}
    if (groups := given.get("VpcSecurityGroupIds")) is not None:
        described["VpcSecurityGroups"] = [{"VpcSecurityGroupId": one, "Status": "active"} for one in groups]
    if (subnets := given.get("ReplicationSubnetGroupIdentifier")) is not None:
        described["ReplicationSubnetGroup"] = {"ReplicationSubnetGroupIdentifier": subnets}
    return described
