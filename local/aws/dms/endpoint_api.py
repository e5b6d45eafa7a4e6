"""Endpoints, the certificates they trust, and tests of their connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from local.aws.dms.api import Api, in_state, invalid
from local.aws.dms.endpoints import SOURCE_ENGINES, SSL_MODES, TARGET_ENGINES, MySqlSource, S3Target
from local.aws.dms.resources import CERTIFICATES, CONNECTIONS, ENDPOINTS, INSTANCES, TAGS, TASKS, Resources
from local.aws.protocol import AwsError, Handler, Payload, Request, Services

_KEPT = {
    "EndpointIdentifier",
    "EndpointType",
    "EngineName",
    "SslMode",
    "CertificateArn",
    "KmsKeyId",
    "DatabaseName",
    "S3Settings",
    "MySQLSettings",
}
_BUSY = ("starting", "running", "stopping")


class EndpointApi(Api):
    """CreateEndpoint, ImportCertificate, TestConnection and their kin."""

    def __init__(self, services: Services, resources: Resources) -> None:
        super().__init__(services, resources)
        self.actions: Mapping[str, Handler] = {
            "CreateEndpoint": self.create,
            "DescribeEndpoints": self.describe,
            "ModifyEndpoint": self.modify,
            "DeleteEndpoint": self.delete,
            "ImportCertificate": self.import_certificate,
            "DescribeCertificates": self.describe_certificates,
            "DeleteCertificate": self.delete_certificate,
            "TestConnection": self.test_connection,
            "DescribeConnections": self.describe_connections,
            "ListTagsForResource": self.list_tags,
        }

    def parsed(self, endpoint: Payload) -> MySqlSource | S3Target:
        """What an endpoint's settings mean; raises AwsError naming what is wrong or not served."""
        kind, engine = endpoint.get("EndpointType"), endpoint.get("EngineName")
        try:
            if kind == "source" and engine in SOURCE_ENGINES:
                mode, certificate = endpoint.get("SslMode", "none"), endpoint.get("CertificateArn")
                if mode not in SSL_MODES:
                    raise invalid(f"SslMode {mode!r} is not one of {SSL_MODES}")
                pem = self.resources.get(CERTIFICATES, certificate)["CertificatePem"] if certificate else None
                settings = {"DatabaseName": endpoint.get("DatabaseName"), **endpoint.get("MySQLSettings", {})}
                return MySqlSource.parse(settings, mode, pem)
            if kind == "target" and engine in TARGET_ENGINES:
                return S3Target.parse(endpoint.get("S3Settings", {}))
        except ValueError as error:
            raise invalid(str(error)) from error
        raise invalid(f"a {kind} endpoint of engine {engine!r} is not served: mysql or mariadb as source, s3 as target")

    def create(self, request: Request) -> Payload:
        """Make an endpoint: a MySQL source by its secret, or an S3 target for CSV."""
        given = self.given(request, "*", known=_KEPT | {"Tags", "ResourceIdentifier"})
        endpoint = {"SslMode": "none", **{key: value for key, value in given.items() if key in _KEPT}}
        with self.resources.lock:
            self._authorize_role(request, endpoint)
            arn = self.new_arn(ENDPOINTS, "EndpointIdentifier", given)
            endpoint |= {"EndpointIdentifier": given["EndpointIdentifier"], "EndpointArn": arn, "Status": "active"}
            self.resources.of(ENDPOINTS)[arn] = endpoint
            self.resources.save()
        return {"Endpoint": dict(endpoint)}

    def describe(self, request: Request) -> Payload:
        """List endpoints."""
        keys = {
            "endpoint-arn": "EndpointArn",
            "endpoint-type": "EndpointType",
            "endpoint-id": "EndpointIdentifier",
            "engine-name": "EngineName",
        }
        return self.listed(request, ENDPOINTS, keys, "Endpoints")

    def modify(self, request: Request) -> Payload:
        """Merge settings (with ExactSettings: replace them); what was tested must be tested again."""
        arn = self.given_arn(request, "EndpointArn", _KEPT | {"ExactSettings"})
        with self.resources.lock:
            old = self.resources.get(ENDPOINTS, arn)
            if any(arn in _endpoints(task) and task["Status"] in _BUSY for task in self.resources.of(TASKS).values()):
                raise in_state(f"Endpoint {arn} cannot be modified: a replication task is running with it.")
            new = {**old, **{key: value for key, value in request.payload.items() if key in _KEPT}}
            for key in ("S3Settings", "MySQLSettings"):
                if key in request.payload and not request.payload.get("ExactSettings"):
                    new[key] = {**old.get(key, {}), **request.payload[key]}
            self._authorize_role(request, new)
            self.resources.forget_connections(arn)
            self.resources.of(ENDPOINTS)[arn] = new
            self.resources.save()
            return {"Endpoint": dict(new)}

    def delete(self, request: Request) -> Payload:
        """Delete an endpoint that no task uses."""
        arn = self.given_arn(request, "EndpointArn")
        with self.resources.lock:
            endpoint = self.resources.get(ENDPOINTS, arn)
            if any(arn in _endpoints(task) for task in self.resources.of(TASKS).values()):
                raise in_state(f"Endpoint {arn} cannot be deleted: a replication task uses it.")
            self.resources.delete(ENDPOINTS, arn)
            self.resources.save()
        return {"Endpoint": {**endpoint, "Status": "deleting"}}

    def _authorize_role(self, request: Request, endpoint: Payload) -> None:
        """The caller passes the endpoint's role to DMS."""
        self.services.authorize(request.caller, "iam:PassRole", self.parsed(endpoint).role_arn)

    def import_certificate(self, request: Request) -> Payload:
        """Keep the PEM text of the authorities that a verifying endpoint trusts."""
        known = {"CertificateIdentifier", "CertificatePem", "Tags"}
        given = self.given(request, "*", known=known)
        pem = given.get("CertificatePem") or ""
        if "-----BEGIN CERTIFICATE-----" not in pem:
            raise AwsError("InvalidCertificateFault", "CertificatePem holds no certificate.")
        with self.resources.lock:
            arn = self.new_arn(CERTIFICATES, "CertificateIdentifier", given)
            certificate = {
                "CertificateIdentifier": given["CertificateIdentifier"],
                "CertificatePem": pem,
                "CertificateArn": arn,
                "CertificateCreationDate": time.time(),
            }
            self.resources.of(CERTIFICATES)[arn] = certificate
            self.resources.save()
        return {"Certificate": certificate}

    def describe_certificates(self, request: Request) -> Payload:
        """List certificates."""
        keys = {"certificate-arn": "CertificateArn", "certificate-id": "CertificateIdentifier"}
        return self.listed(request, CERTIFICATES, keys, "Certificates")

    def delete_certificate(self, request: Request) -> Payload:
        """Delete a certificate that no endpoint uses."""
        arn = self.given_arn(request, "CertificateArn")
        with self.resources.lock:
            certificate = self.resources.get(CERTIFICATES, arn)
            if any(endpoint.get("CertificateArn") == arn for endpoint in self.resources.of(ENDPOINTS).values()):
                raise in_state(f"Certificate {arn} cannot be deleted: an endpoint uses it.")
            self.resources.delete(CERTIFICATES, arn)
            self.resources.save()
        return {"Certificate": certificate}

    def test_connection(self, request: Request) -> Payload:
        """Begin a test: ``testing`` until the background thread knows."""
        given = request.payload
        instance_arn, endpoint_arn = given.get("ReplicationInstanceArn", ""), given.get("EndpointArn", "")
        self.given(request, endpoint_arn, instance_arn, known={"ReplicationInstanceArn", "EndpointArn"})
        with self.resources.lock:
            instance = self.resources.get(INSTANCES, instance_arn)
            endpoint = self.resources.get(ENDPOINTS, endpoint_arn)
            connection = {
                "ReplicationInstanceArn": instance_arn,
                "EndpointArn": endpoint_arn,
                "Status": "testing",
                "EndpointIdentifier": endpoint["EndpointIdentifier"],
                "ReplicationInstanceIdentifier": instance["ReplicationInstanceIdentifier"],
            }
            self.resources.of(CONNECTIONS)[f"{instance_arn} {endpoint_arn}"] = connection
            self.resources.save()
            parsed, answer = self.parsed(endpoint), dict(connection)
        threading.Thread(target=self._test, args=(connection, parsed), daemon=True).start()
        return {"Connection": answer}

    def _test(self, connection: Payload, endpoint: MySqlSource | S3Target) -> None:
        failure = ""
        try:
            session = self.services.session(endpoint.role_arn, "dms-test-connection")
            if isinstance(endpoint, MySqlSource):
                endpoint.connect(session).close()
            else:
                session.client("s3").list_objects_v2(Bucket=endpoint.bucket, Prefix=endpoint.folder, MaxKeys=1)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer to the test
            failure = str(error)
        with self.resources.lock:
            connection["Status"] = "failed" if failure else "successful"
            if failure:
                connection["LastFailureMessage"] = f"Test Endpoint failed: {failure}"
            self.resources.save()

    def describe_connections(self, request: Request) -> Payload:
        """List the connections that were tested."""
        keys = {"endpoint-arn": "EndpointArn", "replication-instance-arn": "ReplicationInstanceArn"}
        return self.listed(request, CONNECTIONS, keys, "Connections")

    def list_tags(self, request: Request) -> Payload:
        """Tags of a resource of any kind."""
        arn = self.given_arn(request, "ResourceArn")
        with self.resources.lock:
            self.resources.must_exist(arn)
            return {"TagList": self.resources.of(TAGS).get(arn, {}).get("TagList", [])}


def _endpoints(task: Payload) -> tuple[str, str]:
    return task["SourceEndpointArn"], task["TargetEndpointArn"]
