"""Athena's spelling of statements that Trino 406 runs, in Trino's own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from local.aws.athena.hive_ddl import transform
from local.aws.athena.statements import ENGINE_KINDS, classify
from local.aws.athena.tokens import Cursor, SqlError, for_trino, literal, quote

_DEFAULT_COMPRESSION = {"PARQUET": "GZIP", "ORC": "ZLIB", "JSON": "GZIP", "TEXTFILE": "GZIP", "AVRO": "GZIP"}
_CODECS = {"SNAPPY", "LZ4", "ZSTD", "GZIP", "NONE"}


@dataclass(frozen=True)
class Translation:
    """What to send to Trino for one statement.

    ``explain`` is the statement whose inputs the caller must be allowed to read; ``creates`` the (database, table) and
    ``writes_to`` the S3 location that it makes.
    """

    sql: str
    explain: str
    properties: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()  # statements to send first
    after: tuple[str, ...] = ()  # and when it has ended, well or not
    writes_to: str = ""
    creates: tuple[str, str] | None = None


def query(sql: str) -> Translation:
    """A statement that Trino takes as it is."""
    text = for_trino(sql)
    return Translation(text, text)


def view(sql: str, database: str) -> Translation:
    """CREATE VIEW; the rights that count are those on what its query reads."""
    cursor = Cursor(sql)
    cursor.expect("CREATE")
    cursor.accept("OR", "REPLACE")
    cursor.expect("VIEW")
    name = cursor.expect_table(database)
    while not cursor.accept("AS"):  # COMMENT 'x', SECURITY ...
        if not cursor.token:
            raise cursor.error("AS")
        cursor.at += 1
    return Translation(for_trino(sql), for_trino(cursor.rest), creates=name)


def explain(sql: str) -> Translation:
    """EXPLAIN [(options)] or EXPLAIN ANALYZE of a statement that Trino runs."""
    cursor = Cursor(sql)
    cursor.expect("EXPLAIN")
    if cursor.accept("ANALYZE"):
        cursor.accept("VERBOSE")
    elif cursor.peek("(") and cursor.tokens[cursor.at + 1].text.upper() in ("TYPE", "FORMAT"):
        cursor.expect_group()
    inner = classify(cursor.rest)
    if inner.kind not in ENGINE_KINDS - {"EXPLAIN", "UNLOAD", "CREATE_TABLE_AS_SELECT"}:
        raise SqlError(f"EXPLAIN of {inner.kind.replace('_', ' ')} is not supported")
    return Translation(for_trino(sql), for_trino(inner.sql))


def unload(sql: str, execution_id: str) -> Translation:
    """UNLOAD (query) TO 's3://...' WITH (format = ...): a table that no catalog of the lake sees, dropped at once."""
    cursor = Cursor(sql)
    cursor.expect("UNLOAD")
    inner = cursor.expect_group()
    cursor.expect("TO")
    location = cursor.expect_string()
    wanted = _with_properties(cursor) if cursor.peek("WITH") else {}
    cursor.expect_end()
    kind = _text(wanted.pop("format", "''")).upper()
    if not kind:
        raise SqlError("UNLOAD needs the property format")
    settings = {"external_location": literal(location), "format": literal(kind)}
    if "partitioned_by" in wanted:
        settings["partitioned_by"] = wanted.pop("partitioned_by")
    if "field_delimiter" in wanted:
        settings["textfile_field_separator"] = wanted.pop("field_delimiter")
    properties = _compression("unload", kind, wanted, ("compression",))
    _refuse("UNLOAD", wanted)
    name = f"unload.athena.{quote('q_' + execution_id.replace('-', '_'))}"
    return Translation(
        sql=f"CREATE TABLE {name} WITH ({_settings(settings)}) AS\n{for_trino(inner)}",
        explain=for_trino(inner),
        properties=properties,
        before=("CREATE SCHEMA IF NOT EXISTS unload.athena",),
        after=(f"DROP TABLE IF EXISTS {name}",),
        writes_to=location,
    )


def ctas(sql: str, database: str, default_location: str, enforced: bool) -> Translation:
    """CREATE TABLE ... AS.

    ``default_location`` is used when the statement names none; ``enforced``: the workgroup forbids naming one, except
    that of an Iceberg table.
    """
    cursor = Cursor(sql)
    cursor.expect("CREATE", "TABLE")
    exists = "IF NOT EXISTS " if cursor.accept("IF", "NOT", "EXISTS") else ""
    database, table = cursor.expect_table(database)
    comment = f" COMMENT {literal(cursor.expect_string())}" if cursor.accept("COMMENT") else ""
    wanted = _with_properties(cursor) if cursor.peek("WITH") else {}
    cursor.expect("AS")
    inner = for_trino(cursor.rest)
    iceberg = _text(wanted.pop("table_type", "'HIVE'")).upper() == "ICEBERG"
    given = wanted.pop("location" if iceberg else "external_location", "")
    if given and enforced and not iceberg:
        raise SqlError(
            "The Create Table As Select query failed because it was submitted with an 'external_location' property "
            "to an Athena Workgroup that enforces a centralized output location for all queries. Please remove the "
            "'external_location' property and resubmit the query."
        )
    location = _text(given) if given else default_location
    kind = _text(wanted.pop("format", "'PARQUET'")).upper()
    settings = {"format": literal(kind)}
    wanted.pop("is_external", None)
    if iceberg:
        settings["location"] = literal(location.rstrip("/"))
        if "partitioning" in wanted:
            items = [transform(_text(item)) for item in _array(wanted.pop("partitioning"))]
            settings["partitioning"] = f"ARRAY[{', '.join(map(literal, items))}]"
        for name in [name for name in wanted if name.startswith(("vacuum_", "optimize_"))]:
            del wanted[name]  # Athena's own upkeep settings, which nothing here reads from a CTAS
    else:
        settings["external_location"] = literal(location)
        for name in ("partitioned_by", "bucketed_by", "bucket_count"):
            if name in wanted:
                settings[name] = wanted.pop(name)
        if "field_delimiter" in wanted:
            settings["textfile_field_separator"] = wanted.pop("field_delimiter")
    catalog = "iceberg" if iceberg else "awsdatacatalog"
    compression_names = ("write_compression", "parquet_compression", "orc_compression", "compression_level")
    properties = _compression(catalog, kind, wanted, compression_names)
    _refuse("CREATE TABLE AS", wanted)
    name = f"{catalog}.{quote(database)}.{quote(table)}"
    text = f"CREATE TABLE {exists}{name}{comment} WITH ({_settings(settings)}) AS\n{inner}"
    return Translation(text, text, properties, writes_to=location, creates=(database, table))


def optimize(sql: str, database: str) -> tuple[str, str, str]:
    """OPTIMIZE t REWRITE DATA USING BIN_PACK [WHERE ...]: (Trino's statement, database, table)."""
    cursor = Cursor(sql)
    cursor.expect("OPTIMIZE")
    database, table = cursor.expect_table(database)
    cursor.expect("REWRITE", "DATA", "USING", "BIN_PACK")
    where = ""
    if cursor.token:
        if not cursor.peek("WHERE"):
            raise cursor.error("WHERE")
        where = " " + for_trino(cursor.rest)
    name = f"iceberg.{quote(database)}.{quote(table)}"
    return f"ALTER TABLE {name} EXECUTE optimize{where}", database, table


def vacuum(sql: str, database: str) -> tuple[str, str]:
    """VACUUM t: (database, table)."""
    cursor = Cursor(sql)
    cursor.expect("VACUUM")
    database, table = cursor.expect_table(database)
    cursor.expect_end()
    return database, table


def _with_properties(cursor: Cursor) -> dict[str, str]:
    """``WITH (name = expression, ...)``: values stay as they are written."""
    cursor.expect("WITH")
    inner = Cursor(cursor.expect_group())
    properties: dict[str, str] = {}
    while inner.token:
        name = inner.expect_name()
        inner.expect("=")
        properties[name] = inner.until(",")
        inner.accept(",")
    return properties


def _settings(settings: dict[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in settings.items())


def _text(value: str) -> str:
    return Cursor(value).expect_string()


def _array(value: str) -> list[str]:
    match = re.fullmatch(r"array\s*\[(.*)\]", value.strip(), re.IGNORECASE | re.DOTALL)
    if not match:
        raise SqlError(f"Expected ARRAY[...] instead of {value}")
    cursor, items = Cursor(match.group(1)), []
    while cursor.token:
        items.append(cursor.until(","))
        cursor.accept(",")
    return items


def _compression(catalog: str, kind: str, wanted: dict[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """Athena's compression properties are session properties in Trino 406; GZIP is Athena's default."""
    codec = _DEFAULT_COMPRESSION.get(kind, "GZIP")
    for name in names:
        if name in wanted:
            value = wanted.pop(name)
            codec = codec if name == "compression_level" else _text(value).upper()
    codec = {"ZLIB": "GZIP", "UNCOMPRESSED": "NONE"}.get(codec, codec)
    if codec not in _CODECS:
        raise SqlError(f"Compression {codec} is not supported for {kind}")
    return {f"{catalog}.compression_codec": codec}


def _refuse(statement: str, left: dict[str, str]) -> None:
    if left:
        raise SqlError(f"{statement} property is not supported: {', '.join(sorted(left))}")
