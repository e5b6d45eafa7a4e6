"""ministack, the AWS emulator behind our server: how it is started, in a Python environment of its own.

It keeps S3's objects as files and saves everything else only at a clean stop; ``local.home`` says what is done after a
kill. ``recording`` is its main module and wraps its IAM.
"""

from __future__ import annotations

import urllib.request
from pathlib import Path

from local.aws.settings import ACCOUNT, HOST, REGION


def command(python: Path, decisions: Path) -> list[str]:
    """The emulator under its own environment's ``python``, appending what its IAM decides to the file ``decisions``."""
    return [str(python), "-m", "local.aws.emulator.recording", str(decisions)]


def environment(listen: str, port: int, folder: Path) -> dict[str, str]:
    """IAM enforced, listening on the address ``listen``, its state and objects in ``folder``."""
    return {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": listen,
        "MINISTACK_HOST": HOST,
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AUTH": "true",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folder / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folder / "s3"),
        "LOG_LEVEL": "WARNING",
    }


def answers(url: str) -> bool:
    """Whether the emulator takes calls."""
    with urllib.request.urlopen(f"{url}/_ministack/health", timeout=2) as reply:  # noqa: S310
        return bool(reply.status == 200)
