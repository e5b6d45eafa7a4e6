"""For the tests of DMS: a small schema with difficult values, and a maker of endpoints and tasks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.engines.waiting import wait_until

ROOT = Path(__file__).resolve().parents[4]
BUCKET = "dms-landing"
SETTINGS = (ROOT / "infrastructure/dms/task-settings.json").read_text()
MAPPINGS = json.loads((ROOT / "infrastructure/dms/table-mappings.json").read_text())
SELECT_SHOP = {
    "rule-type": "selection",
    "rule-id": "1",
    "rule-name": "shop",
    "object-locator": {"schema-name": "shop", "table-name": "%"},
    "rule-action": "include",
}

SHOP = r"""
DROP SCHEMA IF EXISTS shop;
CREATE SCHEMA shop CHARACTER SET utf8mb4;
USE shop;
CREATE TABLE product (
  product_id SMALLINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(100) NULL,
  price DECIMAL(5,2) NULL,
  made YEAR NULL,
  size ENUM('s', 'm, l') NULL,
  tags SET('red', 'dark blue', 'green') NULL,
  picture BLOB NULL,
  place GEOMETRY NULL,
  sold DATETIME(6) NULL,
  last_update TIMESTAMP NOT NULL DEFAULT '2020-01-01 00:00:00'
) ENGINE=InnoDB;
CREATE TABLE nothing (id INT PRIMARY KEY, note TEXT);
CREATE TABLE one_column (word VARCHAR(10));
CREATE TABLE old_fashioned (id INT, word CHAR(5)) ENGINE=MyISAM;
CREATE VIEW cheap AS SELECT name FROM product WHERE price < 2;
DELIMITER $$
CREATE PROCEDURE fill() BEGIN INSERT INTO old_fashioned VALUES (1, 'a;b'); END$$
DELIMITER ;
CALL fill();
INSERT INTO one_column VALUES (''), ('x'), (NULL);
INSERT INTO product (name, price, made, size, tags, picture, place, sold, last_update) VALUES
  ('plain', 0.99, 2006, 's', 'red,dark blue', 0x00FF, POINT(1, 2), '2005-05-24 22:53:30.000001', '2006-02-15 04:34:33'),
  ('a "quoted", listed
and broken name', 100.00, 1999, 'm, l', '', '', NULL, '2005-05-24 22:53:30', '2006-02-15 04:34:33'),
  ('carriage\rreturn\r\n', -1.50, NULL, NULL, NULL, NULL, NULL, NULL, '2006-02-15 04:34:33'),
  ('', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2006-02-15 04:34:33'),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2006-02-15 04:34:33'),
  ('NULL', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2006-02-15 04:34:33'),
  ('back\\slash \\N', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2006-02-15 04:34:33'),
  ('žluťoučký 🎬', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2006-02-15 04:34:33');
"""

NO_PLACE = {
    "rule-type": "transformation",
    "rule-id": "2",
    "rule-name": "no place",
    "rule-target": "column",
    "object-locator": {"schema-name": "shop", "table-name": "prod%", "column-name": "place"},
    "rule-action": "remove-column",
}


@dataclass
class Maker:
    """Creates instances, endpoints and tasks under names that no other test uses."""

    dms: Any
    role: str
    ca: str
    count: int = 0

    def name(self, what: str) -> str:
        self.count += 1
        return f"{what}-{self.count}"

    def instance(self) -> str:
        made = self.dms.create_replication_instance(
            ReplicationInstanceIdentifier=self.name("instance"), ReplicationInstanceClass="dms.t3.micro"
        )
        return str(made["ReplicationInstance"]["ReplicationInstanceArn"])

    def source(self, **changes: Any) -> str:
        login = {"SecretsManagerSecretId": "shop-login", "SecretsManagerAccessRoleArn": self.role}
        certificate = self.dms.import_certificate(
            CertificateIdentifier=self.name("ca"), CertificatePem=Path(self.ca).read_text()
        )
        given = {
            "EndpointIdentifier": self.name("source"),
            "EndpointType": "source",
            "EngineName": "mysql",
            "SslMode": "verify-full",
            "CertificateArn": certificate["Certificate"]["CertificateArn"],
            "MySQLSettings": login,
        }
        return str(self.dms.create_endpoint(**{**given, **changes})["Endpoint"]["EndpointArn"])

    def target(self, **settings: Any) -> str:
        """An S3 target with a folder of its own and the settings of the lake's template."""
        name = self.name("target")
        given = {
            "BucketName": BUCKET,
            "BucketFolder": f"dms/{name}",
            "ServiceAccessRoleArn": self.role,
            "AddColumnName": True,
            "CsvNullValue": "\\N",
            "Rfc4180": True,
        }
        made = self.dms.create_endpoint(
            EndpointIdentifier=name, EndpointType="target", EngineName="s3", S3Settings={**given, **settings}
        )
        return str(made["Endpoint"]["EndpointArn"])

    def task(self, source: str = "", target: str = "", rules: list[Any] | None = None, settings: str = SETTINGS) -> str:
        made = self.dms.create_replication_task(
            ReplicationTaskIdentifier=self.name("task"),
            SourceEndpointArn=source or self.source(),
            TargetEndpointArn=target or self.target(),
            ReplicationInstanceArn=self.instance(),
            MigrationType="full-load",
            TableMappings=json.dumps({"rules": rules or [SELECT_SHOP]}),
            ReplicationTaskSettings=settings,
        )["ReplicationTask"]
        assert made["Status"] == "creating"
        return str(made["ReplicationTaskArn"])

    def folder(self, task: str) -> str:
        target = self.described(task)["TargetEndpointArn"]
        endpoint = self.dms.describe_endpoints(Filters=[{"Name": "endpoint-arn", "Values": [target]}])["Endpoints"][0]
        return f"{endpoint['S3Settings']['BucketFolder']}/"

    def described(self, task: str) -> dict[str, Any]:
        wanted = [{"Name": "replication-task-arn", "Values": [task]}]
        return dict(self.dms.describe_replication_tasks(Filters=wanted)["ReplicationTasks"][0])

    def run(self, task: str, kind: str = "start-replication") -> dict[str, Any]:
        """Start a task and wait until it has ended."""
        started = self.dms.start_replication_task(ReplicationTaskArn=task, StartReplicationTaskType=kind)
        assert started["ReplicationTask"]["Status"] == "starting"
        return self.ended(task)

    def ended(self, task: str) -> dict[str, Any]:
        wait_until(lambda: self.described(task)["Status"] in ("stopped", "failed"), 60, f"{task} has not ended", 0.02)
        return self.described(task)

    def wait_for_rows(self, task: str) -> None:
        loading = lambda: any(table["FullLoadRows"] for table in self.statistics(task).values())  # noqa: E731
        wait_until(loading, 60, "no row is loaded", 0.01)

    def statistics(self, task: str) -> dict[str, dict[str, Any]]:
        found = self.dms.describe_table_statistics(ReplicationTaskArn=task)["TableStatistics"]
        return {table["TableName"]: table for table in found}


def error_of(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def rule(number: int, action: str, table: str, schema: str = "shop") -> dict[str, Any]:
    locator = {"schema-name": schema, "table-name": table}
    return {
        **SELECT_SHOP,
        "rule-id": str(number),
        "rule-name": f"r{number}",
        "object-locator": locator,
        "rule-action": action,
    }
