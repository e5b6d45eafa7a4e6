"""What is sent to MWAA is complete: every DAG loads from the unpacked archives, without this repository."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from datalake.names import Lake
from infrastructure.mwaa import package
from infrastructure.mwaa.package import CODE, MWAA, ROOT, build
from tests.dags.conftest import DAG_IDS
from tests.infrastructure.mwaa.conftest import CONSTRAINTS
from tests.support.resolved_template import Resolved

LAKE = Lake("a-long-one", "123456789012")
CA = "-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----\n"

# Does what Airflow's DAG processor does with the folder, then imports every module of ours, as a worker may.
LOAD = """
import importlib, json, os, pathlib, pkgutil, sys
import airflow
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.plugins_manager import _get_plugins

home = pathlib.Path(os.environ["AIRFLOW_HOME"])
bag = BundleDagBag(dag_folder=home / "dags", bundle_path=home / "dags", bundle_name="dags-folder")
plugins, plugin_errors = _get_plugins()
modules = {}
for name in ("datalake", "lake_airflow", "lake_airflow.operators", "lake_airflow.triggers"):
    for found in pkgutil.iter_modules(importlib.import_module(name).__path__):
        modules[f"{name}.{found.name}"] = importlib.import_module(f"{name}.{found.name}").__file__
print(json.dumps({
    "airflow": airflow.__version__,
    "dags": {dag_id: dag.template_searchpath for dag_id, dag in bag.dags.items()},
    "import_errors": bag.import_errors,
    "plugins": sorted(plugin.name for plugin in plugins if plugin.name),
    "plugin_errors": plugin_errors,
    "modules": modules,
    "path": sys.path,
    "lake": {name: value for name, value in os.environ.items() if name.startswith("LAKE_")},
}, default=str))
"""


def constraints() -> dict[str, str]:
    """Canonical name -> version."""
    pins = (line.split("==") for line in CONSTRAINTS.read_text().splitlines() if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pins}


def requirements() -> list[Requirement]:
    lines = (MWAA / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "--"))]


def mwaas_environment(home: Path, **parameters: str) -> dict[str, str]:
    """The environment of a container: MWAA's own variables, and the template's Airflow options."""
    options = Resolved(LAKE, **parameters)("MwaaEnvironment.AirflowConfigurationOptions")
    return {
        "PATH": os.environ["PATH"],
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": str(home.parent / "python"),  # MWAA's own code; it cannot be changed
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",  # as in MWAA
        "PYTHONWARNINGS": "ignore",
        "AWS_DEFAULT_REGION": "us-east-1",
        **{"AIRFLOW__" + name.upper().replace(".", "__", 1): value for name, value in options.items()},
    }


def started(home: Path, command: list[Any], **parameters: str) -> subprocess.CompletedProcess[str]:
    """Run a command in such a container after the start-up script."""
    shell = ["bash", "-c", 'source "$AIRFLOW_HOME/startup.sh" && exec "$@"', "bash", *map(str, command)]
    environment = mwaas_environment(home, **parameters)
    return subprocess.run(shell, env=environment, cwd=home, capture_output=True, text=True, check=False)


def test_every_dag_loads_from_the_unpacked_archives(airflow_home: Path, interpreter: Path) -> None:
    done = started(airflow_home, [interpreter, "-c", LOAD])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["import_errors"] == {}
    assert sorted(found["dags"]) == DAG_IDS
    assert (found["plugins"], found["plugin_errors"]) == (["month_timetable", "pages", "run_note"], {})
    plugins = airflow_home / "plugins"
    assert [file for file in found["modules"].values() if not Path(file).is_relative_to(plugins)] == []
    assert {path for paths in found["dags"].values() for path in paths or ()} == {str(plugins / "sql" / "athena")}
    libraries = interpreter.parent.parent
    assert [path for path in found["path"] if path.startswith(str(ROOT)) and str(libraries) not in path] == []
    here = interpreter == Path(sys.executable)
    assert found["airflow"] == (importlib.metadata.version if here else constraints().get)("apache-airflow")


def test_the_template_tells_the_dags_their_names(airflow_home: Path) -> None:
    done = started(airflow_home, ["env"], MySqlCa=CA)
    lake = dict(line.split("=", 1) for line in done.stdout.splitlines() if line.startswith("LAKE_"))
    ca = airflow_home / "mysql-ca.pem"
    assert lake == {"LAKE_ENVIRONMENT": LAKE.environment, "LAKE_SUFFIX": LAKE.suffix, "LAKE_MYSQL_CA": str(ca)}
    assert ca.read_text() == CA
    without = started(airflow_home, ["env"])
    assert "LAKE_MYSQL_CA" not in without.stdout


def test_the_archive_holds_what_dags_import_and_nothing_else() -> None:
    plugins = zipfile.ZipFile(io.BytesIO(build()[0].body))
    wheels = {path.name for path in (MWAA / "wheels").iterdir()}
    assert {name.split("/")[0] for name in plugins.namelist()} == wheels | {
        ".airflowignore", "datalake", "lake_airflow", "month_timetable_plugin.py", "pages_plugin.py",
        "run_note_plugin.py", "sql",
    }  # fmt: skip


def test_keys_follow_the_content(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = build()
    assert first == build()
    names = [re.fullmatch(r"mwaa/[0-9a-f]{64}/(.*)", artifact.key) for artifact in first[:3]]
    assert [name[1] for name in names if name] == list(CODE)
    assert sorted(artifact.key for artifact in first[3:]) == [f"dags/{dag_id}.py" for dag_id in DAG_IDS]
    for name in ("requirements.txt", "startup.sh"):
        (tmp_path / name).write_text(f"# another {name}\n")
    monkeypatch.setattr(package, "MWAA", tmp_path)
    changed = build()
    assert len({changed[0].key, first[0].key}) == 2
    assert changed[3:] == first[3:]


def test_requirements_agree_with_mwaas_constraints() -> None:
    pins = constraints()
    for requirement in requirements():
        assert str(requirement.specifier) == f"=={pins[canonicalize_name(requirement.name)]}"


def test_every_requirement_travels_as_the_published_wheel() -> None:
    text = (MWAA / "requirements.txt").read_text()
    assert "--no-index" in text.splitlines()
    wheels = {parse_wheel_filename(path.name)[:2]: path for path in (MWAA / "wheels").iterdir()}
    wanted = {(canonicalize_name(r.name), str(r.specifier).removeprefix("==")) for r in requirements()}
    assert {(name, str(version)) for name, version in wheels} == wanted
    for path in wheels.values():
        assert f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" in text


def test_no_registry_is_named() -> None:
    for name in ("requirements.txt", "constraints.txt", "startup.sh"):
        assert not re.search(r"https?://|index-url", (MWAA / name).read_text()), name


def test_the_environments_airflow_is_the_one_that_was_tried() -> None:
    assert Resolved(LAKE)("MwaaEnvironment.AirflowVersion") == constraints()["apache-airflow"]
