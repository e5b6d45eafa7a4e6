"""A template that exceeds one of AWS's limits is detected before it is deployed."""

from __future__ import annotations

import json
from typing import Any

from infrastructure.cfn.template import parse_template
from infrastructure.limits import measured
from infrastructure.package import render_template


def sizes(template: dict[str, Any], **values: str) -> dict[str, tuple[int, int]]:
    return {one.what: (one.size, one.limit) for one in measured(template, json.dumps(template), values)}


def policy(*statements: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def test_policies_are_measured_filled_in_and_without_white_space() -> None:
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": {"Fn::Sub": "lake-${Environment}"}}}
    inline = policy({"Resource": [{"Fn::Sub": "${B.Arn}/a b"}, {"Fn::GetAtt": ["B", "Arn"]}, {"Ref": "AWS::NoValue"}]})
    role = {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": policy(), "Policies": [{"PolicyDocument": inline}] * 2},
    }
    found = sizes({"Parameters": {"Environment": {}}, "Resources": {"B": bucket, "R": role}}, Environment="dev")
    written = '{"Version":"2012-10-17","Statement":[{"Resource":["arn:aws:s3:::lake-dev/ab","arn:aws:s3:::lake-dev"]}]}'
    assert found["inline policies of role R, characters"] == (2 * len(written), 10_240)
    assert found["trust policy of role R, characters"] == (len('{"Version":"2012-10-17","Statement":[]}'), 2_048)


def test_the_longer_branch_counts() -> None:
    choice = {"Fn::If": ["Big", {"Fn::Join": ["-", ["long"] * 9]}, "s"]}
    managed = {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": policy(choice)}}
    size, limit = sizes({"Resources": {"P": managed}})["managed policy P, characters"]
    assert (size, limit) == (len('{"Version":"2012-10-17","Statement":[""]}') + len("-".join(["long"] * 9)), 6_144)


def test_the_nearest_limit_comes_first_and_one_that_is_passed_shows() -> None:
    template = {"Resources": {f"Q{n}": {"Type": "AWS::SQS::Queue"} for n in range(501)}}
    first, *_ = measured(template, json.dumps(template), {"Ca": "x" * 4000})
    assert (first.what, first.size, first.share > 1) == ("resources", 501, True)
    assert str(first) == "100.2%  resources: 501 of 500"
    second = measured(template, "", {"Ca": "x" * 5000})[0]
    assert second.what == "value of parameter Ca, bytes"


def test_our_template_stays_within_all_of_them() -> None:
    text = render_template()
    assert [one for one in measured(parse_template(text), text, {}) if one.share > 0.9] == []
