"""Declarations of columns and tables, rendered for Glue, Athena and Spark."""

from __future__ import annotations

from dataclasses import dataclass

from datalake.names import Lake


@dataclass(frozen=True)
class Column:
    """One column. Hive, Glue and Spark SQL all spell ``type`` the same: bigint, decimal(4,2), string, ..."""

    name: str
    type: str
    comment: str = ""


@dataclass(frozen=True)
class Table:
    """One table of the catalog.

    ``columns`` are the columns of the data files, in order. ``partition_keys`` are further columns, whose values are in
    the folders' names (Hive style) or, in an Iceberg table, some of ``columns``.
    ``prefix`` is the table's folder in its zone's bucket, with the closing slash.
    """

    database: str
    name: str
    zone: str
    prefix: str
    columns: tuple[Column, ...]
    partition_keys: tuple[Column, ...] = ()

    @property
    def full_name(self) -> str:
        """Database and table, e.g. ``curated.streaming_films``."""
        return f"{self.database}.{self.name}"

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of ``columns``, in order."""
        return tuple(column.name for column in self.columns)

    def glue_columns(self) -> list[dict[str, str]]:
        """``columns`` as Glue's StorageDescriptor lists them: Name and Type, no comments."""
        return [{"Name": column.name, "Type": column.type} for column in self.columns]

    def spark_ddl(self) -> str:
        """``columns`` as a Spark schema string, e.g. ```film_id` bigint, `title` string``."""
        return ", ".join(f"`{column.name}` {column.type}" for column in self.columns)

    def location(self, lake: Lake) -> str:
        """URL of the table's folder, e.g. ``s3://<clean bucket>/sakila/film/``."""
        return f"s3://{lake.bucket(self.zone)}/{self.prefix}"
