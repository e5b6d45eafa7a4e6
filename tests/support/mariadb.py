"""A throw-away MariaDB server that takes TLS connections only, with a certificate for 127.0.0.1 from its own CA."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lake_airflow.mysql import connect
from local.engines.mysql import SERVER

PASSWORD = "only-for-tests"
START_SECONDS = 30


@dataclass
class MariaDb:
    """A running server. ``secret`` is shaped as RDS's secrets are; ``start`` starts the process, again after a kill."""

    port: int
    ca: str
    process: subprocess.Popen[bytes]
    start: Callable[[], subprocess.Popen[bytes]]

    @property
    def secret(self) -> dict[str, Any]:
        return {"engine": "mysql", "host": "127.0.0.1", "port": self.port, "username": "tester", "password": PASSWORD}

    def connect(self, database: str | None = None) -> Any:
        return connect(self.secret, self.ca, database)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(30)

    def restart(self) -> None:
        """Start after a kill; returns when it answers."""
        self.process = self.start()
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.connect().close()
                return
            except ConnectionError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def write_certificates(folder: Path) -> None:
    """ca.pem, server.pem and server.key, valid for an hour."""
    now = dt.datetime.now(dt.UTC)

    def build(name: str, issuer: str, key: Any, signer: Any, extension: x509.ExtensionType) -> x509.Certificate:
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(extension, critical=True)
            .sign(signer, hashes.SHA256())
        )

    authority, server = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = build("test ca", "test ca", authority, authority, x509.BasicConstraints(ca=True, path_length=None))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = build("mariadb", "test ca", server, authority, address)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        server.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


@contextlib.contextmanager
def mariadb() -> Iterator[MariaDb]:
    """Run a server of its own: datadir, socket and port; as the user ``nobody`` when we are root."""
    folder = Path(tempfile.mkdtemp(prefix="mariadb-", dir="/tmp"))
    account: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    try:
        write_certificates(folder)
        if account:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, "nobody", "nogroup")
        data, port = folder / "data", free_port()
        common = [f"--datadir={data}", f"--tmpdir={folder}", "--innodb-log-file-size=8M"]
        subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *common,
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            **account,
        )
        options = [
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

        def start() -> subprocess.Popen[bytes]:
            with (folder / "log").open("ab") as log:
                command = [SERVER, "--no-defaults", *common, *options]
                return subprocess.Popen(command, stdout=log, stderr=log, **account)

        running = MariaDb(port, str(folder / "ca.pem"), start(), start)
        try:
            _create_user(folder, running.process)
            yield running
        finally:
            running.process.terminate()
            running.process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _create_user(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers on its socket; make the user that the tests log in as."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            connection = pymysql.connect(unix_socket=str(folder / "mysql.sock"), user="root")
            break
        except pymysql.MySQLError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((folder / "log").read_text()) from None
            time.sleep(0.05)
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE USER 'tester'@'127.0.0.1' IDENTIFIED BY %s", (PASSWORD,))
        cursor.execute("GRANT ALL ON *.* TO 'tester'@'127.0.0.1' WITH GRANT OPTION")
