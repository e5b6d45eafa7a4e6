"""What kind of statement it is, as Athena tells them apart, and its translation to Trino 406."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from local.executors.athena.hive_ddl import transform
from local.executors.athena.tokens import Cursor, SqlError, for_trino, literal, one_statement, quote

DML, DDL, UTILITY = "DML", "DDL", "UTILITY"

# First words: (StatementType, SubstatementType). The longest match counts.
_KINDS: dict[tuple[str, ...], tuple[str, str]] = {
    ("SELECT",): (DML, "SELECT"),
    ("WITH",): (DML, "SELECT"),
    ("VALUES",): (DML, "SELECT"),
    ("TABLE",): (DML, "SELECT"),
    ("(",): (DML, "SELECT"),
    ("INSERT", "INTO"): (DML, "INSERT"),
    ("DELETE", "FROM"): (DML, "DELETE"),
    ("UPDATE",): (DML, "UPDATE"),
    ("MERGE", "INTO"): (DML, "MERGE"),
    ("UNLOAD",): (DML, "UNLOAD"),
    ("OPTIMIZE",): (DML, "OPTIMIZE"),
    ("VACUUM",): (DML, "VACUUM"),
    ("EXECUTE",): (DML, "EXECUTE"),
    ("PREPARE",): (DDL, "PREPARE"),
    ("DEALLOCATE", "PREPARE"): (DDL, "DEALLOCATE_PREPARE"),
    ("CREATE", "TABLE"): (DDL, "CREATE_TABLE"),
    ("CREATE", "EXTERNAL", "TABLE"): (DDL, "CREATE_TABLE"),
    ("CREATE", "VIEW"): (DDL, "CREATE_VIEW"),
    ("CREATE", "OR", "REPLACE", "VIEW"): (DDL, "CREATE_VIEW"),
    ("CREATE", "DATABASE"): (DDL, "CREATE_DATABASE"),
    ("CREATE", "SCHEMA"): (DDL, "CREATE_DATABASE"),
    ("DROP", "TABLE"): (DDL, "DROP_TABLE"),
    ("DROP", "VIEW"): (DDL, "DROP_VIEW"),
    ("DROP", "DATABASE"): (DDL, "DROP_DATABASE"),
    ("DROP", "SCHEMA"): (DDL, "DROP_DATABASE"),
    ("ALTER", "TABLE"): (DDL, "ALTER_TABLE"),
    ("MSCK", "REPAIR", "TABLE"): (DDL, "MSCK_REPAIR_TABLE"),
    ("SHOW", "DATABASES"): (UTILITY, "SHOW_DATABASES"),
    ("SHOW", "SCHEMAS"): (UTILITY, "SHOW_DATABASES"),
    ("SHOW", "TABLES"): (UTILITY, "SHOW_TABLES"),
    ("SHOW", "VIEWS"): (UTILITY, "SHOW_VIEWS"),
    ("SHOW", "COLUMNS"): (UTILITY, "SHOW_COLUMNS"),
    ("SHOW", "PARTITIONS"): (UTILITY, "SHOW_PARTITIONS"),
    ("SHOW", "TBLPROPERTIES"): (UTILITY, "SHOW_TBLPROPERTIES"),
    ("SHOW", "CREATE", "TABLE"): (UTILITY, "SHOW_CREATE_TABLE"),
    ("SHOW", "CREATE", "VIEW"): (UTILITY, "SHOW_CREATE_VIEW"),
    ("DESCRIBE",): (UTILITY, "DESCRIBE"),
    ("DESC",): (UTILITY, "DESCRIBE"),
    ("EXPLAIN",): (UTILITY, "EXPLAIN"),
}
# What only Trino can read; all else is Hive DDL, which the catalog answers.
ENGINE_KINDS = frozenset(
    {"SELECT", "INSERT", "DELETE", "UPDATE", "MERGE", "UNLOAD", "CREATE_TABLE_AS_SELECT", "CREATE_VIEW", "EXPLAIN"}
)
_COLUMNAR = {"PARQUET", "ORC"}
_DEFAULT_COMPRESSION = {"PARQUET": "GZIP", "ORC": "ZLIB", "JSON": "GZIP", "TEXTFILE": "GZIP", "AVRO": "GZIP"}
_CODECS = {"SNAPPY", "LZ4", "ZSTD", "GZIP", "NONE"}


class UnknownStatement(SqlError):
    """The first words are none of a statement that Athena takes."""


@dataclass(frozen=True)
class Statement:
    """One statement without its closing semicolon."""

    sql: str
    type: str  # AWS's StatementType
    kind: str  # AWS's SubstatementType


@dataclass(frozen=True)
class Work:
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


def classify(sql: str) -> Statement:
    """Tell what a statement is; raises SqlError when Athena would not take it."""
    text = one_statement(sql)
    cursor = Cursor(text)
    for length in range(min(4, len(cursor.tokens)), 0, -1):
        words = tuple(token.text.upper() for token in cursor.tokens[:length])
        if words in _KINDS:
            kind, subkind = _KINDS[words]
            if words == ("CREATE", "TABLE") and _is_ctas(text):
                return Statement(text, DDL, "CREATE_TABLE_AS_SELECT")
            return Statement(text, kind, subkind)
    raise UnknownStatement("Queries of this type are not supported")


def sources(sql: str, database: str) -> set[tuple[str, str]]:
    """(database, name) of what stands after FROM and JOIN: tables, views and names of WITH."""
    cursor, found = Cursor(sql), set()
    while cursor.token:
        if not (cursor.accept("FROM") or cursor.accept("JOIN")):
            cursor.at += 1
            continue
        while cursor.token and cursor.token.kind in ("word", "quoted", "backquoted"):
            try:
                found.add(cursor.expect_table(database))
            except SqlError:
                break  # another catalog's, or no name
            cursor.accept("AS")
            if cursor.token and cursor.token.kind != "symbol" and not cursor.peek("JOIN"):
                cursor.at += 1  # its alias, or the word that ends the list
            if not cursor.accept(","):
                break
    return found


def bind(sql: str, parameters: list[str]) -> str:
    """The statement with its ``?`` replaced by values, in order; raises SqlError when their numbers differ.

    A value is SQL (``5``, ``'x'``, ``DATE '2024-01-01'``, ``CAST(...)``); anything else is taken for a string, as
    Athena's clients send both.
    """
    places = [token for token in Cursor(sql).tokens if token.text == "?" and token.kind == "symbol"]
    if len(places) != len(parameters):
        raise SqlError(f"Incorrect number of parameters: expected {len(places)} but found {len(parameters)}")
    parts, position = [], 0
    for token, parameter in zip(places, parameters, strict=True):
        parts += [sql[position : token.start], parameter if _is_value(parameter) else literal(parameter)]
        position = token.end
    return "".join([*parts, sql[position:]])


def _is_value(parameter: str) -> bool:
    tokens = Cursor(parameter).tokens
    first, last = (tokens[0], tokens[-1]) if tokens else (None, None)
    if first is None or last is None or any(token.text in (";", "?") for token in tokens):
        return False
    if len(tokens) == 1:
        return first.kind in ("number", "string") or first.text.upper() in ("TRUE", "FALSE", "NULL")
    if len(tokens) == 2:
        return (first.text in ("-", "+") and last.kind == "number") or (first.kind == "word" and last.kind == "string")
    return first.kind == "word" and (tokens[1].text, last.text) in (("(", ")"), ("[", "]"))


def prepare(sql: str) -> tuple[str, str]:
    """PREPARE name FROM statement: (name, statement)."""
    cursor = Cursor(sql)
    cursor.expect("PREPARE")
    name = cursor.expect_name()
    cursor.expect("FROM")
    return name, cursor.rest


def execute(sql: str) -> tuple[str, list[str]]:
    """EXECUTE name [USING value, ...]: (name, values)."""
    cursor = Cursor(sql)
    cursor.expect("EXECUTE")
    name, values = cursor.expect_name(), []
    if cursor.accept("USING"):
        values.append(cursor.until(","))
        while cursor.accept(","):
            values.append(cursor.until(","))
    cursor.expect_end()
    return name, values


def deallocate(sql: str) -> str:
    """DEALLOCATE PREPARE name: the name."""
    cursor = Cursor(sql)
    cursor.expect("DEALLOCATE", "PREPARE")
    name = cursor.expect_name()
    cursor.expect_end()
    return name


def _is_ctas(sql: str) -> bool:
    cursor = Cursor(sql)
    cursor.expect("CREATE", "TABLE")
    cursor.accept("IF", "NOT", "EXISTS")
    cursor.expect_table("")
    if cursor.accept("COMMENT"):
        cursor.expect_string()
    if cursor.accept("WITH"):
        cursor.expect_group()
    return cursor.peek("AS")


def query(sql: str) -> Work:
    """A statement that Trino takes as it is."""
    text = for_trino(sql)
    return Work(text, text)


def view(sql: str, database: str) -> Work:
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
    return Work(for_trino(sql), for_trino(cursor.rest), creates=name)


def explain(sql: str) -> Work:
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
    return Work(for_trino(sql), for_trino(inner.sql))


def unload(sql: str, execution_id: str) -> Work:
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
    return Work(
        sql=f"CREATE TABLE {name} WITH ({_settings(settings)}) AS\n{for_trino(inner)}",
        explain=for_trino(inner),
        properties=properties,
        before=("CREATE SCHEMA IF NOT EXISTS unload.athena",),
        after=(f"DROP TABLE IF EXISTS {name}",),
        writes_to=location,
    )


def ctas(sql: str, database: str, default_location: str, enforced: bool) -> Work:
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
    return Work(text, text, properties, writes_to=location, creates=(database, table))


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
