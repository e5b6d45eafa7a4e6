"""boto3 clients under the account's root: for the deployment, for the server's own upkeep, for tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, cast

import boto3

from local.aws.settings import REGION, ROOT_ACCESS_KEY, AwsSettings


def root_client(url: str, service: str, **options: Any) -> Any:
    """A client under root that sends its calls to ``url``; ``options`` are boto3's own."""
    return cast("Any", boto3).client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=ROOT_ACCESS_KEY,
        aws_secret_access_key=ROOT_ACCESS_KEY,
        **options,
    )


def root_clients(settings: AwsSettings) -> Callable[[str], Any]:
    """Clients under root by service, one each, at our server for the services that it serves, else at the emulator."""
    return cache(lambda service: root_client(settings.endpoint(service), service))
