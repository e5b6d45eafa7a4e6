"""Reads the lake without pause while its processes are killed: ``python -m tests.kill_loop.reader FOLDER``.

It reads every snapshot of the curated tables, also those that were current between two looks, and each new Parquet
object of the clean zone. What it sees is in FOLDER/reader.json, which is replaced after each look. When there is a file
FOLDER/stop, it looks once more and ends. Its environment is that of ``make -s env``; MySQL's row counts and the newest
version of Sakila come from FOLDER/sakila.json.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pyarrow as pa
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from datalake.names import Lake
from local.engines.files import write_atomically
from oracle.tables import CATALOGUE, DATABASE, FILMS, QUARANTINE, RECONCILIATION, connect
from tests.kill_loop.torn import TornDetector
from tests.kill_loop.versions import mixture

COLUMNS = {
    RECONCILIATION: "source_file, landed, enriched, quarantined, duplicates",
    FILMS: "source_file, source_line, event_id",
    QUARANTINE: "source_file, source_line",
    CATALOGUE: "film_id",
}  # in the order of reading: objects that the counts call done must be whole in the tables, which are read later
MOST_FINDINGS = 50
AWAY_SECONDS = 0.2  # between two looks when a service does not answer
UNREADABLE = 3  # failures to read a snapshot, with the services up, after which it counts as torn


@dataclass
class Seen:
    """What a reader has seen. ``unanswered`` counts the looks at which a service did not answer."""

    polls: int = 0
    unanswered: int = 0
    snapshots: dict[str, int] = field(default_factory=dict)  # by table
    clean_objects: int = 0
    events: int = 0
    torn: int = 0
    findings: list[str] = field(default_factory=list)
    last_unanswered: str = ""

    def tear(self, what: str) -> None:
        """Count a state that no reader should have seen."""
        self.torn += 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(f"{time.strftime('%H:%M:%S')} {what}")


class Reader:
    """One reader of one lake."""

    def __init__(self, folder: Path) -> None:
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30)
        session = boto3.Session()
        self._folder, self._lake = folder, Lake.from_environment()
        self._glue, self._s3 = session.client("glue", config=config), session.client("s3", config=config)
        self._iceberg = connect(session)
        self._torn = TornDetector()
        self._locations: dict[str, str] = {}
        self._checked: dict[str, set[int]] = {name: set() for name in COLUMNS}
        self._clean: dict[str, str] = {}
        self._unreadable: Counter[str] = Counter()
        self.seen = Seen()

    def poll(self) -> None:
        """Look once at every table. Services that do not answer are counted; torn states are reported."""
        self.seen.polls += 1
        try:
            changed = [name for name in COLUMNS if self._look_at(name)]
            if changed:
                for finding in self._torn.done_objects():
                    self.seen.tear(finding)
            self._look_at_clean()
        except (BotoCoreError, ClientError, duckdb.Error) as error:
            self.seen.unanswered += 1
            self.seen.last_unanswered = f"{type(error).__name__}: {error}"[:300]
            time.sleep(AWAY_SECONDS)

    def save(self) -> None:
        """Replace reader.json."""
        write_atomically(self._folder / "reader.json", json.dumps(asdict(self.seen)))

    def _look_at(self, name: str) -> bool:
        """Read the snapshots of a table that were not read before, in the order of their commits; whether any was."""
        try:
            table = self._glue.get_table(DatabaseName=DATABASE, Name=name)["Table"]
        except self._glue.exceptions.EntityNotFoundException:
            if name in self._locations:
                self.seen.tear(f"{name}: the table is gone")
            return False
        location = table["Parameters"]["metadata_location"]
        if location == self._locations.get(name):
            return False
        listed = "SELECT snapshot_id FROM iceberg_snapshots(?) ORDER BY sequence_number"
        snapshots = [row[0] for row in self._iceberg.execute(listed, [location]).fetchall()]
        for snapshot in snapshots:
            if snapshot not in self._checked[name]:
                self._check(name, location, snapshot)
                self._checked[name].add(snapshot)
                self.seen.snapshots[name] = len(self._checked[name])
        self._locations[name] = location
        return True

    def _check(self, name: str, location: str, snapshot: int) -> None:
        query = f"SELECT {COLUMNS[name]} FROM iceberg_scan('{location}', snapshot_from_id => {snapshot})"
        try:
            rows = self._iceberg.execute(query).to_arrow_table()
        except duckdb.Error as error:
            self._unreadable[f"{name} {snapshot}"] += 1
            if self._unreadable[f"{name} {snapshot}"] < UNREADABLE:
                raise
            self.seen.tear(f"{name}, snapshot {snapshot}: cannot be read: {error}"[:400])
            return
        for finding in self._findings(name, rows):
            self.seen.tear(f"{name}, snapshot {snapshot}: {finding}")

    def _findings(self, name: str, rows: pa.Table) -> list[str]:
        if name == CATALOGUE:
            ids = rows["film_id"].to_pylist()
            whole = len(ids) in {0, 1000} and len(set(ids)) == len(ids)
            return [] if whole else [f"{len(ids)} rows of {len(set(ids))} films"]
        for key in self._torn.unknown(rows["source_file"]):
            self._torn.announce(key, self._s3.get_object(Bucket=self._lake.landing_bucket, Key=key)["Body"].read())
        if name == FILMS:
            self.seen.events = rows.num_rows
            return self._torn.films(rows)
        return self._torn.quarantine(rows) if name == QUARANTINE else self._torn.reconciliation(rows)

    def _look_at_clean(self) -> None:
        """Read the Parquet objects that were written since the last look; a table must have exactly one."""
        known: dict[str, Any] = json.loads((self._folder / "sakila.json").read_text())
        bucket, tables = self._lake.clean_bucket, Counter[str]()
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="sakila/")
        for entry in [entry for page in pages for entry in page.get("Contents", [])]:
            key, name = entry["Key"], entry["Key"].split("/")[1]
            tables[name] += 1
            if entry["ETag"] == self._clean.get(key):
                continue
            body = self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            newest = json.loads((self._folder / "sakila.json").read_text())["newest"]  # the object may be younger
            self.seen.clean_objects += 1
            if finding := mixture(name, body, known["rows"], newest):
                self.seen.tear(f"clean zone: {finding}")
            self._clean[key] = entry["ETag"]
        if tables != Counter(known["rows"].keys()):
            self.seen.tear(f"clean zone: objects by table are {dict(tables)}")


def main() -> int:
    """Read until told to stop."""
    folder = Path(sys.argv[1])
    os.nice(5)  # it shall not slow down what it watches
    reader = Reader(folder)
    while True:
        is_last = (folder / "stop").exists()
        reader.poll()
        reader.save()
        if is_last:
            return 0


if __name__ == "__main__":
    sys.exit(main())
