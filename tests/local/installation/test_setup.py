"""Set-up: what it finds missing, what it prints, and that its packages start nothing. Nothing is installed here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.engines import java
from local.installation import setup
from local.installation.parallel import SetupError, Step, perform
from local.settings import ROOT


def test_missing_java_says_what_is_looked_for_and_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "javac").touch()
    (tmp_path / "release").write_text('JAVA_VERSION="21.0.1"\n')
    monkeypatch.setattr(java, "_candidates", lambda: iter([tmp_path, tmp_path / "absent"]))
    with pytest.raises(FileNotFoundError) as error:
        java.home()
    assert str(error.value) == (
        "no Java 17 development kit found (JAVA_HOME, javac on the PATH, /usr/lib/jvm); "
        "on Debian: apt-get install openjdk-17-jdk-headless"
    )
    assert "openjdk-17-jdk-headless" in setup.missing_packages()


def test_java_17_is_found_among_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("11.0.2", "17.0.15"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "javac").touch()
        (tmp_path / version / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    monkeypatch.setattr(java, "_candidates", lambda: iter([tmp_path / "11.0.2", tmp_path / "17.0.15"]))
    assert java.home() == tmp_path / "17.0.15"
    assert java.environment()["PATH"].startswith(f"{tmp_path}/17.0.15/bin:")


def test_missing_programs_are_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    missing = setup.missing_packages()
    assert {"maven", "make", "mariadb-client-core"} <= set(missing)


def test_postgresql_gets_no_cluster_and_the_system_stays_as_it_was() -> None:
    script = setup.install_script(["postgresql-15", "maven"])
    assert subprocess.run(["sh", "-n", "-c", script], check=False).returncode == 0
    before, _, after = script.partition("apt-get")
    assert "echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/" in before
    assert "trap 'rm -f /etc/postgresql-common/createcluster.d/" in before
    assert after.endswith("install postgresql-15 maven")
    assert "--no-install-recommends" in after
    assert "createcluster" not in setup.install_script(["maven"])


def test_who_may_not_install_is_told_the_exact_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "sudo" else f"/usr/bin/{name}")
    with pytest.raises(SetupError) as error:
        setup.install_packages(["postgresql-15"], tmp_path / "log")
    message = str(error.value)
    assert message.startswith("these Debian packages are missing: postgresql-15\n")
    command = message[message.index("sudo sh -c ") :].replace("sudo", "", 1)
    shown = subprocess.run(["sh", "-n", "-c", command], check=False, capture_output=True, text=True)
    assert (shown.returncode, shown.stderr) == (0, ""), "it can be pasted into a shell"
    assert "apt-get -q -y --no-install-recommends" in command


def test_a_failed_step_shows_its_log_and_keeps_others_from_starting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[str] = []

    def fail(log: Path) -> None:
        setup.run(["sh", "-c", "echo no space left; exit 1"], log)

    steps = [
        Step("jars", lambda: True, fail),
        Step("engine", lambda: True, lambda _: ran.append("engine"), ("jars",)),
        Step("scripts", lambda: True, lambda _: ran.append("scripts")),
    ]
    with pytest.raises(SetupError) as error:
        perform(steps, tmp_path)
    assert f"the last lines of {tmp_path}/setup-jars.log:\n    no space left" in str(error.value)
    assert ran == ["scripts"]
    out = capsys.readouterr().out
    assert "✗ jars" in out
    assert "✓ scripts" in out


@pytest.mark.parametrize("said", ["", "\n", " \n\n"])
def test_a_failed_step_that_said_nothing_shows_no_lines(tmp_path: Path, said: str) -> None:
    def fail(log: Path) -> None:
        log.write_text(said)
        raise SetupError("SAKILA_DIR=/nowhere lacks both scripts")

    with pytest.raises(SetupError) as error:
        perform([Step("sakila", lambda: True, fail)], tmp_path)
    assert str(error.value) == "sakila: SAKILA_DIR=/nowhere lacks both scripts"


def test_set_up_needs_the_standard_library_alone() -> None:
    """It runs before any environment exists, under the system's own Python."""
    names = ("local.installation.setup", "local.installation.sakila", "local.engines.trino", "local.commands.cli")
    code = f"import sys; sys.path[:0] = ['.', 'include']; import {', '.join(names)}"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, cwd=ROOT)
