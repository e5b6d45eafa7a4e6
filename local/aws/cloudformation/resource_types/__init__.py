"""The resource types that the home makes itself (``own_types``) or only records (``recorded``).

Each is made through the API of our own server, as a client would make it. All other types are the emulator's.
"""

from __future__ import annotations

from local.aws.cloudformation.resource_types.athena import NamedQuery
from local.aws.cloudformation.resource_types.base import OwnType
from local.aws.cloudformation.resource_types.dms import DmsCertificate, DmsEndpoint, DmsInstance, DmsTask
from local.aws.cloudformation.resource_types.firehose import DeliveryStream
from local.aws.cloudformation.resource_types.glue import GlueCrawler, GlueDatabase, GlueJob
from local.aws.cloudformation.resource_types.rds import MySqlInstance, SecretAttachment
from local.aws.settings import AwsSettings


def own_types(settings: AwsSettings) -> dict[str, OwnType]:
    """Every type that we make."""
    return {
        "AWS::Athena::NamedQuery": NamedQuery(),
        "AWS::DMS::Certificate": DmsCertificate(),
        "AWS::DMS::Endpoint": DmsEndpoint(),
        "AWS::DMS::ReplicationInstance": DmsInstance(),
        "AWS::DMS::ReplicationTask": DmsTask(),
        "AWS::Glue::Crawler": GlueCrawler(),
        "AWS::Glue::Database": GlueDatabase(),
        "AWS::Glue::Job": GlueJob(),
        "AWS::KinesisFirehose::DeliveryStream": DeliveryStream(),
        "AWS::RDS::DBInstance": MySqlInstance(settings),
        "AWS::SecretsManager::SecretTargetAttachment": SecretAttachment(settings),
    }
