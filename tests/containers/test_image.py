"""The Dockerfile is sound: it copies what the home needs and nothing else. No image is built."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from local.engines import java
from local.engines.trino import JARS
from local.home import Service
from local.installation import python_environments, setup
from local.settings import ROOT
from tests.support.compose_file import (
    CODE,
    HOME,
    HOME_SERVICES,
    PROGRAMS,
    copied,
    dockerfile,
    image_environment,
    services,
)


def test_versions_are_those_of_the_home_and_of_aws() -> None:
    template = (ROOT / "infrastructure" / "template.yaml").read_text()
    engine = re.findall(r"EngineVersion: (8\.4\.\d+)", template)
    assert services()["mysql"]["image"].startswith(f"mysql:{engine[0]}@")
    installed = _packages("base")
    assert f"openjdk-{java.VERSION}-jdk-headless" in installed
    assert installed | _packages("tools") == {*setup.packages(), "python3"} - {
        "mariadb-server-core",
        "mariadb-client-core",
        "make",
        *setup.FOR_TESTS,
    }
    assert next(one for one in dockerfile() if one.name == "FROM").value.startswith("debian:bookworm-")
    assert python_environments.WANTED == (3, 11), "bookworm's python3"


def _packages(stage: str) -> set[str]:
    runs = " ".join(one.value for one in dockerfile() if one.stage == stage and one.name == "RUN")
    return {word for listed in re.findall(r"--no-install-recommends install ([^&]*)", runs) for word in listed.split()}


def test_the_image_has_every_tool_of_set_up() -> None:
    tools = {step.name for step in setup.steps()} - {*setup.FOR_TESTS, "uv"}  # uv is in airflow's environment
    moved = [one.words for one in dockerfile() if one.name == "COPY" and one.words[0] == "--from=tools"]
    assert {Path(words[-1]).name for words in moved} == tools
    assert all(words[1] == f"{CODE}/{words[2]}" for words in moved)


def test_set_up_makes_every_tool_from_no_more_than_the_image_gives_it(tmp_path: Path) -> None:
    _copy(copied("tools"), tmp_path)
    run = next(one.words for one in dockerfile() if one.value.startswith("python3 -B -m local.installation.setup"))
    names = run[4:]
    assert set(names) == {step.name for step in setup.steps()} - {*setup.FOR_TESTS}
    for name in ("airflow", "emulator"):
        assert (tmp_path / python_environments.LOCKS[name]).exists()
    assert {path.name for path in (tmp_path / "local/engines/jars").iterdir()} == {path.name for path in JARS.iterdir()}
    code = (
        "import sys; sys.path.insert(0, 'include')\n"
        f"from local.installation.setup import steps\nassert len(steps()) > {len(names)}"
    )
    subprocess.run([sys.executable, "-B", "-c", code], check=True, cwd=tmp_path, env={"PATH": os.environ["PATH"]})


def test_the_code_is_whole_and_its_modules_are_found(tmp_path: Path) -> None:
    _copy(copied("home"), tmp_path)
    environment = {name: value.replace(CODE, str(tmp_path)) for name, value in image_environment().items()}
    modules = sorted(
        {
            *(
                command[2]
                for command in (one["command"] for one in services().values())
                if command[:2] == ["python", "-m"]
            ),
            *(
                part[2]
                for one in HOME_SERVICES.values()
                for part in (one.prepare or [], *_python(one))
                if part[1:2] == ["-m"]
            ),
            "infrastructure.deploy",
            "oracle",
        }
    )
    code = f"import importlib\nfor name in {modules}: importlib.import_module(name)"
    subprocess.run(
        [sys.executable, "-B", "-c", code], check=True, cwd="/", env={**environment, "PATH": os.environ["PATH"]}
    )
    for folder in ("dags", "plugins", "include/glue", "include/lambda", "include/sql"):
        assert (tmp_path / folder).is_dir()


def _python(service: Service) -> list[list[str]]:
    return [] if service.name in {"trino", "mysql", "postgres", "emulator"} else [service.command()]


def _copy(sources: list[str], target: Path) -> None:
    """As COPY does: raises FileNotFoundError for a source that is not there or that .dockerignore keeps out."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in ignored if line.startswith("!")]
    for source in sources:
        if source.split("/")[0] not in let_in:
            raise FileNotFoundError(f".dockerignore keeps {source} out")
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (target / source).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, target / source)


def test_nothing_else_of_the_checkout_is_sent_to_the_builder() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    top = {source.split("/")[0] for stage in ("tools", "home") for source in copied(stage)}
    assert {line[1:] for line in lines if line.startswith("!")} == top


def test_the_image_runs_as_the_user_that_owns_the_volumes() -> None:
    users = [one.value for one in dockerfile() if one.name == "USER"]
    assert users == ["10001:10001"]
    made = next(one.value for one in dockerfile() if one.stage == "home" and one.name == "RUN")
    assert "useradd --uid 10001 " in made
    owned = {
        word
        for command in made.split("&&")
        if "install --directory --owner=lake --group=lake" in command
        for word in command.split()
    }
    assert {volume["target"] for one in services().values() for volume in one.get("volumes", [])} <= owned
    assert image_environment()["LAKE_HOME"] == HOME


def test_the_linter_finds_nothing_in_the_dockerfile() -> None:
    linted = subprocess.run([PROGRAMS / "hadolint", ROOT / "Dockerfile"], check=False, text=True, capture_output=True)
    assert (linted.stdout, linted.returncode) == ("", 0)
