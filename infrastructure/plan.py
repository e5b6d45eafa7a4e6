"""Shows what a deployment would do: checks, limits, parameters, resources, cost, and the change set.

``python -m infrastructure.plan --environment prod`` needs no AWS account: everything except the comparison with what is
deployed works without credentials. With credentials a change set is created, shown and deleted again; all that remains
of it is the template in the artifacts bucket.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from datalake.names import Lake
from infrastructure import change_set as change_sets
from infrastructure import cost, limits, upload
from infrastructure.cfn import stack_policy
from infrastructure.cfn.template import parse_template
from infrastructure.command_line import argument_parser, run, signed_in
from infrastructure.deploy import all_parameters, refusal, stack_request
from infrastructure.package import ROOT, STACK_POLICY, TEMPLATE, build_code, parameters_of, render_template
from infrastructure.pandas_layer import with_layer
from infrastructure.stack import Clients, DeployError, Refused, describe

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_s3 import S3Client

SHOWN_LIMITS = 8
SAMPLE_SUFFIX = "123456789012"  # as long as an account's id
CHECKS = {
    "cfn-lint": [str(Path(sys.executable).with_name("cfn-lint")), str(TEMPLATE)],
    "our own rules": [sys.executable, "-m", "infrastructure.rules"],
}


def plan(environment: str, suffix: str = SAMPLE_SUFFIX) -> Iterator[str]:
    """The part that needs no account, as lines; raises DeployError when a check fails or a limit is exceeded."""
    text, code = render_template(), build_code()
    template = parse_template(text)
    stated = parameters_of(environment)
    values = all_parameters(Lake(environment, suffix), stated, code)
    defaults = {name: str(one["Default"]) for name, one in template["Parameters"].items() if "Default" in one}
    if unknown := sorted(values.keys() - template["Parameters"].keys()):
        raise DeployError(f"parameters/{environment}.json: the template has no parameter {', '.join(unknown)}")
    failed = []
    yield "Checks"
    for name, program in CHECKS.items():
        result = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
        yield f"  {'✗' if result.returncode else '✓'} {name}"
        if result.returncode:
            failed.append(name)
            yield from (f"    {line}" for line in (result.stdout + result.stderr).splitlines())
    yield ""
    yield f"AWS's limits, the {SHOWN_LIMITS} most used"
    measured = limits.measured(template, text, {**defaults, **values})
    always = [one for one in measured[SHOWN_LIMITS:] if one.what in ("template, bytes", "resources")]
    for one in [*measured[:SHOWN_LIMITS], *always]:
        yield f"  {one}"
    failed += [f"limit exceeded: {one.what}" for one in measured if one.share > 1]
    yield ""
    yield "Parameters"
    for name in template["Parameters"]:
        value = values.get(name, defaults.get(name, "(must be given)"))
        origin = "default" if name not in values else "parameters file" if name in stated else "this deployment"
        yield f"  {name} = {_short(value)}  ({origin})"
    yield ""
    counts = Counter(one["Type"] for one in template["Resources"].values())
    yield f"Resources: {sum(counts.values())} of {len(counts)} types, including those whose condition is false"
    for type_name, count in sorted(counts.items()):
        yield f"  {count:>3} {type_name}"
    yield ""
    yield "Cost"
    yield from (f"  {line}" for line in cost.summary(environment).splitlines())
    if failed:
        raise DeployError("; ".join(failed))


def compare(lake: Lake, clients: Clients) -> Iterator[str]:
    """The change set against what is deployed, as lines; it is deleted again."""
    s3: S3Client = clients("s3")
    cloudformation: CloudFormationClient = clients("cloudformation")
    if not upload.exists(s3, lake.artifacts_bucket, clients("sts").get_caller_identity()["Account"]):
        yield f"{lake.stack} is not deployed in this account and region: everything would be new"
        return
    template = upload.template_artifact(render_template())
    upload.put(s3, lake.artifacts_bucket, [template])
    parameters = with_layer(parameters_of(lake.environment), clients("ssm"))
    exists = describe(cloudformation, lake.stack) is not None
    request = stack_request(lake, parameters, build_code(), s3, template, exists)
    change_set = change_sets.create(cloudformation, request)
    if change_set is None:
        yield f"{lake.stack} is up to date"
        return
    try:
        policy = stack_policy.parse(STACK_POLICY.read_text())
        yield from change_sets.shown(lake.stack, change_set, policy, sys.stdout.isatty())
        if reason := refusal(change_set, policy):
            yield f"It would be refused: {reason}"
    finally:
        change_sets.discard(cloudformation, change_set)


def _short(value: str) -> str:
    line = " ".join(value.split())
    return f"{line[:60]}..." if len(line) > 60 else line or '""'


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    options = argument_parser("plan", "Show what a deployment would do.").parse_args(arguments)

    def command() -> None:
        for line in plan(options.environment, options.suffix or SAMPLE_SUFFIX):
            print(line)
        print("\nChange set")
        try:
            session, lake = signed_in(options.environment, options.suffix)
        except Refused:
            print("  no AWS credentials or region: not compared with what is deployed")
            return
        for line in compare(lake, session.client):
            print(f"  {line}")

    return run(command)


if __name__ == "__main__":
    sys.exit(main())
