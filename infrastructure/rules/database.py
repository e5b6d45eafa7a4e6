"""Rules on MySQL, its network, its secret, and passwords in a template."""

from __future__ import annotations

import re
from typing import Any

from infrastructure.rules.rule import Complaints, Rule
from infrastructure.rules.view import View, all_are, at, texts

INSTANCE, GROUP = "AWS::RDS::DBInstance", "AWS::EC2::SecurityGroup"
ANYWHERE = ("0.0.0.0/0", "::/0")
SECRET_NAME = re.compile(r"(passw(or)?d|passwd|pwd|secret|token|api_?key|private_?key|credential)s?$", re.IGNORECASE)
IN_COMMAND = re.compile(r"(--password[= ]|MYSQL_PWD=|IDENTIFIED BY )(?![$'\"]*\$?\{)\S+|://[^/\s:@${]+:[^/\s:@${]+@")
DYNAMIC = "{{resolve:"


def _mysql_open(view: View) -> Complaints:
    for name, rule in _ingress(view):
        ends = [at(rule, end) for end in ("FromPort", "ToPort")]
        first, last = (int(end[0]) if end and str(end[0]).isdigit() else None for end in ends)
        reaches = first is None or last is None or first <= 3306 <= last
        sources = [one for key in ("CidrIp", "CidrIpv6") for one in at(rule, key)]
        if reaches and any(source in ANYWHERE for source in sources):
            yield name, "is open to the world on port 3306"
        elif reaches and sources:
            yield name, "opens port 3306 to addresses instead of security groups"


def _ingress(view: View) -> list[tuple[str, Any]]:
    inline = [(name, rule) for name, group in view.of_type(GROUP) for rule in at(group, "SecurityGroupIngress")]
    return [*inline, *view.of_type("AWS::EC2::SecurityGroupIngress")]


def _egress_stated(view: View) -> Complaints:
    for name, properties in view.of_type(GROUP):
        if not at(properties, "SecurityGroupEgress"):
            yield name, "has no egress rule, so everything may leave"


def _database_tls(view: View) -> Complaints:
    groups = dict(view.of_type("AWS::RDS::DBParameterGroup"))
    for name, properties in view.of_type(INSTANCE):
        group = groups.get(view.named(properties.get("DBParameterGroupName")), {})
        if not all_are(group, "Parameters.require_secure_transport", "1"):
            yield name, "accepts logins without TLS: its parameter group does not set require_secure_transport to 1"


def _database_private(view: View) -> Complaints:
    for name, properties in view.of_type(INSTANCE, "AWS::DMS::ReplicationInstance"):
        if not all_are(properties, "PubliclyAccessible", False):
            yield name, "PubliclyAccessible is not false"


def _database_kept(view: View) -> Complaints:
    for name, properties in view.of_type(INSTANCE):
        if not at(properties, "DeletionProtection") or all_are(properties, "DeletionProtection", False):
            yield name, "can be deleted by a single call: no DeletionProtection"
        if not at(properties, "BackupRetentionPeriod") or all_are(properties, "BackupRetentionPeriod", 0):
            yield name, "keeps no automatic backups"


def _literal_secrets(view: View) -> Complaints:
    for name, resource in view.resources.items():
        for path, text in texts(resource.get("Properties") or {}):
            key = path.rpartition(".")[2]
            if SECRET_NAME.search(key) and text and "${" not in text and not text.startswith(DYNAMIC):
                yield name, f"{path} is hard-coded"
    for parameter, definition in view.template.get("Parameters", {}).items():
        if SECRET_NAME.search(parameter) and definition.get("Default"):
            yield parameter, "a parameter for a secret has a default"


def _command_secrets(view: View) -> Complaints:
    for name, resource in view.resources.items():
        for path, text in texts(resource.get("Properties") or {}):
            if IN_COMMAND.search(text):
                yield name, f"{path} has a password in a command or a URL"


def _rotated(view: View) -> Complaints:
    schedules = {view.named(one.get("SecretId")) for _, one in view.of_type("AWS::SecretsManager::RotationSchedule")}
    for name, properties in view.of_type("AWS::SecretsManager::Secret"):
        if not at(properties, "GenerateSecretString"):
            yield name, "is not generated, so somebody knows it"
        if name not in schedules:
            yield name, "has no RotationSchedule"


RULES = (
    Rule(
        "DB-1", "MySQL is reached from security groups only, never from addresses",
        "A database that is open to the world is found within hours",
        "Amazon RDS User Guide, Controlling access with security groups", _mysql_open,
    ),
    Rule(
        "DB-2", "A security group has egress rules",
        "Without one AWS allows all outgoing traffic, intended or not",
        "Amazon VPC User Guide, Default security groups and custom security groups", _egress_stated,
    ),
    Rule(
        "DB-3", "The database refuses logins without TLS",
        "The password and the rows would cross the network unencrypted",
        "Amazon RDS User Guide, Requiring SSL/TLS for all connections to a MySQL DB instance", _database_tls,
    ),
    Rule(
        "DB-4", "Database and replication instance have no public address",
        "AWS's default depends on the subnets (RDS) or is public (DMS)",
        "AWS::RDS::DBInstance and AWS::DMS::ReplicationInstance, PubliclyAccessible", _database_private,
    ),
    Rule(
        "DB-5", "The database can be protected from deletion, and is backed up",
        "Otherwise one call would delete the data",
        "AWS::RDS::DBInstance, DeletionProtection and BackupRetentionPeriod", _database_kept,
    ),
    Rule(
        "SECRET-1", "No password, secret or token is in a template",
        "Everybody who may read the repository or the stack could log in",
        "AWS CloudFormation User Guide, Security best practices: Do not embed credentials in your templates",
        _literal_secrets,
    ),
    Rule(
        "SECRET-2", "No password is in a command, a script or a URL",
        "Everybody on the machine sees user data and process lists",
        "Amazon EC2 User Guide, Run commands at launch using user data: do not store sensitive data", _command_secrets,
    ),
    Rule(
        "SECRET-3", "A secret is generated, and can be rotated",
        "Nobody knows a generated secret; rotation ends a leak",
        "AWS Secrets Manager User Guide, Rotate AWS Secrets Manager secrets", _rotated,
    ),
)  # fmt: skip
