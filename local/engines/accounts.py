"""The account and folder of a database server: neither MariaDB nor PostgreSQL runs as root. Standard library only."""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
from pathlib import Path
from typing import Any

from local.settings import Settings

# Where root's homes keep data that the path to LAKE_HOME (such as /root) would hide from an unprivileged account.
OUTSIDE = Path("/var/lib/sakila-streams")


def unprivileged() -> str | None:
    """The account that servers run under when we are root; None means our own."""
    return "nobody" if os.geteuid() == 0 else None


def drop() -> dict[str, Any]:
    """Arguments that make ``subprocess.run`` use that account."""
    account = unprivileged()
    return {"user": account, "group": pwd.getpwnam(account).pw_gid, "extra_groups": []} if account else {}


def outside(settings: Settings) -> Path:
    """This home's folder below OUTSIDE, if it needs one."""
    return OUTSIDE / hashlib.sha256(str(settings.home).encode()).hexdigest()[:12]


def data_folder(settings: Settings, service: str) -> Path:
    """The service's data folder, made with mode 0700 for the account it runs under.

    ``settings.data/<service>`` itself, or behind that name a link to a folder outside the home when the account could
    not get there. Raises RuntimeError when something else is in the way.
    """
    for folder in (settings.home, settings.data):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
    folder = settings.data / service
    account = unprivileged()
    if account and not all(path.stat().st_mode & stat.S_IXOTH for path in [settings.data, *settings.data.parents]):
        target = outside(settings) / service
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if folder.is_dir() and not folder.is_symlink():
            raise RuntimeError(f"{folder} cannot be reached by {account}; run make clean, or allow passage to it")
        if not folder.is_symlink():
            folder.symlink_to(target)
        folder = target
    folder.mkdir(mode=0o700, exist_ok=True)
    if account and folder.stat().st_uid == 0:
        entry = pwd.getpwnam(account)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    return folder
