"""MariaDB as the home's RDS instance: a private server with TLS, on 127.0.0.1 and a socket.

``python -m local.engines.mysql`` makes its data folder and certificates, with the argument ``certificates`` these
alone, for a MySQL in a container; ``command()`` starts the server. The system's administrator account is ``root`` over
``settings.data/mysql/mysql.sock``, for the user who runs the home alone; the deployment makes the lake's own account
through it.
"""

from __future__ import annotations

import ipaddress
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
RENEW_DAYS = 30  # certificates are made anew when they would end within this time


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
    """An authority whose key is forgotten at once, and the certificate that it signs for 127.0.0.1."""
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    now, folder = datetime.now(UTC), accounts.data_folder(settings, "mysql")
    ca, key = ca_path(settings), folder / "server-key.pem"
    if ca.exists() and key.exists():
        ends = x509.load_pem_x509_certificate(ca.read_bytes()).not_valid_after_utc
        if ends > now + timedelta(days=RENEW_DAYS):
            return

    def certificate(name: str, public_key: ec.EllipticCurvePublicKey, issuer: str) -> x509.CertificateBuilder:
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(issuer))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=825))
        )

    authority_name = "Sakila Streams local authority"
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = (
        certificate(authority_name, authority_key.public_key(), authority_name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                key_cert_sign=True,
                crl_sign=True,
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(authority_key, hashes.SHA256())
    )
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName("localhost")])
    server = (
        certificate("Sakila Streams local MySQL", server_key.public_key(), authority_name)
        .add_extension(names, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    files.write_atomically(ca, authority.public_bytes(pem).decode())
    files.write_atomically(folder / "server-cert.pem", server.public_bytes(pem).decode())
    files.write_atomically(
        key,
        server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode(),
    )
    owner = folder.stat()
    for path in (key, folder / "server-cert.pem"):
        os.chown(path, owner.st_uid, owner.st_gid)


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
