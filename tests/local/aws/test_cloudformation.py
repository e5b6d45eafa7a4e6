"""The home's CloudFormation: the language by itself, then small stacks in a real emulator behind our server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local.aws.cloudformation import CloudFormation, wire
from local.aws.cloudformation.reduced import output_name, reduce
from local.aws.cloudformation.stacks import INTERRUPTED, Store
from local.aws.cloudformation.types import Failure, shaped
from local.aws.glue_catalog import GlueCatalog
from local.aws.protocol import AwsError
from local.commands.aws_server import aws_settings
from local.environment import SERVED
from local.settings import Settings
from tests.local.aws.stacks import Stacks, database, queue, stack_of
from tests.support.aws_services import Emulator, LakeServer, running_emulator, running_server

SETTINGS = aws_settings(Settings(home=Path("/nowhere"), port=15650))


def test_the_emulators_part() -> None:
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
    external = {"StringEquals": {"sts:ExternalId": {"Ref": "AWS::AccountId"}}}
    template["Resources"]["Role"] = {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": {"Statement": [{"Condition": account}, {"Condition": external}]}},
    }
    template["Parameters"] = {"Days": {"Type": "Number"}, "Name": {"Type": "String"}}
    template["Resources"]["Logs"] = {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": {"Ref": "Days"}}}
    before = json.dumps(template)
    given = {"Days": "30", "Name": "30"}
    needed = [("Key", "Arn")]
    reduced = reduce(template, {"Mine"}, lambda name, attribute: f"<{name}{attribute}>", needed, SETTINGS, given)
    assert json.dumps(template) == before
    assert reduced["Resources"].keys() == {"Key", "Function", "Policy", "Role", "Logs"}
    assert reduced["Resources"]["Logs"]["Properties"] == {"RetentionInDays": 30}
    trust = reduced["Resources"]["Role"]["Properties"]["AssumeRolePolicyDocument"]
    assert trust["Statement"] == [{}, {"Condition": external}]
    function = reduced["Resources"]["Function"]
    assert function["DependsOn"] == ["Key"]
    assert function["Properties"]["Role"] == {"Fn::Sub": "<MineArn>/${Key}/${!Mine}"}
    assert function["Properties"]["Memory"] == "<Mine>"
    variables = function["Properties"]["Environment"]["Variables"]
    assert variables == {f"AWS_ENDPOINT_URL_{service.upper()}": SETTINGS.server_url for service in SERVED}
    statements = reduced["Resources"]["Policy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statements == [{"Effect": "Allow", "Resource": "<AWS::StackId>"}]
    assert reduced["Outputs"] == {output_name("Key", "Arn"): {"Value": {"Fn::GetAtt": ["Key", "Arn"]}}}


def test_the_wire_is_what_boto3_sends_and_reads() -> None:
    sent: dict[str, str] = {}
    client = boto3.client("cloudformation")
    request = {
        "StackName": "s",
        "Parameters": [{"ParameterKey": "A", "UsePreviousValue": True}, {"ParameterKey": "B", "ParameterValue": "<&>"}],
        "Capabilities": ["CAPABILITY_IAM"],
        "Tags": [],
    }

    def answer(params: dict[str, Any], **_: Any) -> Any:
        sent.update(params["body"])
        from botocore.awsrequest import AWSResponse
        from botocore.parsers import create_parser

        body = wire.reply("UpdateStack", {"StackId": "a<b>&c"}).encode()
        shape = wire.operation("UpdateStack").output_shape
        parsed = create_parser("query").parse({"body": body, "headers": {}, "status_code": 200}, shape)
        return AWSResponse("", 200, {}, None), parsed

    client.meta.events.register("before-call.cloudformation.UpdateStack", answer)
    assert client.update_stack(**request)["StackId"] == "a<b>&c"
    assert wire.read("UpdateStack", sent) == request


def test_template_texts_become_an_apis_types() -> None:
    made = shaped("dms", "CreateReplicationInstance", {"AllocatedStorage": "20", "MultiAZ": "false"})
    assert made == {"AllocatedStorage": 20, "MultiAZ": False}
    with pytest.raises(Failure, match="CreateReplicationInstance.Colour"):
        shaped("dms", "CreateReplicationInstance", {"Colour": "red"})


# ---------------------------------------------------------------- small stacks


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LakeServer]:
    folder = tmp_path_factory.mktemp("cloudformation")
    with running_emulator(folder) as emulator, running_server(emulator, (GlueCatalog, CloudFormation)) as running:
        yield running


@pytest.fixture
def stacks(server: LakeServer, request: pytest.FixtureRequest) -> Iterator[Stacks]:
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "")[:60]
    found = Stacks(server, name)
    yield found
    found.client.delete_stack(StackName=name)
    found.settled()


@pytest.mark.services
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


@pytest.mark.services
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


@pytest.mark.services
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


@pytest.mark.services
def test_a_rollback_that_failed_can_be_continued(stacks: Stacks, server: LakeServer) -> None:
    name, glue = stacks.name.replace("-", "_"), stacks.server.client("glue")
    stacks.create(stack_of(A=database(f"{name}_a", Description="before"), Dropped=database(f"{name}_dropped")))
    glue.create_database(DatabaseInput={"Name": f"{name}_taken"})
    catalog = next(one for one in server.server.executors if isinstance(one, GlueCatalog))
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


@pytest.mark.services
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


@pytest.mark.services
def test_what_fails_in_the_emulator_is_told(stacks: Stacks) -> None:
    broken = stack_of(
        Q=queue(f"{stacks.name}-q"),
        A={"Type": "AWS::KMS::Alias", "DependsOn": "Q", "Properties": {"AliasName": "no-alias", "TargetKeyId": "x"}},
    )
    assert stacks.create(broken) == "ROLLBACK_COMPLETE"
    assert "alias/" in stacks.reasons()["A"]
    assert stacks.queues() == []


@pytest.mark.services
def test_a_stack_may_keep_what_its_template_says(stacks: Stacks) -> None:
    name = stacks.name.replace("-", "_")
    stacks.create(stack_of(D={**database(name), "DeletionPolicy": "Retain"}))
    assert stacks.delete() == ""
    assert stacks.databases() == {name}
    stacks.server.client("glue").delete_database(Name=name)


@pytest.mark.services
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


@pytest.mark.services
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


@pytest.mark.services
def test_validate_template_tells_parameters(server: LakeServer) -> None:
    template = {**stack_of(D=database("d"), Q=queue("q")), "Parameters": {"P": {"Type": "String", "Default": "1"}}}
    found = server.client("cloudformation").validate_template(TemplateBody=json.dumps(template))
    assert [one["ParameterKey"] for one in found["Parameters"]] == ["P"]


@pytest.mark.services
def test_a_kill_in_the_middle_can_be_repeated(tmp_path: Path) -> None:
    """The server dies while our part is under way; the emulator, killed before it saved, has forgotten its part."""
    name = "interrupted"
    template = stack_of(
        Q=queue("interrupted-q"), A=database("interrupted_a"), B={**database("interrupted_b"), "DependsOn": "A"}
    )
    template["Resources"]["Bucket"] = {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "interrupted-bucket"}}
    with running_emulator(tmp_path) as emulator:
        with running_server(emulator, (GlueCatalog, CloudFormation)) as server:
            reached, go_on = _stop_before(server, "interrupted_b")
            stacks = Stacks(server, name)
            stacks.client.create_stack(StackName=name, TemplateBody=json.dumps(template))
            assert reached.wait(30)
            saved = _copy_of_state(emulator)
            go_on.set()
        _restore_state(emulator, saved)
        emulator.kill()
        emulator.start()
        with running_server(emulator, (GlueCatalog, CloudFormation)) as server:
            stacks = Stacks(server, name)
            stack = stacks.describe()
            assert (stack["StackStatus"], stack["StackStatusReason"]) == ("CREATE_FAILED", INTERRUPTED)
            assert stacks.delete() == ""
            assert stacks.create(template) == "CREATE_COMPLETE"
            assert stacks.databases() == {"interrupted_a", "interrupted_b"}

            emulator.kill()  # it never saved: all but its buckets is gone
            emulator.start()
            assert stacks.queues() == []
            stacks.client.update_stack(StackName=name, TemplateBody=json.dumps(template))
            assert stacks.settled() == "UPDATE_COMPLETE"
            assert stacks.queues() == ["interrupted-q"]
            assert stacks.databases() == {"interrupted_a", "interrupted_b"}


def _stop_before(server: LakeServer, database_name: str) -> tuple[threading.Event, threading.Event]:
    """Hold the creation of a database: as far as the state on disk goes, the server dies there."""
    catalog = next(one for one in server.server.executors if isinstance(one, GlueCatalog))
    create: Callable[..., Any] = catalog.actions["CreateDatabase"]
    reached, go_on = threading.Event(), threading.Event()

    def hold(request: Any) -> Any:
        if request.payload["DatabaseInput"]["Name"] == database_name:
            reached.set()
            go_on.wait(30)
        return create(request)

    catalog.actions = {**catalog.actions, "CreateDatabase": hold}
    return reached, go_on


def _copy_of_state(emulator: Emulator) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (emulator.settings.data / "cloudformation").iterdir()}


def _restore_state(emulator: Emulator, saved: dict[Path, bytes]) -> None:
    for path, content in saved.items():
        path.write_bytes(content)


def test_an_interrupted_operation_has_failed(tmp_path: Path) -> None:
    from local.aws.cloudformation.stacks import Deployed, Stack

    store = Store(tmp_path)
    for name, status in (
        ("a", "CREATE_IN_PROGRESS"),
        ("b", "UPDATE_ROLLBACK_IN_PROGRESS"),
        ("c", "DELETE_IN_PROGRESS"),
    ):
        store.save(Stack(name, Deployed("{}", {}, [], []), status=status))
    store.save(Stack("d", Deployed("{}", {}, [], []), status="CREATE_COMPLETE"))
    again = Store(tmp_path)
    again.load()
    assert {stack.name: stack.status for stack in again} == {
        "a": "CREATE_FAILED", "b": "UPDATE_FAILED", "c": "DELETE_FAILED", "d": "CREATE_COMPLETE",
    }  # fmt: skip
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600
