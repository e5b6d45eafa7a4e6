"""DMS's resource types, made through the DMS API of our own server."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from typing_extensions import override

from infrastructure.cfn.intrinsics import Json
from local.aws.cloudformation.resource_types.base import Context, OwnType, Property, gone, shaped, wait_until, without
from local.aws.settings import ACCOUNT, REGION

DMS_MISSING = "ResourceNotFoundFault"


def dms_arn(kind: str, prop: Property) -> Json:
    """A DMS ARN ends with ResourceIdentifier if that is given; otherwise it is not known beforehand."""
    identifier = prop("ResourceIdentifier")
    return {"": f"arn:aws:dms:{REGION}:{ACCOUNT}:{kind}:{identifier}"} if identifier else {}


class DmsResource(OwnType):
    """What DMS's resources have in common; ``kind`` is the word in the ARN."""

    kind = make = change = remove = list_all = listed = arn_field = arn_filter = ""
    replaces: tuple[str, ...] = ("ResourceIdentifier",)
    ready = ""  # the status in which it can be used, if it has one

    @override
    def known(self, prop: Property) -> Json:
        """The ARN."""
        return dms_arn(self.kind, prop)

    def describe(self, context: Context, arn: str) -> Json | None:
        """The resource as DMS describes it."""
        try:
            reply = getattr(context.clients("dms"), self.list_all)(Filters=[{"Name": self.arn_filter, "Values": [arn]}])
        except ClientError as error:
            gone(error, DMS_MISSING)
            return None
        found: list[Json] = reply[self.listed]
        return found[0] if found else None

    @override
    def create(self, context: Context, properties: Json) -> Json:
        arguments = shaped("dms", _camel(self.make), properties)
        reply = getattr(context.clients("dms"), self.make)(**arguments)
        arn: str = reply[self.listed.removesuffix("s")][self.arn_field]
        self.settle(context, arn)
        return {"": arn}

    @override
    def update(self, context: Context, physical: str, properties: Json) -> Json:
        arguments = shaped("dms", _camel(self.change), without(properties, *self.fixed()))
        getattr(context.clients("dms"), self.change)(**{self.arn_field: physical}, **arguments)
        self.settle(context, physical)
        return {"": physical}

    def fixed(self) -> tuple[str, ...]:
        """Properties that the modifying call does not take."""
        return ("ResourceIdentifier", "Tags")

    @override
    def delete(self, context: Context, physical: str, properties: Json) -> None:
        try:
            getattr(context.clients("dms"), self.remove)(**{self.arn_field: physical})
        except ClientError as error:
            gone(error, DMS_MISSING)
        wait_until(lambda: "gone" if self.describe(context, physical) is None else "there", "gone", (), physical)

    @override
    def exists(self, context: Context, physical: str, properties: Json) -> bool:
        return self.describe(context, physical) is not None

    def settle(self, context: Context, arn: str) -> None:
        """Wait until the resource can be used."""
        if self.ready:
            field = "ReplicationInstanceStatus"
            wait_until(
                lambda: str((self.describe(context, arn) or {}).get(field, "")), self.ready, ("failed", "deleting"), arn
            )


class DmsInstance(DmsResource):
    """AWS::DMS::ReplicationInstance."""

    kind, make, change, remove = (
        "rep", "create_replication_instance", "modify_replication_instance", "delete_replication_instance",
    )  # fmt: skip
    list_all, listed = "describe_replication_instances", "ReplicationInstances"
    arn_field, arn_filter = "ReplicationInstanceArn", "replication-instance-arn"
    replaces = ("ResourceIdentifier", "KmsKeyId", "PubliclyAccessible", "ReplicationSubnetGroupIdentifier")
    ready = "available"

    @override
    def fixed(self) -> tuple[str, ...]:
        return (*super().fixed(), *self.replaces)

    @override
    def update(self, context: Context, physical: str, properties: Json) -> Json:
        return super().update(context, physical, {**properties, "ApplyImmediately": True})


class DmsEndpoint(DmsResource):
    """AWS::DMS::Endpoint. The template spells MySqlSettings, the API MySQLSettings."""

    kind, make, change, remove = "endpoint", "create_endpoint", "modify_endpoint", "delete_endpoint"
    list_all, listed, arn_field, arn_filter = "describe_endpoints", "Endpoints", "EndpointArn", "endpoint-arn"
    replaces = ("ResourceIdentifier", "KmsKeyId")

    @override
    def known(self, prop: Property) -> Json:
        arn = dms_arn(self.kind, prop)
        return {**arn, "ExternalId": ""} if arn else {}

    @override
    def create(self, context: Context, properties: Json) -> Json:
        return super().create(context, _as_api(properties))

    @override
    def update(self, context: Context, physical: str, properties: Json) -> Json:
        exact = {
            **without(_as_api(properties), "KmsKeyId"),
            "ExactSettings": True,
        }  # removes settings that are left out
        return super().update(context, physical, exact)


class DmsTask(DmsResource):
    """AWS::DMS::ReplicationTask."""

    kind, make, change, remove = (
        "task", "create_replication_task", "modify_replication_task", "delete_replication_task",
    )  # fmt: skip
    list_all, listed = "describe_replication_tasks", "ReplicationTasks"
    arn_field, arn_filter = "ReplicationTaskArn", "replication-task-arn"
    replaces = ("ResourceIdentifier", "ReplicationInstanceArn", "SourceEndpointArn", "TargetEndpointArn")

    @override
    def fixed(self) -> tuple[str, ...]:
        return (*super().fixed(), *self.replaces)

    @override
    def settle(self, context: Context, arn: str) -> None:
        wait_until(
            lambda: "usable" if self._status(context, arn) in ("ready", "stopped", "failed") else "", "usable", (), arn
        )

    def _status(self, context: Context, arn: str) -> str:
        return str((self.describe(context, arn) or {}).get("Status", ""))


class DmsCertificate(OwnType):
    """AWS::DMS::Certificate."""

    replaces = ("CertificateIdentifier", "CertificatePem", "CertificateWallet")

    @override
    def known(self, prop: Property) -> Json:
        return {}

    @override
    def create(self, context: Context, properties: Json) -> Json:
        reply = context.clients("dms").import_certificate(**shaped("dms", "ImportCertificate", properties))
        return {"": reply["Certificate"]["CertificateArn"]}

    @override
    def delete(self, context: Context, physical: str, properties: Json) -> None:
        try:
            context.clients("dms").delete_certificate(CertificateArn=physical)
        except ClientError as error:
            gone(error, DMS_MISSING)

    @override
    def exists(self, context: Context, physical: str, properties: Json) -> bool:
        try:
            reply = context.clients("dms").describe_certificates(
                Filters=[{"Name": "certificate-arn", "Values": [physical]}]
            )
        except ClientError as error:
            return not gone(error, DMS_MISSING)
        return bool(reply["Certificates"])


def _as_api(properties: Json) -> Json:
    renamed: dict[str, Any] = dict(properties)
    if "MySqlSettings" in renamed:
        renamed["MySQLSettings"] = renamed.pop("MySqlSettings")
    return renamed


def _camel(method: str) -> str:
    return "".join(word.capitalize() for word in method.split("_"))
