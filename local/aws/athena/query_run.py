"""Doing one accepted query: the rights of its caller, the engine or the catalog, the result in S3."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.aws.athena import results, trino_client
from local.aws.athena.alter import table_input
from local.aws.athena.api import split_location
from local.aws.athena.catalog import Catalog, TrinoStatements
from local.aws.athena.glue_tables import is_iceberg, location, view_columns
from local.aws.athena.rights import AccessedTables, CallerRights
from local.aws.athena.show import TextResult
from local.aws.athena.statements import Statement, sources
from local.aws.athena.store import Document
from local.aws.athena.tokens import quote
from local.aws.athena.translate import Translation
from local.aws.athena.trino_client import EngineError, TrinoQuery
from local.aws.protocol import Caller
from local.aws.settings import AwsSettings

OVER_THE_LIMIT = "Bytes scanned limit was exceeded"  # AWS's words
CANCELLED_BY_USER = "Query cancelled by user"
MANIFEST_KINDS = frozenset({"CREATE_TABLE_AS_SELECT", "INSERT", "UNLOAD"})
WRITE_KINDS = MANIFEST_KINDS | {"DELETE", "UPDATE", "MERGE"}
# A query without rows writes no file, which the metastore behind UNLOAD takes for a mistake.
_NOTHING_UNLOADED = "External table location does not exist"
_TAKEN_BACK = {"CREATE_TABLE_AS_SELECT", "UNLOAD"}  # when cancelled: what they wrote was not there before
_COMMITTED_KINDS = WRITE_KINDS - _TAKEN_BACK


class Cancelled(Exception):
    """The query was stopped; the message is its reason."""


@dataclass(frozen=True)
class AcceptedQuery:
    """One accepted query.

    ``output`` is its result location without extension, ``options`` go with every put, ``cutoff`` is in bytes.
    """

    document: Document
    caller: Caller
    statement: Statement
    work: Translation | None  # None: the catalog answers
    database: str
    output: str
    options: dict[str, str]
    cutoff: int | None
    action: Callable[[], None] | None = None  # a statement that neither answers

    @property
    def id(self) -> str:
        """The execution's id."""
        return str(self.document["QueryExecutionId"])


