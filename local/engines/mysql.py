"""MariaDB as the home's RDS instance: a private server with TLS, on 127.0.0.1 and a socket.

``python -m local.engines.mysql`` makes its data folder and certificates, with the argument ``certificates`` these
alone, for a MySQL in a container; ``command()`` starts the server. The system's administrator account is ``root`` over
``settings.data/mysql/mysql.sock``, for the user who runs the home alone; the deployment makes the lake's own account
through it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.engines import accounts, files
from local.settings import HOST, Settings

SERVER = "/usr/sbin/mariadbd"
VALID_DAYS, RENEW_DAYS = 825, 30  # a certificate that ends within RENEW_DAYS is replaced


def socket_path(settings: Settings) -> Path:
    """The administrator's way in."""
    return settings.data / "mysql" / "mysql.sock"


def ca_path(settings: Settings) -> Path:
    """Certificate authority that signed the server's certificate: LAKE_MYSQL_CA."""
    return settings.secrets / "tls" / "mysql-ca.pem"


def prepare(settings: Settings) -> None:
    """Make the data folder and the certificates unless they are there."""
    folder = accounts.data_folder(settings, "mysql")
    made = folder / "made"
    if not made.exists():
        for entry in folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        _install(folder)
        made.touch()
    certificates(settings)


def _install(folder: Path) -> None:
    """System tables, with root@localhost known by the caller's own account (as root) or by the private socket."""
    account = accounts.unprivileged()
    method = ["socket", "--auth-root-socket-user=root"] if account else ["normal"]
    subprocess.run(
        [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={folder}",
            f"--tmpdir={folder}",
            f"--auth-root-authentication-method={method[0]}",
            *method[1:],
            "--skip-test-db",
            "--skip-name-resolve",
            "--innodb-log-file-size=16M",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
        **accounts.drop(),
    )


def certificates(settings: Settings) -> None:
    """Make an authority and the certificate that it signs for 127.0.0.1; the authority's key is not kept."""
    import trustme  # noqa: PLC0415  set-up has the standard library alone

    now, folder = datetime.now(UTC), accounts.data_folder(settings, "mysql")
    authority, certificate, key = ca_path(settings), folder / "server-cert.pem", folder / "server-key.pem"
    if authority.exists() and key.exists() and _ends(certificate) > now + timedelta(days=RENEW_DAYS):
        return
    signer = trustme.CA(organization_name="Sakila Streams", organization_unit_name="one machine")
    server = signer.issue_cert(HOST, "localhost", not_after=now + timedelta(days=VALID_DAYS))
    for path, pem in (
        (authority, signer.cert_pem),
        (certificate, server.cert_chain_pems[0]),
        (key, server.private_key_pem),
    ):
        files.write_atomically(path, pem.bytes().decode())
    owner = folder.stat()
    for path in (certificate, key):
        os.chown(path, owner.st_uid, owner.st_gid)


def _ends(certificate: Path) -> datetime:
    """Until when a certificate is valid."""
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415

    return load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc


def command(settings: Settings) -> list[str]:
    """The server; small, because Sakila is."""
    folder = (settings.data / "mysql").resolve()
    return [
        SERVER,
        "--no-defaults",
        f"--datadir={folder}",
        f"--tmpdir={folder}",
        f"--socket={folder}/mysql.sock",
        f"--pid-file={folder}/mysql.pid",
        f"--bind-address={HOST}",
        f"--port={settings.mysql_port}",
        f"--ssl-cert={folder}/server-cert.pem",
        f"--ssl-key={folder}/server-key.pem",
        "--tls-version=TLSv1.2,TLSv1.3",
        "--require-secure-transport=ON",
        "--skip-name-resolve",
        "--local-infile=OFF",
        "--character-set-server=utf8mb4",
        "--default-time-zone=+00:00",
        "--innodb-buffer-pool-size=32M",
        "--innodb-log-file-size=16M",
        "--key-buffer-size=1M",
        "--aria-pagecache-buffer-size=1M",
        "--performance-schema=OFF",
        "--max-connections=50",
    ]


def answers(settings: Settings) -> bool:
    """Whether a server greets on the port: MariaDB does so once it takes connections."""
    with socket.create_connection((HOST, settings.mysql_port), timeout=2) as connection:
        connection.settimeout(2)
        return b"MariaDB" in connection.recv(128)


if __name__ == "__main__":
    try:
        (certificates if sys.argv[1:] == ["certificates"] else prepare)(Settings.from_environment())
    except (OSError, RuntimeError, subprocess.CalledProcessError) as problem:
        sys.exit(f"MariaDB's data folder cannot be made: {problem}")
