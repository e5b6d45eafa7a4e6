"""What this room is told by whoever runs it: addresses, folders, roles. It reads no environment variable itself.

Standard library only. A test compares the constants with those of ``local.settings``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"  # every part of the home is called by this address
REGION = "us-east-1"
ACCOUNT = "123456789012"
ROOT_ACCESS_KEY = "test"  # the emulator's root caller; also its secret key
ROOT_ARN = f"arn:aws:iam::{ACCOUNT}:root"

# Service identifiers of endpoint variables that differ from boto3's client names.
_IDENTIFIERS = {"dms": "database_migration_service"}


@dataclass(frozen=True)
class AwsSettings:
    """One home as AWS's API sees it.

    ``endpoints`` are the standard SDK variables (region, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_<SERVICE>) of a process
    that is a client of the home. ``roles`` maps the components that may fetch credentials to the ARNs of their roles.
    """

    home: Path
    server_url: str  # of the server in front
    ingestion_url: str  # of the process behind it, which serves DMS and Firehose
    emulator_url: str
    endpoints: Mapping[str, str]
    data: Path  # each service keeps its state in a folder of its own in it
    logs: Path
    secrets: Path  # files of mode 0600: access keys, seals
    home_token: Path  # the file of the token that authorises POST /internal/...
    component_tokens: Path  # the file of the tokens that authorise GET /credentials/<component>
    decisions: Path  # the record of IAM's decisions, see ``local.aws.iam_decisions``
    roles: Mapping[str, str]
    query_role: str  # ARN of the role whose rights the query engine has
    mysql_port: int
    mysql_socket: Path  # on which MariaDB's administrator logs in without a password
    trino_port: int

    def endpoint(self, service: str) -> str:
        """Where clients of a service (by boto3's name) send their calls: our server, or the emulator."""
        identifier = _IDENTIFIERS.get(service, service).upper()
        return self.endpoints.get(f"AWS_ENDPOINT_URL_{identifier}", self.emulator_url)
