"""Translates Athena's spelling of statements into that of Trino 406."""

from __future__ import annotations

from dataclasses import dataclass, field

from local.aws.athena.hive_ddl import transform
from local.aws.athena.statements import ENGINE_KINDS, Statement, classify
from local.aws.athena.tokens import Cursor, SqlError, literal, quote, tokenize

_DEFAULT_COMPRESSION = {"PARQUET": "GZIP", "ORC": "ZLIB", "JSON": "GZIP", "TEXTFILE": "GZIP", "AVRO": "GZIP"}
_CODECS = {"SNAPPY", "LZ4", "ZSTD", "GZIP", "NONE"}
_CTAS_COMPRESSION = ("write_compression", "parquet_compression", "orc_compression")

Properties = dict[str, Cursor]  # of WITH (name = expression, ...)


@dataclass(frozen=True)
class Translation:
    """What to send to Trino for one statement.

    ``explain`` is the statement whose inputs the caller must be allowed to read. ``creates`` is the (database, table)
    that the statement creates, ``writes_to`` the S3 location of the data.
    """

    sql: str
    explain: str
    properties: dict[str, str] = field(default_factory=dict)  # Trino's session properties
    before: tuple[str, ...] = ()  # statements to send first
    after: tuple[str, ...] = ()  # statements to send at the end, also after a failure
    writes_to: str = ""
    creates: tuple[str, str] | None = None


def query(statement: Statement) -> Translation:
    """A statement that Trino spells as Athena does."""
    return Translation(statement.for_trino, statement.for_trino)


def view(statement: Statement, database: str) -> Translation:
    """CREATE VIEW: the caller needs the rights on what its query reads."""
    cursor = statement.cursor()
    name = cursor.expect_table(database)
    while not cursor.accept("AS"):  # COMMENT 'x', SECURITY ...
        if not cursor.token:
            raise cursor.error("AS")
        cursor.at += 1
    return Translation(statement.for_trino, cursor.rest_for_trino, creates=name)


def explain(statement: Statement) -> Translation:
    """EXPLAIN [(options)] or EXPLAIN ANALYZE of a statement that Trino runs."""
    cursor = statement.cursor()
    if cursor.accept("ANALYZE"):
        cursor.accept("VERBOSE")
    elif cursor.peek("(", "TYPE") or cursor.peek("(", "FORMAT"):
        cursor.expect_group()
    _, kind, _ = classify(cursor)
    if kind not in ENGINE_KINDS - {"EXPLAIN", "UNLOAD", "CREATE_TABLE_AS_SELECT"}:
        raise SqlError(f"EXPLAIN of {kind.replace('_', ' ')} is not supported")
    return Translation(statement.for_trino, cursor.rest_for_trino)


def unload(statement: Statement, execution_id: str) -> Translation:
    """UNLOAD (query) TO 's3://...' WITH (format = ...).

    Trino creates a table in a catalog of its own, which the lake does not see, and drops it at once.
    """
    cursor = statement.cursor()
    inner = cursor.expect_group().rest_for_trino
    cursor.expect("TO")
    location = cursor.expect_string()
    given = _with_properties(cursor)
    cursor.expect_end()
    file_format = _string(given, "format").upper()
    if not file_format:
        raise SqlError("UNLOAD needs the property format")
    settings = {"external_location": literal(location), "format": literal(file_format)}
    _move(given, settings, {"partitioned_by": "partitioned_by", "field_delimiter": "textfile_field_separator"})
    properties = _compression("unload", file_format, given, ("compression",))
    _refuse_others("UNLOAD", given)
    name = f"unload.athena.{quote('q_' + execution_id.replace('-', '_'))}"
    return Translation(
        sql=f"CREATE TABLE {name} WITH ({_listed(settings)}) AS\n{inner}",
        explain=inner,
        properties=properties,
        before=("CREATE SCHEMA IF NOT EXISTS unload.athena",),
        after=(f"DROP TABLE IF EXISTS {name}",),
        writes_to=location,
    )


