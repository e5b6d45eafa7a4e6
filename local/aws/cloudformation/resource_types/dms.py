"""DMS's resource types, made through the DMS API of our own server."""

from __future__ import annotations

from functools import partial

from typing_extensions import override

from infrastructure.cfn.intrinsics import Json
from local.aws.cloudformation.resource_types.base import (
    Context,
    OwnType,
    Property,
    gone_ok,
    shaped,
    wait_until,
    without,
)
from local.aws.settings import ACCOUNT, REGION

DMS_MISSING = "ResourceNotFoundFault"


def dms_arn(kind: str, prop: Property) -> Json:
    """A DMS ARN ends with ResourceIdentifier if that is given; otherwise it is not known beforehand."""
    identifier = prop("ResourceIdentifier")
    return {"": f"arn:aws:dms:{REGION}:{ACCOUNT}:{kind}:{identifier}"} if identifier else {}


class DmsResource(OwnType):
    """What DMS's resources have in common.

    ``kind`` is the word in the ARN; ``flags`` are the options of the modifying call that are always true.
    """

    kind = make = change = remove = list_all = listed = arn_field = arn_filter = ""
    flags: tuple[str, ...] = ()
    ready = ""  # the status in which it can be used, if it has one

    @override
    def known(self, prop: Property) -> Json:
        """The ARN."""
        return dms_arn(self.kind, prop)

    def describe(self, context: Context, arn: str) -> Json | None:
        """The resource as DMS describes it."""
        reply: Json = {}
        with gone_ok(DMS_MISSING):
            reply = getattr(context.clients("dms"), self.list_all)(Filters=[{"Name": self.arn_filter, "Values": [arn]}])
        return next(iter(reply.get(self.listed, [])), None)

    @override
    def create(self, context: Context, properties: Json) -> Json:
        arguments = shaped("dms", _camel(self.make), properties)
        reply = getattr(context.clients("dms"), self.make)(**arguments)
        arn: str = reply[self.listed.removesuffix("s")][self.arn_field]
        self.settle(context, arn)
        return {"": arn}

    @override
    def update(self, context: Context, physical: str, properties: Json) -> Json:
        given = without(properties, "Tags", *self.replaces) | dict.fromkeys(self.flags, True)
        arguments = shaped("dms", _camel(self.change), given)
        getattr(context.clients("dms"), self.change)(**{self.arn_field: physical}, **arguments)
        self.settle(context, physical)
        return {"": physical}

    @override
    def delete(self, context: Context, physical: str, properties: Json) -> None:
        with gone_ok(DMS_MISSING):
            getattr(context.clients("dms"), self.remove)(**{self.arn_field: physical})
        wait_until(lambda: "gone" if self.describe(context, physical) is None else "there", "gone", (), physical)

    @override
    def exists(self, context: Context, physical: str, properties: Json) -> bool:
        return self.describe(context, physical) is not None

    def settle(self, context: Context, arn: str) -> None:
        """Wait until the resource can be used."""
        if self.ready:
            status = partial(self.status, context, arn, "ReplicationInstanceStatus")
            wait_until(status, self.ready, ("failed", "deleting"), arn)

    def status(self, context: Context, arn: str, field: str) -> str:
        """The status that DMS's description holds in ``field``."""
        return str((self.describe(context, arn) or {}).get(field, ""))


class DmsInstance(DmsResource):
    """AWS::DMS::ReplicationInstance."""

    kind, make, change, remove = (
        "rep", "create_replication_instance", "modify_replication_instance", "delete_replication_instance",
    )  # fmt: skip
    list_all, listed = "describe_replication_instances", "ReplicationInstances"
    arn_field, arn_filter = "ReplicationInstanceArn", "replication-instance-arn"
    replaces = ("ResourceIdentifier", "KmsKeyId", "PubliclyAccessible", "ReplicationSubnetGroupIdentifier")
    flags, ready = ("ApplyImmediately",), "available"


class DmsEndpoint(DmsResource):
    """AWS::DMS::Endpoint. The template spells MySqlSettings, the API MySQLSettings."""

    kind, make, change, remove = "endpoint", "create_endpoint", "modify_endpoint", "delete_endpoint"
    list_all, listed, arn_field, arn_filter = "describe_endpoints", "Endpoints", "EndpointArn", "endpoint-arn"
    replaces = ("ResourceIdentifier", "KmsKeyId")
    flags = ("ExactSettings",)  # removes settings that are left out

    @override
    def known(self, prop: Property) -> Json:
        arn = dms_arn(self.kind, prop)
        return {**arn, "ExternalId": ""} if arn else {}

    @override
    def create(self, context: Context, properties: Json) -> Json:
        return super().create(context, _as_api(properties))

    @override
    def update(self, context: Context, physical: str, properties: Json) -> Json:
        return super().update(context, physical, _as_api(properties))


class DmsTask(DmsResource):
    """AWS::DMS::ReplicationTask."""

    kind, make, change, remove = (
        "task", "create_replication_task", "modify_replication_task", "delete_replication_task",
    )  # fmt: skip
    list_all, listed = "describe_replication_tasks", "ReplicationTasks"
    arn_field, arn_filter = "ReplicationTaskArn", "replication-task-arn"
    replaces = ("ResourceIdentifier", "ReplicationInstanceArn", "SourceEndpointArn", "TargetEndpointArn")

    @override
    def settle(self, context: Context, arn: str) -> None:
        ended = ("ready", "stopped", "failed")
        wait_until(lambda: "usable" if self.status(context, arn, "Status") in ended else "", "usable", (), arn)


class DmsCertificate(DmsResource):
    """AWS::DMS::Certificate; AWS replaces it whatever changes."""

    make, remove, list_all, listed = (
        "import_certificate", "delete_certificate", "describe_certificates", "Certificates",
    )  # fmt: skip
    arn_field, arn_filter = "CertificateArn", "certificate-arn"
    replaces = ("CertificateIdentifier", "CertificatePem", "CertificateWallet")


def _as_api(properties: Json) -> Json:
    return {{"MySqlSettings": "MySQLSettings"}.get(name, name): value for name, value in properties.items()}


def _camel(method: str) -> str:
    return "".join(word.capitalize() for word in method.split("_"))
