"""The Lambda layer with awswrangler (AWS SDK for pandas): AWS's managed layer of the release in requirements.txt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from infrastructure.package import ROOT
from infrastructure.stack import DeployError

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

PARAMETER = "AwsSdkPandasLayerArn"


def public_parameter() -> str:
    """Name of the public SSM parameter with the layer's ARN in this region (AWS SDK for pandas, "Install")."""
    (release,) = re.findall(r"^awswrangler==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    return f"/aws/service/aws-sdk-pandas/{release}/py3.11/x86_64/layer-arn"


def with_layer(parameters: Mapping[str, str], ssm: SSMClient) -> dict[str, str]:
    """Add the layer's ARN to the parameters unless they contain it (empty: the runtime has awswrangler).

    Raises DeployError when this region has no such layer.
    """
    if PARAMETER in parameters:
        return dict(parameters)
    name = public_parameter()
    try:
        return {**parameters, PARAMETER: ssm.get_parameter(Name=name)["Parameter"]["Value"]}
    except ClientError as error:
        raise DeployError(
            f"The function needs AWS's layer AWSSDKPandas-Python311, and {name} cannot be read: "
            f"{error.response['Error']['Message']}. Set {PARAMETER} in the parameters file to one of the list "
            "'AWS Lambda Managed Layers' of the AWS SDK for pandas"
        ) from error
