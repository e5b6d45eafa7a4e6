"""A folder laid out like a container of MWAA, and Python interpreters to run in it."""

from __future__ import annotations

import fcntl
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infrastructure.mwaa.package import MWAA, build
from local.installation.python_environments import python
from local.settings import TOOLS

CONSTRAINTS = MWAA / "constraints.txt"


def unpack(folder: Path) -> Path:
    """Put what ``build`` makes into a folder as MWAA does in /usr/local/airflow; plugins.zip is unpacked."""
    home = folder / "usr" / "local" / "airflow"
    for artifact in build():
        name = artifact.key if artifact.key.startswith("dags/") else Path(artifact.key).name
        if name == "plugins.zip":
            zipfile.ZipFile(io.BytesIO(artifact.body)).extractall(home / "plugins")
        else:
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_bytes(artifact.body)
    return home


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("mwaa"))


@pytest.fixture(scope="session", params=["lock", pytest.param("mwaa", marks=pytest.mark.services)])
def interpreter(request: pytest.FixtureRequest) -> Path:
    """A Python with our locked packages, and one with those of MWAA's image, which is created once."""
    return Path(sys.executable) if request.param == "lock" else mwaas_python()


def mwaas_python() -> Path:
    """Python 3.11 (MWAA has 3.12) with Airflow and all other packages in MWAA's versions."""
    folder, uv = TOOLS / "mwaa", TOOLS / "airflow" / "bin" / "uv"
    made, interpreter = folder / "stamp", folder / "bin" / "python"
    with (TOOLS / "mwaa.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists() or made.read_text() != CONSTRAINTS.read_text():
            subprocess.run([uv, "venv", "-q", "--clear", "--no-project", "--python", python(), folder], check=True)
            subprocess.run(
                [uv, "pip", "install", "--system-certs", "-q", "--python", interpreter, "-r", CONSTRAINTS], check=True
            )
            made.write_text(CONSTRAINTS.read_text())
    return interpreter