def ctas(statement: Statement, database: str, default_location: str, enforced: bool) -> Translation:
    """CREATE TABLE ... AS.

    ``default_location`` is used when the statement names none. ``enforced``: the workgroup enforces its configuration,
    so that the statement may name a location for an Iceberg table only.
    """
    cursor = statement.cursor()
    exists = "IF NOT EXISTS " if cursor.accept("IF", "NOT", "EXISTS") else ""
    database, table = cursor.expect_table(database)
    comment = f" COMMENT {literal(cursor.expect_string())}" if cursor.accept("COMMENT") else ""
    given = _with_properties(cursor)
    cursor.expect("AS")
    iceberg = _string(given, "table_type", "HIVE").upper() == "ICEBERG"
    location = _string(given, "location" if iceberg else "external_location")
    if location and enforced and not iceberg:
        raise SqlError(
            "The Create Table As Select query failed because it was submitted with an 'external_location' property "
            "to an Athena Workgroup that enforces a centralized output location for all queries. Please remove the "
            "'external_location' property and resubmit the query."
        )
    location = location or default_location
    file_format = _string(given, "format", "PARQUET").upper()
    catalog = "iceberg" if iceberg else "awsdatacatalog"
    settings = {"format": literal(file_format), **(_iceberg if iceberg else _hive)(given, location)}
    properties = _compression(catalog, file_format, given, _CTAS_COMPRESSION)
    for ignored in ("is_external", "compression_level"):
        given.pop(ignored, None)
    _refuse_others("CREATE TABLE AS", given)
    name = f"{catalog}.{quote(database)}.{quote(table)}"
    text = f"CREATE TABLE {exists}{name}{comment} WITH ({_listed(settings)}) AS\n{cursor.rest_for_trino}"
    return Translation(text, text, properties, writes_to=location, creates=(database, table))


def _iceberg(given: Properties, location: str) -> dict[str, str]:
    """Trino's table properties of an Iceberg table; those that it replaces are taken out of ``given``."""
    settings = {"location": literal(location.rstrip("/"))}
    if partitioning := given.pop("partitioning", None):
        partitioning.expect("ARRAY")
        items = partitioning.expect_list(Cursor.expect_string, ("[", "]"))
        transforms = (transform(Cursor(item, tokenize(item, hive=True))) for item in items)
        settings["partitioning"] = f"ARRAY[{', '.join(map(literal, transforms))}]"
    for name in [name for name in given if name.startswith(("vacuum_", "optimize_"))]:
        del given[name]  # Athena's settings for VACUUM and OPTIMIZE: nothing here reads those of a CTAS
    return settings


def _hive(given: Properties, location: str) -> dict[str, str]:
    """The same for a Hive table."""
    settings = {"external_location": literal(location)}
    unchanged = ("partitioned_by", "bucketed_by", "bucket_count")
    _move(given, settings, {**{name: name for name in unchanged}, "field_delimiter": "textfile_field_separator"})
    return settings


def optimize(cursor: Cursor, database: str) -> tuple[str, str, str]:
    """(Trino's statement, database, table) of OPTIMIZE t REWRITE DATA USING BIN_PACK [WHERE ...]."""
    database, table = cursor.expect_table(database)
    cursor.expect("REWRITE", "DATA", "USING", "BIN_PACK")
    if cursor.token and not cursor.peek("WHERE"):
        raise cursor.error("WHERE")
    name = f"iceberg.{quote(database)}.{quote(table)}"
    return f"ALTER TABLE {name} EXECUTE optimize {cursor.rest_for_trino}".rstrip(), database, table


def _with_properties(cursor: Cursor) -> Properties:
    """``[WITH (name = expression, ...)]``."""
    return dict(cursor.expect_list(_property)) if cursor.accept("WITH") else {}


def _property(cursor: Cursor) -> tuple[str, Cursor]:
    name = cursor.expect_name()
    cursor.expect("=")
    return name, cursor.until(",", ")")


def _string(given: Properties, name: str, default: str = "") -> str:
    """Take a property, whose value is a string, out of those given."""
    value = given.pop(name, None)
    return value.expect_string() if value else default


def _move(given: Properties, settings: dict[str, str], names: dict[str, str]) -> None:
    """Move properties, their values unchanged, to Trino's; ``names`` maps Athena's name to Trino's."""
    settings.update({theirs: given.pop(ours).rest for ours, theirs in names.items() if ours in given})


def _listed(settings: dict[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in settings.items())


def _compression(catalog: str, file_format: str, given: Properties, names: tuple[str, ...]) -> dict[str, str]:
    """Athena's compression properties, which are session properties in Trino 406; GZIP is Athena's default."""
    codec = _DEFAULT_COMPRESSION.get(file_format, "GZIP")
    for name in names:
        codec = _string(given, name, codec).upper()
    codec = {"ZLIB": "GZIP", "UNCOMPRESSED": "NONE"}.get(codec, codec)
    if codec not in _CODECS:
        raise SqlError(f"Compression {codec} is not supported for {file_format}")
    return {f"{catalog}.compression_codec": codec}


def _refuse_others(statement: str, left: Properties) -> None:
    if left:
        raise SqlError(f"{statement} property is not supported: {', '.join(sorted(left))}")
