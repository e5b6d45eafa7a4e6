"""The environment that points an AWS client at the home. Nothing else tells a program that it runs locally."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


def root_client(settings: Settings, service: str, **options: Any) -> Any:
    """A boto3 client of the account's root. IAM is reached through our server, which thereby learns new keys."""
    import boto3  # noqa: PLC0415  set-up has the standard library alone

    return boto3.client(
        service,  # type: ignore[call-overload]  # any service
        endpoint_url=settings.server_url if service.replace("-", "_") in SERVED else settings.emulator_url,
        region_name=REGION,
        aws_access_key_id=ROOT_ACCESS_KEY,
        aws_secret_access_key=ROOT_ACCESS_KEY,
        **options,
    )


def component(settings: Settings, name: str) -> dict[str, str]:
    """The environment of a component's process: the endpoints, and its role's credentials, renewed by every SDK.

    The process must not inherit AWS_ACCESS_KEY_ID, which SDKs prefer. Raises FileNotFoundError before the server's
    first start and KeyError for a component that is none of COMPONENTS.
    """
    tokens = json.loads(component_tokens_path(settings).read_text())
    return {
        **endpoints(settings),
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{settings.server_url}/credentials/{name}",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": tokens[name],
    }


def component_tokens_path(settings: Settings) -> Path:
    """The file of the components' tokens; the server makes it."""
    return settings.secrets / "component-tokens.json"


def home_token_path(settings: Settings) -> Path:
    """The file of the token for the server's internal calls, such as ``POST /internal/replay``; the server makes it."""
    return settings.secrets / "home-token"
