"""Dockerfile and docker-compose.yaml: valid, safe, and the same home as local/home.py. Nothing is built."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from local.commands.lifecycle import client_environment
from local.engines import accounts, files, java, mysql
from local.engines.trino import JARS
from local.home import Service
from local.home import services as home_services
from local.installation import python_environments, setup
from local.settings import ROOT, Settings
from local.supervision.reaper import GRACE_SECONDS
from local.supervision.run import WatchedServices
from tests.support.compose_file import (
    CODE,
    FILE,
    HOME,
    PROGRAMS,
    compose_config,
    copied,
    dockerfile,
    image_environment,
    services,
)

SETTINGS = Settings(home=Path(HOME), port=14500)  # a container's
ONLY_HERE = {"net", "certificates", "mysql-data"}
OWN = {service.name: service for service in home_services(SETTINGS)}
LASTING = {name for name, service in OWN.items() if not service.once} | {"net"}


# valid


def test_the_compose_specifications_schema_holds() -> None:
    command = [str(PROGRAMS / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(FILE)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_debians_compose_reads_the_same_services() -> None:
    debians = yaml.safe_load(compose_config("docker-compose"))["services"]
    assert set(debians) == set(services())
    for name, service in services().items():
        for key in ("command", "entrypoint", "image", "user", "read_only", "cap_drop", "network_mode", "pid"):
            assert debians[name].get(key) == service.get(key), f"{name}: {key}"


def test_the_linter_finds_nothing_in_the_dockerfile() -> None:
    linted = subprocess.run([PROGRAMS / "hadolint", ROOT / "Dockerfile"], check=False, text=True, capture_output=True)
    assert (linted.stdout, linted.returncode) == ("", 0)


# the home's own


def test_every_service_of_the_home_is_there_and_no_other() -> None:
    assert set(services()) == set(OWN) | ONLY_HERE


@pytest.mark.parametrize("name", sorted(set(OWN) - {"mysql"}))
def test_a_service_runs_and_is_checked_as_at_home(name: str) -> None:
    here = services()[name]
    assert WatchedServices(SETTINGS, OWN.values())[name].name == name
    assert here["command"] == ["python", "-m", "local", "run", name]
    assert here.get("entrypoint") is None
    assert here.get("stop_signal", "SIGTERM") == f"SIG{OWN[name].stop}"
    if not OWN[name].once:
        assert here["healthcheck"]["test"] == ["CMD", "python", "-m", "local", "run", "--ready", name]


@pytest.mark.parametrize("name", sorted(OWN))
def test_a_service_waits_for_what_it_waits_for_at_home(name: str) -> None:
    waits = {other: one["condition"] for other, one in services()[name]["depends_on"].items()}
    for other in OWN[name].after:
        assert waits[other] == _settled(OWN[other])
    extra = set(waits) - set(OWN[name].after) - ONLY_HERE
    assert extra == ({"deploy"} if name == "airflow-scheduler" else set())


def _settled(service: Service) -> str:
    return "service_completed_successfully" if service.once else "service_healthy"


def test_each_step_that_ends_is_waited_for() -> None:
    """Else ``docker compose up --wait`` takes its end for a failure."""
    conditions = [item for service in services().values() for item in service.get("depends_on", {}).items()]
    waited = {name for name, one in conditions if one["condition"] == "service_completed_successfully"}
    assert waited == set(services()) - LASTING


@pytest.mark.parametrize("name", sorted(LASTING))
def test_what_lasts_is_checked_and_restarted(name: str) -> None:
    here = services()[name]
    assert here["restart"] == "unless-stopped"
    assert here["healthcheck"]["test"][0] == "CMD"
    if name in OWN:
        assert _seconds(here["healthcheck"]["start_period"]) >= OWN[name].seconds
    assert _seconds(here["stop_grace_period"]) >= GRACE_SECONDS


def _seconds(text: str) -> int:
    minutes, seconds = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", text).groups("0")  # type: ignore[union-attr]
    return 60 * int(minutes) + int(seconds)


def test_mysql_is_started_as_the_homes_mariadb_but_for_what_each_alone_knows() -> None:
    here = services()["mysql"]
    home = mysql.command(SETTINGS)
    folder = f"{HOME}/data/mysql"
    assert home[1] == here["command"][0] == "--no-defaults"
    assert set(home[2:]) - set(here["command"]) == {
        f"--datadir={folder}",  # mysqld fills an empty folder only; ours has the certificates
        "--bind-address=127.0.0.1",
        "--innodb-log-file-size=16M",  # deprecated in MySQL 8.0.30
        "--aria-pagecache-buffer-size=1M",
    }
    assert set(here["command"]) - set(home) == {
        f"--datadir={folder}/data",
        "--bind-address=0.0.0.0",
        "--mysqlx=OFF",
        "--secure-file-priv=NULL",
        "--disable-log-bin",
    }
    assert f"--datadir={folder}/data" in services()["mysql-data"]["command"][0]
    assert f"--port={SETTINGS.mysql_port}" in here["healthcheck"]["test"]


def test_certificates_lie_where_mysql_looks_for_them(tmp_path: Path) -> None:
    given = dict(option.split("=", 1) for option in services()["mysql"]["command"] if "=" in option)
    command = services()["certificates"]["command"]
    environment = {**os.environ, "LAKE_HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}:{ROOT}/include"}
    made = subprocess.run([sys.executable, *command[1:]], check=False, env=environment, cwd=ROOT)
    assert made.returncode == 0
    settings = Settings(home=tmp_path, port=14500)
    for option in ("--ssl-cert", "--ssl-key"):
        path = tmp_path / Path(given[option]).relative_to(HOME)
        assert path.read_text().startswith("-----BEGIN")
    assert mysql.ca_path(settings).exists()
    assert not (settings.data / "mysql" / "made").exists(), "no MariaDB has been made"
    shutil.rmtree(accounts.outside(settings), ignore_errors=True)


def test_clients_on_the_host_reach_what_their_variables_name(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port=SETTINGS.port)
    files.write_atomically(settings.secrets / "developer.json", '{"access_key": "a", "secret_key": "b"}')
    database = {"host": "127.0.0.1", "port": settings.mysql_port, "username": "u", "password": "p", "dbname": "d"}
    files.write_atomically(settings.secrets / "mysql.json", json.dumps(database))
    named = client_environment(settings)
    wanted = {port for value in named.values() for port in re.findall(r"^http://127\.0\.0\.1:(\d+)$", value)}
    published = services()["net"]["ports"]
    assert {port["published"] for port in published} == wanted | {named["MYSQL_PORT"]}
    assert {(port["host_ip"], str(port["target"])) for port in published} == {
        ("127.0.0.1", port["published"]) for port in published
    }
    assert {name for name, service in services().items() if "ports" in service} == {"net"}


def test_only_what_is_published_listens_beyond_the_loopback() -> None:
    published = {port["target"] for port in services()["net"]["ports"]}
    listening = {name for name, one in services().items() if one.get("environment", {}).get("LAKE_LISTEN")}
    assert listening | {"mysql"} == {name for name, service in OWN.items() if service.port in published}


def test_all_share_one_network_and_the_deployment_sees_what_it_ends() -> None:
    others = {name: service for name, service in services().items() if name != "net"}
    assert {service["network_mode"] for service in others.values()} == {"service:net"}
    assert {name for name, one in services().items() if "pid" in one} == {"deploy", "emulator", "trino"}
    assert {one["pid"] for one in services().values() if "pid" in one} == {"service:net"}


# safe


@pytest.mark.parametrize("name", sorted(set(OWN) | ONLY_HERE))
def test_a_container_has_no_rights_to_spare(name: str) -> None:
    here = services()[name]
    assert here["user"] == "10001:10001"
    assert here["cap_drop"] == ["ALL"]
    assert here["security_opt"] == ["no-new-privileges:true"]
    assert here["read_only"] is True
    assert not {"privileged", "cap_add", "devices", "secrets", "env_file"} & set(here)
    assert {volume["type"] for volume in here.get("volumes", [])} <= {"volume"}, "nothing of the host's"


def test_images_are_pinned() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    images = {service["image"] for service in services().values()}
    ours = {image for image in images if image.startswith("sakila-streams")}
    assert ours == {f"sakila-streams:{version}"}
    bases = [one.words[0] for one in dockerfile() if one.name == "FROM"]
    foreign = [*(images - ours), *(base for base in bases if base not in {one.stage for one in dockerfile()})]
    assert len(foreign) == 2
    for image in foreign:
        assert re.fullmatch(r"[a-z]+:[a-z0-9.-]*\d{1,8}[a-z0-9.-]*@sha256:[0-9a-f]{64}", image)


def test_no_password_is_written_down() -> None:
    for file in (FILE, ROOT / "Dockerfile"):
        assert not re.search(r"(?i)(password|secret|token|access_?key)[a-z_]*\s*[:=]", file.read_text())
    for service in services().values():
        assert set(service.get("environment") or {}) <= {"LAKE_LISTEN"}


# the image


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
            *(part[2] for one in OWN.values() for part in (one.prepare or [], *_python(one)) if part[1:2] == ["-m"]),
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
