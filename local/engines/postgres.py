"""PostgreSQL for Airflow's own metadata: a private server on 127.0.0.1, one database, one account with a password.

``python -m local.engines.postgres`` makes its data folder; ``command()`` starts the server. Commits are synced, at
about a millisecond each, so neither a killed server nor a machine that loses power loses Airflow's history.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from secrets import token_urlsafe

from local.engines import accounts, files
from local.settings import HOST, Settings

ACCOUNT = DATABASE = "airflow"


def programs() -> Path:
    """Folder of the newest installed PostgreSQL's programs; raises FileNotFoundError."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise FileNotFoundError("PostgreSQL's server programs are missing in /usr/lib/postgresql; run make up")
    return found[-1].parent


def password(settings: Settings) -> str:
    """The account's password, made on first use."""
    return files.once(settings.secrets / "postgres-password", lambda: token_urlsafe(24))


def url(settings: Settings) -> str:
    """SQLAlchemy's address of the database."""
    return f"postgresql+psycopg2://{ACCOUNT}:{password(settings)}@{HOST}:{settings.postgres_port}/{DATABASE}"


def prepare(settings: Settings) -> None:
    """Make the cluster and the database unless they are there."""
    folder = accounts.data_folder(settings, "postgres")
    made = folder / "made"
    if made.exists():
        return
    for entry in folder.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    drop = accounts.drop()
    password_file = folder / "password"
    files.write_atomically(password_file, password(settings))
    shutil.chown(password_file, folder.stat().st_uid)
    initdb = [
        f"{programs()}/initdb",
        f"--pgdata={folder}/cluster",
        f"--username={ACCOUNT}",
        f"--pwfile={password_file}",
    ]
    initdb += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/", **drop)
    password_file.unlink()
    single = [f"{programs()}/postgres", "--single", "-D", f"{folder}/cluster", "postgres"]
    create = f"CREATE DATABASE {DATABASE}\n"
    subprocess.run(single, check=True, text=True, input=create, stdout=subprocess.DEVNULL, cwd="/", **drop)
    made.touch()


def command(settings: Settings) -> list[str]:
    """The server; no socket but the port's."""
    options = {
        "listen_addresses": HOST,
        "port": settings.postgres_port,
        "unix_socket_directories": "",
        "shared_buffers": "32MB",
        "max_connections": 60,
        "jit": "off",
    }
    folder = (settings.data / "postgres").resolve()
    arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return [f"{programs()}/postgres", "-D", f"{folder}/cluster", *arguments]


def answers(settings: Settings) -> bool:
    """Whether the server takes connections."""
    check = [f"{programs()}/pg_isready", "--quiet", f"--host={HOST}", f"--port={settings.postgres_port}"]
    return subprocess.run(check, check=False, timeout=5).returncode == 0


if __name__ == "__main__":
    try:
        prepare(Settings.from_environment())
    except (OSError, RuntimeError, subprocess.CalledProcessError) as problem:
        sys.exit(f"PostgreSQL's data folder cannot be made: {problem}")
