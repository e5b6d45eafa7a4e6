"""What the commands of this folder share: options, confirmation, credentials, exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from datalake.names import Lake
from infrastructure.package import environments
from infrastructure.stack import DeployError, Refused

NO_CREDENTIALS = """\
No AWS credentials were found. Either sign in (`aws configure sso` once, then `aws sso login` and export AWS_PROFILE),
or export AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary ones, AWS_SESSION_TOKEN; then repeat.
`make plan` needs none, and `make up` starts the lake on this machine without AWS."""
NO_REGION = "No AWS region is set. Export AWS_REGION, such as AWS_REGION=eu-central-1, then repeat."


@dataclass(frozen=True)
class Terminal:
    """Asks for confirmation before something is changed. With ``yes`` nobody is asked."""

    yes: bool = False
    interactive: bool = False
    ask: Callable[[str], str] = input

    @classmethod
    def of_this_process(cls, yes: bool) -> Terminal:
        """The terminal that this process runs in, if there is one."""
        return cls(yes, sys.stdin.isatty() and sys.stdout.isatty())

    def confirm(self, question: str) -> None:
        """Return when the answer is yes; raises Refused otherwise, also when there is no terminal to ask at."""
        if self.yes:
            return
        if not self.interactive:
            raise Refused(f"{question} There is no terminal to ask at: repeat with --yes (make: YES=1)")
        if self.ask(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise Refused("Nothing was changed")


def signed_in(environment: str, suffix: str | None) -> tuple[boto3.Session, Lake]:
    """The session, and the names of the deployment; the suffix is the account's id unless it is given.

    Raises Refused with what to do when there are no credentials or no region.
    """
    session = boto3.Session()
    if session.get_credentials() is None:
        raise Refused(NO_CREDENTIALS)
    if session.region_name is None:
        raise Refused(NO_REGION)
    return session, Lake(environment, suffix or session.client("sts").get_caller_identity()["Account"])


def argument_parser(name: str, description: str) -> argparse.ArgumentParser:
    """A parser with the options that all commands of this folder have."""
    parser = argparse.ArgumentParser(prog=f"python -m infrastructure.{name}", description=description)
    parser.add_argument("--environment", required=True, choices=environments(), help="whose parameters to use")
    parser.add_argument("--suffix", help="end of the bucket names (default: the account id)")
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    return parser


def run(command: Callable[[], None]) -> int:
    """Run a command and print its errors; returns the exit code: 1 when it failed, 2 when it was refused."""
    try:
        command()
    except Refused as error:
        print(error, file=sys.stderr)
        return 2
    except (DeployError, OSError, BotoCoreError, ClientError) as error:
        print(f"Failed: {error}", file=sys.stderr)
        return 1
    return 0
