"""AWS::RDS::DBInstance as the home's MariaDB, and the secret that says where it is."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.connections import Connection
from typing_extensions import override

from infrastructure.cfn.intrinsics import Json
from local.aws.cloudformation.errors import Failure
from local.aws.cloudformation.resource_types.base import Context, OwnType, Property, getter
from local.aws.settings import ACCOUNT, HOST, REGION, AwsSettings

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

# What RDS grants the master user of MySQL (Amazon RDS User Guide, "Master user account privileges").
MASTER_PRIVILEGES = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, "
    "CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, "
    "CREATE USER, EVENT, TRIGGER"
)


class MySqlInstance(OwnType):
    """The master user and the first database of the private MariaDB, which is running already.

    The properties MasterUsername, MasterUserPassword and DBName take effect. The others describe AWS's machine and are
    only noted. Snapshots are not made: DeletionPolicy Snapshot keeps the database instead.
    """

    replaces = ("DBInstanceIdentifier", "DBName", "MasterUsername")
    adopts = True  # there is one MariaDB, which an earlier stack may have kept

    def __init__(self, settings: AwsSettings) -> None:
        self._settings = settings

    @override
    def known(self, prop: Property) -> Json:
        name = prop("DBInstanceIdentifier")
        if not name:
            return {}
        return {
            "": name,
            "Endpoint.Address": HOST,
            "Endpoint.Port": str(self._settings.mysql_port),
            "DBInstanceArn": f"arn:aws:rds:{REGION}:{ACCOUNT}:db:{name}",
        }

    @override
    def create(self, context: Context, properties: Json) -> Json:
        for name in ("DBInstanceIdentifier", "MasterUsername", "MasterUserPassword"):
            if not properties.get(name):
                raise Failure(f"The local home needs {name} of a DBInstance")
        if not str(properties.get("Engine", "mysql")).startswith(("mysql", "mariadb")):
            raise Failure(f"The local home has MySQL alone, not {properties['Engine']}")
        user, password = properties["MasterUsername"], properties["MasterUserPassword"]
        with self._administrator(context) as cursor:
            for statement in ("CREATE USER IF NOT EXISTS", "ALTER USER"):
                cursor.execute(f"{statement} %s@'%%' IDENTIFIED BY %s REQUIRE SSL", (user, password))
            cursor.execute(f"GRANT {MASTER_PRIVILEGES} ON *.* TO %s@'%%' WITH GRANT OPTION", (user,))
            if properties.get("DBName"):
                cursor.execute(f"CREATE DATABASE IF NOT EXISTS {_quoted(properties['DBName'])}")
        return self.known(getter(properties))

    @override
    def update(self, context: Context, physical: str, properties: Json) -> Json:
        return self.create(context, properties)

    @override
    def delete(self, context: Context, physical: str, properties: Json) -> None:
        with self._administrator(context) as cursor:
            if properties.get("DBName"):
                cursor.execute(f"DROP DATABASE IF EXISTS {_quoted(properties['DBName'])}")
            if properties.get("MasterUsername"):
                cursor.execute("DROP USER IF EXISTS %s@'%%'", (properties["MasterUsername"],))

    @override
    def exists(self, context: Context, physical: str, properties: Json) -> bool:
        with self._administrator(context) as cursor:
            return bool(cursor.execute("SELECT 1 FROM mysql.user WHERE user = %s", (properties.get("MasterUsername"),)))

    @contextlib.contextmanager
    def _administrator(self, context: Context) -> Iterator[Any]:
        socket = context.settings.mysql_socket
        try:
            connection: Connection[Any] = pymysql.connect(unix_socket=str(socket), user="root", autocommit=True)
        except pymysql.MySQLError as error:
            raise Failure(f"MariaDB's administrator cannot log in at {socket}: {error.args[-1]}") from error
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        except pymysql.MySQLError as error:
            raise Failure(f"MariaDB refuses: {error.args[-1]}") from error


class SecretAttachment(OwnType):
    """AWS::SecretsManager::SecretTargetAttachment: writes engine, host, port and dbname into the secret."""

    replaces = ("SecretId",)

    def __init__(self, settings: AwsSettings) -> None:
        self._settings = settings

    @override
    def create(self, context: Context, properties: Json) -> Json:
        if properties.get("TargetType") != "AWS::RDS::DBInstance":
            raise Failure(f"The local home attaches secrets to RDS instances, not to {properties.get('TargetType')}")
        secrets: SecretsManagerClient = context.clients("secretsmanager")
        present = secrets.get_secret_value(SecretId=properties["SecretId"])
        before = json.loads(present["SecretString"])
        after = {**before, "engine": "mysql", "host": HOST, "port": self._settings.mysql_port}
        if after != before:
            secrets.put_secret_value(SecretId=present["ARN"], SecretString=json.dumps(after))
        return {"": present["ARN"]}

    @override
    def update(self, context: Context, physical: str, properties: Json) -> Json:
        return self.create(context, properties)

    @override
    def delete(self, context: Context, physical: str, properties: Json) -> None:
        """Nothing: the secret is deleted with its own resource, and nobody reads it in between."""

    @override
    def exists(self, context: Context, physical: str, properties: Json) -> bool:
        secrets: SecretsManagerClient = context.clients("secretsmanager")
        try:
            value = json.loads(secrets.get_secret_value(SecretId=physical)["SecretString"])
        except secrets.exceptions.ResourceNotFoundException:
            return False
        return (value.get("host"), value.get("port")) == (HOST, self._settings.mysql_port)


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"
