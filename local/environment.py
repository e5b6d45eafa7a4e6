"""The environment that points an AWS client at the home. Nothing else tells a program that it runs locally."""

from __future__ import annotations

from local.settings import ENVIRONMENT, REGION, SUFFIX, Settings

# Services whose endpoint is our server; all others are the emulator's own.
SERVED = ("athena", "cloudformation", "database_migration_service", "firehose", "glue", "iam", "sts")


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
