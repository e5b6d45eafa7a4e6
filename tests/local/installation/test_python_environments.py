"""Python environments: their locks, when they are replaced, and the error for a wrong Python. None is made here."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from local.installation import python_environments, setup
from local.installation.parallel import SetupError
from local.settings import ROOT


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text(), re.MULTILINE))


def test_production_and_local_requirements_agree() -> None:
    production, local = pins(ROOT / "requirements.txt"), pins(ROOT / "local" / "requirements.txt")
    assert len(production) > 100
    assert production.items() <= local.items()


@pytest.mark.parametrize("lock", ["requirements.txt", *python_environments.LOCKS.values()])
def test_every_locked_package_has_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text()
    blocks = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert [block.split("==")[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_uv_is_taken_from_the_lock_with_its_hashes() -> None:
    lines = python_environments.requirement("uv", (ROOT / "local" / "requirements.txt").read_text())
    assert re.fullmatch(r"uv==\S+ \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+", lines)
    assert not lines.rstrip().endswith("\\")
    with pytest.raises(SetupError, match="does not name nothing-such"):
        python_environments.requirement("nothing-such", lines)


def test_a_wrong_python_is_told_which_one_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_environments, "WANTED", (3, 99))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SetupError, match=r"Python 3.11 is needed .* this is 3\.\d+\.\d+ and there is no python3.11"):
        python_environments.python()


def test_an_environment_is_made_anew_when_its_lock_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("a==1\n")
    monkeypatch.setattr(python_environments, "TOOLS", tmp_path)
    monkeypatch.setattr(python_environments, "locked", lambda _: lock)
    assert python_environments.environment_needed("airflow")
    (tmp_path / "airflow" / "bin").mkdir(parents=True)
    (tmp_path / "airflow" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "airflow" / "stamp").write_text(python_environments.stamp("airflow"))
    assert not python_environments.environment_needed("airflow")
    lock.write_text("a==2\n")
    assert python_environments.environment_needed("airflow")
    assert not python_environments.moved("airflow")


def test_an_environment_is_made_anew_where_its_folder_was_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with ``mv lake elsewhere``: every program's first line would name a Python that is gone."""
    monkeypatch.setattr(python_environments, "TOOLS", tmp_path / "before")
    made = tmp_path / "before" / "airflow" / "bin"
    made.mkdir(parents=True)
    (made / "python").symlink_to(sys.executable)
    (made / "uv").touch()
    (made.parent / "stamp").write_text(python_environments.stamp("airflow"))
    assert not any(step.needed() for step in setup.steps() if step.name in ("uv", "airflow"))
    (tmp_path / "before").rename(tmp_path / "after")
    monkeypatch.setattr(python_environments, "TOOLS", tmp_path / "after")
    assert all(step.needed() for step in setup.steps() if step.name in ("uv", "airflow"))
