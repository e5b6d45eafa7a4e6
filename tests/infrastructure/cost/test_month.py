from __future__ import annotations

from typing import Any

import pytest

from infrastructure.cfn.intrinsics import TemplateError
from infrastructure.cost.month import resources_of

TEMPLATE: dict[str, Any] = {
    "Parameters": {
        "Days": {"Type": "Number", "Default": 0},
        "Create": {"Type": "String", "Default": "true"},
        "Subnets": {"Type": "CommaDelimitedList", "Default": "a,b"},
        "Name": {"Type": "String"},
    },
    "Mappings": {"Sizes": {"Of": {"Small": "tiny"}}},
    "Conditions": {
        "Keeps": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Days"}, 0]}]},
        "Creates": {"Fn::Equals": [{"Ref": "Create"}, "true"]},
        "Both": {"Fn::And": [{"Condition": "Keeps"}, {"Condition": "Creates"}]},
        "Either": {"Fn::Or": [{"Condition": "Keeps"}, {"Condition": "Creates"}]},
    },
    "Resources": {
        "Always": {
            "Type": "T",
            "Properties": {
                "Days": {"Fn::If": ["Keeps", {"Ref": "Days"}, {"Ref": "AWS::NoValue"}]},
                "Subnets": {"Ref": "Subnets"},
                "Size": {"Fn::FindInMap": ["Sizes", "Of", "Small"]},
                "Arn": {"Fn::GetAtt": ["Other", "Arn"]},
                "Both": [{"Ref": "Name"}, {"Fn::If": ["Keeps", "kept", {"Ref": "AWS::NoValue"}]}],
            },
        },
        "OnlyBoth": {"Type": "T", "Condition": "Both"},
        "OnlyEither": {"Type": "T", "Condition": "Either"},
    },
}


def names(parameters: dict[str, str]) -> list[str]:
    return [resource.name for resource in resources_of(TEMPLATE, parameters)]


@pytest.mark.parametrize(
    ("parameters", "there"),
    [
        ({}, ["Always", "OnlyEither"]),
        ({"Days": "3"}, ["Always", "OnlyBoth", "OnlyEither"]),
        ({"Create": "false"}, ["Always"]),
        ({"Create": "false", "Days": "3"}, ["Always", "OnlyEither"]),
    ],
)
def test_conditions_decide_what_is_there(parameters: dict[str, str], there: list[str]) -> None:
    assert names(parameters) == there


def test_properties_are_worked_out_as_far_as_parameters_decide_them() -> None:
    [always, *_] = resources_of(TEMPLATE, {})
    rest = {"Subnets": ["a", "b"], "Size": "tiny", "Arn": "${Other.Arn}"}
    assert always.properties == {**rest, "Both": ["Name"]}
    [always, *_] = resources_of(TEMPLATE, {"Days": "3"})
    assert always.properties == {"Days": "3", **rest, "Both": ["Name", "kept"]}


def test_a_parameter_that_the_template_lacks_is_refused() -> None:
    with pytest.raises(KeyError, match="Dayz"):
        names({"Dayz": "1"})


def test_a_condition_that_is_not_understood_is_refused() -> None:
    strange = {**TEMPLATE, "Conditions": {**TEMPLATE["Conditions"], "Both": {"Fn::Contains": [[], ""]}}}
    with pytest.raises(TemplateError, match="Fn::Contains"):
        resources_of(strange, {})
