"""The parts of a table's definition as AWS's crawler writes them, and the drift between table and data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from local.aws.glue_crawler.formats import Sample
from local.aws.glue_crawler.hive_types import hive_name, merge_types, type_of_hive
from local.aws.protocol import Payload

TEXT_INPUT = "org.apache.hadoop.mapred.TextInputFormat"
TEXT_OUTPUT = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"
PARQUET_INPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat"
PARQUET_OUTPUT = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"


@dataclass
class Drift:
    """The differences of the data from the table, by field name."""

    new: dict[str, str] = field(default_factory=dict)
    vanished: dict[str, str] = field(default_factory=dict)
    changed: dict[str, tuple[str, str]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """A line for the log about each difference."""
        return [
            *(f"new field {name} ({kind})" for name, kind in self.new.items()),
            *(f"field {name} ({kind}) was in no sampled object" for name, kind in self.vanished.items()),
            *(f"field {name} changed from {old} to {new}" for name, (old, new) in self.changed.items()),
        ]


def table_parameters(crawler: str, sample: Sample, objects: int, size: int) -> dict[str, str]:
    """The parameters that AWS's crawler gives tables and partitions; recordCount is estimated from the sample."""
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


def storage_descriptor(
    columns: Sequence[Payload], location: str, sample: Sample, parameters: dict[str, str]
) -> Payload:
    """The storage descriptor of a table or partition in the sample's format."""
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
    """The columns of the data, without fields that have the name of a partition key."""
    return [{"Name": name, "Type": hive_name(kind)} for name, kind in sample.fields.items() if name not in keys]


def find_drift(old: Sequence[Payload], new: Sequence[Payload]) -> Drift:
    """The differences of the data's columns from the table's.

    A column's type becomes wider and never narrower: AWS's crawler reads all objects (S3Target, ``SampleSize``: "If not
    set, all the files are crawled"), and a sample that lacks the object with the wide value must not undo what it did.
    """
    before = {column["Name"]: column["Type"] for column in old}
    after = {column["Name"]: column["Type"] for column in new}
    both = {
        name: hive_name(merge_types(type_of_hive(before[name]), type_of_hive(after[name])))
        for name in before
        if name in after
    }
    return Drift(
        new={name: kind for name, kind in after.items() if name not in before},
        vanished={name: kind for name, kind in before.items() if name not in after},
        changed={name: (before[name], kind) for name, kind in both.items() if kind != before[name]},
    )


def merged_columns(old: Sequence[Payload], found: Drift) -> list[Payload]:
    """The table's columns after an update: all present ones in their order, then the new ones."""
    kept = [
        {**column, "Type": found.changed[column["Name"]][1]} if column["Name"] in found.changed else column
        for column in old
    ]
    return [*kept, *({"Name": name, "Type": kind} for name, kind in found.new.items())]
