"""The environment that points an AWS client at the home. Nothing else tells a program that it runs locally."""

from __future__ import annotations

import json

from local.settings import ENVIRONMENT, REGION, ROOT_ACCESS_KEY, SUFFIX, Settings

# Services whose endpoint is our server; all others are the emulator's own.
SERVED = ("athena", "cloudformation", "database_migration_service", "firehose", "glue", "iam", "sts")
# Who may fetch a role's credentials from our server: component x gets the role ``Lake.role(x)``.
COMPONENTS = ("lambda", "firehose", "dms", "crawler", "jobs", "airflow", "analyst", "producer")


def endpoints(settings: Settings) -> dict[str, str]:
    """Standard SDK variables: region, endpoints, and the lake's two names."""
    return {
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": settings.emulator_url,
        **{f"AWS_ENDPOINT_URL_{service.upper()}": settings.server_url for service in SERVED},
        "AWS_EC2_METADATA_DISABLED": "true",
        "LAKE_ENVIRONMENT": ENVIRONMENT,
        "LAKE_SUFFIX": SUFFIX,
    }


def root(settings: Settings) -> dict[str, str]:
    """The environment of the account's root, who may do everything: of the deployment and its like alone."""
    keys = {"AWS_ACCESS_KEY_ID": ROOT_ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": ROOT_ACCESS_KEY}
    return {**endpoints(settings), **keys}


def component(settings: Settings, name: str) -> dict[str, str]:
    """The environment of a component's process: the endpoints, and its role's credentials, renewed by every SDK.

    The process must not inherit AWS_ACCESS_KEY_ID, which SDKs prefer. Raises FileNotFoundError before the server's
    first start and KeyError for a component that is none of COMPONENTS.
    """
    tokens = json.loads(settings.component_tokens.read_text())
    return {
        **endpoints(settings),
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{settings.server_url}/credentials/{name}",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": tokens[name],
    }
