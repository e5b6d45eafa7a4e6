"""Keeps records of IAM's decisions for ``infrastructure.iam.decisions``: pytest's option ``--calls FOLDER``."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from local.settings import Settings

folder: Path | None = None  # tests/conftest.py sets it from the option


def keep(settings: Settings) -> None:
    """Copy the record of a home that has the template's roles into the folder, if there is one."""
    if folder and settings.iam_decisions.exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(settings.iam_decisions, folder / f"{uuid.uuid4().hex}.jsonl")
