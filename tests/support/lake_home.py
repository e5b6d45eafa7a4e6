"""A home with what a deployment needs: MariaDB, the emulator and our server with every service."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datalake.names import Lake
from infrastructure.deploy import deploy
from infrastructure.package import parameters_of
from local.engines import accounts, mysql
from local.engines.waiting import wait_until
from local.settings import ENVIRONMENT, SUFFIX, Settings
from tests.support import kept_decisions
from tests.support.aws_services import Emulator, LakeServer, running_emulator, running_server

LAKE = Lake(ENVIRONMENT, SUFFIX)


@dataclass
class LakeHome:
    """The running home. ``clients`` gives clients under root with the endpoints of the deployment's clients."""

    server: LakeServer
    sakila: Path
    lake: Lake = LAKE

    @property
    def settings(self) -> Settings:
        return self.server.settings

    @property
    def emulator(self) -> Emulator:
        return self.server.emulator

    def clients(self, service: str) -> Any:
        served = {api.service for api in self.server.server.apis} | {"iam", "sts"}
        return self.server.client(service) if service in served else self.emulator.client(service)

    def deploy(self, **parameters: str) -> dict[str, str]:
        """Deploy the template as it stands in the repository."""
        ca = mysql.ca_path(self.settings).read_text()
        given = {**parameters_of(ENVIRONMENT), "MySqlCa": ca, **parameters}
        return deploy(self.lake, given, self.sakila, self.clients, lambda _: None)

    @contextmanager
    def without(self, component: str, action: str) -> Iterator[None]:
        """Remove an action from the role's inline policy during the block."""
        iam, named = self.clients("iam"), {"RoleName": self.lake.role(component), "PolicyName": component}
        policy = iam.get_role_policy(**named)["PolicyDocument"]
        left = []
        for statement in policy["Statement"]:
            actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
            if kept := [one for one in actions if one != action]:
                left.append({**statement, "Action": kept})
        iam.put_role_policy(**named, PolicyDocument=json.dumps({**policy, "Statement": left}))
        try:
            yield
        finally:
            iam.put_role_policy(**named, PolicyDocument=json.dumps(policy))


@contextmanager
def running_mysql(settings: Settings) -> Iterator[None]:
    """The home's own MariaDB."""
    mysql.prepare(settings)
    settings.logs.mkdir(parents=True, exist_ok=True)
    with (settings.logs / "mysql.log").open("ab") as log:
        process = subprocess.Popen(
            mysql.command(settings), user=accounts.unprivileged(), stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until(lambda: mysql.answers(settings), 60, "MariaDB did not start", ignoring=(OSError,))
        yield
    finally:
        process.kill()
        process.wait(30)
        shutil.rmtree(accounts.outside(settings), ignore_errors=True)  # there when root hides pytest's folder


@contextmanager
def lake_home(folder: Path, lake: Lake = LAKE) -> Iterator[LakeHome]:
    """Start a home for a lake of these names. The Sakila scripts have one line each: a deployment only uploads them."""
    sakila = folder / "sakila"
    sakila.mkdir(parents=True)
    for name in ("sakila-schema.sql", "sakila-data.sql"):
        (sakila / name).write_text(f"-- {name}\n")
    with (
        running_emulator(folder / "home") as emulator,
        running_mysql(emulator.settings),
        running_server(emulator) as server,
    ):
        try:
            yield LakeHome(server, sakila, lake)
        finally:
            kept_decisions.keep(server.settings)
