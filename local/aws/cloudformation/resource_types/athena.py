"""Athena's saved queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from infrastructure.cfn.intrinsics import Json
from local.aws.cloudformation.resource_types.base import Context, OwnType, gone_ok, shaped

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient


class NamedQuery(OwnType):
    """AWS::Athena::NamedQuery; AWS replaces it whatever changes."""

    replaces = ("Name", "Description", "Database", "QueryString", "WorkGroup")

    @override
    def create(self, context: Context, properties: Json) -> Json:
        athena: AthenaClient = context.clients("athena")
        reply = athena.create_named_query(**shaped("athena", "CreateNamedQuery", properties))
        return {"": reply["NamedQueryId"], "NamedQueryId": reply["NamedQueryId"]}

    @override
    def delete(self, context: Context, physical: str, properties: Json) -> None:
        athena: AthenaClient = context.clients("athena")
        with gone_ok("InvalidRequestException"):
            athena.delete_named_query(NamedQueryId=physical)

    @override
    def exists(self, context: Context, physical: str, properties: Json) -> bool:
        athena: AthenaClient = context.clients("athena")
        reply = athena.batch_get_named_query(NamedQueryIds=[physical])
        return bool(reply["NamedQueries"])
