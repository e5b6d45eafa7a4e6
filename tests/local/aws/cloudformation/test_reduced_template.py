"""The template that the emulator gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from local.aws.cloudformation.reduced_template import output_name, reduced_template
from local.commands.aws_server import aws_settings
from local.environment import SERVED
from local.settings import Settings

EXTERNAL_ID = {"StringEquals": {"sts:ExternalId": {"Ref": "AWS::AccountId"}}}
SETTINGS = aws_settings(Settings(home=Path("/nowhere"), port=15650))


def whole_template() -> dict[str, Any]:
    template: dict[str, Any] = {
        "Description": "d",
        "Resources": {
            "Mine": {"Type": "AWS::DMS::Endpoint"},
            "Key": {"Type": "AWS::KMS::Key"},
            "Function": {
                "Type": "AWS::Lambda::Function",
                "DependsOn": ["Mine", "Key"],
                "Properties": {"Role": {"Fn::Sub": "${Mine.Arn}/${Key}/${!Mine}"}, "Memory": {"Ref": "Mine"}},
            },
            "Policy": {
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {
                    "PolicyDocument": {
                        "Statement": [
                            {"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
                            {"Effect": "Allow", "Resource": {"Ref": "AWS::StackId"}},
                        ]
                    }
                },
            },
        },
        "Outputs": {"Whatever": {"Value": {"Ref": "Mine"}}},
    }
    account = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    template["Resources"]["Role"] = {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": {"Statement": [{"Condition": account}, {"Condition": EXTERNAL_ID}]}},
    }
    template["Parameters"] = {"Days": {"Type": "Number"}, "Name": {"Type": "String"}}
    template["Resources"]["Logs"] = {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": {"Ref": "Days"}}}
    return template


def test_the_emulators_part() -> None:
    template = whole_template()
    before = json.dumps(template)
    given = {"Days": "30", "Name": "30"}
    needed = [("Key", "Arn")]
    reduced = reduced_template(
        template, {"Mine"}, lambda name, attribute: f"<{name}{attribute}>", needed, SETTINGS, given
    )
    assert json.dumps(template) == before
    assert reduced["Resources"].keys() == {"Key", "Function", "Policy", "Role", "Logs"}
    assert reduced["Resources"]["Logs"]["Properties"] == {"RetentionInDays": 30}
    trust = reduced["Resources"]["Role"]["Properties"]["AssumeRolePolicyDocument"]
    assert trust["Statement"] == [{}, {"Condition": EXTERNAL_ID}]
    function = reduced["Resources"]["Function"]
    assert function["DependsOn"] == ["Key"]
    assert function["Properties"]["Role"] == {"Fn::Sub": "<MineArn>/${Key}/${!Mine}"}
    assert function["Properties"]["Memory"] == "<Mine>"
    variables = function["Properties"]["Environment"]["Variables"]
    assert variables == {f"AWS_ENDPOINT_URL_{service.upper()}": SETTINGS.server_url for service in SERVED}
    statements = reduced["Resources"]["Policy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statements == [{"Effect": "Allow", "Resource": "<AWS::StackId>"}]
    assert reduced["Outputs"] == {output_name("Key", "Arn"): {"Value": {"Fn::GetAtt": ["Key", "Arn"]}}}
