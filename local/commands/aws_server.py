"""Serves AWS's API for the home: the one place where ``local.aws`` and the lake's own names meet.

``python -m local.commands.aws_server front|ingestion`` serves one of a home's two processes, without an argument
both in one process, which tests use.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from datalake.names import Lake
from local.aws.http_server import run
from local.aws.server import FRONT_APIS, SERVICE_APIS, IngestionServer, Server
from local.aws.settings import AwsSettings
from local.engines import mysql
from local.environment import COMPONENTS, endpoints
from local.settings import ACCOUNT, ENVIRONMENT, HOST, LISTEN, SUFFIX, Settings


def aws_settings(settings: Settings) -> AwsSettings:
    """The settings of AWS's API for a home."""
    lake = Lake(ENVIRONMENT, SUFFIX)
    roles = {component: f"arn:aws:iam::{ACCOUNT}:role/{lake.role(component)}" for component in COMPONENTS}
    return AwsSettings(
        home=settings.home,
        server_url=settings.server_url,
        ingestion_url=settings.ingestion_url,
        emulator_url=settings.emulator_url,
        endpoints={name: value for name, value in endpoints(settings).items() if name.startswith("AWS_")},
        data=settings.data,
        logs=settings.logs,
        secrets=settings.secrets,
        home_token=settings.home_token,
        component_tokens=settings.component_tokens,
        decisions=settings.iam_decisions,
        roles=roles,
        query_role=roles["analyst"],
        mysql_port=settings.mysql_port,
        mysql_socket=mysql.socket_path(settings),
        trino_port=settings.trino_port,
    )


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = Settings.from_environment()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    given = aws_settings(settings)
    if arguments == ["ingestion"]:
        run(IngestionServer(given), HOST, settings.ingestion_port)
    else:
        run(Server(given, FRONT_APIS if arguments == ["front"] else SERVICE_APIS), LISTEN, settings.server_port)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
