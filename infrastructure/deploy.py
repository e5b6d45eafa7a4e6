"""Deploys the lake: code and scripts into the artifacts bucket, then the CloudFormation stack through a change set.

``python -m infrastructure.deploy --environment dev`` deploys to the account and region that the AWS SDK's environment
names, which may be the local home; nothing here treats the two differently. It can be repeated at any time.

It shows what would change, asks, executes the change set, follows the events and runs the smoke test. A change that
would replace or remove a resource that holds data (``stack-policy.json`` lists them) is refused before anything
happens; ``--replace NAME`` allows it for one resource. CloudFormation gets the same policy and denies it to all others.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from datalake.names import SAKILA_SCRIPTS_PREFIX, Lake
from infrastructure import change_set as change_sets
from infrastructure import limits, upload
from infrastructure import stack as stacks
from infrastructure.cfn import stack_policy
from infrastructure.cfn.template import parse_template
from infrastructure.change_set import ChangeSet
from infrastructure.command_line import Terminal, argument_parser, run, signed_in
from infrastructure.mwaa.package import MWAA_PREFIX
from infrastructure.mwaa.publish import make_pool, publish
from infrastructure.package import STACK_POLICY, Artifact, Code, build_code, parameters_of, render_template
from infrastructure.pandas_layer import with_layer
from infrastructure.smoke import smoke_test
from infrastructure.stack import Clients, DeployError, Json, Progress, Refused

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef
    from mypy_boto3_s3 import S3Client

CAPABILITIES = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
REMEMBERED = {"MySqlCa"}  # parameters that keep their value when they are not given again
SAKILA_SCRIPTS = ("sakila-schema.sql", "sakila-data.sql")


def deploy(
    lake: Lake,
    parameters: Mapping[str, str],
    sakila: Path | None = None,
    clients: Clients = boto3.client,
    progress: Progress = print,
    terminal: Terminal | None = None,
    replace: Collection[str] = (),
) -> dict[str, str]:
    """Create the stack or bring it up to date, and return its outputs.

    Args:
        lake: the names of the deployment.
        parameters: the template's parameters, except those that this function sets (names, code).
        sakila: folder of the official scripts; without it they must already be in the artifacts bucket.
        clients: makes AWS clients.
        progress: called with each step.
        terminal: asks before the change set is executed; without one nobody is asked.
        replace: logical ids of resources that hold data and may nevertheless be replaced or removed.

    Raises:
        DeployError: a resource or a check of the deployed stack failed; the message has the reason.
        Refused: not confirmed, or data would be lost; only the artifacts bucket was changed.
        FileNotFoundError: a script or source file is missing.
    """
    code, text = build_code(), render_template()
    if exceeded := limits.exceeded(parse_template(text), text, all_parameters(lake, parameters, code)):
        raise Refused(f"AWS would not accept it: {'; '.join(map(str, exceeded))}")
    template = upload.template_artifact(text)
    scripts = [
        Artifact(SAKILA_SCRIPTS_PREFIX + name, (sakila / name).read_bytes()) for name in SAKILA_SCRIPTS if sakila
    ]
    s3: S3Client = clients("s3")
    upload.make_bucket(s3, lake.artifacts_bucket, clients("sts").get_caller_identity()["Account"])
    _, sent = upload.put(s3, lake.artifacts_bucket, [*code.artifacts, template, *scripts])
    progress(f"s3://{lake.artifacts_bucket}: {sent} new objects")
    after = _update_stack(lake, parameters, code, template, clients, progress, terminal or Terminal(yes=True), replace)
    smoke_test(clients, lake.stack, progress)
    return stacks.outputs(after)


def _update_stack(
    lake: Lake,
    parameters: Mapping[str, str],
    code: Code,
    template: Artifact,
    clients: Clients,
    progress: Progress,
    terminal: Terminal,
    replace: Collection[str],
) -> StackTypeDef:
    """Bring the stack up to date, with Airflow's code if the template creates MWAA, and remove code no longer used."""
    s3: S3Client = clients("s3")
    cloudformation: CloudFormationClient = clients("cloudformation")
    before, given = stacks.make_updatable(cloudformation, lake.stack, progress), dict(parameters)

    def update(current: StackTypeDef | None, terminal: Terminal) -> StackTypeDef:
        request = stack_request(lake, given, code, s3, template, current is not None)
        return _change_stack(cloudformation, request, current, progress, terminal, replace)

    with_airflow = given.get("CreateMwaa") == "true"
    airflow_bucket = stacks.outputs(before).get("AirflowBucket")
    if with_airflow and airflow_bucket:
        given |= publish(s3, airflow_bucket)
    after = update(before, terminal)
    if with_airflow and not airflow_bucket:  # the first update has created the bucket for Airflow's code
        given |= publish(s3, stacks.outputs(after)["AirflowBucket"])
        after = update(after, Terminal(yes=True))  # it was confirmed already
    if with_airflow:
        make_pool(clients("mwaa"), lake.name("airflow"))
    if after != before:
        used = [*stacks.parameters(before).values(), *stacks.parameters(after).values()]
        removed = upload.remove_unused(s3, lake.artifacts_bucket, used, upload.CODE_PREFIXES)
        if with_airflow:
            removed += upload.remove_unused(s3, lake.airflow_bucket, used, (MWAA_PREFIX,))
        if removed:
            progress(f"{removed} objects with the code of older deployments removed")
    return after


