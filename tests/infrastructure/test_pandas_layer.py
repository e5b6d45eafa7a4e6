"""The Lambda layer with awswrangler: looked up unless the parameters name one."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber

from infrastructure import pandas_layer
from infrastructure.package import parameters_of
from infrastructure.stack import DeployError

ARN = "arn:aws:lambda:eu-west-1:336392948345:layer:AWSSDKPandas-Python311:31"


def test_the_layer_of_the_locked_release_is_looked_up() -> None:
    ssm = boto3.client("ssm")
    with Stubber(ssm) as stubber:
        stubber.add_response("get_parameter", {"Parameter": {"Value": ARN}}, {"Name": pandas_layer.public_parameter()})
        assert pandas_layer.with_layer({"Environment": "dev"}, ssm) == {
            "Environment": "dev",
            pandas_layer.PARAMETER: ARN,
        }
    assert pandas_layer.public_parameter().startswith("/aws/service/aws-sdk-pandas/3.")


@pytest.mark.parametrize("given", ["", ARN])
def test_a_given_layer_is_kept_without_a_request(given: str) -> None:
    ssm = boto3.client("ssm")
    with Stubber(ssm):  # which refuses every request
        assert pandas_layer.with_layer({pandas_layer.PARAMETER: given}, ssm) == {pandas_layer.PARAMETER: given}


def test_a_region_without_the_layer_is_told_with_what_to_do() -> None:
    ssm = boto3.client("ssm")
    with Stubber(ssm) as stubber:
        stubber.add_client_error("get_parameter", "ParameterNotFound", "no such parameter")
        with pytest.raises(DeployError, match=r"Set AwsSdkPandasLayerArn in the parameters file"):
            pandas_layer.with_layer({}, ssm)


def test_only_the_local_home_says_that_it_needs_none() -> None:
    assert parameters_of("local")[pandas_layer.PARAMETER] == ""
    assert all(pandas_layer.PARAMETER not in parameters_of(name) for name in ("dev", "prod"))
