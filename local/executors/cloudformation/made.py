"""The resource types that we make through the AWS APIs of our own server: DMS, Firehose, Athena's saved queries, Glue.

Glue's databases, crawler and jobs could go to the emulator, but its CloudFormation makes them behind our catalog's
journal, and drops a job's ExecutionProperty.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from typing_extensions import override

from local.executors.cloudformation.types import (
    Context,
    Failure,
    Json,
    OwnType,
    Property,
    getter,
    gone,
    shaped,
    wait_until,
    without,
)
from local.settings import ACCOUNT, REGION

DMS_MISSING = "ResourceNotFoundFault"
GLUE_MISSING = "EntityNotFoundException"
FIREHOSE_MISSING = "ResourceNotFoundException"


def dms_arn(kind: str, prop: Property) -> Json:
    """A DMS ARN ends with ResourceIdentifier, if that is given; else nobody knows it beforehand."""
    identifier = prop("ResourceIdentifier")
    return {"": f"arn:aws:dms:{REGION}:{ACCOUNT}:{kind}:{identifier}"} if identifier else {}


class DmsThing(OwnType):
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


class DmsInstance(DmsThing):
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


class DmsEndpoint(DmsThing):
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
        exact = {**without(_as_api(properties), "KmsKeyId"), "ExactSettings": True}  # what is left out goes
        return super().update(context, physical, exact)


class DmsTask(DmsThing):
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


class DeliveryStream(OwnType):
    """AWS::KinesisFirehose::DeliveryStream with an extended S3 destination."""

    replaces = ("DeliveryStreamName", "DeliveryStreamType")
    DESTINATION = "ExtendedS3DestinationConfiguration"
    ENCRYPTION = "DeliveryStreamEncryptionConfigurationInput"

    @override
    def known(self, prop: Property) -> Json:
        name = prop("DeliveryStreamName")
        return {"": name, "Arn": f"arn:aws:firehose:{REGION}:{ACCOUNT}:deliverystream/{name}"} if name else {}

    @override
    def create(self, context: Context, properties: Json) -> Json:
        client, name = context.clients("firehose"), properties["DeliveryStreamName"]
        client.create_delivery_stream(**shaped("firehose", "CreateDeliveryStream", properties))
        wait_until(
            lambda: str((self._describe(context, name) or {}).get("DeliveryStreamStatus", "")),
            "ACTIVE",
            ("CREATING_FAILED",),
            name,
        )
        return self.known(getter(properties))

    @override
    def update(self, context: Context, physical: str, properties: Json) -> Json:
        client, present = context.clients("firehose"), self._describe(context, physical)
        if present is None:
            raise Failure(f"Delivery stream {physical} is gone")
        arguments = {
            "DeliveryStreamName": physical,
            "CurrentDeliveryStreamVersionId": present["VersionId"],
            "DestinationId": present["Destinations"][0]["DestinationId"],
            "ExtendedS3DestinationUpdate": properties[self.DESTINATION],
        }
        client.update_destination(**shaped("firehose", "UpdateDestination", arguments))
        if encryption := properties.get(self.ENCRYPTION):
            client.start_delivery_stream_encryption(
                DeliveryStreamName=physical, DeliveryStreamEncryptionConfigurationInput=encryption
            )
        return self.known(getter(properties))

    @override
    def delete(self, context: Context, physical: str, properties: Json) -> None:
        try:
            context.clients("firehose").delete_delivery_stream(DeliveryStreamName=physical)
        except ClientError as error:
            gone(error, FIREHOSE_MISSING)
        wait_until(lambda: "there" if self._describe(context, physical) else "gone", "gone", (), physical)

    @override
    def exists(self, context: Context, physical: str, properties: Json) -> bool:
        return self._describe(context, physical) is not None

    def _describe(self, context: Context, name: str) -> Json | None:
        try:
            reply = context.clients("firehose").describe_delivery_stream(DeliveryStreamName=name)
        except ClientError as error:
            gone(error, FIREHOSE_MISSING)
            return None
        found: Json = reply["DeliveryStreamDescription"]
        return found


class NamedQuery(OwnType):
    """AWS::Athena::NamedQuery; AWS replaces it whatever changes."""

    replaces = ("Name", "Description", "Database", "QueryString", "WorkGroup")

    @override
    def known(self, prop: Property) -> Json:
        return {}

    @override
    def create(self, context: Context, properties: Json) -> Json:
        reply = context.clients("athena").create_named_query(**shaped("athena", "CreateNamedQuery", properties))
        return {"": reply["NamedQueryId"], "NamedQueryId": reply["NamedQueryId"]}

    @override
    def delete(self, context: Context, physical: str, properties: Json) -> None:
        try:
            context.clients("athena").delete_named_query(NamedQueryId=physical)
        except ClientError as error:
            gone(error, "InvalidRequestException")

    @override
    def exists(self, context: Context, physical: str, properties: Json) -> bool:
        reply = context.clients("athena").batch_get_named_query(NamedQueryIds=[physical])
        return bool(reply["NamedQueries"])


class GlueThing(OwnType):
    """Glue's named things; ``word`` is Database, Crawler or Job."""

    word = ""

    def arguments(self, properties: Json) -> Json:
        """The properties as the creating call takes them."""
        return properties

    def update_arguments(self, name: str, properties: Json) -> Json:
        """The properties as the changing call takes them."""
        return {"Name": name, **without(properties, "Name", "Tags")}

    @override
    def create(self, context: Context, properties: Json) -> Json:
        arguments = shaped("glue", f"Create{self.word}", self.arguments(properties))
        getattr(context.clients("glue"), f"create_{self.word.lower()}")(**arguments)
        return self.known(getter(properties))

    @override
    def update(self, context: Context, physical: str, properties: Json) -> Json:
        arguments = self.update_arguments(physical, self.arguments(properties))
        getattr(context.clients("glue"), f"update_{self.word.lower()}")(
            **shaped("glue", f"Update{self.word}", arguments)
        )
        return self.known(getter(properties))

    @override
    def delete(self, context: Context, physical: str, properties: Json) -> None:
        field = "JobName" if self.word == "Job" else "Name"
        try:
            getattr(context.clients("glue"), f"delete_{self.word.lower()}")(**{field: physical})
        except ClientError as error:
            gone(error, GLUE_MISSING)

    @override
    def exists(self, context: Context, physical: str, properties: Json) -> bool:
        field = "JobName" if self.word == "Job" else "Name"
        try:
            getattr(context.clients("glue"), f"get_{self.word.lower()}")(**{field: physical})
        except ClientError as error:
            return not gone(error, GLUE_MISSING)
        return True


