"""A throw-away MariaDB server that takes TLS connections only, with a certificate for 127.0.0.1 from its own CA."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import trustme

from lake_airflow.mysql import connect
from local.engines.mysql import SERVER
from local.engines.waiting import wait_until
from tests.support.ports import free_ports

PASSWORD = "only-for-tests"
START_SECONDS = 60


@dataclass
class MariaDb:
    """A running server; ``start`` starts its process (again after a kill)."""

    port: int
    ca: str
    log: Path
    process: subprocess.Popen[bytes]
    start: Callable[[], subprocess.Popen[bytes]]

    @property
    def secret(self) -> dict[str, Any]:
        """The login of the tests' user, in the form of RDS's secrets."""
        return {"engine": "mysql", "host": "127.0.0.1", "port": self.port, "username": "tester", "password": PASSWORD}

    def connect(self, database: str | None = None) -> Any:
        """A connection as Airflow's tasks make it: over TLS, with the server's certificate checked."""
        return connect(self.secret, self.ca, database)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(30)

    def restart(self) -> None:
        """Start after a kill; returns when the server answers."""
        self.process = self.start()
        _when_up(self.connect, self.process, self.log).close()


def write_certificates(folder: Path) -> None:
    """ca.pem, and server.pem and server.key for 127.0.0.1."""
    authority = trustme.CA()
    server = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    server.cert_chain_pems[0].write_to_path(folder / "server.pem")
    server.private_key_pem.write_to_path(folder / "server.key")


@contextmanager
def mariadb() -> Iterator[MariaDb]:
    """Run a server with a folder and a port of its own; as the user ``nobody`` when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="mariadb-", dir="/tmp"))
    account: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    common = ["--no-defaults", f"--datadir={folder / 'data'}", f"--tmpdir={folder}", "--innodb-log-file-size=8M"]
    port, log = free_ports(), folder / "log"

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            command = [SERVER, *common, *_options(folder, port)]
            return subprocess.Popen(command, stdout=output, stderr=output, **account)

    try:
        write_certificates(folder)
        if account:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, "nobody", "nogroup")
        install = ["mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL, **account)
        running = MariaDb(port, str(folder / "ca.pem"), log, start(), start)
        try:
            _create_user(folder, running)
            yield running
        finally:
            running.process.terminate()
            running.process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options(folder: Path, port: int) -> list[str]:
    return [
        f"--socket={folder / 'mysql.sock'}",
        "--bind-address=127.0.0.1",
        f"--port={port}",
        "--require-secure-transport=ON",
        f"--ssl-ca={folder / 'ca.pem'}",
        f"--ssl-cert={folder / 'server.pem'}",
        f"--ssl-key={folder / 'server.key'}",
        "--innodb-buffer-pool-size=32M",
        "--innodb-flush-log-at-trx-commit=0",
        "--default-time-zone=+03:00",  # so that whatever forgets to ask for UTC is found out
    ]


def _create_user(folder: Path, running: MariaDb) -> None:
    """Make the user that the tests log in as, once the server answers on its socket."""

    def connect() -> Any:
        return pymysql.connect(unix_socket=str(folder / "mysql.sock"), user="root")

    connection = _when_up(connect, running.process, running.log)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER 'tester'@'127.0.0.1' IDENTIFIED BY %s", (PASSWORD,))
        cursor.execute("GRANT ALL ON *.* TO 'tester'@'127.0.0.1' WITH GRANT OPTION")


def _when_up(connect: Callable[[], Any], process: subprocess.Popen[bytes], log: Path) -> Any:
    """A connection, once there is one; raises RuntimeError with the server's log when the server has ended."""

    def attempt() -> Any:
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        return connect()

    refusals = (ConnectionError, pymysql.MySQLError)
    return wait_until(attempt, START_SECONDS, "MariaDB did not answer", 0.05, ignoring=refusals)
