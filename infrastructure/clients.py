"""How the commands of this folder get their AWS clients: ``boto3.client``, ``session.client`` or a test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, overload

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dms import DatabaseMigrationServiceClient
    from mypy_boto3_firehose import FirehoseClient
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_mwaa import MWAAClient
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_sts import STSClient


class Clients(Protocol):
    """Makes a client of the named service."""

    @overload
    def __call__(self, service: Literal["athena"], /) -> AthenaClient: ...
    @overload
    def __call__(self, service: Literal["cloudformation"], /) -> CloudFormationClient: ...
    @overload
    def __call__(self, service: Literal["dms"], /) -> DatabaseMigrationServiceClient: ...
    @overload
    def __call__(self, service: Literal["firehose"], /) -> FirehoseClient: ...
    @overload
    def __call__(self, service: Literal["glue"], /) -> GlueClient: ...
    @overload
    def __call__(self, service: Literal["lambda"], /) -> LambdaClient: ...
    @overload
    def __call__(self, service: Literal["logs"], /) -> CloudWatchLogsClient: ...
    @overload
    def __call__(self, service: Literal["mwaa"], /) -> MWAAClient: ...
    @overload
    def __call__(self, service: Literal["rds"], /) -> RDSClient: ...
    @overload
    def __call__(self, service: Literal["s3"], /) -> S3Client: ...
    @overload
    def __call__(self, service: Literal["secretsmanager"], /) -> SecretsManagerClient: ...
    @overload
    def __call__(self, service: Literal["sqs"], /) -> SQSClient: ...
    @overload
    def __call__(self, service: Literal["ssm"], /) -> SSMClient: ...
    @overload
    def __call__(self, service: Literal["sts"], /) -> STSClient: ...