class GlueDatabase(GlueThing):
    """AWS::Glue::Database; deleting it deletes its tables, as AWS does."""

    word = "Database"
    replaces = ("CatalogId", "DatabaseName")

    @override
    def known(self, prop: Property) -> Json:
        name = prop("DatabaseName") or prop("DatabaseInput.Name")
        return {"": name} if name else {}

    @override
    def arguments(self, properties: Json) -> Json:
        name = self.known(getter(properties))[""]
        given = without(properties, "DatabaseName")
        return {**given, "DatabaseInput": {**given.get("DatabaseInput", {}), "Name": name}}

    @override
    def delete(self, context: Context, physical: str, properties: Json) -> None:
        glue = context.clients("glue")
        try:
            pages = list(glue.get_paginator("get_tables").paginate(DatabaseName=physical))
        except ClientError as error:
            gone(error, GLUE_MISSING)
            return
        for table in [table["Name"] for page in pages for table in page["TableList"]]:
            glue.delete_table(DatabaseName=physical, Name=table)
        super().delete(context, physical, properties)


class GlueCrawler(GlueThing):
    """AWS::Glue::Crawler; the template wraps the schedule's text."""

    word = "Crawler"
    replaces = ("Name",)

    @override
    def known(self, prop: Property) -> Json:
        return {"": prop("Name")} if prop("Name") else {}

    @override
    def arguments(self, properties: Json) -> Json:
        schedule = properties.get("Schedule")
        return {**properties, "Schedule": schedule["ScheduleExpression"]} if schedule else properties


class GlueJob(GlueThing):
    """AWS::Glue::Job."""

    word = "Job"
    replaces = ("Name",)

    @override
    def known(self, prop: Property) -> Json:
        return {"": prop("Name")} if prop("Name") else {}

    @override
    def update_arguments(self, name: str, properties: Json) -> Json:
        return {"JobName": name, "JobUpdate": without(properties, "Name", "Tags")}


def _as_api(properties: Json) -> Json:
    renamed: dict[str, Any] = dict(properties)
    if "MySqlSettings" in renamed:
        renamed["MySQLSettings"] = renamed.pop("MySqlSettings")
    return renamed


def _camel(method: str) -> str:
    return "".join(word.capitalize() for word in method.split("_"))
