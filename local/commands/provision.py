"""``prepare-trino``, ``deploy``, ``destroy`` and ``plan``: what a started home is filled with.

``prepare-trino`` comes before Trino starts, ``deploy`` when the server answers; each can be repeated at any time.
``deploy``, ``destroy`` and ``plan`` take the options of the commands of that name on AWS. The keys of the account's
root are used here, by ``history`` and in the server, and nowhere else.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from datalake.names import Lake
from infrastructure.deploy import outputs
from local.aws.root_clients import root_client
from local.engines import files, mysql, trino
from local.environment import root
from local.settings import ACCOUNT, DEVELOPER, ENVIRONMENT, PYTHON_PATH, ROOT, SUFFIX, TOOLS, Settings
from local.supervision import control
from local.supervision.control import HomeError

LAKE = Lake(ENVIRONMENT, SUFFIX)
Progress = Callable[[str], None]


class ProvisionError(HomeError):
    """The home could not be filled; the message says which part and why."""


def prepare(settings: Settings) -> None:
    """Make the IAM user that Trino runs under, which may do nothing but assume the analysts' role, and tell Trino."""
    iam = root_client(settings.server_url, "iam")  # our server, which thereby learns new keys
    path = settings.secrets / f"{trino.ENGINE_USER}.json"
    keys = _user(iam, trino.ENGINE_USER, path)
    analyst = f"arn:aws:iam::{ACCOUNT}:role/{LAKE.role('analyst')}"
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": analyst}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=trino.ENGINE_USER, PolicyName="assume-analyst", PolicyDocument=policy)
    trino.configure(settings, keys["access_key"], keys["secret_key"])


def deploy(settings: Settings, sakila: Path, progress: Progress = print, arguments: Sequence[str] = ()) -> None:
    """Deploy the lake as root and make the developer's user, who may do what an analyst and an operator may.

    ``sakila`` holds the two SQL scripts; ``arguments`` are more of ``infrastructure.deploy``'s own. Writes
    ``developer.json`` and ``mysql.json`` among the home's secrets.
    Raises ProvisionError with the deployment's own reason.
    """
    _run_deployment(settings, sakila, progress, arguments)
    made = outputs(root_client(settings.server_url, "cloudformation"), LAKE)
    iam = root_client(settings.server_url, "iam")
    _user(iam, DEVELOPER, settings.secrets / "developer.json")
    for policy in ("AnalystPolicy", "OperatorPolicy"):
        iam.attach_user_policy(UserName=DEVELOPER, PolicyArn=made[policy])
    secrets = root_client(settings.emulator_url, "secretsmanager")
    secret = secrets.get_secret_value(SecretId=LAKE.mysql_secret)["SecretString"]
    files.write_atomically(settings.secrets / "mysql.json", secret)


def _run_deployment(settings: Settings, sakila: Path, progress: Progress, arguments: Sequence[str]) -> None:
    """Run ``infrastructure.deploy`` as on AWS, but without a question."""
    own = ["--yes", "--sakila", str(sakila), "--mysql-ca", str(mysql.ca_path(settings))]
    command = _command("deploy", *own, *arguments)
    last = ""
    with subprocess.Popen(
        command, cwd=ROOT, env=_environment(settings), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        for line in process.stdout or ():
            last = line.rstrip()
            progress(last)
    if process.returncode:
        raise ProvisionError(last or f"infrastructure.deploy ended with {process.returncode}")


def destroy(settings: Settings, arguments: list[str]) -> int:
    """Remove the lake with all its data as ``infrastructure.destroy`` does; the home's services go on."""
    iam = root_client(settings.server_url, "iam")
    with contextlib.suppress(iam.exceptions.NoSuchEntityException):  # no policy can go that is attached to somebody
        for policy in iam.list_attached_user_policies(UserName=DEVELOPER)["AttachedPolicies"]:
            iam.detach_user_policy(UserName=DEVELOPER, PolicyArn=policy["PolicyArn"])
    return subprocess.run(_command("destroy", *arguments), cwd=ROOT, env=_environment(settings), check=False).returncode


def plan(settings: Settings, arguments: list[str]) -> int:
    """Print what a deployment would change, as ``infrastructure.plan`` does."""
    return subprocess.run(_command("plan", *arguments), cwd=ROOT, env=_environment(settings), check=False).returncode


def _command(module: str, *arguments: str) -> list[str]:
    names = ["--environment", ENVIRONMENT, "--suffix", SUFFIX]
    return [sys.executable, "-m", f"infrastructure.{module}", *names, *arguments]


def _environment(settings: Settings) -> dict[str, str]:
    """Of a command of ``infrastructure``: only the SDK's own variables say that this is the home."""
    return {
        **{name: os.environ[name] for name in ("HOME", "PATH", "LANG") if name in os.environ},
        **root(settings),
        "PYTHONPATH": PYTHON_PATH,
        "PYTHONUNBUFFERED": "1",
    }


def _user(iam: Any, name: str, path: Path) -> dict[str, str]:
    """An IAM user and its access key, kept in ``path``; they are replaced when the emulator does not know them."""
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=name)
    known = [key["AccessKeyId"] for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]]
    if path.exists():
        keys: dict[str, str] = json.loads(path.read_text())
        if keys["access_key"] in known:
            return keys
    for access_key in known:  # its secret is lost
        iam.delete_access_key(UserName=name, AccessKeyId=access_key)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    keys = {"access_key": made["AccessKeyId"], "secret_key": made["SecretAccessKey"]}
    files.write_atomically(path, json.dumps(keys))
    return keys


def main(settings: Settings, options: argparse.Namespace) -> int:
    """The command of that name; the exit code of the command of ``infrastructure`` that it runs. Raises HomeError."""
    try:
        if options.command == "prepare-trino":
            prepare(settings)
            return 0
        control.check_up(settings)
        if options.command == "deploy":
            deploy(settings, TOOLS / "sakila", arguments=options.rest)
        else:
            return {"destroy": destroy, "plan": plan}[options.command](settings, options.rest)
    except (OSError, BotoCoreError, ClientError) as error:
        raise HomeError(str(error)) from error
    return 0
