"""docker-compose.yaml is valid, safe, and describes the same home as local/home.py. No container is started."""

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
from local.engines import accounts, files, mysql
from local.home import Service
from local.settings import ROOT, Settings
from local.supervision.reaper import GRACE_SECONDS
from local.supervision.run import WatchedServices
from tests.support.compose_file import (
    FILE,
    HOME,
    HOME_SERVICES,
    PROGRAMS,
    SETTINGS,
    compose_config,
    dockerfile,
    services,
)

ONLY_HERE = {"net", "certificates", "mysql-data"}
LASTING = {name for name, service in HOME_SERVICES.items() if not service.once} | {"net"}


def test_the_compose_specifications_schema_holds() -> None:
    command = [str(PROGRAMS / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(FILE)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0


def test_debians_compose_reads_the_same_services() -> None:
    debians = yaml.safe_load(compose_config("docker-compose"))["services"]
    assert set(debians) == set(services())
    for name, service in services().items():
        for key in ("command", "entrypoint", "image", "user", "read_only", "cap_drop", "network_mode", "pid"):
            assert debians[name].get(key) == service.get(key), f"{name}: {key}"


def test_every_service_of_the_home_is_there_and_no_other() -> None:
    assert set(services()) == set(HOME_SERVICES) | ONLY_HERE


@pytest.mark.parametrize("name", sorted(set(HOME_SERVICES) - {"mysql"}))
def test_a_service_runs_and_is_checked_as_at_home(name: str) -> None:
    here = services()[name]
    assert WatchedServices(SETTINGS, HOME_SERVICES.values())[name].name == name
    assert here["command"] == ["python", "-m", "local", "run", name]
    assert here.get("entrypoint") is None
    assert here.get("stop_signal", "SIGTERM") == f"SIG{HOME_SERVICES[name].stop}"
    if not HOME_SERVICES[name].once:
        assert here["healthcheck"]["test"] == ["CMD", "python", "-m", "local", "run", "--ready", name]


@pytest.mark.parametrize("name", sorted(HOME_SERVICES))
def test_a_service_waits_for_what_it_waits_for_at_home(name: str) -> None:
    waits = {other: one["condition"] for other, one in services()[name]["depends_on"].items()}
    for other in HOME_SERVICES[name].after:
        assert waits[other] == _settled(HOME_SERVICES[other])
    extra = set(waits) - set(HOME_SERVICES[name].after) - ONLY_HERE
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
    if name in HOME_SERVICES:
        assert _seconds(here["healthcheck"]["start_period"]) >= HOME_SERVICES[name].seconds
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
    assert listening | {"mysql"} == {name for name, service in HOME_SERVICES.items() if service.port in published}


def test_all_share_one_network_and_the_deployment_sees_what_it_ends() -> None:
    others = {name: service for name, service in services().items() if name != "net"}
    assert {service["network_mode"] for service in others.values()} == {"service:net"}
    assert {name for name, one in services().items() if "pid" in one} == {"deploy", "emulator", "trino"}
    assert {one["pid"] for one in services().values() if "pid" in one} == {"service:net"}


@pytest.mark.parametrize("name", sorted(set(HOME_SERVICES) | ONLY_HERE))
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
