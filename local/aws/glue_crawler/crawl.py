"""One crawl: lists and samples each S3 target, infers its fields, and writes table and partitions.

Everything is done under the crawler's role.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import pyarrow.fs
from botocore.exceptions import ClientError

from local.aws.glue_crawler.folders import PartitionFolder, evenly_spread, group_by_folder
from local.aws.glue_crawler.formats import SAMPLE_BYTES, Sample, Unclassified, classify
from local.aws.glue_crawler.tables import (
    Drift,
    columns_of,
    find_drift,
    merged_columns,
    storage_descriptor,
    table_parameters,
)
from local.aws.protocol import Payload
from local.aws.settings import REGION, AwsSettings

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_glue.type_defs import TableTypeDef

SAMPLES_PER_FOLDER = 8  # objects, evenly spread from the first to the last
MAX_SAMPLES = 400
READER_THREADS = 4
PARTITIONS_PER_CALL = 100  # the limit of BatchCreatePartition


class CrawlFailed(Exception):
    """A crawl that cannot continue; the message becomes the ErrorMessage of LastCrawl."""


class CrawlCancelled(Exception):
    """StopCrawler was called."""


@dataclass
class Outcome:
    """What a crawl changed in the catalog."""

    tables_created: list[str] = field(default_factory=list)
    tables_updated: list[str] = field(default_factory=list)
    drift: dict[str, Drift] = field(default_factory=dict)


@dataclass(frozen=True)
class _Target:
    """An S3 target with what was found in it, and the name and partition keys of its table."""

    name: str
    location: str
    keys: list[str]
    folders: list[PartitionFolder]
    sample: Sample


@dataclass
class Crawl:
    """One crawl. ``check_cancelled`` raises CrawlCancelled once the crawler is stopped."""

    crawler: Payload
    session: boto3.Session
    settings: AwsSettings
    log_line: Callable[[str], None]
    check_cancelled: Callable[[], None]
    outcome: Outcome = field(default_factory=Outcome)

    @cached_property
    def _glue(self) -> GlueClient:
        return self.session.client("glue")

    def run(self) -> Outcome:
        """Crawl every target; raises CrawlFailed or CrawlCancelled."""
        try:
            for target in self.crawler["Targets"].get("S3Targets", []):
                self._crawl(target)
        except ClientError as error:
            raise CrawlFailed(str(error)) from error
        return self.outcome

    def _crawl(self, target: Payload) -> None:
        location = target["Path"].rstrip("/") + "/"
        parts = urlsplit(location)
        bucket, prefix = parts.netloc, parts.path.lstrip("/")
        name = self.crawler.get("TablePrefix", "") + (prefix or bucket).rstrip("/").rpartition("/")[2]
        name = "".join(char if char.isalnum() or char == "_" else "_" for char in name.lower())
        self._check_level(prefix)
        objects = self._list(bucket, prefix)
        if not objects:
            self.log_line(f"WARN : {location} holds no objects")
            return
        try:
            folders, keys = group_by_folder(prefix, objects)
        except ValueError as error:
            raise CrawlFailed(str(error)) from error
        table = self._existing_table(name, location)
        known = self._known_partitions(name) if table and keys else set()
        new_folders = [folder for folder in folders if folder.values not in known]
        if self._only_new_folders() and not new_folders:
            self.log_line(f"INFO : no new folder under {location}")
            return
        sample = self._sample(bucket, prefix, new_folders if self._only_new_folders() else folders)
        found = _Target(name, location, keys, folders, sample)
        columns = self._update_table(found, table) if table else self._create_table(found)
        self._add_partitions(found, columns, new_folders)

    def _check_level(self, prefix: str) -> None:
        """Refuse a TableLevelConfiguration other than the target's own level: the whole target becomes one table."""
        grouping = json.loads(self.crawler.get("Configuration") or "{}").get("Grouping", {})
        level = grouping.get("TableLevelConfiguration")
        depth = 1 + len([part for part in prefix.split("/") if part])  # the bucket is level 1
        if level is not None and level != depth:
            raise CrawlFailed(f"The local home makes tables at the target's own level, {depth}, not {level}")

    def _only_new_folders(self) -> bool:
        return bool(self.crawler["RecrawlPolicy"].get("RecrawlBehavior") == "CRAWL_NEW_FOLDERS_ONLY")

    # reading

    def _list(self, bucket: str, prefix: str) -> list[tuple[str, int]]:
        found = []
        for page in self.session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            self.check_cancelled()
            for item in page.get("Contents", []):
                hidden = any(part[:1] in {"_", "."} for part in item["Key"][len(prefix) :].split("/"))
                if item["Size"] and not item["Key"].endswith("/") and not hidden:
                    found.append((item["Key"], item["Size"]))
        return found

    def _sample(self, bucket: str, prefix: str, folders: Sequence[PartitionFolder]) -> Sample:
        each = max(2, min(SAMPLES_PER_FOLDER, MAX_SAMPLES // len(folders)))
        chosen = [key for folder in folders for key in evenly_spread(folder.objects, each)]
        s3 = self.session.client("s3")

        def read(key: str) -> Sample | str:
            self.check_cancelled()
            reply = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{SAMPLE_BYTES - 1}")
            head = reply["Body"].read()
            try:
                return classify(head, len(head) < SAMPLE_BYTES, lambda: self._open(bucket, key))
            except Unclassified as reason:
                return f"{key}: {reason}"

        samples: dict[str, Sample] = {}
        with ThreadPoolExecutor(READER_THREADS) as readers:
            for key, one in zip(chosen, readers.map(read, chosen), strict=True):
                if isinstance(one, str):
                    self.log_line(f"WARN : skipped s3://{bucket}/{one}")
                else:
                    samples[key] = one
        if not samples:
            raise CrawlFailed(f"No sampled object under s3://{bucket}/{prefix} is JSON, CSV or Parquet")
        usual = Counter(one.format for one in samples.values()).most_common(1)[0][0]
        first, *others = sorted(samples, key=lambda key: samples[key].format != usual)  # an odd format fails the crawl
        found = samples[first]
        for key in others:
            try:
                found.add(samples[key])
            except Unclassified as reason:
                raise CrawlFailed(f"s3://{bucket}/{key}: {reason}") from reason
        if found.bad_records:
            self.log_line(f"WARN : {found.bad_records} sampled lines are not JSON objects")
        return found

    def _open(self, bucket: str, key: str) -> Any:
        credentials = self.session.get_credentials()
        if credentials is None:
            raise CrawlFailed("the crawler's role has no credentials")
        keys = credentials.get_frozen_credentials()
        files = pyarrow.fs.S3FileSystem(
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            session_token=keys.token,
            endpoint_override=self.settings.emulator_url,
            region=REGION,
        )
        return files.open_input_file(f"{bucket}/{key}")

    # the catalog

    def _existing_table(self, name: str, location: str) -> TableTypeDef | None:
        try:
            table = self._glue.get_table(DatabaseName=self.crawler["DatabaseName"], Name=name)["Table"]
        except self._glue.exceptions.EntityNotFoundException:
            return None
        there = table["StorageDescriptor"].get("Location", "").rstrip("/") + "/"
        if there != location:
            raise CrawlFailed(f"Table {self.crawler['DatabaseName']}.{name} exists and lies at {there}, not {location}")
        return table

    def _known_partitions(self, name: str) -> set[tuple[str, ...]]:
        pages = self._glue.get_paginator("get_partitions").paginate(
            DatabaseName=self.crawler["DatabaseName"], TableName=name, ExcludeColumnSchema=True
        )
        return {tuple(partition["Values"]) for page in pages for partition in page["Partitions"]}

    def _create_table(self, target: _Target) -> list[Payload]:
        database = self.crawler["DatabaseName"]
        columns = columns_of(target.sample, target.keys)
        self._glue.create_table(DatabaseName=database, TableInput=self._table_input(target, columns))
        self.outcome.tables_created.append(f"{database}.{target.name}")
        self.log_line(f"INFO : Created table {target.name} in database {database}")
        return columns

    def _update_table(self, target: _Target, table: TableTypeDef) -> list[Payload]:
        database, name = self.crawler["DatabaseName"], target.name
        if [key["Name"] for key in table.get("PartitionKeys", [])] != target.keys:
            raise CrawlFailed(f"The folders under {target.location} no longer match the partition keys of {name}")
        before: list[Payload] = [{**column} for column in table["StorageDescriptor"]["Columns"]]
        drift = find_drift(before, columns_of(target.sample, target.keys))
        self.outcome.drift[name] = drift
        for line in drift.lines():
            self.log_line(f"WARN : {database}.{name}: {line}")
        # a crawl of new folders only never changes columns, as on AWS
        if self.crawler["SchemaChangePolicy"].get("UpdateBehavior") == "LOG" or self._only_new_folders():
            return before
        columns = merged_columns(before, drift)
        self._glue.update_table(DatabaseName=database, TableInput=self._table_input(target, columns))
        if columns != before:
            self.outcome.tables_updated.append(f"{database}.{name}")
            self.log_line(f"INFO : Updated the columns of {name} in database {database}")
        return columns

    def _table_input(self, target: _Target, columns: list[Payload]) -> Any:
        objects, size = sum(len(folder.objects) for folder in target.folders), sum(f.size for f in target.folders)
        parameters = table_parameters(self.crawler["Name"], target.sample, objects, size)
        return {
            "Name": target.name,
            "Owner": "owner",
            "Retention": 0,
            "PartitionKeys": [{"Name": key, "Type": "string"} for key in target.keys],
            "TableType": "EXTERNAL_TABLE",
            "Parameters": parameters,
            "StorageDescriptor": storage_descriptor(columns, target.location, target.sample, parameters),
        }

    def _add_partitions(self, target: _Target, columns: list[Payload], folders: Sequence[PartitionFolder]) -> None:
        if not folders or not folders[0].values:
            return
        for first in range(0, len(folders), PARTITIONS_PER_CALL):
            self.check_cancelled()
            batch = folders[first : first + PARTITIONS_PER_CALL]
            reply = self._glue.batch_create_partition(
                DatabaseName=self.crawler["DatabaseName"],
                TableName=target.name,
                PartitionInputList=[self._partition_input(target, columns, folder) for folder in batch],
            )
            for error in reply.get("Errors", []):
                raise CrawlFailed(f"partition {error['PartitionValues']}: {error['ErrorDetail']['ErrorMessage']}")
        self.log_line(f"INFO : Added {len(folders)} partitions to {target.name}")

    def _partition_input(self, target: _Target, columns: list[Payload], folder: PartitionFolder) -> Any:
        parameters = table_parameters(self.crawler["Name"], target.sample, len(folder.objects), folder.size)
        location = target.location + folder.path
        storage = storage_descriptor(columns, location, target.sample, parameters)
        return {"Values": list(folder.values), "StorageDescriptor": storage, "Parameters": parameters}
