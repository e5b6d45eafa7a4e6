"""Deploys the lake: code and scripts into the artifacts bucket, then the CloudFormation stack by a change set.

``python -m infrastructure.deploy --environment dev`` deploys to the account and region that the AWS SDK's own
environment names, which may be the local home; nothing here knows the difference. It can be repeated at any time.

It shows what would change, asks, executes, follows the events, and looks at the result. What would replace or remove
a resource that holds data (``stack-policy.json`` says which) is refused before anything happens; ``--replace NAME``
allows it for one. CloudFormation gets the same policy, so that nobody else can do it either.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import boto3

from datalake.names import SAKILA_SCRIPTS_PREFIX, Lake
from infrastructure import change_set as change_sets
from infrastructure import limits, upload
from infrastructure import stack as stacks
from infrastructure.cfn import stack_policy
from infrastructure.cfn.template import parse_template
from infrastructure.change_set import ChangeSet
from infrastructure.console import Console, arguments_of, lake, run, signed_in
from infrastructure.layer import with_layer
from infrastructure.mwaa.package import MWAA_PREFIX
from infrastructure.mwaa.publish import make_pool, publish
from infrastructure.package import STACK_POLICY, Artifact, Code, build_code, parameters_of, render_template
from infrastructure.smoke import smoke_test
from infrastructure.stack import Clients, DeployError, Json, Progress, Refused

CAPABILITIES = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
KEPT = {"MySqlCa"}  # parameters that are given once and need not be given again
SAKILA_SCRIPTS = ("sakila-schema.sql", "sakila-data.sql")


def deploy(
    lake: Lake,
    parameters: Mapping[str, str],
    sakila: Path | None = None,
    clients: Clients = boto3.client,
    progress: Progress = print,
    console: Console | None = None,
    replace: Collection[str] = (),
) -> dict[str, str]:
    """Create the stack or bring it up to date, and return its outputs.

    Args:
        lake: which deployment.
        parameters: the template's parameters, but for those that this function knows (names, code).
        sakila: folder of the official scripts; without it they must be in the artifacts bucket already.
        clients: makes AWS clients.
        progress: told of each step.
        console: asks before the change set is executed; without one nobody is asked.
        replace: logical ids of resources that hold data and may be replaced or removed all the same.

    Raises:
        DeployError: a resource failed, with its reason, or a check of the deployed stack did.
        Refused: not confirmed, or it would lose data; nothing was changed but the artifacts bucket.
        FileNotFoundError: a script or source file is missing.
    """
    s3, cloudformation = clients("s3"), clients("cloudformation")
    code, text = build_code(), render_template()
    if passed := limits.passed(parse_template(text), text, all_parameters(lake, parameters, code)):
        raise Refused(f"AWS would not take it: {'; '.join(map(str, passed))}")
    template = upload.template_artifact(text)
    scripts = [
        Artifact(SAKILA_SCRIPTS_PREFIX + name, (sakila / name).read_bytes()) for name in SAKILA_SCRIPTS if sakila
    ]
    upload.make_bucket(s3, lake.artifacts_bucket, clients("sts").get_caller_identity()["Account"])
    sent = upload.put(s3, lake.artifacts_bucket, [*code.artifacts, template, *scripts])
    progress(f"s3://{lake.artifacts_bucket}: {sent} new objects")
    before = stacks.ready(cloudformation, lake.stack, progress)
    console, given = console or Console(yes=True), dict(parameters)

    def bring(before: Json | None, console: Console) -> Json:
        kept = set() if before is None else KEPT - given.keys()
        request = stack_request(lake, given, code, s3, template, kept)
        return _bring(cloudformation, request, before, progress, console, replace)

    with_airflow = given.get("CreateMwaa") == "true"
    airflow_bucket = stacks.outputs(before or {}).get("AirflowBucket")
    if with_airflow and airflow_bucket:
        given |= publish(s3, airflow_bucket)
    after = bring(before, console)
    if with_airflow and not airflow_bucket:  # its code can only be brought now that the bucket is there
        given |= publish(s3, stacks.outputs(after)["AirflowBucket"])
        after = bring(after, Console(yes=True))  # what was agreed to
    if with_airflow:
        make_pool(clients("mwaa"), lake.name("airflow"))
    if after != before:
        used = [*stacks.parameters(before or {}).values(), *stacks.parameters(after).values()]
        removed = upload.remove_unused(s3, lake.artifacts_bucket, used, upload.CODE_PREFIXES)
        if with_airflow:
            removed += upload.remove_unused(s3, lake.airflow_bucket, used, (MWAA_PREFIX,))
        if removed:
            progress(f"{removed} objects with the code of older deployments removed")
    smoke_test(clients, lake.stack, progress)
    return stacks.outputs(after)


def _bring(
    cloudformation: Any,
    request: Json,
    before: Json | None,
    progress: Progress,
    console: Console,
    replace: Collection[str],
) -> Json:
    """Bring a stack to what is requested, by a change set that is shown and agreed to; returns the stack."""
    policy = stack_policy.parse(STACK_POLICY.read_text())
    made = change_sets.create(cloudformation, request)
    if made is None:
        progress(f"{request['StackName']} is up to date")
        cloudformation.set_stack_policy(StackName=request["StackName"], StackPolicyBody=json.dumps(policy))
        return before or {}
    try:
        _agreed(request["StackName"], made, policy, replace, progress, console)
    except BaseException:
        change_sets.discard(cloudformation, made)
        raise
    return _execute(cloudformation, made, policy, replace, progress)


def stack_request(
    lake: Lake, parameters: Mapping[str, str], code: Code, s3: Any, template: Artifact, kept: Collection[str] = ()
) -> Json:
    """What CloudFormation is asked for; the parameters in ``kept`` stay what they are."""
    return {
        "StackName": lake.stack,
        "TemplateURL": upload.url(s3, lake.artifacts_bucket, template.key),
        "Capabilities": CAPABILITIES,
        "Parameters": [
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in all_parameters(lake, parameters, code).items()
        ]
        + [{"ParameterKey": name, "UsePreviousValue": True} for name in sorted(kept)],
    }


def all_parameters(lake: Lake, parameters: Mapping[str, str], code: Code) -> dict[str, str]:
    """The parameters with those that only the deployment knows."""
    return {
        **parameters,
        "Environment": lake.environment,
        "Suffix": lake.suffix,
        "LambdaCodeKey": code.lambda_code_key,
        "JobsPrefix": code.jobs_prefix,
    }


def outputs(cloudformation: Any, lake: Lake) -> dict[str, str]:
    """The stack's outputs; raises DeployError when there is no such stack."""
    stack = stacks.describe(cloudformation, lake.stack)
    if stack is None:
        raise DeployError(f"Stack {lake.stack} does not exist")
    return stacks.outputs(stack)