class QueryRun:
    """One query on its way; ``client`` gives clients of the analysts' role, ``stop`` is set to cancel it."""

    def __init__(
        self,
        job: AcceptedQuery,
        settings: AwsSettings,
        rights: CallerRights,
        client: Callable[[str], Any],
        stop: threading.Event,
    ) -> None:
        self._job, self._settings, self._rights, self._client, self._stop = job, settings, rights, client, stop
        self._document = job.document
        self._document.update({"_columns": [], "_rows": {}})
        self._statistics: dict[str, Any] = job.document["Statistics"]

    def run(self) -> None:
        """Do it. Raises Cancelled, EngineError, StatementFailed, Denied, SqlError or botocore's ClientError."""
        self._rights.result(self._document["ResultConfiguration"]["OutputLocation"])
        if self._job.work:
            self._query(self._job.work)
        else:
            self._catalog()

    # statements that the catalog answers

    def _catalog(self) -> None:
        if self._job.action:
            self._job.action()
            self._write_answer(TextResult())
            return
        catalog = Catalog(self._client("glue"), self._client("s3"), self._rights, self._job.database)
        answer = catalog.run(self._job.statement)
        if isinstance(answer, TrinoStatements):
            before, rows = time.time(), []
            for sql in answer.statements:
                run = TrinoQuery(self._settings, sql, self._job.database)
                rows = [row for batch in self._watched(run) for row in batch]
            self._statistics["EngineExecutionTimeInMillis"] = millis(before, time.time())
            answer = answer.answer(rows)
        self._write_answer(answer)

    def _write_answer(self, answer: TextResult) -> None:
        columns = [results.column(name, "string") for name in answer.columns]
        self._document["_columns"] = columns
        target = self._document["ResultConfiguration"]["OutputLocation"]
        self._put(target, "".join(f"{row}\n" for row in answer.rows).encode())
        self._put(f"{target}.metadata", results.metadata(columns, self._job.id))

    # statements that Trino runs

    def _query(self, work: Translation) -> None:
        touched = self._allowed(work)
        for sql in work.before:
            trino_client.drain(TrinoQuery(self._settings, sql, self._job.database))
        run = TrinoQuery(self._settings, work.sql, self._job.database, work.properties)
        try:
            self._consume(run, touched)
        finally:
            for sql in work.after:
                trino_client.drain(TrinoQuery(self._settings, sql, self._job.database))
        if self._job.statement.kind in MANIFEST_KINDS:
            self._write_manifest(run, work.writes_to or touched.written)
        if self._job.statement.kind == "CREATE_VIEW" and work.creates:
            self._name_columns(*work.creates)

    def _name_columns(self, database: str, name: str) -> None:
        """Give a new view the columns that Athena writes to the catalog and Trino does not."""
        glue = self._client("glue")
        view = glue.get_table(DatabaseName=database, Name=name)["Table"]
        view["StorageDescriptor"]["Columns"] = view_columns(view)
        glue.update_table(DatabaseName=database, TableInput=table_input(view))

    def _allowed(self, work: Translation) -> AccessedTables:
        before = time.time()
        plan = trino_client.io_plan(self._settings, work.explain, self._job.database)
        touched = self._rights.query(plan, self._job.statement.kind, self._client("glue"))
        self._rights.views(sources(self._job.statement, self._job.database), touched, self._client("glue"))
        if work.creates:
            self._rights.glue("CreateTable", *work.creates)
        if work.writes_to:
            self._rights.objects("PutObject", work.writes_to)
        self._statistics["QueryPlanningTimeInMillis"] = millis(before, time.time())
        return touched

    def _consume(self, run: TrinoQuery, touched: AccessedTables) -> None:
        kind, target = self._job.statement.kind, self._document["ResultConfiguration"]["OutputLocation"]
        before = time.time()
        with tempfile.TemporaryDirectory(dir=self._folder()) as folder:
            path = Path(folder) / "result"
            with path.open("w", encoding="utf-8", newline="") as file:
                try:
                    file.writelines(self._text(run))
                except EngineError as error:
                    if kind != "UNLOAD" or error.message != _NOTHING_UNLOADED:
                        raise
            self._statistics["EngineExecutionTimeInMillis"] = millis(before, time.time())
            self._account(run, touched)
            self._document["_update_count"] = run.update_count or 0
            if kind in WRITE_KINDS:
                target = self._job.output
            else:
                bucket, key = split_location(target)
                self._client("s3").upload_file(str(path), bucket, key, ExtraArgs=self._job.options)
        self._put(f"{target}.metadata", results.metadata(self._document["_columns"], run.id))

    def _text(self, run: TrinoQuery) -> Iterable[str]:
        """Lines of the result file: CSV with a header for a query, plain lines for EXPLAIN, none for a write."""
        kind = self._job.statement.kind
        columns: list[dict[str, Any]] | None = None
        rows = 0
        for batch in self._watched(run):
            if columns is None and run.columns is not None:
                columns = run.columns
                self._document["_columns"] = [results.trino_column(found) for found in columns]
                if kind == "SELECT":
                    yield results.csv_line([found["name"] for found in columns])
            if kind in WRITE_KINDS:
                continue
            rows += len(batch)
            for row in batch:
                cells = zip(row, columns or [], strict=True)
                values = [results.text(value, found["typeSignature"]) for value, found in cells]
                yield results.csv_line(values) if kind == "SELECT" else f"{values[0]}\n"
        self._document["_rows"] = {"InputRows": run.stats.get("processedRows", 0), "OutputRows": rows}

    def _watched(self, run: TrinoQuery) -> Iterable[list[list[Any]]]:
        """Batches of a run that stops when asked to, or when it has read too much."""
        for batch in run:
            over = self._over(run.bytes_at_least)
            if over or self._stop.is_set():
                run.cancel()
                self._statistics["DataScannedInBytes"] = run.bytes_at_least
                if self._job.work and self._job.statement.kind in _TAKEN_BACK:
                    run.wait_for_end()
                    self._undo(self._job.work, run)
                raise Cancelled(OVER_THE_LIMIT if over else CANCELLED_BY_USER)
            yield batch

    def _over(self, scanned: int) -> bool:
        return self._job.cutoff is not None and scanned > self._job.cutoff

    def _account(self, run: TrinoQuery, touched: AccessedTables) -> None:
        """Note what was read, and cancel a query that read too much before a poll could see it.

        DML that has committed stays SUCCEEDED: called CANCELLED, its caller would send it again.
        """
        scanned = 0
        for name, read, splits in run.scans():
            table = touched.tables.get(name)
            scanned += max(0, read - self._footers(name, table, read, splits)) if table and _is_parquet(table) else read
        self._statistics["DataScannedInBytes"] = self._document["_rows"]["InputBytes"] = scanned
        if self._over(scanned) and self._job.statement.kind not in _COMMITTED_KINDS:
            if self._job.statement.kind in _TAKEN_BACK and self._job.work:
                self._undo(self._job.work, run)
            raise Cancelled(OVER_THE_LIMIT)

    def _footers(self, name: str, table: dict[str, Any], read: int, splits: int) -> int:
        """Bytes of Parquet footers in what Trino counts: of each split the last 16,384, or a smaller file whole.

        Sizes are looked up only when such small files are possible; partitions left out are taken for average ones.
        """
        constant = trino_client.FOOTER_BYTES
        if read >= 2 * constant * splits:
            return constant * splits
        if is_iceberg(table):
            files = ".".join(quote(part) for part in f"iceberg.{name}$files".split("."))
            sql = f"SELECT file_size_in_bytes FROM {files} WHERE content = 0"  # noqa: S608 (names from the catalog)
            sizes = [row[0] for row in trino_client.drain(TrinoQuery(self._settings, sql, self._job.database))]
        else:
            sizes = [size for _, _, size in self._objects(location(table))]
        return round(sum(min(size, constant) for size in sizes) * splits / len(sizes)) if sizes else constant * splits

    def _undo(self, work: Translation, run: TrinoQuery) -> None:
        """Take back a CTAS or an UNLOAD: its table and its files (Trino puts its query id in their names)."""
        if work.creates:
            database, table = work.creates
            glue = self._client("glue")
            with suppress(glue.exceptions.EntityNotFoundException):
                glue.delete_table(DatabaseName=database, Name=table)
        for bucket, key, _ in self._objects(work.writes_to):
            if run.id in key.rpartition("/")[2]:
                self._client("s3").delete_object(Bucket=bucket, Key=key)

    # results

    def _folder(self) -> Path:
        folder = self._settings.data / "athena" / "tmp"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _put(self, url: str, body: bytes) -> None:
        bucket, key = split_location(url)
        self._client("s3").put_object(Bucket=bucket, Key=key, Body=body, **self._job.options)

    def _objects(self, folder: str) -> Iterable[tuple[str, str, int]]:
        """(bucket, key, bytes) of what lies there."""
        bucket, prefix = split_location(folder.rstrip("/") + "/")
        for page in self._client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                yield bucket, item["Key"], item["Size"]

    def _write_manifest(self, run: TrinoQuery, folder: str) -> None:
        """The list of the data files that the statement wrote: Trino puts its query id in their names."""
        objects = self._objects(folder)
        paths = [f"s3://{bucket}/{key}" for bucket, key, _ in objects if run.id in key.rpartition("/")[2]]
        manifest = f"{self._job.output}-manifest.csv"
        self._put(manifest, "\n".join(paths).encode())
        self._statistics["DataManifestLocation"] = manifest


def millis(start: float, end: float) -> int:
    """Milliseconds between two times in seconds."""
    return max(0, round((end - start) * 1000))


def _is_parquet(table: dict[str, Any]) -> bool:
    return is_iceberg(table) or "parquet" in str(table["StorageDescriptor"].get("InputFormat", "")).lower()
