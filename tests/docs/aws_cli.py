"""Checks commands of the AWS CLI in guides: services, commands, options and replies must be in botocore's models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import jmespath
from botocore import xform_name

from tests.docs import known

# Commands that the AWS CLI adds to the services' own, with the options used here (AWS CLI Command Reference).
CLI_ONLY = {
    ("s3", "cp"): {"recursive", "exclude", "include", "sse"},
    ("s3", "ls"): {"recursive", "summarize", "human-readable"},
    ("s3", "rb"): {"force"},
    ("s3", "rm"): {"recursive"},
    ("s3", "sync"): {"delete", "exclude", "include"},
    ("configure", "sso"): {"profile"},
    ("sso", "login"): {"profile"},
    ("logs", "tail"): {"since", "follow", "format"},
}
RENAMED = {
    ("sns", "subscribe"): {"endpoint": "notification-endpoint"}
}  # by the CLI, to avoid confusion with its own --endpoint-url
CLI_GLOBAL = {
    "query",
    "output",
    "region",
    "profile",
    "no-cli-pager",
    "endpoint-url",
    "cli-binary-format",
    "no-paginate",
}
WAITER_COMMAND = "wait"


def problems(arguments: list[str]) -> Iterator[str]:
    """What is wrong with the arguments of ``aws``."""
    plain = [one for one in arguments if not one.startswith("--")]
    options = {
        one.removeprefix("--").partition("=")[0]: index for index, one in enumerate(arguments) if one.startswith("--")
    }
    if len(plain) < 2:
        yield "no service and command"
        return
    service, command = plain[:2]
    output: frozenset[str] = frozenset()
    if (service, command) in CLI_ONLY:
        allowed, required = CLI_ONLY[service, command], set()
    elif command == WAITER_COMMAND:
        yield from _waits(service, plain[2] if len(plain) > 2 else "", options)
        return
    else:
        model = known.operation(service, command)
        if model is None:
            yield f"AWS has no {service} {command}"
            return
        shape = model.input_shape
        renamed = RENAMED.get((service, command), {})
        names = {
            one: renamed.get(xform_name(one, "-"), xform_name(one, "-")) for one in (shape.members if shape else ())
        }
        allowed = {*names.values(), *(f"no-{one}" for one in names.values())}
        required = {names[one] for one in (shape.required_members if shape else ())}
        output = known.members(model.output_shape)
    for option in options:
        if option not in allowed | CLI_GLOBAL:
            yield f"aws {service} {command} takes no --{option}"
    yield from (f"aws {service} {command} needs --{one}" for one in sorted(required - options.keys()))
    if (service, command) == ("mwaa", "invoke-rest-api"):
        yield from _airflow_request(*(arguments[options[one] + 1] for one in ("method", "path", "body")))
    if "query" in options:
        yield from _query(arguments[options["query"] + 1], output)


def _airflow_request(method: str, path: str, body: str) -> Iterator[str]:
    """Check a request to Airflow's API: path, method and body must be as its description says."""
    yield from (f"{method} {path}: {one}" for one in known.airflow_refuses(f"/api/v2{path}", method, json.loads(body)))


def _waits(service: str, waiter: str, options: dict[str, int]) -> Iterator[str]:
    found = known.session().get_waiter_model(service).waiter_names if known.service(service) else []
    if waiter not in {xform_name(one, "-") for one in found}:
        yield f"AWS has no waiter {service} {waiter}"


def _query(text: str, output: frozenset[str]) -> Iterator[str]:
    """Check a JMESPath expression: its fields must be members of the reply, outputs must be in the template."""
    try:
        tree = jmespath.compile(text).parsed
    except jmespath.exceptions.JMESPathError as error:
        yield f"--query: {error}"
        return
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        waiting += one["children"]
        if one["type"] == "field" and one["value"] not in output:
            yield f"--query: the reply has no {one['value']}"
    for name in re.findall(r"OutputKey *== *['`\"]+(\w+)", text):
        if name not in known.template()["Outputs"]:
            yield f"the template has no output {name}"
