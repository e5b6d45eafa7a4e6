"""What every command of this folder needs of its terminal and of its AWS credentials."""

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
class Console:
    """Asks before something is done. ``yes`` answers in advance."""

    yes: bool = False
    interactive: bool = False
    ask: Callable[[str], str] = input

    @classmethod
    def here(cls, yes: bool) -> Console:
        """The terminal that this process runs in."""
        return cls(yes, sys.stdin.isatty() and sys.stdout.isatty())

    def confirm(self, question: str) -> None:
        """Return when the answer is yes; raises Refused otherwise, and where nobody can be asked."""
        if self.yes:
            return
        if not self.interactive:
            raise Refused(f"{question} Nobody can be asked here: repeat with --yes (make: YES=1) to say yes beforehand")
        if self.ask(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
            raise Refused("Nothing was changed")


def signed_in(session: boto3.Session) -> None:
    """Raise Refused, saying what to do, unless there are credentials and a region."""
    if session.get_credentials() is None:
        raise Refused(NO_CREDENTIALS)
    if session.region_name is None:
        raise Refused(NO_REGION)


def lake(session: boto3.Session, environment: str, suffix: str | None) -> Lake:
    """The deployment that a command means; the suffix is the account's id unless it is given."""
    return Lake(environment, suffix or session.client("sts").get_caller_identity()["Account"])


def arguments_of(name: str, description: str) -> argparse.ArgumentParser:
    """What the commands of this folder have in common."""
    parser = argparse.ArgumentParser(prog=f"python -m infrastructure.{name}", description=description)
    parser.add_argument("--environment", required=True, choices=environments(), help="which parameters")
    parser.add_argument("--suffix", help="end of the bucket names (default: the account id)")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def run(command: Callable[[], None]) -> int:
    """Run a command, its errors told as the user can use them; 1 when it failed, 2 when it was refused."""
    try:
        command()
    except Refused as error:
        print(error, file=sys.stderr)
        return 2
    except (DeployError, OSError, BotoCoreError, ClientError) as error:
        print(f"Failed: {error}", file=sys.stderr)
        return 1
    return 0
