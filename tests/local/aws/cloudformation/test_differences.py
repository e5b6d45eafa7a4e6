"""What a change set says that an update would change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from local.aws.cloudformation.differences import differences, replaced
from local.aws.cloudformation.plan import Plan
from local.aws.cloudformation.resource_types import own_types
from local.aws.cloudformation.stacks import Deployed, Stack
from local.commands.aws_server import aws_settings
from local.settings import Settings
from tests.local.aws.cloudformation.stacks import queue, stack_of

SETTINGS = aws_settings(Settings(home=Path("/nowhere"), port=15650))
TYPES = own_types(SETTINGS)


def changes(before: Any, after: Any, given: tuple[dict[str, str], dict[str, str]] = ({}, {}), lost: Any = ()) -> Any:
    """{logical id: change} between two templates under two sets of parameters."""
    was, becomes = (
        Plan(Stack("s", deployed), deployed, TYPES, SETTINGS)
        for deployed in (
            Deployed(json.dumps(template), values, [], [])
            for template, values in zip((before, after), given, strict=True)
        )
    )
    found = differences(was, becomes, {"Q": "the-queue"}, lost, TYPES)
    return {change["LogicalResourceId"]: change for change in found}


def bucket(name: Any, **properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name, **properties}}


def test_what_is_new_gone_and_changed() -> None:
    found = changes(
        stack_of(Q=queue("q"), Same=queue("same"), Gone={**queue("gone"), "DeletionPolicy": "Retain"}),
        stack_of(Q=queue("q", DelaySeconds=3), Same=queue("same"), New=queue("new")),
    )
    assert {name: change["Action"] for name, change in found.items()} == {"Q": "Modify", "New": "Add", "Gone": "Remove"}
    assert (found["Q"]["PhysicalResourceId"], found["Q"]["Replacement"], found["Q"]["Scope"]) == (
        "the-queue", "False", ["Properties"],
    )  # fmt: skip
    target = {"Attribute": "Properties", "Name": "DelaySeconds", "RequiresRecreation": "Never"}
    assert found["Q"]["Details"] == [{"Target": target, "Evaluation": "Static", "ChangeSource": "DirectModification"}]
    assert found["Gone"]["PolicyAction"] == "Retain"


def test_a_property_that_aws_cannot_change_takes_a_new_resource() -> None:
    found = changes(stack_of(B=bucket("a")), stack_of(B={**bucket("b"), "UpdateReplacePolicy": "Retain"}))
    assert (found["B"]["Replacement"], found["B"]["PolicyAction"]) == ("True", "ReplaceAndRetain")
    assert found["B"]["Scope"] == ["Properties", "UpdateReplacePolicy"]
    assert replaced(list(found.values())) == {"B"}


def test_who_refers_to_a_replaced_resource_is_replaced_too() -> None:
    before, after = (
        stack_of(
            Key={"Type": "AWS::KMS::Key", "Properties": {"Description": text}},
            B=bucket(name),
            Stream={
                "Type": "AWS::KinesisFirehose::DeliveryStream",
                "Properties": {"DeliveryStreamName": {"Ref": "B"}, "Tags": [{"Key": "k", "Value": {"Ref": "Key"}}]},
            },
            Instance={
                "Type": "AWS::DMS::ReplicationInstance",
                "Properties": {
                    "ReplicationInstanceClass": "c",
                    "KmsKeyId": {"Fn::GetAtt": ["Key", "Arn"]},
                },
            },
        )
        for name, text in (("a", "before"), ("b", "after"))
    )
    found = changes(before, after)
    assert {name: change["Replacement"] for name, change in found.items()} == {
        "Key": "False", "B": "True", "Stream": "Conditional", "Instance": "Conditional",
    }  # fmt: skip
    [detail] = found["Stream"]["Details"]
    assert (detail["Evaluation"], detail["ChangeSource"], detail["CausingEntity"]) == (
        "Dynamic", "ResourceReference", "B",
    )  # fmt: skip
    assert found["Instance"]["Details"][0]["CausingEntity"] == "Key.Arn"
    assert replaced(list(found.values())) == {"B", "Stream"}  # the key stays, and so does its ARN


def test_a_parameter_is_named_as_the_cause() -> None:
    template = stack_of(Q=queue("q", DelaySeconds={"Ref": "Delay"}), Other=queue("o", DelaySeconds={"Ref": "Fixed"}))
    template["Parameters"] = {"Delay": {"Type": "Number"}, "Fixed": {"Type": "Number"}}
    found = changes(template, template, ({"Delay": "1", "Fixed": "1"}, {"Delay": "2", "Fixed": "1"}))
    assert found.keys() == {"Q"}
    assert [(one["ChangeSource"], one["CausingEntity"]) for one in found["Q"]["Details"]] == [
        ("ParameterReference", "Delay")
    ]


def test_what_was_lost_is_added() -> None:
    template = stack_of(Q=queue("q"), Other=queue("o"))
    assert {name: one["Action"] for name, one in changes(template, template, lost={"Other"}).items()} == {
        "Other": "Add"
    }


def test_conditions_decide_what_there_is() -> None:
    template = stack_of(Q={**queue("q"), "Condition": "On"})
    template |= {"Parameters": {"Is": {"Type": "String"}}, "Conditions": {"On": {"Fn::Equals": [{"Ref": "Is"}, "1"]}}}
    template["Resources"]["Always"] = queue("a")
    found = changes(template, template, ({"Is": "1"}, {"Is": "0"}))
    assert {name: change["Action"] for name, change in found.items()} == {"Q": "Remove"}
