"""Glue's resource types, made through the Glue API of our own server.

The emulator's CloudFormation would make them without an entry in our catalog's journal, and would drop a job's
ExecutionProperty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from typing_extensions import override

from infrastructure.cfn.intrinsics import Json
from local.aws.cloudformation.resource_types.base import Context, OwnType, Property, getter, gone, shaped, without

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

GLUE_MISSING = "EntityNotFoundException"


class GlueResource(OwnType):
    """What Glue's named resources have in common; ``word`` is Database, Crawler or Job."""

    word = ""

    def arguments(self, properties: Json) -> Json:
        """The properties as the creating call takes them."""
        return properties

    def update_arguments(self, name: str, properties: Json) -> Json:
        """The properties as the changing call takes them."""
        return {"Name": name, **without(properties, "Name", "Tags")}

    @override
    def create(self, context: Context, properties: Json) -> Json:
        arguments = shaped("glue", f"Create{self.word}", self.arguments(properties))
        getattr(context.clients("glue"), f"create_{self.word.lower()}")(**arguments)
        return self.known(getter(properties))

    @override
    def update(self, context: Context, physical: str, properties: Json) -> Json:
        arguments = self.update_arguments(physical, self.arguments(properties))
        getattr(context.clients("glue"), f"update_{self.word.lower()}")(
            **shaped("glue", f"Update{self.word}", arguments)
        )
        return self.known(getter(properties))

    @override
    def delete(self, context: Context, physical: str, properties: Json) -> None:
        field = "JobName" if self.word == "Job" else "Name"
        try:
            getattr(context.clients("glue"), f"delete_{self.word.lower()}")(**{field: physical})
        except ClientError as error:
            gone(error, GLUE_MISSING)

    @override
    def exists(self, context: Context, physical: str, properties: Json) -> bool:
        field = "JobName" if self.word == "Job" else "Name"
        try:
            getattr(context.clients("glue"), f"get_{self.word.lower()}")(**{field: physical})
        except ClientError as error:
            return not gone(error, GLUE_MISSING)
        return True


class GlueDatabase(GlueResource):
    """AWS::Glue::Database; deleting it deletes its tables, as AWS does."""

    word = "Database"
    replaces = ("CatalogId", "DatabaseName")

    @override
    def known(self, prop: Property) -> Json:
        name = prop("DatabaseName") or prop("DatabaseInput.Name")
        return {"": name} if name else {}

    @override
    def arguments(self, properties: Json) -> Json:
        name = self.known(getter(properties))[""]
        given = without(properties, "DatabaseName")
        return {**given, "DatabaseInput": {**given.get("DatabaseInput", {}), "Name": name}}

    @override
    def delete(self, context: Context, physical: str, properties: Json) -> None:
        glue: GlueClient = context.clients("glue")
        try:
            pages = list(glue.get_paginator("get_tables").paginate(DatabaseName=physical))
        except ClientError as error:
            gone(error, GLUE_MISSING)
            return
        for table in [table["Name"] for page in pages for table in page["TableList"]]:
            glue.delete_table(DatabaseName=physical, Name=table)
        super().delete(context, physical, properties)


class GlueCrawler(GlueResource):
    """AWS::Glue::Crawler; in the template, the schedule's text is inside a ScheduleExpression."""

    word = "Crawler"
    replaces = ("Name",)

    @override
    def known(self, prop: Property) -> Json:
        return {"": prop("Name")} if prop("Name") else {}

    @override
    def arguments(self, properties: Json) -> Json:
        schedule = properties.get("Schedule")
        return {**properties, "Schedule": schedule["ScheduleExpression"]} if schedule else properties


class GlueJob(GlueResource):
    """AWS::Glue::Job."""

    word = "Job"
    replaces = ("Name",)

    @override
    def known(self, prop: Property) -> Json:
        return {"": prop("Name")} if prop("Name") else {}

    @override
    def update_arguments(self, name: str, properties: Json) -> Json:
        return {"JobName": name, "JobUpdate": without(properties, "Name", "Tags")}
