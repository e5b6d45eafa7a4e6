"""ministack, the AWS emulator behind our server: how it is started.

It saves its state (all but S3's objects, which are files) only at a clean stop; see ``local.deployment``.
"""

from __future__ import annotations

import urllib.request

from local.settings import ACCOUNT, HOST, LISTEN, REGION, TOOLS, Settings


def command() -> list[str]:
    """The emulator from its own locked environment, recording what its IAM decides."""
    return [str(TOOLS / "emulator" / "bin" / "python"), "-m", "local.aws.emulator.recording"]


def environment(settings: Settings) -> dict[str, str]:
    """IAM enforced, state and objects kept under the home."""
    data = settings.data / "emulator"
    return {
        "GATEWAY_PORT": str(settings.emulator_port),
        "BIND_HOST": LISTEN,
        "MINISTACK_HOST": HOST,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AUTH": "true",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(data / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(data / "s3"),
        "LOG_LEVEL": "WARNING",
    }


def answers(settings: Settings) -> bool:
    """Whether the emulator takes calls."""
    with urllib.request.urlopen(f"{settings.emulator_url}/_ministack/health", timeout=2) as reply:  # noqa: S310
        return bool(reply.status == 200)
