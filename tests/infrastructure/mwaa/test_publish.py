"""Code and DAGs are uploaded to Airflow's bucket, deleted ones are removed, and the pool is created."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from airflow.providers.amazon.aws.secrets.secrets_manager import SecretsManagerBackend
from botocore.stub import Stubber

from datalake.names import STREAMING_FILMS_POOL
from infrastructure.mwaa import publish
from infrastructure.mwaa.package import build
from infrastructure.package import Artifact
from tests.infrastructure.mwaa.test_package import LAKE
from tests.support.aws_services import running_emulator
from tests.support.resolved_template import Resolved

BUCKET = "airflow-code"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with running_emulator(tmp_path_factory.mktemp("emulator")) as emulator:
        client = emulator.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


def body(s3: Any, key: str, version: str) -> bytes:
    found: bytes = s3.get_object(Bucket=BUCKET, Key=key, VersionId=version)["Body"].read()
    return found


@pytest.mark.services
def test_what_is_published_is_what_was_built_and_nothing_older(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put_object(Bucket=BUCKET, Key="dags/of_last_year.py", Body=b"")
    parameters = publish.publish(s3, BUCKET)
    artifacts = build()
    names = ("plugins.zip", "requirements.txt", "startup.sh")
    versions = parameters["MwaaCodeVersions"].split(",")
    for artifact, name, version in zip(artifacts[:3], names, versions, strict=True):
        assert artifact.key == parameters["MwaaCodePrefix"] + name
        assert body(s3, artifact.key, version) == artifact.body
    there = {item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert there == {artifact.key for artifact in artifacts}
    assert publish.publish(s3, BUCKET) == parameters, "nothing has changed"

    changed = (*artifacts[:3], Artifact(artifacts[3].key, b"# another"))
    monkeypatch.setattr(publish, "build", lambda: changed)
    assert publish.publish(s3, BUCKET) == parameters, "a DAG is no parameter"
    dags = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix="dags/")["Contents"]]
    assert dags == [artifacts[3].key]
    assert s3.get_object(Bucket=BUCKET, Key=dags[0])["Body"].read() == b"# another"


def test_the_pool_is_the_dags_own() -> None:
    assert publish.POOL["name"] == STREAMING_FILMS_POOL
    assert (publish.POOL["slots"], publish.POOL["include_deferred"]) == (1, True)


@pytest.mark.parametrize("status", [200, 409])
def test_the_pool_is_made_once(status: int) -> None:
    client = boto3.client("mwaa", region_name="us-east-1")
    with Stubber(client) as stub:
        if status == 200:
            stub.add_response("invoke_rest_api", {"RestApiStatusCode": 201}, _request())
        else:
            stub.add_client_error(
                "invoke_rest_api", "RestApiClientException", modeled_fields={"RestApiStatusCode": status}
            )
        publish.make_pool(client, LAKE.mwaa_environment)
        stub.assert_no_pending_responses()


def test_a_pool_that_cannot_be_made_is_an_error() -> None:
    client = boto3.client("mwaa", region_name="us-east-1")
    with Stubber(client) as stub:
        stub.add_client_error("invoke_rest_api", "RestApiClientException", modeled_fields={"RestApiStatusCode": 403})
        with pytest.raises(client.exceptions.RestApiClientException):
            publish.make_pool(client, LAKE.mwaa_environment)


def _request() -> dict[str, Any]:
    return {"Name": LAKE.mwaa_environment, "Method": "POST", "Path": "/pools", "Body": publish.POOL}


@pytest.mark.parametrize("section", ["secrets", "workers"])
def test_connections_come_from_secrets_that_the_role_may_read(section: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = Resolved(LAKE)
    options = resolved("MwaaEnvironment.AirflowConfigurationOptions")
    key = "backend" if section == "secrets" else "secrets_backend"
    assert options[f"{section}.{key}"] == f"{SecretsManagerBackend.__module__}.{SecretsManagerBackend.__name__}"
    backend = SecretsManagerBackend(**json.loads(options[f"{section}.{key}_kwargs"]))
    asked = f"sakila-streams-{LAKE.environment}/airflow/connections/partner"
    with Stubber(boto3.client("secretsmanager", region_name="us-east-1")) as stub:
        monkeypatch.setattr(SecretsManagerBackend, "client", stub.client)
        stub.add_response("get_secret_value", {"SecretString": "http://partner"}, {"SecretId": asked})
        assert backend.get_conn_value("partner") == "http://partner"
        assert backend.get_conn_value("aws_default") is None, "the execution role; nothing is asked"
        stub.assert_no_pending_responses()
    statements = resolved("MwaaPolicy.PolicyDocument")["Statement"]
    readable = next(s["Resource"] for s in statements if s["Action"] == "secretsmanager:GetSecretValue")
    assert asked.startswith(readable.split(":secret:")[1].removesuffix("*"))
