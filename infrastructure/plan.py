"""What a deployment would be, without doing it: checks, limits, parameters, resources, cost, and the change set.

``python -m infrastructure.plan --environment prod`` needs no AWS account: all but the comparison with what is deployed
works without credentials. With them a change set is made, shown and deleted again; nothing else changes but that the
template lies in the artifacts bucket afterwards.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import boto3

from datalake.names import Lake
from infrastructure import change_set as change_sets
from infrastructure import cost, limits, upload
from infrastructure.cfn import stack_policy
from infrastructure.cfn.template import parse_template
from infrastructure.console import arguments_of, lake, run
from infrastructure.deploy import KEPT, all_parameters, refusal, stack_request
from infrastructure.layer import with_layer
from infrastructure.package import ROOT, STACK_POLICY, TEMPLATE, build_code, parameters_of, render_template
from infrastructure.stack import Clients, DeployError, describe

SHOWN_LIMITS = 8
SAMPLE_SUFFIX = "123456789012"  # an account's id is as long
CHECKS = {
    "cfn-lint": [str(Path(sys.executable).with_name("cfn-lint")), str(TEMPLATE)],
    "our own rules": [sys.executable, "-m", "infrastructure.rules"],
}


def plan(environment: str, suffix: str = SAMPLE_SUFFIX) -> Iterator[str]:
    """All that needs no account, line by line; raises DeployError when a check fails or a limit is passed."""
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
    yield f"AWS's limits, the {SHOWN_LIMITS} nearest"
    measured = limits.measured(template, text, {**defaults, **values})
    always = [one for one in measured[SHOWN_LIMITS:] if one.what in ("template, bytes", "resources")]
    for one in [*measured[:SHOWN_LIMITS], *always]:
        yield f"  {one}"
    failed += [f"limit passed: {one.what}" for one in measured if one.share > 1]
    yield ""
    yield "Parameters"
    for name in template["Parameters"]:
        value = values.get(name, defaults.get(name, "(must be given)"))
        origin = "default" if name not in values else "parameters file" if name in stated else "this deployment"
        yield f"  {name} = {_short(value)}  ({origin})"
    yield ""
    counts = Counter(one["Type"] for one in template["Resources"].values())
    yield f"Resources: {sum(counts.values())} of {len(counts)} types, those with a false condition among them"
    for type_name, count in sorted(counts.items()):
        yield f"  {count:>3} {type_name}"
    yield ""
    yield "Cost"
    yield from (f"  {line}" for line in cost.summary(environment).splitlines())
    if failed:
        raise DeployError("; ".join(failed))


def compare(lake: Lake, clients: Clients) -> Iterator[str]:
    """The change set against what is deployed; it is deleted again."""
    s3, cloudformation = clients("s3"), clients("cloudformation")
    if not upload.exists(s3, lake.artifacts_bucket, clients("sts").get_caller_identity()["Account"]):
        yield f"{lake.stack} is not deployed in this account and region: everything would be new"
        return
    template = upload.template_artifact(render_template())
    upload.put(s3, lake.artifacts_bucket, [template])
    parameters = with_layer(parameters_of(lake.environment), clients("ssm"))
    stack = describe(cloudformation, lake.stack)
    kept = set() if stack is None else KEPT - parameters.keys()
    made = change_sets.create(cloudformation, stack_request(lake, parameters, build_code(), s3, template, kept))
    if made is None:
        yield f"{lake.stack} is up to date"
        return
    try:
        policy = stack_policy.parse(STACK_POLICY.read_text())
        yield f"{lake.stack}: {change_sets.summary(made)}"
        yield from (f"  {line}" for line in change_sets.rendered(made, policy, sys.stdout.isatty()))
        if why := refusal(made, policy):
            yield f"It would be refused: {why}"
    finally:
        change_sets.discard(cloudformation, made)


def _short(value: str) -> str:
    line = " ".join(value.split())
    return f"{line[:60]}..." if len(line) > 60 else line or '""'


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser: argparse.ArgumentParser = arguments_of("plan", "Show what a deployment would be.")
    options = parser.parse_args(arguments)

    def command() -> None:
        for line in plan(options.environment, options.suffix or SAMPLE_SUFFIX):
            print(line)
        print("\nChange set")
        session = boto3.Session()
        if session.get_credentials() is None or session.region_name is None:
            print("  no AWS credentials or region: not compared with what is deployed")
            return
        for line in compare(lake(session, options.environment, options.suffix), session.client):
            print(f"  {line}")

    return run(command)


if __name__ == "__main__":
    sys.exit(main())
