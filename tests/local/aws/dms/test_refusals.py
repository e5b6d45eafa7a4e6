"""What the local home's DMS does not serve is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.local.aws.dms.maker import MAPPINGS, NO_PLACE, SELECT_SHOP, Maker, error_of

pytestmark = pytest.mark.services


def refused_rule(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**SELECT_SHOP, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("mappings", "message"),
    [
        ("{", "table mappings must be JSON"),
        ('{"rules": []}', "must have a selection rule"),
        ([refused_rule(filters=[{"filter-type": "source"}])], "filters are not served"),
        ([refused_rule(**{"load-order": 2})], "'load-order' is not served"),
        ([refused_rule(**{"rule-action": "sometimes"})], "selection with action 'sometimes' is not served"),
        ([refused_rule(**{"rule-type": "table-settings"})], "table-settings with action 'include' is not served"),
        ([SELECT_SHOP, {**NO_PLACE, "rule-action": "rename"}], "transformation with action 'rename' is not served"),
        ([SELECT_SHOP, {**NO_PLACE, "value": "x"}], "'value' is not served"),
        ([SELECT_SHOP, {**NO_PLACE, "rule-id": "1"}], "rule-id must be given and unique"),
        ([refused_rule(**{"object-locator": {"schema-name": "shop"}})], "object-locator needs table-name"),
        (
            [refused_rule(**{"object-locator": {"schema-name": "a", "table-name": "b", "table-type": "view"}})],
            "table-type 'view' is not served",
        ),
    ],
)
def test_mappings_that_are_not_served_are_refused_by_name(make: Maker, mappings: Any, message: str) -> None:
    text = mappings if isinstance(mappings, str) else json.dumps({"rules": mappings})
    code, found = error_of(
        make.dms.create_replication_task,
        ReplicationTaskIdentifier="refused",
        SourceEndpointArn=make.source(),
        TargetEndpointArn=make.target(),
        ReplicationInstanceArn=make.instance(),
        MigrationType="full-load",
        TableMappings=text,
    )
    assert code == "InvalidParameterValueException"
    assert message in found


def test_the_lakes_own_mappings_and_settings_are_served(make: Maker) -> None:
    task = make.task(rules=MAPPINGS["rules"])
    settings = json.loads(make.described(task)["ReplicationTaskSettings"])
    assert settings["FullLoadSettings"]["TargetTablePrepMode"] == "DO_NOTHING"
    assert settings["ErrorBehavior"]["DataErrorPolicy"] == "STOP_TASK"
    assert settings["ErrorBehavior"]["ApplyErrorInsertPolicy"] == "LOG_ERROR"  # AWS's default is filled in


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{", "task settings are not JSON"),
        ({"TargetMetadata": {"FullLobMode": True}}, "TargetMetadata.FullLobMode=True"),
        ({"TargetMetadata": {"TargetSchema": "other"}}, "TargetMetadata.TargetSchema='other'"),
        ({"ValidationSettings": {"EnableValidation": True}}, "ValidationSettings.EnableValidation=True"),
        ({"FullLoadSettings": {"TargetTablePrepMode": "BURN"}}, "FullLoadSettings.TargetTablePrepMode='BURN'"),
        ({"ErrorBehavior": {"Shrug": True}}, "ErrorBehavior.Shrug is not known"),
        ({"TTSettings": {"EnableTT": True}}, "section TTSettings is not served"),
    ],
)
def test_settings_that_are_not_served_are_refused_by_name(make: Maker, settings: Any, message: str) -> None:
    task = make.task()
    text = settings if isinstance(settings, str) else json.dumps(settings)
    code, found = error_of(make.dms.modify_replication_task, ReplicationTaskArn=task, ReplicationTaskSettings=text)
    assert code == "InvalidParameterValueException"
    assert message in found


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"DataFormat": "parquet"}, "S3Settings.DataFormat='parquet' is not served"),
        ({"CompressionType": "gzip"}, "S3Settings.CompressionType='gzip' is not served"),
        ({"CdcPath": "cdc"}, "S3Settings.CdcPath is not served"),
        ({"IncludeOpForFullLoad": True}, "S3Settings.IncludeOpForFullLoad=True is not served"),
        ({"MaxFileSize": 0}, "MaxFileSize=0"),
        ({"EncryptionMode": "rot13"}, "Value 'rot13' at 's3Settings.encryptionMode' failed to satisfy constraint"),
        ({"BucketName": ""}, "S3Settings.BucketName must be given"),
    ],
)
def test_target_settings_that_are_not_served_are_refused_by_name(
    make: Maker, settings: dict[str, Any], message: str
) -> None:
    code, found = error_of(make.target, **settings)
    assert (code, message in found) == ("InvalidParameterValueException", True), found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"EngineName": "oracle"}, "engine 'oracle' is not served"),
        ({"EndpointType": "target"}, "a target endpoint of engine 'mysql' is not served"),
        ({"SslMode": "verify-ca", "CertificateArn": ""}, "SslMode verify-ca needs CertificateArn"),
        ({"MySQLSettings": {"Username": "u"}}, "MySQLSettings.Username is not served"),
        ({"MySQLSettings": {}}, "MySQLSettings.SecretsManagerSecretId must be given"),
        ({"ExtraConnectionAttributes": "a=b"}, "ExtraConnectionAttributes is not served"),
    ],
)
def test_source_settings_that_are_not_served_are_refused_by_name(
    make: Maker, changes: dict[str, Any], message: str
) -> None:
    code, found = error_of(make.source, **changes)
    assert (code, message in found) == ("InvalidParameterValueException", True), found
