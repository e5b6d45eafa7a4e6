"""Firehose's delivery streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from typing_extensions import override

from infrastructure.cfn.intrinsics import Json
from local.aws.cloudformation.errors import Failure
from local.aws.cloudformation.resource_types.base import Context, OwnType, Property, getter, gone_ok, shaped, wait_until
from local.aws.settings import ACCOUNT, REGION

if TYPE_CHECKING:
    from mypy_boto3_firehose import FirehoseClient

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
        firehose: FirehoseClient = context.clients("firehose")
        name = properties["DeliveryStreamName"]
        firehose.create_delivery_stream(**shaped("firehose", "CreateDeliveryStream", properties))
        status = lambda: str((self._describe(context, name) or {}).get("DeliveryStreamStatus", ""))  # noqa: E731
        wait_until(status, "ACTIVE", ("CREATING_FAILED",), name)
        return self.known(getter(properties))

    @override
    def update(self, context: Context, physical: str, properties: Json) -> Json:
        firehose: FirehoseClient = context.clients("firehose")
        present = self._describe(context, physical)
        if present is None:
            raise Failure(f"Delivery stream {physical} is gone")
        arguments = {
            "DeliveryStreamName": physical,
            "CurrentDeliveryStreamVersionId": present["VersionId"],
            "DestinationId": present["Destinations"][0]["DestinationId"],
            "ExtendedS3DestinationUpdate": properties[self.DESTINATION],
        }
        firehose.update_destination(**shaped("firehose", "UpdateDestination", arguments))
        if encryption := properties.get(self.ENCRYPTION):
            firehose.start_delivery_stream_encryption(
                DeliveryStreamName=physical, DeliveryStreamEncryptionConfigurationInput=encryption
            )
        return self.known(getter(properties))

    @override
    def delete(self, context: Context, physical: str, properties: Json) -> None:
        firehose: FirehoseClient = context.clients("firehose")
        with gone_ok(FIREHOSE_MISSING):
            firehose.delete_delivery_stream(DeliveryStreamName=physical)
        wait_until(lambda: "there" if self._describe(context, physical) else "gone", "gone", (), physical)

    @override
    def exists(self, context: Context, physical: str, properties: Json) -> bool:
        return self._describe(context, physical) is not None

    def _describe(self, context: Context, name: str) -> Json | None:
        firehose: FirehoseClient = context.clients("firehose")
        reply: Json = {}
        with gone_ok(FIREHOSE_MISSING):
            reply = cast("Json", firehose.describe_delivery_stream(DeliveryStreamName=name))
        return reply.get("DeliveryStreamDescription")
