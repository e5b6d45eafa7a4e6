"""Records of IAM's decisions, kept for ``infrastructure.iam.decisions``: the option ``--calls FOLDER``."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from local.settings import Settings

folder: Path | None = None  # set from the option


def keep(settings: Settings) -> None:
    """Copy the record of a home that has the template's roles, if records are wanted."""
    if folder and settings.iam_decisions.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(settings.iam_decisions, folder / f"{uuid.uuid4().hex}.jsonl")
