"""Glue's resource types, made through the Glue API of our own server.

The emulator's CloudFormation would make them without an entry in our catalog's journal, and would drop a job's
ExecutionProperty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from infrastructure.cfn.intrinsics import Json
from local.aws.cloudformation.resource_types.base import Context, OwnType, Property, getter, gone_ok, shaped, without

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient

GLUE_MISSING = "EntityNotFoundException"


class GlueResource(OwnType):
    """What Glue's named resources have in common; ``word`` is Database, Crawler or Job, ``field`` holds its name."""

    word, field = "", "Name"
    replaces: tuple[str, ...] = ("Name",)

    @override
    def known(self, prop: Property) -> Json:
        return {"": prop("Name")} if prop("Name") else {}

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
        given = self.update_arguments(physical, self.arguments(properties))
        arguments = shaped("glue", f"Update{self.word}", given)
        getattr(context.clients("glue"), f"update_{self.word.lower()}")(**arguments)
        return self.known(getter(properties))

    @override
    def delete(self, context: Context, physical: str, properties: Json) -> None:
        with gone_ok(GLUE_MISSING):
            getattr(context.clients("glue"), f"delete_{self.word.lower()}")(**{self.field: physical})

    @override
    def exists(self, context: Context, physical: str, properties: Json) -> bool:
        found = False
        with gone_ok(GLUE_MISSING):
            found = bool(getattr(context.clients("glue"), f"get_{self.word.lower()}")(**{self.field: physical}))
        return found  # noqa: RET504 (False when it is gone)


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
        with gone_ok(GLUE_MISSING):
            pages = list(glue.get_paginator("get_tables").paginate(DatabaseName=physical))
            for table in [table["Name"] for page in pages for table in page["TableList"]]:
                glue.delete_table(DatabaseName=physical, Name=table)
        super().delete(context, physical, properties)


class GlueCrawler(GlueResource):
    """AWS::Glue::Crawler; in the template, the schedule's text is inside a ScheduleExpression."""

    word = "Crawler"

    @override
    def arguments(self, properties: Json) -> Json:
        schedule = properties.get("Schedule")
        return {**properties, "Schedule": schedule["ScheduleExpression"]} if schedule else properties


class GlueJob(GlueResource):
    """AWS::Glue::Job."""

    word, field = "Job", "JobName"

    @override
    def update_arguments(self, name: str, properties: Json) -> Json:
        return {"JobName": name, "JobUpdate": without(properties, "Name", "Tags")}
