"""The names that a guide may use: words of the sources, the template's names, AWS's and Airflow's API, make targets."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import yaml
from botocore import xform_name
from botocore.model import OperationModel, ServiceModel, Shape
from jsonschema import Draft202012Validator

from datalake import names
from datalake.names import Lake
from infrastructure.cfn.template import parse_template
from infrastructure.package import render_template
from local.settings import ROOT
from tests.docs.guides import Guide

SOURCES = (
    ".py",
    ".sql",
    ".yaml",
    ".json",
    ".toml",
    ".txt",
    ".in",
    ".sh",
    ".xml",
    ".properties",
    "Makefile",
    "Dockerfile",
)
PROGRAMS = ("tests/faults/", "tests/kill_loop/", "tests/mutants/")  # programs that make targets start
PREFIXES = {value for name, value in vars(names).items() if name.endswith("_PREFIX")}
ENVIRONMENT = re.compile(
    rf"{names.PROJECT}-(<environment>|\$ENV|\$\{{ENV\}}|\$LAKE_ENVIRONMENT|dev|prod|local)(?=-|\b|$)"
)
SUFFIX = re.compile(r"-(<suffix>|\$LAKE_SUFFIX|\$SUFFIX|\d{12}|home)$")


@cache
def files() -> frozenset[str]:
    """Every file and folder of the repository that git does not ignore (folders end with a slash)."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    folders = {f"{folder}/" for one in listed for folder in map(str, Path(one).parents) if folder != "."}
    return frozenset(listed) | folders


@cache
def source() -> str:
    """The text of all files that are neither guides nor tests."""
    wanted = [
        one
        for one in sorted(files())
        if one.endswith(SOURCES)
        and (ROOT / one).is_file()
        and (one.startswith(PROGRAMS) or not one.startswith("tests/"))
    ]
    return "\n".join((ROOT / one).read_text() for one in wanted)


@cache
def in_source(words: str) -> bool:
    """Whether some source contains these words exactly, as whole words."""
    text, begin = source(), -1
    while (begin := text.find(words, begin + 1)) >= 0:
        around = text[begin - 1 : begin], text[begin + len(words) : begin + len(words) + 1]
        if not any(re.match(r"[\w-]", one) for one in around):
            return True
    return False


def is_file_name(part: str) -> bool:
    """Whether some source contains a part of a path, without placeholders, in quotes or between slashes."""
    plain = re.sub(r"<[^>]*>", "", part)
    return not plain.strip(".") or any(f"{a}{plain}{z}" in source() for a in "\"'/}" for z in "\"'/")


@cache
def template() -> dict[str, Any]:
    """The template as it is deployed."""
    found: dict[str, Any] = parse_template(render_template())
    return found


@cache
def resource_names() -> frozenset[str]:
    """Names of resources with ``<environment>`` and ``<suffix>`` in them, as names.py and the template make them."""
    lake = Lake("<environment>", "<suffix>")
    made = {value for name in dir(Lake) if isinstance(value := getattr(lake, name), str) and not name.startswith("_")}
    text = json.dumps(template()["Resources"]).replace("${Environment}", "<environment>")
    made |= set(re.findall(rf"{names.PROJECT}-<environment>(?:-[a-z0-9]+)+", text))
    return frozenset(made | {f"{one.removesuffix('-<suffix>')}" for one in made})


def is_resource(name: str) -> bool:
    """Whether a name of the form ``sakila-streams-...`` is the name of a resource."""
    plain = SUFFIX.sub("-<suffix>", ENVIRONMENT.sub(f"{names.PROJECT}-<environment>", name, count=1))
    return plain in resource_names()


def is_short_name(word: str) -> bool:
    """Whether a word is the end of a resource's name, after the environment: ``csv-dead-letters``."""
    return f"{names.PROJECT}-<environment>-{word}" in resource_names()


@cache
def dags() -> frozenset[str]:
    """Ids of the DAGs, which are the names of their files (a test checks it)."""
    return frozenset(path.stem for path in (ROOT / "dags").glob("*.py"))


@cache
def dag_words() -> frozenset[str]:
    """The names in docs/DAGS.md, which is written from the DAGs themselves (a test checks it)."""
    return frozenset(span.text for span in Guide(ROOT / "docs" / "DAGS.md").spans)


