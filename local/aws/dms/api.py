"""What the parts of the DMS API share: authorisation, refusal of unknown parameters, listings."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from local.aws.dms.resources import TAGS, Resources, filtered, page
from local.aws.protocol import AwsError, Payload, Request, Services

_LISTING = {"Filters", "MaxRecords", "Marker"}


class Api:
    """One part of the API."""

    def __init__(self, services: Services, resources: Resources) -> None:
        self.services = services
        self.resources = resources

    def given(self, request: Request, *arns: str, known: AbstractSet[str] = frozenset()) -> Payload:
        """The parameters of a call whose caller may do it on these ARNs.

        Raises:
            AwsError: AccessDeniedException, or InvalidParameterValueException for a parameter that is not served.
        """
        self.services.authorize(request.caller, f"dms:{request.action}", *arns)
        unknown = sorted(request.payload.keys() - known)
        if unknown:
            raise invalid(f"{request.action}: {unknown[0]} is not served by the local home")
        return request.payload

    def given_arn(self, request: Request, key: str, known: AbstractSet[str] = frozenset()) -> str:
        """The ARN that a call is about; its caller may do it there."""
        arn = str(request.payload.get(key) or "")
        if not arn:
            raise invalid(f"{request.action}: {key} must be given")
        self.given(request, arn, known={*known, key})
        return arn

    def new_arn(self, kind: str, identifier_key: str, given: Payload) -> str:
        """ARN of a resource that is being made; its tags are kept. Identifiers are lower case, as AWS makes them."""
        if not given.get(identifier_key):
            raise invalid(f"{identifier_key} must be given")
        given[identifier_key] = given[identifier_key].lower()
        arn = self.resources.new_arn(kind, identifier_key, given[identifier_key], given.get("ResourceIdentifier"))
        if given.get("Tags"):
            self.resources.of(TAGS)[arn] = {"TagList": given["Tags"]}
        return arn

    def listed(self, request: Request, kind: str, keys: dict[str, str], answer: str) -> Payload:
        """One page of the resources of a kind; ``keys`` maps AWS's filter names to their keys."""
        given = self.given(request, "*", known=_LISTING)
        with self.resources.lock:
            items = [dict(item) for item in self.resources.of(kind).values()]
        return page(filtered(items, given.get("Filters"), keys, answer), given, answer)


def invalid(message: str) -> AwsError:
    """The error for a parameter that is wrong or not served."""
    return AwsError("InvalidParameterValueException", message)


def in_state(message: str) -> AwsError:
    """The error for what the state of a resource forbids."""
    return AwsError("InvalidResourceStateFault", message)
