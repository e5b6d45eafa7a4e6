"""What a crawl makes of its findings: a table and partitions as AWS's crawler writes them, and how they drifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from local.aws.glue_crawler.formats import Sample
from local.aws.glue_crawler.types import hive
from local.aws.protocol import Payload

TEXT_INPUT = "org.apache.hadoop.mapred.TextInputFormat"
TEXT_OUTPUT = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
PARQUET_INPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
PARQUET_OUTPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"

# Type changes that a reader of the old type survives: never taken back by a later sample.
WIDENING = {("int", "bigint"), ("int", "double"), ("bigint", "double")}


@dataclass
class Folder:
    """The objects of one partition (or of the whole table, without partitions)."""

    values: tuple[str, ...]
    path: str  # below the target, with its closing slash; empty for the target itself
    objects: list[str] = field(default_factory=list)  # keys
    size: int = 0


@dataclass
class Drift:
    """How the data differ from the table: field -> types."""

    new: dict[str, str] = field(default_factory=dict)
    vanished: dict[str, str] = field(default_factory=dict)
    changed: dict[str, tuple[str, str]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """One sentence each, for the log."""
        return [
            *(f"new field {name} ({kind})" for name, kind in self.new.items()),
            *(f"field {name} ({kind}) was in no sampled object" for name, kind in self.vanished.items()),
            *(f"field {name} changed from {old} to {new}" for name, (old, new) in self.changed.items()),
        ]


def statistics(crawler: str, sample: Sample, objects: int, size: int) -> dict[str, str]:
    """The parameters that AWS's crawler writes on tables and partitions; records are estimated from the sample."""
    average = max(1, round(sample.bytes_read / sample.records)) if sample.records else 0
    parameters = {
        "CrawlerSchemaDeserializerVersion": "1.0",
        "CrawlerSchemaSerializerVersion": "1.0",
        "UPDATED_BY_CRAWLER": crawler,
        "averageRecordSize": str(average),
        "classification": sample.classification,
        "compressionType": sample.compression,
        "objectCount": str(objects),
        "recordCount": str(round(size / average) if average else 0),
        "sizeKey": str(size),
        "typeOfData": "file",
    }
    if sample.classification == "csv":
        parameters |= {"areColumnsQuoted": "false", "columnsOrdered": "true", "delimiter": sample.delimiter}
        if sample.has_header:
            parameters["skip.header.line.count"] = "1"
    return parameters


def storage(columns: Sequence[Payload], location: str, sample: Sample, parameters: dict[str, str]) -> Payload:
    """A storage descriptor."""
    serde: Payload
    if sample.classification == "parquet":
        formats = (PARQUET_INPUT, PARQUET_OUTPUT)
        library = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
        serde = {"SerializationLibrary": library, "Parameters": {"serialization.format": "1"}}
    elif sample.classification == "csv":
        formats = (TEXT_INPUT, TEXT_OUTPUT)
        library = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
        serde = {"SerializationLibrary": library, "Parameters": {"field.delim": sample.delimiter}}
    else:
        formats = (TEXT_INPUT, TEXT_OUTPUT)
        paths = ",".join(sorted(sample.originals.values()))
        serde = {"SerializationLibrary": "org.openx.data.jsonserde.JsonSerDe", "Parameters": {"paths": paths}}
    return {
        "Columns": list(columns),
        "Location": location,
        "InputFormat": formats[0],
        "OutputFormat": formats[1],
        "Compressed": sample.compression != "none",
        "NumberOfBuckets": -1,
        "SerdeInfo": serde,
        "BucketColumns": [],
        "SortColumns": [],
        "Parameters": parameters,
        "StoredAsSubDirectories": False,
    }


def columns_of(sample: Sample, keys: Sequence[str]) -> list[Payload]:
    """The columns of the data; a field with the name of a partition key is the key's."""
    return [{"Name": name, "Type": hive(kind)} for name, kind in sample.fields.items() if name not in keys]


def drift(old: Sequence[Payload], new: Sequence[Payload]) -> Drift:
    """How the columns found differ from the table's."""
    before = {column["Name"]: column["Type"] for column in old}
    after = {column["Name"]: column["Type"] for column in new}
    return Drift(
        new={name: kind for name, kind in after.items() if name not in before},
        vanished={name: kind for name, kind in before.items() if name not in after},
        changed={
            name: (before[name], kind)
            for name, kind in after.items()
            if name in before and before[name] != kind and (kind, before[name]) not in WIDENING
        },
    )


def merged_columns(old: Sequence[Payload], found: Drift) -> list[Payload]:
    """The table's columns after an update: in their order, also those that vanished, then the new ones."""
    kept = [
        {**column, "Type": found.changed[column["Name"]][1]} if column["Name"] in found.changed else column
        for column in old
    ]
    return [*kept, *({"Name": name, "Type": kind} for name, kind in found.new.items())]
