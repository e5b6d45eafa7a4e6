"""One crawl of one S3 target: list, sample, infer, and write table and partitions, all under the crawler's role."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import boto3
import pyarrow.fs
from botocore.exceptions import ClientError

from local.aws.glue_crawler.formats import SAMPLE_BYTES, Sample, Unclassified, sample
from local.aws.glue_crawler.tables import Drift, Folder, columns_of, drift, merged_columns, statistics, storage
from local.aws.protocol import Payload
from local.aws.settings import REGION, AwsSettings

SAMPLED_A_FOLDER = 8  # objects, spread from the first to the last
SAMPLED_IN_ALL = 400
READERS = 4
BATCH = 100  # partitions a BatchCreatePartition takes


class CrawlFailed(Exception):
    """A crawl that cannot go on; its message is LastCrawl's ErrorMessage."""


class Cancelled(Exception):
    """StopCrawler was called."""


@dataclass
class Outcome:
    """What a crawl changed, by table."""

    tables_created: list[str] = field(default_factory=list)
    tables_updated: list[str] = field(default_factory=list)
    partitions_added: list[str] = field(default_factory=list)
    drift: dict[str, Drift] = field(default_factory=dict)


@dataclass
class Crawl:
    """A crawl under way. ``say`` logs a line, ``check`` raises Cancelled once the crawler is stopped."""

    crawler: Payload
    session: boto3.Session
    settings: AwsSettings
    say: Callable[[str], None]
    check: Callable[[], None]
    outcome: Outcome = field(default_factory=Outcome)

    def run(self) -> Outcome:
        """Crawl every target; raises CrawlFailed or Cancelled."""
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
            self.say(f"WARN : {location} holds no objects")
            return
        folders, keys = _folders(prefix, objects)
        glue = self.session.client("glue")
        table = self._existing(glue, name, location)
        known = self._known_partitions(glue, name) if table and keys else set()
        looked_at = list(folders.values())
        if self._only_new_folders():
            looked_at = [folder for folder in looked_at if folder.values not in known]
            if not looked_at:
                self.say(f"INFO : no new folder under {location}")
                return
        found = self._sample(bucket, prefix, looked_at)
        self._write(glue, name, location, table, keys, known, list(folders.values()), found)

    def _check_level(self, prefix: str) -> None:
        """A table is made of the whole target; TableLevelConfiguration may say so, but nothing else."""
        grouping = json.loads(self.crawler.get("Configuration") or "{}").get("Grouping", {})
        level = grouping.get("TableLevelConfiguration")
        depth = 1 + len([part for part in prefix.split("/") if part])  # the bucket is level 1
        if level is not None and level != depth:
            raise CrawlFailed(f"The local home makes tables of the target's own level, {depth}, not {level}")

    def _only_new_folders(self) -> bool:
        return bool(self.crawler["RecrawlPolicy"].get("RecrawlBehavior") == "CRAWL_NEW_FOLDERS_ONLY")

    # reading

    def _list(self, bucket: str, prefix: str) -> list[tuple[str, int]]:
        found = []
        for page in self.session.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            self.check()
            for item in page.get("Contents", []):
                hidden = any(part[:1] in {"_", "."} for part in item["Key"][len(prefix) :].split("/"))
                if item["Size"] and not item["Key"].endswith("/") and not hidden:
                    found.append((item["Key"], item["Size"]))
        return found

    def _sample(self, bucket: str, prefix: str, folders: Sequence[Folder]) -> Sample:
        each = max(2, min(SAMPLED_A_FOLDER, SAMPLED_IN_ALL // len(folders)))
        chosen = [key for folder in folders for key in _spread(folder.objects, each)]
        s3 = self.session.client("s3")

        def read(key: str) -> Sample | str:
            self.check()
            reply = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{SAMPLE_BYTES - 1}")
            head = reply["Body"].read()
            try:
                return sample(head, len(head) < SAMPLE_BYTES, lambda: self._open(bucket, key))
            except Unclassified as reason:
                return f"{key}: {reason}"

        samples: dict[str, Sample] = {}
        with ThreadPoolExecutor(READERS) as readers:
            for key, one in zip(chosen, readers.map(read, chosen), strict=True):
                if isinstance(one, str):
                    self.say(f"WARN : skipped s3://{bucket}/{one}")
                else:
                    samples[key] = one
        found: Sample | None = None
        usual = Counter(one.format for one in samples.values()).most_common(1)
        for key, one in sorted(samples.items(), key=lambda sampled: sampled[1].format != usual[0][0]):
            try:
                found = one if found is None else found.add(one)
            except Unclassified as reason:
                raise CrawlFailed(f"s3://{bucket}/{key}: {reason}") from reason
        if found is None:
            raise CrawlFailed(f"No sampled object under s3://{bucket}/{prefix} is JSON, CSV or Parquet")
        if found.bad_records:
            self.say(f"WARN : {found.bad_records} sampled lines are no JSON objects")
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

    def _existing(self, glue: Any, name: str, location: str) -> Payload | None:
        try:
            table: Payload = glue.get_table(DatabaseName=self.crawler["DatabaseName"], Name=name)["Table"]
        except glue.exceptions.EntityNotFoundException:
            return None
        there = table["StorageDescriptor"].get("Location", "").rstrip("/") + "/"
        if there != location:
            raise CrawlFailed(f"Table {self.crawler['DatabaseName']}.{name} exists and lies at {there}, not {location}")
        return table

    def _known_partitions(self, glue: Any, name: str) -> set[tuple[str, ...]]:
        pages = glue.get_paginator("get_partitions").paginate(
            DatabaseName=self.crawler["DatabaseName"], TableName=name, ExcludeColumnSchema=True
        )
        return {tuple(partition["Values"]) for page in pages for partition in page["Partitions"]}

    def _write(
        self,
        glue: Any,
        name: str,
        location: str,
        table: Payload | None,
        keys: Sequence[str],
        known: set[tuple[str, ...]],
        folders: Sequence[Folder],
        found: Sample,
    ) -> None:
        database = self.crawler["DatabaseName"]
        objects, size = sum(len(folder.objects) for folder in folders), sum(folder.size for folder in folders)
        parameters = statistics(self.crawler["Name"], found, objects, size)
        columns = columns_of(found, keys)
        definition: Payload = {
            "Name": name,
            "Owner": "owner",
            "Retention": 0,
            "PartitionKeys": [{"Name": key, "Type": "string"} for key in keys],
            "TableType": "EXTERNAL_TABLE",
            "Parameters": parameters,
        }
        if table is None:
            storing = storage(columns, location, found, parameters)
            glue.create_table(DatabaseName=database, TableInput={**definition, "StorageDescriptor": storing})
            self.outcome.tables_created.append(f"{database}.{name}")
            self.say(f"INFO : Created table {name} in database {database}")
        else:
            if [key["Name"] for key in table.get("PartitionKeys", [])] != list(keys):
                raise CrawlFailed(f"The folders under {location} no longer match the partition keys of {name}")
            before = table["StorageDescriptor"]["Columns"]
            changes = drift(before, columns)
            self.outcome.drift[name] = changes
            for line in changes.lines():
                self.say(f"WARN : {database}.{name}: {line}")
            columns = before
            # a crawl of new folders only never changes columns, as on AWS
            if self.crawler["SchemaChangePolicy"].get("UpdateBehavior") != "LOG" and not self._only_new_folders():
                columns = merged_columns(before, changes)
                storing = storage(columns, location, found, parameters)
                glue.update_table(DatabaseName=database, TableInput={**definition, "StorageDescriptor": storing})
                if columns != before:
                    self.outcome.tables_updated.append(f"{database}.{name}")
                    self.say(f"INFO : Updated the columns of {name} in database {database}")
        self._add_partitions(glue, name, location, columns, [f for f in folders if f.values not in known], found)

    def _add_partitions(
        self, glue: Any, name: str, location: str, columns: list[Payload], folders: Sequence[Folder], found: Sample
    ) -> None:
        if not folders or not folders[0].values:
            return
        for batch in _batches(folders, BATCH):
            self.check()
            inputs = []
            for folder in batch:
                parameters = statistics(self.crawler["Name"], found, len(folder.objects), folder.size)
                storing = storage(columns, location + folder.path, found, parameters)
                inputs.append({"Values": list(folder.values), "StorageDescriptor": storing, "Parameters": parameters})
            reply = glue.batch_create_partition(
                DatabaseName=self.crawler["DatabaseName"], TableName=name, PartitionInputList=inputs
            )
            for error in reply.get("Errors", []):
                raise CrawlFailed(f"partition {error['PartitionValues']}: {error['ErrorDetail']['ErrorMessage']}")
            self.outcome.partitions_added += [f"{name}/{folder.path}" for folder in batch]
        self.say(f"INFO : Added {len(folders)} partitions to {name}")


def _folders(prefix: str, objects: Sequence[tuple[str, int]]) -> tuple[dict[str, Folder], list[str]]:
    """Objects by folder, and the partition keys: ``key`` of folders ``key=value``, else partition_0, partition_1."""
    folders: dict[str, Folder] = {}
    for key, size in objects:
        path = key[len(prefix) :].rpartition("/")[0]
        path = f"{path}/" if path else ""
        if path not in folders:
            values = tuple(part.rpartition("=")[2] for part in path.split("/")[:-1])
            folders[path] = Folder(values, path)
        folders[path].objects.append(key)
        folders[path].size += size
    depths = Counter(key.count("/") for key, _ in objects)
    if len(depths) > 1:
        (usual, _), *_ = depths.most_common()
        odd = next(key for key, _ in objects if key.count("/") != usual)
        raise CrawlFailed(f"Objects lie at different depths, e.g. {odd}")
    names = [
        part.partition("=")[0].lower() if "=" in part else f"partition_{n}"
        for n, part in enumerate(next(iter(folders)).split("/")[:-1])
    ]
    return folders, names


def _spread(items: Sequence[str], count: int) -> list[str]:
    """At most ``count`` items, evenly spread, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    return [items[round(n * (len(items) - 1) / (count - 1))] for n in range(count)]


def _batches(items: Sequence[Folder], size: int) -> Iterator[Sequence[Folder]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