def refusal(made: ChangeSet, policy: Json, replace: Collection[str] = ()) -> str:
    """Why a change set must not be executed, or nothing."""
    lost = change_sets.losses(made, policy, replace)
    named = ", ".join(
        f"{one.logical} ({one.type}) would be {'removed' if one.action == 'Remove' else 'replaced'}"
        + (f" for {', '.join(one.properties)}" if one.properties else "")
        for one in lost
    )
    return named and (
        f"{named}; what it holds would be lost, so nothing was changed. "
        f"If that is meant: {' '.join(f'--replace {one.logical}' for one in lost)}"
    )


def _agreed(
    name: str, made: ChangeSet, policy: Json, replace: Collection[str], progress: Progress, console: Console
) -> None:
    """Show the change set and ask; raises Refused."""
    progress(f"{name}: {change_sets.summary(made)}")
    for line in change_sets.rendered(made, policy, console.interactive):
        progress(f"  {line}")
    if why := refusal(made, policy, replace):
        raise Refused(why)
    console.confirm(f"{'Create' if made.creates else 'Update'} {name}?")


def _execute(cloudformation: Any, made: ChangeSet, policy: Json, replace: Collection[str], progress: Progress) -> Json:
    """Execute a change set under the stack policy, wait, and return the stack."""
    if not made.creates:
        lifted = stack_policy.without(policy, replace)
        cloudformation.set_stack_policy(StackName=made.stack_id, StackPolicyBody=json.dumps(lifted))
    seen = stacks.event_ids(cloudformation, made.stack_id)
    try:
        cloudformation.execute_change_set(ChangeSetName=made.arn)
        final = stacks.follow(cloudformation, made.stack_id, progress, seen)
    finally:
        if not made.creates:
            cloudformation.set_stack_policy(StackName=made.stack_id, StackPolicyBody=json.dumps(policy))
    if final["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise DeployError(stacks.failure(cloudformation, final, seen))
    if made.creates:
        cloudformation.set_stack_policy(StackName=made.stack_id, StackPolicyBody=json.dumps(policy))
    return final


def next_steps(lake: Lake, made: Mapping[str, str], region: str, aws: bool) -> Iterable[str]:
    """What to set, open and do after a deployment; ``aws`` says whether there is a console to open."""
    yield ""
    for name, value in sorted(made.items()):
        yield f"{name} = {value}"
    console = f"https://{region}.console.aws.amazon.com"
    if not aws:
        return
    yield ""
    yield f"The stack:     {console}/cloudformation/home?region={region}#/stacks?filteringText={lake.stack}"
    yield f"The workgroup: {console}/athena/home?region={region}#/query-editor (workgroup {lake.workgroup})"
    topic = made["AlarmTopic"]
    yield f"Alarms:        aws sns subscribe --protocol email --notification-endpoint YOU --topic-arn {topic}"
    yield f"Airflow:       export LAKE_ENVIRONMENT={lake.environment} LAKE_SUFFIX={lake.suffix} (docs/deploy.md)"
    yield f"Remove it:     make destroy ENV={lake.environment}"


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = arguments_of("deploy", "Deploy the lake.")
    parser.add_argument("--sakila", type=Path, help="folder of sakila-schema.sql and sakila-data.sql")
    parser.add_argument("--mysql-ca", type=Path, help="PEM file of the authority of the database's certificate")
    parser.add_argument("--replace", action="append", default=[], metavar="LOGICAL_ID",
                        help="let this resource be replaced or removed, with what it holds")  # fmt: skip
    options = parser.parse_args(arguments)

    def command() -> None:
        session = boto3.Session()
        signed_in(session)
        which = lake(session, options.environment, options.suffix)
        parameters = with_layer(parameters_of(options.environment), session.client("ssm"))
        if options.mysql_ca:
            parameters["MySqlCa"] = options.mysql_ca.read_text()
        made = deploy(which, parameters, options.sakila, console=Console.here(options.yes), replace=options.replace)
        aws = ".amazonaws." in session.client("cloudformation").meta.endpoint_url
        print(*next_steps(which, made, session.region_name, aws), sep="\n")

    return run(command)


if __name__ == "__main__":
    sys.exit(main())
