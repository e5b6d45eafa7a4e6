"""The settings of the two endpoints of a full load, and the connection to the source.

Names and defaults: DMS API reference, S3Settings and MySQLSettings; user guide, "Using Amazon S3 as a target".
Served: a MySQL (or MariaDB) source whose login is in Secrets Manager, and an S3 target for uncompressed CSV. Any other
setting is refused by name.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from typing import Any

import boto3
import pymysql
from pymysql.connections import Connection
from pymysql.converters import conversions
from pymysql.cursors import SSCursor

SOURCE_ENGINES, TARGET_ENGINES = ("mysql", "mariadb"), ("s3",)
SSL_MODES = ("none", "require", "verify-ca", "verify-full")
# Settings that are accepted only with the values that change nothing in a full load to CSV
_NEUTRAL_S3 = {
    "CompressionType": ("NONE", "none"),
    "DataFormat": ("csv",),
    "DatePartitionEnabled": (False,),
    "IncludeOpForFullLoad": (False,),
    "EnableStatistics": (True, False),  # Parquet only
    "CdcInsertsOnly": (False,),
    "CdcInsertsAndUpdates": (False,),
    "PreserveTransactions": (False,),
}
_S3 = {
    "ServiceAccessRoleArn", "BucketName", "BucketFolder", "AddColumnName", "CsvNullValue", "CsvDelimiter",
    "CsvRowDelimiter", "Rfc4180", "MaxFileSize", "EncryptionMode", "ServerSideEncryptionKmsKeyId",
    "ExpectedBucketOwner",
}  # fmt: skip
_MYSQL = {"SecretsManagerSecretId", "SecretsManagerAccessRoleArn", "DatabaseName"}
_CONNECTION_ERRORS = (2002, 2003, 2006, 2013, 1040, 1045, 1053, 1927)


class StreamCursor(SSCursor):
    """A cursor that reads rows as they arrive. Closing it reads the rest of the result, unless the connection is lost.

    On a lost connection pymysql's own cursor reads from the closed socket, and again when it is garbage-collected.
    """

    connection: Any
    _result: Any

    def close(self) -> None:
        """Read the rest of the result, or drop it when the connection is lost."""
        connection, result = self.connection, self._result
        if connection is None or connection.open or result is None:
            super().close()
            return
        result.unbuffered_active = False
        self.connection = None

    __del__ = close


class SourceUnreachable(Exception):
    """The MySQL server is down, refuses the login or closed the connection; the message names its host and port."""


@dataclass(frozen=True)
class S3Target:
    """Where and how the CSV files are written. Sizes are in bytes."""

    role_arn: str
    bucket: str
    folder: str = ""
    header: bool = False
    null: str = "NULL"
    delimiter: str = ","
    row_delimiter: str = "\n"
    quoting: bool = True
    max_file_bytes: int = 1_048_576 * 1024
    put_arguments: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, settings: dict[str, Any]) -> S3Target:
        """Read S3Settings; raises ValueError naming what is missing, wrong or not served."""
        _refuse("S3Settings", settings, _S3, _NEUTRAL_S3)
        for required in ("ServiceAccessRoleArn", "BucketName"):
            if not settings.get(required):
                raise ValueError(f"S3Settings.{required} must be given")
        kilobytes = settings.get("MaxFileSize", 1_048_576)
        if not 1 <= kilobytes <= 1_048_576:
            raise ValueError(f"S3Settings.MaxFileSize={kilobytes}: give 1 to 1048576 (KB)")
        put: dict[str, str] = {}
        mode = settings.get("EncryptionMode")
        if mode == "sse-kms":
            put = {"ServerSideEncryption": "aws:kms"}
            if key := settings.get("ServerSideEncryptionKmsKeyId"):
                put["SSEKMSKeyId"] = key
        elif mode == "sse-s3":
            put = {"ServerSideEncryption": "AES256"}
        if owner := settings.get("ExpectedBucketOwner"):
            put["ExpectedBucketOwner"] = owner
        return cls(
            role_arn=settings["ServiceAccessRoleArn"],
            bucket=settings["BucketName"],
            folder=(settings.get("BucketFolder") or "").strip("/"),
            header=settings.get("AddColumnName", False),
            null=settings.get("CsvNullValue", "NULL"),
            delimiter=_unescaped(settings.get("CsvDelimiter", ",")),
            row_delimiter=_unescaped(settings.get("CsvRowDelimiter", "\n")),
            quoting=settings.get("Rfc4180", True),
            max_file_bytes=kilobytes * 1024,
            put_arguments=put,
        )

    def table_prefix(self, schema: str, table: str) -> str:
        """The key prefix of a table's files; it ends with a slash."""
        return "/".join(part for part in (self.folder, schema, table) if part) + "/"


