"""The Python that the home needs, and its environments, each from its lock. Standard library only, any Python 3."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from local.engines.files import digest
from local.installation.parallel import SetupError, run
from local.settings import ROOT, TOOLS

WANTED = (3, 11)
LOCKS = {
    "airflow": "local/requirements.txt",
    "emulator": "local/aws/emulator/requirements.txt",
    "containers": "tests/containers/requirements.txt",
    "scanners": "infrastructure/scanners/requirements.txt",
}


def python() -> str:
    """A Python 3.11: this one, or the path's python3.11; raises SetupError."""
    if sys.version_info[:2] == WANTED:
        return sys.executable
    found = shutil.which("python3.11")
    if found and subprocess.run([found, "-c", ""], check=False, capture_output=True).returncode == 0:
        return found
    raise SetupError(
        f"Python 3.11 is needed (Glue 5.1 runs it, and the locked requirements are made for it); this is "
        f"{sys.version.split()[0]} and there is no python3.11 on the PATH. On Debian 12: apt-get install python3"
    )


def locked(environment: str) -> Path:
    """The lock file of an environment."""
    return ROOT / LOCKS[environment]


def stamp(environment: str) -> str:
    """What an environment is made from, and where: its programs name their interpreter by its whole path."""
    return f"{digest([locked(environment)])}\n{(TOOLS / environment).resolve()}\n"


def moved(environment: str) -> bool:
    """Whether an environment was made elsewhere: the project's folder has been moved or copied since."""
    made = TOOLS / environment / "stamp"
    return made.exists() and made.read_text().splitlines()[1:] != stamp(environment).splitlines()[1:]


def environment_needed(environment: str) -> bool:
    """Whether an environment is missing, was made from another lock, or elsewhere."""
    folder = TOOLS / environment
    made = folder / "stamp"
    return not ((folder / "bin" / "python").exists() and made.exists() and made.read_text() == stamp(environment))


def uv_needed() -> bool:
    """Whether the environment that Airflow will be in lacks uv, or was made elsewhere."""
    return moved("airflow") or not (TOOLS / "airflow" / "bin" / "uv").exists()


def make_uv(log: Path) -> None:
    """The environment that Airflow will be in, with uv as locked."""
    folder = TOOLS / "airflow"
    shutil.rmtree(folder, ignore_errors=True)
    run([python(), "-m", "venv", str(folder)], log)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as only_uv:
        only_uv.write(requirement("uv", locked("airflow").read_text()))
        only_uv.flush()
        run([str(folder / "bin/python"), "-m", "pip", "install", "-q", "--require-hashes", "-r", only_uv.name], log)


def make_environment(environment: str, log: Path) -> None:
    """Make or bring up to date an environment from its lock, every file checked by its hash and compiled.

    uv trusts the authorities that the system trusts, a company's own among them, as pip and Maven do.
    """
    folder, uv = TOOLS / environment, str(TOOLS / "airflow" / "bin" / "uv")
    interpreter = folder / "bin" / "python"
    anew = moved(environment) or not interpreter.exists()
    (folder / "stamp").unlink(missing_ok=True)
    if anew:
        run([uv, "venv", "--clear", "--no-project", "--python", python(), str(folder)], log)
    sync = [uv, "pip", "sync", "--system-certs", "--require-hashes", "--compile-bytecode", "--python", str(interpreter)]
    run([*sync, str(locked(environment))], log)
    (folder / "stamp").write_text(stamp(environment))


def requirement(name: str, lock: str) -> str:
    """The lines of one package in a lock file; raises SetupError."""
    lines: list[str] = []
    for line in lock.splitlines():
        if line.startswith(f"{name}==") or (lines and line.startswith("    --hash")):
            lines.append(line)
        elif lines:
            return "\n".join(lines).rstrip(" \\") + "\n"
    raise SetupError(f"the lock file does not name {name}; run make lock")
