"""The query protocol, held against botocore's own side of it."""

from __future__ import annotations

from typing import Any

import boto3

from local.aws import query_protocol
from local.aws.service_models import operation


def test_it_reads_and_writes_what_boto3_sends_and_reads() -> None:
    model = operation("cloudformation", "UpdateStack")
    assert model
    assert model.input_shape
    output = model.output_shape
    assert output
    sent: dict[str, str] = {}
    client = boto3.Session().client("cloudformation")
    request: dict[str, Any] = {
        "StackName": "s",
        "Parameters": [{"ParameterKey": "A", "UsePreviousValue": True}, {"ParameterKey": "B", "ParameterValue": "<&>"}],
        "Capabilities": ["CAPABILITY_IAM"],
        "Tags": [],
    }

    def answer(params: dict[str, Any], **_: Any) -> Any:
        sent.update(params["body"])
        from botocore.awsrequest import AWSResponse, HTTPHeaders
        from botocore.parsers import create_parser

        body = query_protocol.write_reply(model, {"StackId": "a<b>&c"}).encode()
        parsed = create_parser("query").parse({"body": body, "headers": {}, "status_code": 200}, output)
        return AWSResponse("", 200, HTTPHeaders(), None), parsed

    client.meta.events.register("before-call.cloudformation.UpdateStack", answer)
    assert client.update_stack(**request)["StackId"] == "a<b>&c"
    assert query_protocol.read(model.input_shape, sent) == (request, [])