@dataclass(frozen=True)
class MySqlSource:
    """A MySQL server whose address and login are in a secret. ``ca`` is the PEM text of the verifying SSL modes."""

    secret_id: str
    role_arn: str
    database: str | None
    ssl_mode: str
    ca: str | None

    @classmethod
    def parse(cls, settings: dict[str, Any], ssl_mode: str, ca: str | None) -> MySqlSource:
        """Read MySQLSettings; raises ValueError naming what is missing, wrong or not served."""
        _refuse("MySQLSettings", settings, _MYSQL, {})
        for required in ("SecretsManagerSecretId", "SecretsManagerAccessRoleArn"):
            if not settings.get(required):
                why = "the local home takes logins from secrets only"
                raise ValueError(f"MySQLSettings.{required} must be given: {why}")
        if ssl_mode.startswith("verify") and not ca:
            raise ValueError(f"SslMode {ssl_mode} needs CertificateArn")
        secret, role = settings["SecretsManagerSecretId"], settings["SecretsManagerAccessRoleArn"]
        return cls(secret, role, settings.get("DatabaseName"), ssl_mode, ca)

    def connect(self, session: boto3.Session) -> Connection[Any]:
        """Open a connection that returns values as MySQL's own text (binary columns as bytes) and TIMESTAMP in UTC.

        Args:
            session: under the endpoint's access role; it reads the secret.

        Raises:
            SourceUnreachable: the message names host and port.
        """
        secret = json.loads(session.client("secretsmanager").get_secret_value(SecretId=self.secret_id)["SecretString"])
        host, port = secret["host"], int(secret["port"])
        try:
            return pymysql.connect(
                host=host,
                port=port,
                user=secret["username"],
                password=secret["password"],
                database=self.database,
                charset="utf8mb4",
                init_command="SET time_zone = '+00:00'",
                cursorclass=StreamCursor,
                conv={key: value for key, value in conversions.items() if not isinstance(key, int)},
                ssl=self._tls(),
                ssl_disabled=self.ssl_mode == "none",
                connect_timeout=10,
            )
        except (pymysql.MySQLError, OSError) as error:
            raise source_unreachable(host, port, error) from error

    def _tls(self) -> ssl.SSLContext | None:
        if self.ssl_mode == "none":
            return None
        context = ssl.create_default_context(cadata=self.ca) if self.ca else ssl.create_default_context()
        context.check_hostname = self.ssl_mode == "verify-full"
        if self.ssl_mode == "require":
            context.verify_mode = ssl.CERT_NONE
        return context


def source_unreachable(host: str, port: int, error: Exception) -> SourceUnreachable:
    """The error with a message that names the server."""
    reason = error.args[-1] if error.args else error
    return SourceUnreachable(f"Cannot connect to the MySQL source endpoint at {host}:{port}: {reason}")


def is_connection_lost(error: Exception) -> bool:
    """Whether the connection is lost, as opposed to an error in the statement."""
    return isinstance(error, OSError | pymysql.InterfaceError) or (
        isinstance(error, pymysql.MySQLError) and bool(error.args) and error.args[0] in _CONNECTION_ERRORS
    )


def _refuse(name: str, given: dict[str, Any], served: set[str], neutral: dict[str, tuple[Any, ...]]) -> None:
    for key, value in given.items():
        if key in neutral:
            if value not in neutral[key]:
                raise ValueError(f"{name}.{key}={value!r} is not served by the local home")
        elif key not in served:
            raise ValueError(f"{name}.{key} is not served by the local home")
    for key in ("AddColumnName", "Rfc4180"):
        if not isinstance(given.get(key, False), bool):
            raise ValueError(f"{name}.{key}={given[key]!r} must be true or false")


def _unescaped(text: str) -> str:
    r"""A delimiter given as an escape of two characters (``\n``, ``\t``, ``\r``) becomes the character itself."""
    return text.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r")
