"""What all parts of the DMS API share: authorisation, refusal of unknown parameters, listings."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from local.aws.dms.resource_store import TAGS, ResourceStore, filtered, one_page
from local.aws.protocol import AwsError, Payload, Request, Services

_LISTING = {"Filters", "MaxRecords", "Marker"}


class BaseApi:
    """Base class of a part of the API."""

    def __init__(self, services: Services, resources: ResourceStore) -> None:
        self.services = services
        self.resources = resources

    def authorized(self, request: Request, *arns: str, known: AbstractSet[str] = frozenset()) -> Payload:
        """The parameters of a call, once its caller is known to be allowed to make it on these ARNs.

        Raises:
            AwsError: AccessDeniedException, or InvalidParameterValueException for a parameter that is not served.
        """
        self.services.authorize(request.caller, f"dms:{request.action}", *arns)
        unknown = sorted(request.payload.keys() - known)
        if unknown:
            raise invalid(f"{request.action}: {unknown[0]} is not served by the local home")
        return request.payload

    def authorized_arn(self, request: Request, key: str, known: AbstractSet[str] = frozenset()) -> str:
        """The ARN in the parameter ``key``, once the caller is known to be allowed to make the call on it."""
        arn = str(request.payload.get(key) or "")
        if not arn:
            raise invalid(f"{request.action}: {key} must be given")
        self.authorized(request, arn, known={*known, key})
        return arn

    def new_arn(self, kind: str, identifier_key: str, given: Payload) -> str:
        """The ARN of a new resource; stores its tags and turns its identifier into lower case, as AWS does."""
        if not given.get(identifier_key):
            raise invalid(f"{identifier_key} must be given")
        given[identifier_key] = given[identifier_key].lower()
        arn = self.resources.new_arn(kind, identifier_key, given[identifier_key], given.get("ResourceIdentifier"))
        if given.get("Tags"):
            self.resources.by_arn(TAGS)[arn] = {"TagList": given["Tags"]}
        return arn

    def list_page(self, kind: str, key: str, filters: dict[str, str], request: Request) -> Payload:
        """One page of the resources of a kind, as ``key``; ``filters`` maps filter names to keys of the resources."""
        given = self.authorized(request, "*", known=_LISTING)
        with self.resources.lock:
            items = [dict(item) for item in self.resources.by_arn(kind).values()]
        return one_page(filtered(items, given.get("Filters"), filters, key), given, key)


def invalid(message: str) -> AwsError:
    """The error for a parameter that is wrong or not served."""
    return AwsError("InvalidParameterValueException", message)


def wrong_state(message: str) -> AwsError:
    """The error for a call that the state of a resource forbids."""
    return AwsError("InvalidResourceStateFault", message)
