"""The life of small stacks in a real emulator behind our server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.aws.glue_catalog import GlueCatalog
from local.aws.protocol import AwsError
from tests.local.aws.cloudformation.stacks import Stacks, database, queue, stack_of
from tests.support.aws_services import LakeServer

pytestmark = pytest.mark.services


def test_a_stacks_life(stacks: Stacks) -> None:
    name = stacks.name.replace("-", "_")
    template = stack_of(
        Q=queue(f"{stacks.name}-q"),
        D=database(name, Description={"Fn::GetAtt": ["Q", "Arn"]}),
        R={
            "Type": "AWS::IAM::Role",
            "Properties": {"RoleName": stacks.name, "Description": {"Fn::Sub": "for ${D} in ${G.GroupId}"},
                           "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []}},
        },
        G={"Type": "AWS::EC2::SecurityGroup", "Properties": {"GroupDescription": "none"}},
    )  # fmt: skip
    template["Outputs"] = {"Database": {"Value": {"Ref": "D"}}, "Arn": {"Value": {"Fn::GetAtt": ["Q", "Arn"]}}}
    assert stacks.create(template, Capabilities=["CAPABILITY_NAMED_IAM"]) == "CREATE_COMPLETE"
    outputs = {one["OutputKey"]: one["OutputValue"] for one in stacks.describe()["Outputs"]}
    assert outputs == {"Database": name, "Arn": f"arn:aws:sqs:us-east-1:123456789012:{stacks.name}-q"}
    glue, iam = stacks.server.client("glue"), stacks.server.client("iam")
    assert glue.get_database(Name=name)["Database"]["Description"] == outputs["Arn"]
    role = iam.get_role(RoleName=stacks.name)["Role"]
    assert role["Description"].startswith(f"for {name} in sg-")
    resources = stacks.client.describe_stack_resources(StackName=stacks.name)["StackResources"]
    assert [one["LogicalResourceId"] for one in resources] == ["Q", "D", "R", "G"]
    assert stacks.client.get_template(StackName=stacks.name)["TemplateBody"] == template
    listed = stacks.client.list_stack_resources(StackName=stacks.name)["StackResourceSummaries"]
    assert {one["ResourceStatus"] for one in listed} == {"CREATE_COMPLETE"}
    detail = stacks.client.describe_stack_resource(StackName=stacks.name, LogicalResourceId="D")
    assert detail["StackResourceDetail"]["PhysicalResourceId"] == name

    with pytest.raises(ClientError, match="No updates are to be performed"):
        stacks.update(template, Capabilities=["CAPABILITY_NAMED_IAM"])
    with pytest.raises(ClientError, match="AlreadyExistsException"):
        stacks.create(template, Capabilities=["CAPABILITY_NAMED_IAM"])

    stack_id = stacks.describe()["StackId"]
    assert stacks.delete() == ""
    assert stacks.client.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"] == "DELETE_COMPLETE"
    assert (stacks.queues(), stacks.databases()) == ([], set())
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.get_role(RoleName=stacks.name)


def test_an_update_adds_changes_renames_and_removes(stacks: Stacks) -> None:
    name = stacks.name.replace("-", "_")
    assert stacks.create(stack_of(Q=queue(f"{stacks.name}-q"), A=database(f"{name}_a"), B=database(f"{name}_b"))) == (
        "CREATE_COMPLETE"
    )
    changed = stack_of(
        Q=queue(f"{stacks.name}-q", DelaySeconds=7),
        N=queue(f"{stacks.name}-new"),
        A=database(f"{name}_a", Description="changed"),
        C={**database(f"{name}_c"), "DependsOn": "N"},
    )
    changed["Resources"]["Job"] = {
        "Type": "AWS::Glue::Job",
        "Properties": {"Name": stacks.name, "Role": "r", "Command": {"Name": "glueetl"}},
    }
    assert stacks.update(changed) == "UPDATE_COMPLETE"
    assert stacks.queues() == [f"{stacks.name}-new", f"{stacks.name}-q"]
    assert stacks.databases() == {f"{name}_a", f"{name}_c"}
    glue = stacks.server.client("glue")
    assert glue.get_database(Name=f"{name}_a")["Database"]["Description"] == "changed"

    changed["Resources"]["Job"]["Properties"]["Name"] = f"{stacks.name}-renamed"
    assert stacks.update(changed) == "UPDATE_COMPLETE"
    assert [one["Name"] for one in glue.get_jobs()["Jobs"] if one["Name"].startswith(stacks.name)] == [
        f"{stacks.name}-renamed"
    ]


def test_a_failed_update_goes_back(stacks: Stacks) -> None:
    name = stacks.name.replace("-", "_")
    first = stack_of(Q=queue(f"{stacks.name}-q"), A=database(f"{name}_a", Description="before"))
    stacks.create(first)
    stacks.server.client("glue").create_database(DatabaseInput={"Name": f"{name}_taken"})
    failing = stack_of(
        Q=queue(f"{stacks.name}-q", DelaySeconds=9),
        A=database(f"{name}_a", Description="after"),
        B={**database(f"{name}_taken"), "DependsOn": "A"},
    )
    assert stacks.update(failing) == "UPDATE_ROLLBACK_COMPLETE"
    assert "already exists" in stacks.reasons()["B"]
    glue, sqs = stacks.server.client("glue"), stacks.server.emulator.client("sqs")
    assert glue.get_database(Name=f"{name}_a")["Database"]["Description"] == "before"
    url = sqs.get_queue_url(QueueName=f"{stacks.name}-q")["QueueUrl"]
    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["DelaySeconds"] == "0"
    assert f"{name}_taken" in stacks.databases()
    glue.delete_database(Name=f"{name}_taken")
    assert stacks.update(failing) == "UPDATE_COMPLETE"


def test_a_rollback_that_failed_can_be_continued(stacks: Stacks, server: LakeServer) -> None:
    name, glue = stacks.name.replace("-", "_"), stacks.server.client("glue")
    stacks.create(stack_of(A=database(f"{name}_a", Description="before"), Dropped=database(f"{name}_dropped")))
    glue.create_database(DatabaseInput={"Name": f"{name}_taken"})
    catalog = next(one for one in server.server.apis if isinstance(one, GlueCatalog))
    before, calls = catalog.actions, []

    def refuse_the_second(request: Any) -> Any:
        calls.append(request)
        if len(calls) > 1:
            raise AwsError("InternalServiceException", "not now")
        return before["UpdateDatabase"](request)

    catalog.actions = {**before, "UpdateDatabase": refuse_the_second}
    failing = stack_of(A=database(f"{name}_a", Description="after"), B={**database(f"{name}_taken"), "DependsOn": "A"})
    assert stacks.update(failing) == "UPDATE_ROLLBACK_FAILED"
    assert "not now" in stacks.reasons()["A"]
    with pytest.raises(ClientError, match="UPDATE_ROLLBACK_FAILED state and can not be updated"):
        stacks.update(failing)
    catalog.actions = before
    stacks.client.continue_update_rollback(StackName=stacks.name)
    assert stacks.settled() == "UPDATE_ROLLBACK_COMPLETE"
    assert glue.get_database(Name=f"{name}_a")["Database"]["Description"] == "before"
    assert stacks.databases() == {f"{name}_a", f"{name}_dropped", f"{name}_taken"}
    glue.delete_database(Name=f"{name}_taken")


def test_a_failed_creation_leaves_nothing(stacks: Stacks) -> None:
    broken = stack_of(
        Q=queue(f"{stacks.name}-q"),
        A=database(stacks.name.replace("-", "_")),
        S={
            "Type": "AWS::Glue::Job",
            "DependsOn": "A",
            "Properties": {"Name": stacks.name, "Role": "r", "Command": {"Name": "glueetl"}, "Colour": "red"},
        },
    )
    assert stacks.create(broken) == "ROLLBACK_COMPLETE"
    assert "CreateJob.Colour" in stacks.reasons()["S"]
    assert (stacks.queues(), stacks.databases()) == ([], set())
    with pytest.raises(ClientError, match="ROLLBACK_COMPLETE state and can not be updated"):
        stacks.update(broken)


def test_what_fails_in_the_emulator_is_told(stacks: Stacks) -> None:
    broken = stack_of(
        Q=queue(f"{stacks.name}-q"),
        A={"Type": "AWS::KMS::Alias", "DependsOn": "Q", "Properties": {"AliasName": "no-alias", "TargetKeyId": "x"}},
    )
    assert stacks.create(broken) == "ROLLBACK_COMPLETE"
    assert "alias/" in stacks.reasons()["A"]
    assert stacks.queues() == []


def test_a_stack_may_keep_what_its_template_says(stacks: Stacks) -> None:
    name = stacks.name.replace("-", "_")
    stacks.create(stack_of(D={**database(name), "DeletionPolicy": "Retain"}))
    assert stacks.delete() == ""
    assert stacks.databases() == {name}
    stacks.server.client("glue").delete_database(Name=name)


def test_an_update_keeps_what_the_template_says(stacks: Stacks) -> None:
    name, glue = stacks.name.replace("-", "_"), stacks.server.client("glue")
    job = {
        "Type": "AWS::Glue::Job",
        "UpdateReplacePolicy": "Retain",
        "Properties": {"Name": f"{stacks.name}-1", "Role": "r"},
    }
    job["Properties"]["Command"] = {"Name": "glueetl"}  # type: ignore[index]
    stacks.create(stack_of(D={**database(name), "DeletionPolicy": "Retain"}, J=job))
    job["Properties"]["Name"] = f"{stacks.name}-2"  # type: ignore[index]
    assert stacks.update(stack_of(J=job)) == "UPDATE_COMPLETE"
    assert stacks.databases() == {name}
    assert {one["Name"] for one in glue.get_jobs()["Jobs"]} >= {f"{stacks.name}-1", f"{stacks.name}-2"}
    glue.delete_database(Name=name)
    glue.delete_job(JobName=f"{stacks.name}-1")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (stack_of(X={"Type": "AWS::Nope::Thing"}), r"Unrecognized resource types: \[AWS::Nope::Thing\]"),
        (
            stack_of(X={"Type": "AWS::Nope::Thing"}, D=database("d")),
            r"Unrecognized resource types: \[AWS::Nope::Thing\]",
        ),
        ({"Resources": {}}, "At least one Resources member must be defined"),
        (stack_of(D={"Properties": {}}), "must contain a Type member"),
        (stack_of(A={**database("a"), "DependsOn": "B"}, B={**database("b"), "DependsOn": "A"}), "Circular"),
        ({**stack_of(D=database("d")), "Parameters": {"P": {"Type": "String"}}}, r"\[P\] must have values"),
    ],
)
def test_what_cannot_be_deployed_is_refused_at_once(server: LakeServer, template: Any, message: str) -> None:
    stacks = Stacks(server, "refused")
    with pytest.raises(ClientError, match=message):
        stacks.create(template)
    assert stacks.describe()["StackStatus"] == ""
    if "Unrecognized" in message:
        with pytest.raises(ClientError, match=message):
            stacks.client.validate_template(TemplateBody=json.dumps(template))


def test_validate_template_tells_parameters(server: LakeServer) -> None:
    template = {**stack_of(D=database("d"), Q=queue("q")), "Parameters": {"P": {"Type": "String", "Default": "1"}}}
    found = server.client("cloudformation").validate_template(TemplateBody=json.dumps(template))
    assert [one["ParameterKey"] for one in found["Parameters"]] == ["P"]
