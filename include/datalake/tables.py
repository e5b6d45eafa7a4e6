"""Every table of the lake: database, zone, folder, columns. All code uses these types and infers none.

The Sakila tables have the columns that versions 0.8 and 1.5 share (without ``address.location``), each with the wider
of the two types.
"""

from __future__ import annotations

from datalake.names import (
    CLEAN,
    CURATED,
    CURATED_DATABASE,
    LANDING,
    LANDING_DATABASE,
    SAKILA_DATABASE,
    STREAMING_PREFIX,
)
from datalake.schemas import Column, Table


def _columns(definitions: str) -> tuple[Column, ...]:
    """Columns from a text ``name type, name type, ...``."""
    return tuple(Column(*definition.split()) for definition in definitions.split(", "))


_SAKILA_COLUMNS = {
    "actor": "actor_id bigint, first_name string, last_name string, last_update timestamp",
    "address": (
        "address_id bigint, address string, address2 string, district string, city_id bigint, postal_code string, "
        "phone string, last_update timestamp"
    ),
    "category": "category_id bigint, name string, last_update timestamp",
    "city": "city_id bigint, city string, country_id bigint, last_update timestamp",
    "country": "country_id bigint, country string, last_update timestamp",
    "customer": (
        "customer_id bigint, store_id bigint, first_name string, last_name string, email string, "
        "address_id bigint, active bigint, create_date timestamp, last_update timestamp"
    ),
    "film": (
        "film_id bigint, title string, description string, release_year bigint, language_id bigint, "
        "original_language_id bigint, rental_duration bigint, rental_rate decimal(4,2), length bigint, "
        "replacement_cost decimal(5,2), rating string, special_features string, last_update timestamp"
    ),
    "film_actor": "actor_id bigint, film_id bigint, last_update timestamp",
    "film_category": "film_id bigint, category_id bigint, last_update timestamp",
    "film_text": "film_id bigint, title string, description string",
    "inventory": "inventory_id bigint, film_id bigint, store_id bigint, last_update timestamp",
    "language": "language_id bigint, name string, last_update timestamp",
    "payment": (
        "payment_id bigint, customer_id bigint, staff_id bigint, rental_id bigint, amount decimal(5,2), "
        "payment_date timestamp, last_update timestamp"
    ),
    "rental": (
        "rental_id bigint, rental_date timestamp, inventory_id bigint, customer_id bigint, return_date timestamp, "
        "staff_id bigint, last_update timestamp"
    ),
    "staff": (
        "staff_id bigint, first_name string, last_name string, address_id bigint, picture binary, email string, "
        "store_id bigint, active bigint, username string, password string, last_update timestamp"
    ),
    "store": "store_id bigint, manager_staff_id bigint, address_id bigint, last_update timestamp",
}

# The clean zone has one table for each MySQL table, under the same name.
SAKILA: dict[str, Table] = {
    name: Table(SAKILA_DATABASE, name, CLEAN, f"sakila/{name}/", _columns(columns))
    for name, columns in _SAKILA_COLUMNS.items()
}

# The arrival month in Firehose's prefix (UTC), under the names that Glue's crawler gives to folders without key=value
_ARRIVAL_YEAR = Column("partition_0", "string", "year of arrival, yyyy (UTC)")
_ARRIVAL_MONTH = Column("partition_1", "string", "month of arrival, MM (UTC)")
ARRIVAL_MONTH = (_ARRIVAL_YEAR, _ARRIVAL_MONTH)

# Raw events for ad-hoc queries; the crawler creates this table.
LANDED_EVENTS = Table(
    LANDING_DATABASE,
    "streaming",
    LANDING,
    STREAMING_PREFIX,
    _columns(
        "timestamp string, eventtype string, film_id int, distributor string, platform string, state string, "
        "event_id string"
    ),
    partition_keys=ARRIVAL_MONTH,
)

FILM_CATEGORY = Table(
    CURATED_DATABASE,
    "film_category",
    CURATED,
    "film_category/",
    (
        Column("film_id", "bigint"),
        Column("title", "string"),
        Column("description", "string"),
        Column("release_year", "bigint"),
        Column("language_id", "bigint"),
        Column("original_language_id", "double", "double, as the original system inferred it from NULLs"),
        Column("length", "bigint", "minutes"),
        Column("rating", "string"),
        Column("special_features", "string", "MySQL SET: values joined by commas"),
        Column("category_id", "bigint"),
        Column("category_name", "string"),
    ),
)

_SOURCE = (
    Column("source_file", "string", "key of the landed object, without its bucket"),
    Column("source_line", "int", "1-based line in the landed object; blank lines count"),
)

STREAMING_FILMS = Table(
    CURATED_DATABASE,
    "streaming_films",
    CURATED,
    "streaming_films/",
    (
        Column("timestamp", "string", "ISO-8601 with T and offset, as written if the partner wrote it so"),
        Column("eventtype", "string", "rent, buy or trailer"),
        Column("film_id_streaming", "int", "film_id of the event"),
        Column("distributor", "string"),
        Column("platform", "string"),
        Column("state", "string"),
        *ARRIVAL_MONTH,
        *FILM_CATEGORY.columns,
        Column("event_id", "string", "UUID that the producer gave; NULL when it gave none"),
        Column("event_time", "string", "timestamp in UTC, yyyy-MM-ddTHH:mm:ssZ"),
        *_SOURCE,
    ),
    partition_keys=ARRIVAL_MONTH,
)

QUARANTINE = Table(
    CURATED_DATABASE,
    "streaming_events_quarantine",
    CURATED,
    "streaming_events_quarantine/",
    (
        Column("reason", "string", "why the line is not a row of streaming_films"),
        Column("raw", "string", "the landed line, encoded as raw_encoding says"),
        Column(
            "raw_encoding",
            "string",
            "utf-8; base64: not UTF-8; base64-start: the first 64 KiB of a line of over 16 MiB",
        ),
        *_SOURCE,
        *ARRIVAL_MONTH,
    ),
    partition_keys=ARRIVAL_MONTH,
)

RECONCILIATION = Table(
    CURATED_DATABASE,
    "streaming_reconciliation",
    CURATED,
    "streaming_reconciliation/",
    (
        Column("run_id", "string", "Glue job run that committed the object"),
        Column("mode", "string", "hourly, sweep or rebuild"),
        Column("committed_at", "string", "UTC, yyyy-MM-ddTHH:mm:ssZ; the newest row of an object is the valid one"),
        Column("source_file", "string", "key of the landed object, without its bucket"),
        Column("landed", "bigint", "lines that are not blank, counted in the bytes"),
        Column("enriched", "bigint", "rows of streaming_films, as committed"),
        Column("quarantined", "bigint", "rows of the quarantine without the duplicates, as committed"),
        Column("duplicates", "bigint", "rows of the quarantine that are duplicates, as committed"),
        Column("unknown_films", "bigint", "enriched rows whose film the catalogue does not know"),
        *ARRIVAL_MONTH,
    ),
    partition_keys=ARRIVAL_MONTH,
)