def _change_stack(
    cloudformation: CloudFormationClient,
    request: Json,
    before: StackTypeDef | None,
    progress: Progress,
    terminal: Terminal,
    replace: Collection[str],
) -> StackTypeDef:
    """Make the stack as requested, through a change set that is shown and confirmed; returns the stack."""
    name, policy = request["StackName"], stack_policy.parse(STACK_POLICY.read_text())

    def set_policy(stated: Json) -> None:
        cloudformation.set_stack_policy(StackName=name, StackPolicyBody=json.dumps(stated))

    change_set = change_sets.create(cloudformation, request)
    if change_set is None and before is not None:
        progress(f"{name} is up to date")
        set_policy(policy)
        return before
    if change_set is None:
        raise DeployError(f"{name} does not exist, and its change set is empty")
    try:
        for line in change_sets.shown(name, change_set, policy, terminal.interactive):
            progress(line)
        if reason := refusal(change_set, policy, replace):
            raise Refused(reason)
        terminal.confirm(f"{'Create' if change_set.creates else 'Update'} {name}?")
    except BaseException:
        change_sets.discard(cloudformation, change_set)
        raise
    seen = stacks.event_ids(cloudformation, change_set.stack_id)
    if not change_set.creates:
        set_policy(stack_policy.without_denials(policy, replace))
    try:
        cloudformation.execute_change_set(ChangeSetName=change_set.arn)
        final = stacks.follow(cloudformation, change_set.stack_id, progress, seen)
    finally:
        if not change_set.creates:
            set_policy(policy)
    if final["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise DeployError(stacks.failure(cloudformation, final, seen))
    if change_set.creates:
        set_policy(policy)
    return final


def stack_request(
    lake: Lake, parameters: Mapping[str, str], code: Code, s3: S3Client, template: Artifact, exists: bool
) -> Json:
    """The arguments of CreateChangeSet; if the stack exists, parameters in REMEMBERED keep their present values."""
    given: list[Json] = [
        {"ParameterKey": name, "ParameterValue": value}
        for name, value in all_parameters(lake, parameters, code).items()
    ]
    remembered = sorted(REMEMBERED - parameters.keys()) if exists else []
    return {
        "StackName": lake.stack,
        "TemplateURL": upload.url(s3, lake.artifacts_bucket, template.key),
        "Capabilities": CAPABILITIES,
        "Parameters": given + [{"ParameterKey": name, "UsePreviousValue": True} for name in remembered],
    }


def all_parameters(lake: Lake, parameters: Mapping[str, str], code: Code) -> dict[str, str]:
    """The parameters, with those that only the deployment knows added."""
    return {
        **parameters,
        "Environment": lake.environment,
        "Suffix": lake.suffix,
        "LambdaCodeKey": code.lambda_code_key,
        "JobsPrefix": code.jobs_prefix,
    }


def outputs(cloudformation: CloudFormationClient, lake: Lake) -> dict[str, str]:
    """The stack's outputs; raises DeployError when there is no such stack."""
    stack = stacks.describe(cloudformation, lake.stack)
    if stack is None:
        raise DeployError(f"Stack {lake.stack} does not exist")
    return stacks.outputs(stack)


def refusal(change_set: ChangeSet, policy: Json, replace: Collection[str] = ()) -> str:
    """Why a change set must not be executed; empty when it may be."""
    lost = change_sets.data_losses(change_set, policy, replace)
    named = ", ".join(
        f"{one.logical} ({one.type}) would be {'removed' if one.action == 'Remove' else 'replaced'}"
        + (f" for {', '.join(one.properties)}" if one.properties else "")
        for one in lost
    )
    return named and (
        f"{named}; its data would be lost, so nothing was changed. "
        f"To do it nevertheless: {' '.join(f'--replace {one.logical}' for one in lost)}"
    )


def next_steps(lake: Lake, outputs: Mapping[str, str], region: str, aws: bool) -> Iterable[str]:
    """What to do after a deployment; ``aws``: whether it is on AWS, where there is a web console to open."""
    yield ""
    for name, value in sorted(outputs.items()):
        yield f"{name} = {value}"
    console = f"https://{region}.console.aws.amazon.com"
    if not aws:
        return
    yield ""
    yield f"The stack:     {console}/cloudformation/home?region={region}#/stacks?filteringText={lake.stack}"
    yield f"The workgroup: {console}/athena/home?region={region}#/query-editor (workgroup {lake.workgroup})"
    topic = outputs["AlarmTopic"]
    yield f"Alarms:        aws sns subscribe --protocol email --notification-endpoint YOU --topic-arn {topic}"
    yield f"Airflow:       export LAKE_ENVIRONMENT={lake.environment} LAKE_SUFFIX={lake.suffix} (docs/deploy.md)"
    yield f"Remove it:     make destroy ENV={lake.environment}"


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argument_parser("deploy", "Deploy the lake.")
    parser.add_argument("--sakila", type=Path, help="folder of sakila-schema.sql and sakila-data.sql")
    parser.add_argument("--mysql-ca", type=Path, help="PEM file of the database's certificate authority")
    parser.add_argument("--replace", action="append", default=[], metavar="LOGICAL_ID",
                        help="allow this resource to be replaced or removed, with its data")  # fmt: skip
    options = parser.parse_args(arguments)

    def command() -> None:
        session, which = signed_in(options.environment, options.suffix)
        parameters = with_layer(parameters_of(options.environment), session.client("ssm"))
        if options.mysql_ca:
            parameters["MySqlCa"] = options.mysql_ca.read_text()
        terminal = Terminal.of_this_process(options.yes)
        made = deploy(which, parameters, options.sakila, session.client, terminal=terminal, replace=options.replace)
        aws = ".amazonaws." in session.client("cloudformation").meta.endpoint_url
        print(*next_steps(which, made, session.region_name, aws), sep="\n")

    return run(command)


if __name__ == "__main__":
    sys.exit(main())
