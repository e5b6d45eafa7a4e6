"""Intrinsic functions and parameters are resolved as CloudFormation does it."""

from __future__ import annotations

from typing import Any

import pytest

from infrastructure.cfn.intrinsics import (
    NO_VALUE,
    Resolver,
    TemplateError,
    in_order,
    outline,
    parameter_values,
    references,
)

TEMPLATE: dict[str, Any] = {
    "Parameters": {
        "Name": {"Type": "String", "Default": "x"},
        "Zones": {"Type": "CommaDelimitedList", "Default": "a, b"},
    },
    "Mappings": {"Sizes": {"prod": {"Class": "big"}}},
    "Conditions": {
        "IsX": {"Fn::Equals": [{"Ref": "Name"}, "x"]},
        "Not": {"Fn::Not": [{"Condition": "IsX"}]},
        "Both": {"Fn::And": [{"Condition": "IsX"}, {"Fn::Equals": ["1", 1]}]},
        "Either": {"Fn::Or": [{"Condition": "Not"}, {"Condition": "IsX"}]},
    },
    "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
}


def resolver(**options: Any) -> Resolver:
    return Resolver(
        TEMPLATE,
        parameter_values(TEMPLATE, [], {}),
        {"AWS::StackName": "s", "AWS::Region": "us-east-1"},
        lambda *ref: ".".join(ref),
        **options,
    )


@pytest.mark.parametrize(
    ("node", "value"),
    [
        ({"Ref": "Name"}, "x"),
        ({"Ref": "Zones"}, ["a", "b"]),
        ({"Ref": "Queue"}, "Queue."),
        ({"Ref": "AWS::StackName"}, "s"),
        ({"Fn::GetAtt": ["Queue", "Arn"]}, "Queue.Arn"),
        ({"Fn::GetAtt": "Queue.Arn"}, "Queue.Arn"),
        ({"Fn::Sub": "${Name}/${Queue.Arn}/${!Literal}/${AWS::Region}"}, "x/Queue.Arn/${Literal}/us-east-1"),
        ({"Fn::Sub": ["${A}-${Name}", {"A": {"Ref": "Name"}}]}, "x-x"),
        ({"Fn::Join": [",", [{"Ref": "Name"}, "b"]]}, "x,b"),
        ({"Fn::Select": ["1", {"Ref": "Zones"}]}, "b"),
        ({"Fn::Split": ["|", "a|b"]}, ["a", "b"]),
        ({"Fn::FindInMap": ["Sizes", "prod", "Class"]}, "big"),
        ({"Fn::GetAZs": ""}, ["us-east-1a", "us-east-1b", "us-east-1c"]),
        ({"Fn::Select": [1, {"Fn::GetAZs": "eu-west-1"}]}, "eu-west-1b"),
        ({"Fn::Cidr": ["10.74.0.0/20", 2, "6"]}, ["10.74.0.0/26", "10.74.0.64/26"]),
        ({"Fn::If": ["IsX", "yes", "no"]}, "yes"),
        ({"Fn::If": ["Not", "yes", {"Ref": "AWS::NoValue"}]}, None),
        ({"a": {"Fn::If": ["Not", 1, {"Ref": "AWS::NoValue"}]}, "b": [{"Ref": "AWS::NoValue"}, 2]}, {"b": [2]}),
        ({"Fn::ToJsonString": {"a": {"Ref": "Name"}}}, '{"a": "x"}'),
        ({"Condition": {"StringEquals": {"a": {"Ref": "Name"}}}}, {"Condition": {"StringEquals": {"a": "x"}}}),
    ],
)
def test_intrinsic_functions(node: Any, value: Any) -> None:
    assert resolver().value(node) == value


@pytest.mark.parametrize(("name", "holds"), [("IsX", True), ("Not", False), ("Both", True), ("Either", True)])
def test_conditions(name: str, holds: bool) -> None:
    assert resolver().condition(name) is holds


def test_what_is_not_resolved_is_named() -> None:
    with pytest.raises(TemplateError, match="Fn::ImportValue"):
        resolver().value({"Fn::ImportValue": "x"})
    with pytest.raises(TemplateError, match="Unresolved condition Nope"):
        resolver().value({"Fn::If": ["Nope", 1, 2]})
    with pytest.raises(TemplateError, match="nonexistent value at index 2"):
        resolver().value({"Fn::Select": ["2", {"Ref": "Zones"}]})
    with pytest.raises(TemplateError, match="Unable to get mapping for Sizes::dev::Class"):
        resolver().value({"Fn::FindInMap": ["Sizes", "dev", "Class"]})


def test_dynamic_references() -> None:
    secrets = {"name": '{"password": "p"}', "arn:aws:secretsmanager:r:1:secret:n-abc": "text"}
    resolve = resolver(secret=secrets.__getitem__)
    assert resolve.value("{{resolve:secretsmanager:name:SecretString:password}}") == "p"
    assert resolve.value("a{{resolve:secretsmanager:arn:aws:secretsmanager:r:1:secret:n-abc}}b") == "atextb"
    with pytest.raises(TemplateError, match="ssm"):
        resolve.value("{{resolve:ssm:x}}")
    assert resolver().value("{{resolve:secretsmanager:name}}") == "{{resolve:secretsmanager:name}}"


def test_parameters() -> None:
    template = {"Parameters": {"A": {"Type": "String"}, "B": {"Type": "Number", "Default": 3}}}
    assert parameter_values(template, [{"ParameterKey": "A", "ParameterValue": "1"}], {}) == {"A": "1", "B": "3"}
    assert parameter_values(template, [{"ParameterKey": "A", "UsePreviousValue": True}], {"A": "0"})["A"] == "0"
    with pytest.raises(TemplateError, match=r"Parameters: \[A\] must have values"):
        parameter_values(template, [], {})
    with pytest.raises(TemplateError, match=r"Parameters: \[C\] do not exist in the template"):
        parameter_values(template, [{"ParameterKey": "C", "ParameterValue": ""}], {})


def test_references_and_order() -> None:
    node = {"a": {"Fn::Sub": ["${A.Arn} ${B} ${C}", {"C": {"Ref": "D"}}]}, "b": [{"Fn::GetAtt": ["E", "F.G"]}]}
    assert set(references(node)) == {("A", "Arn"), ("B", ""), ("D", ""), ("E", "F.G")}
    resources: dict[str, Any] = {
        "One": {"Type": "T", "Properties": {"x": {"Ref": "Two"}}},
        "Two": {"Type": "T", "DependsOn": "Three"},
        "Three": {"Type": "T"},
    }
    assert in_order(resources) == ["Three", "Two", "One"]
    resources["Three"]["DependsOn"] = ["One"]
    with pytest.raises(TemplateError, match="Circular dependency"):
        in_order(resources)


def test_the_outline_of_what_is_not_there_yet() -> None:
    plain = Resolver(TEMPLATE, parameter_values(TEMPLATE, [], {}), {}, outline)
    assert plain.value([{"Ref": "Queue"}, {"Fn::Sub": "${Queue.Arn}/*"}]) == ["${Queue}", "${Queue.Arn}/*"]


def test_no_value_is_no_value() -> None:
    assert resolver()._value({"Ref": "AWS::NoValue"}) is NO_VALUE