@cache
def session() -> botocore.session.Session:
    """botocore, for its service models."""
    return botocore.session.Session()


@cache
def service(name: str) -> ServiceModel | None:
    """A service's model by its name on the command line."""
    known = {"s3api": "s3", "events": "events"}.get(name, name)
    return session().get_service_model(known) if known in session().get_available_services() else None


def operation(service_name: str, command: str) -> OperationModel | None:
    """An operation by its name on the command line, ``describe-stacks``."""
    model = service(service_name)
    found = {xform_name(one, "-"): one for one in model.operation_names} if model else {}
    return model.operation_model(found[command]) if model and command in found else None


def members(shape: Shape | None) -> frozenset[str]:
    """Names of all members of a structure, at any depth."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting: list[Any] = [shape] if shape else []
    while waiting:
        one = waiting.pop()
        if one.name in seen:
            continue
        seen.add(one.name)
        if one.type_name == "structure":
            found |= set(one.members)
            waiting += one.members.values()
        elif one.type_name == "list":
            waiting.append(one.member)
        elif one.type_name == "map":
            waiting.append(one.value)
    return frozenset(found)


# Services whose API's own words a guide may use.
SERVICES = (
    "athena", "cloudformation", "cloudwatch", "dms", "events", "firehose", "glue", "iam", "kms", "lambda", "logs",
    "mwaa", "rds", "s3", "scheduler", "secretsmanager", "service-quotas", "sns", "sqs", "sts",
)  # fmt: skip


@cache
def api_words() -> frozenset[str]:
    """Operations of the services that the lake uses."""
    return frozenset(name for one in SERVICES for name in session().get_service_model(one).operation_names)


def some_word(text: str) -> bool:
    """Whether some word matches ``text``, which ends with a star or begins with three dots."""
    if text.startswith("..."):
        end = text.removeprefix("...")
        return in_source(end) or any(key.upper().endswith(end) for _, key in airflow_settings())
    service_name, _, begin = text.removesuffix("*").rpartition(":")
    if service_name:
        model = service(service_name)
        return bool(model and any(one.startswith(begin) for one in model.operation_names))
    return begin in source()


@cache
def airflow_settings() -> frozenset[tuple[str, str]]:
    """Section and key of each setting that Airflow and its providers describe."""
    from airflow.configuration import conf

    described = conf.configuration_description
    return frozenset((section, key) for section, one in described.items() for key in one["options"])


@cache
def makefile() -> dict[str, frozenset[str]]:
    """Targets of the Makefile and the variables that each one's recipe reads."""
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    found: dict[str, frozenset[str]] = {}
    defined = dict(re.findall(r"^([A-Z_]+) *[:?]?= *(.*)$", text, re.MULTILINE))
    for target, rule in re.findall(r"^([a-z][a-z-]*):([^\n]*\n(?:\t.*\n?)*)", text, re.MULTILINE):
        read: set[str] = set()
        waiting = [rule]
        while waiting:
            names_read = set(re.findall(r"\$\((?:call |value )?([A-Z][A-Z_]*)", waiting.pop())) - read
            read |= names_read
            waiting += [defined[name] for name in names_read if name in defined]
        found[target] = found.get(target, frozenset()) | read
    return found


@cache
def airflow_api() -> dict[str, Any]:
    """The description of Airflow's REST API that is installed with it."""
    import airflow

    found = Path(airflow.__file__).parent.glob("api_fastapi/core_api/openapi/v2*.yaml")
    described: dict[str, Any] = yaml.load(next(found).read_text(), Loader=yaml.CSafeLoader)
    return described


def airflow_routes() -> dict[str, frozenset[str]]:
    """Paths of Airflow's REST API with their methods."""
    paths = airflow_api()["paths"]
    return {path: frozenset(method.upper() for method in methods) for path, methods in paths.items()}


def airflow_refuses(path: str, method: str, body: Any) -> list[str]:
    """Why Airflow's API would refuse a request, by its description; nothing when it would take it."""
    operation = airflow_api()["paths"].get(path, {}).get(method.lower())
    if not operation:
        return ["there is no such request"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    whole = {**schema, "components": airflow_api()["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(body)]
