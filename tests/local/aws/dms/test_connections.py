"""TestConnection really connects, with TLS as the endpoint says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local.engines.waiting import wait_until
from tests.local.aws.dms.maker import BUCKET, Maker, error_of
from tests.support.aws_services import LakeServer
from tests.support.mariadb import write_certificates

pytestmark = pytest.mark.services


def connection_after_test(make: Maker, endpoint: str) -> dict[str, Any]:
    instance = make.instance()
    begun = make.dms.test_connection(ReplicationInstanceArn=instance, EndpointArn=endpoint)["Connection"]
    assert begun["Status"] == "testing"
    wanted = [
        {"Name": "endpoint-arn", "Values": [endpoint]},
        {"Name": "replication-instance-arn", "Values": [instance]},
    ]

    def tested() -> dict[str, Any]:
        found = make.dms.describe_connections(Filters=wanted)["Connections"][0]
        return dict(found) if found["Status"] != "testing" else {}

    return wait_until(tested, 30, "the test has not ended", 0.02)


def test_connections_are_really_tested(make: Maker, lake: LakeServer) -> None:
    source, target = make.source(), make.target()
    assert connection_after_test(make, source)["Status"] == "successful"
    assert connection_after_test(make, target)["Status"] == "successful"
    failed = connection_after_test(make, make.target(BucketName="no-such-bucket"))
    assert failed["Status"] == "failed"
    assert failed["LastFailureMessage"].startswith("Test Endpoint failed: ")
    make.dms.modify_endpoint(EndpointArn=source, MySQLSettings={"DatabaseName": "nowhere"})
    code, _ = error_of(make.dms.describe_connections, Filters=[{"Name": "endpoint-arn", "Values": [source]}])
    assert code == "ResourceNotFoundFault"  # a changed endpoint must be tested again
    failed = connection_after_test(make, source)
    assert (failed["Status"], "nowhere" in failed["LastFailureMessage"]) == ("failed", True)
    make.dms.modify_endpoint(EndpointArn=target, S3Settings={"CsvNullValue": "~"})
    settings = make.dms.describe_endpoints(Filters=[{"Name": "endpoint-arn", "Values": [target]}])["Endpoints"][0][
        "S3Settings"
    ]
    assert (settings["CsvNullValue"], settings["BucketName"]) == ("~", BUCKET)


@pytest.mark.parametrize(
    ("mode", "status"), [("none", "failed"), ("require", "successful"), ("verify-ca", "successful")]
)
def test_tls_modes(make: Maker, mode: str, status: str) -> None:
    assert connection_after_test(make, make.source(SslMode=mode))["Status"] == status


def test_a_server_of_another_authority_is_refused(make: Maker, tmp_path: Path) -> None:
    write_certificates(tmp_path)
    stranger = make.dms.import_certificate(
        CertificateIdentifier=make.name("ca"), CertificatePem=(tmp_path / "ca.pem").read_text()
    )["Certificate"]["CertificateArn"]
    failed = connection_after_test(make, make.source(CertificateArn=stranger))
    assert (failed["Status"], "certificate verify failed" in failed["LastFailureMessage"]) == ("failed", True)
    code, _ = error_of(make.dms.import_certificate, CertificateIdentifier="x", CertificatePem="nothing")
    assert code == "InvalidCertificateFault"
