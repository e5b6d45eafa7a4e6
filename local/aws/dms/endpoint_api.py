"""Endpoints, the certificates that they trust, and tests of their connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import partial

from local.aws.dms.base_api import BaseApi, invalid, wrong_state
from local.aws.dms.endpoint_settings import SOURCE_ENGINES, SSL_MODES, TARGET_ENGINES, MySqlSource, S3Target
from local.aws.dms.resource_store import CERTIFICATES, CONNECTIONS, ENDPOINTS, INSTANCES, TAGS, TASKS, ResourceStore
from local.aws.protocol import AwsError, Handler, Payload, Request, Services

_PARAMETERS = {
    "EndpointIdentifier", "EndpointType", "EngineName", "SslMode", "CertificateArn", "KmsKeyId", "DatabaseName",
    "S3Settings", "MySQLSettings",
}  # fmt: skip
_ENDPOINT_FILTERS = {
    "endpoint-arn": "EndpointArn",
    "endpoint-type": "EndpointType",
    "endpoint-id": "EndpointIdentifier",
    "engine-name": "EngineName",
}
_CERTIFICATE_FILTERS = {"certificate-arn": "CertificateArn", "certificate-id": "CertificateIdentifier"}
_CONNECTION_FILTERS = {"endpoint-arn": "EndpointArn", "replication-instance-arn": "ReplicationInstanceArn"}
_BUSY = ("starting", "running", "stopping")


class EndpointApi(BaseApi):
    """CreateEndpoint, ImportCertificate, TestConnection and the actions that belong to them."""

    def __init__(self, services: Services, resources: ResourceStore) -> None:
        super().__init__(services, resources)
        self.actions: Mapping[str, Handler] = {
            "CreateEndpoint": self.create,
            "DescribeEndpoints": partial(self.list_page, ENDPOINTS, "Endpoints", _ENDPOINT_FILTERS),
            "ModifyEndpoint": self.modify,
            "DeleteEndpoint": self.delete,
            "ImportCertificate": self.import_certificate,
            "DescribeCertificates": partial(self.list_page, CERTIFICATES, "Certificates", _CERTIFICATE_FILTERS),
            "DeleteCertificate": self.delete_certificate,
            "TestConnection": self.test_connection,
            "DescribeConnections": partial(self.list_page, CONNECTIONS, "Connections", _CONNECTION_FILTERS),
            "ListTagsForResource": self.list_tags,
        }

    def parsed(self, endpoint: Payload) -> MySqlSource | S3Target:
        """The parsed settings of an endpoint; raises AwsError naming what is wrong or not served."""
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
        """Create an endpoint: a MySQL source whose login is in a secret, or an S3 target for CSV."""
        given = self.authorized(request, "*", known=_PARAMETERS | {"Tags", "ResourceIdentifier"})
        endpoint = {"SslMode": "none", **{key: value for key, value in given.items() if key in _PARAMETERS}}
        with self.resources.lock:
            self._authorize_role(request, endpoint)
            arn = self.new_arn(ENDPOINTS, "EndpointIdentifier", given)
            endpoint |= {"EndpointIdentifier": given["EndpointIdentifier"], "EndpointArn": arn, "Status": "active"}
            self.resources.put(ENDPOINTS, arn, endpoint)
        return {"Endpoint": dict(endpoint)}

    def modify(self, request: Request) -> Payload:
        """Merge settings (with ExactSettings: replace them); earlier connection tests no longer count."""
        arn = self.authorized_arn(request, "EndpointArn", _PARAMETERS | {"ExactSettings"})
        with self.resources.lock:
            old = self.resources.get(ENDPOINTS, arn)
            users = [task for task in self.resources.by_arn(TASKS).values() if arn in _endpoints(task)]
            if any(task["Status"] in _BUSY for task in users):
                raise wrong_state(f"Endpoint {arn} cannot be modified: a replication task is running with it.")
            new = {**old, **{key: value for key, value in request.payload.items() if key in _PARAMETERS}}
            for key in ("S3Settings", "MySQLSettings"):
                if key in request.payload and not request.payload.get("ExactSettings"):
                    new[key] = {**old.get(key, {}), **request.payload[key]}
            self._authorize_role(request, new)
            self.resources.forget_connections(arn)
            self.resources.put(ENDPOINTS, arn, new)
            return {"Endpoint": dict(new)}

    def delete(self, request: Request) -> Payload:
        """Delete an endpoint that no task uses."""
        arn = self.authorized_arn(request, "EndpointArn")
        with self.resources.lock:
            endpoint = self.resources.get(ENDPOINTS, arn)
            if any(arn in _endpoints(task) for task in self.resources.by_arn(TASKS).values()):
                raise wrong_state(f"Endpoint {arn} cannot be deleted: a replication task uses it.")
            self.resources.delete(ENDPOINTS, arn)
        return {"Endpoint": {**endpoint, "Status": "deleting"}}

    def _authorize_role(self, request: Request, endpoint: Payload) -> None:
        """Check that the caller may pass the endpoint's role to DMS."""
        self.services.authorize(request.caller, "iam:PassRole", self.parsed(endpoint).role_arn)

    def import_certificate(self, request: Request) -> Payload:
        """Store the PEM text of the certificate authorities that an endpoint trusts."""
        given = self.authorized(request, "*", known={"CertificateIdentifier", "CertificatePem", "Tags"})
        pem = given.get("CertificatePem") or ""
        if "-----BEGIN CERTIFICATE-----" not in pem:
            raise AwsError("InvalidCertificateFault", "CertificatePem contains no certificate.")
        with self.resources.lock:
            arn = self.new_arn(CERTIFICATES, "CertificateIdentifier", given)
            certificate = {
                "CertificateIdentifier": given["CertificateIdentifier"],
                "CertificatePem": pem,
                "CertificateArn": arn,
                "CertificateCreationDate": time.time(),
            }
            self.resources.put(CERTIFICATES, arn, certificate)
        return {"Certificate": certificate}

    def delete_certificate(self, request: Request) -> Payload:
        """Delete a certificate that no endpoint uses."""
        arn = self.authorized_arn(request, "CertificateArn")
        with self.resources.lock:
            certificate = self.resources.get(CERTIFICATES, arn)
            if any(endpoint.get("CertificateArn") == arn for endpoint in self.resources.by_arn(ENDPOINTS).values()):
                raise wrong_state(f"Certificate {arn} cannot be deleted: an endpoint uses it.")
            self.resources.delete(CERTIFICATES, arn)
        return {"Certificate": certificate}

    def test_connection(self, request: Request) -> Payload:
        """Begin a connection test; the status is ``testing`` until the background thread has the result."""
        given = request.payload
        instance_arn, endpoint_arn = given.get("ReplicationInstanceArn", ""), given.get("EndpointArn", "")
        self.authorized(request, endpoint_arn, instance_arn, known={"ReplicationInstanceArn", "EndpointArn"})
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
            self.resources.put(CONNECTIONS, f"{instance_arn} {endpoint_arn}", connection)
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
        except Exception as error:  # noqa: BLE001 - any error is the result of the test
            failure = str(error)
        with self.resources.lock:
            connection["Status"] = "failed" if failure else "successful"
            if failure:
                connection["LastFailureMessage"] = f"Test Endpoint failed: {failure}"
            self.resources.save()

    def list_tags(self, request: Request) -> Payload:
        """List the tags of a resource of any kind."""
        arn = self.authorized_arn(request, "ResourceArn")
        with self.resources.lock:
            self.resources.must_exist(arn)
            return {"TagList": self.resources.by_arn(TAGS).get(arn, {}).get("TagList", [])}


def _endpoints(task: Payload) -> tuple[str, str]:
    return task["SourceEndpointArn"], task["TargetEndpointArn"]
