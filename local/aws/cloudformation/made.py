"""Firehose's delivery streams and Athena's saved queries, made through the APIs of our own server."""

from __future__ import annotations

from botocore.exceptions import ClientError
from typing_extensions import override

from local.aws.cloudformation.types import Context, Failure, Json, OwnType, Property, getter, gone, shaped, wait_until
from local.aws.settings import ACCOUNT, REGION

FIREHOSE_MISSING = "ResourceNotFoundException"


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
