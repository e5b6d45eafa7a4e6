"""Runs one accepted query: checks the caller's rights, has Trino or the catalog do the work, puts the result in S3."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.aws.athena import glue_tables, results
from local.aws.athena.api import split_location
from local.aws.athena.catalog import Catalog, TrinoStatements
from local.aws.athena.glue_tables import Table
from local.aws.athena.rights import AccessedTables, CallerRights
from local.aws.athena.show import TextResult
from local.aws.athena.statements import MANIFEST_KINDS, WRITE_KINDS, Statement, sources
from local.aws.athena.store import Document
from local.aws.athena.tokens import quote
from local.aws.athena.translate import Translation
from local.aws.athena.trino_client import FOOTER_BYTES, EngineError, TrinoQuery, all_rows, io_plan
from local.aws.protocol import Caller
from local.aws.settings import AwsSettings

if TYPE_CHECKING:
    from mypy_boto3_glue import GlueClient
    from mypy_boto3_s3 import S3Client

OVER_THE_LIMIT = "Bytes scanned limit was exceeded"  # AWS's words
CANCELLED_BY_USER = "Query cancelled by user"
# A query without rows writes no file; Trino's metastore behind UNLOAD then reports that the location is missing.
_NOTHING_UNLOADED = "External table location does not exist"
_REVERSIBLE_KINDS = {"CREATE_TABLE_AS_SELECT", "UNLOAD"}  # all that they wrote is new, so a cancellation deletes it
_COMMITTED_KINDS = WRITE_KINDS - _REVERSIBLE_KINDS


class Cancelled(Exception):
    """The query was stopped; the message is its StateChangeReason."""


@dataclass(frozen=True)
class Clients:
    """Clients under the role whose rights the engine has."""

    glue: GlueClient
    s3: S3Client


@dataclass(frozen=True)
class AcceptedQuery:
    """A query that StartQueryExecution accepted.

    ``output`` is its result location without extension, ``put_options`` are parameters of every put to S3, ``cutoff``
    is the workgroup's limit of bytes read.
    """

    document: Document
    caller: Caller
    statement: Statement
    translation: Translation | None  # None: the catalog answers
    database: str
    output: str
    put_options: dict[str, Any]
    cutoff: int | None
    action: Callable[[], None] | None = None  # does the work of a statement that concerns neither Trino nor the catalog

    @property
    def id(self) -> str:
        """The execution's id."""
        return str(self.document["QueryExecutionId"])


class QueryRun:
    """One query while it runs; setting ``stop`` cancels it."""

    def __init__(
        self, query: AcceptedQuery, settings: AwsSettings, rights: CallerRights, clients: Clients, stop: threading.Event
    ) -> None:
        self._query, self._settings, self._rights, self._stop = query, settings, rights, stop
        self._glue, self._s3 = clients.glue, clients.s3
        self._kind = query.statement.kind
        self._document = query.document
        self._document.update({"_columns": [], "_rows": {}})
        self._statistics: dict[str, Any] = query.document["Statistics"]
        self._target: str = query.document["ResultConfiguration"]["OutputLocation"]

    def run(self) -> None:
        """Run it. Raises Cancelled, EngineError, StatementFailed, Denied, SqlError or botocore's ClientError."""
        self._rights.result(self._target)
        if self._query.translation:
            self._run_in_trino(self._query.translation)
        elif self._query.action:
            self._query.action()
            self._write_text(TextResult())
        else:
            self._write_text(self._ask_catalog())

    def _trino(self, sql: str, properties: dict[str, str] | None = None) -> TrinoQuery:
        return TrinoQuery(self._settings, sql, self._query.database, properties)

    # statements that the catalog answers

    def _ask_catalog(self) -> TextResult:
        answer = Catalog(self._glue, self._s3, self._rights, self._query.database).run(self._query.statement)
        if not isinstance(answer, TrinoStatements):
            return answer
        before, rows = time.time(), []
        for sql in answer.statements:
            rows = [row for batch in self._batches(self._trino(sql)) for row in batch]
        self._statistics["EngineExecutionTimeInMillis"] = millis(before, time.time())
        return answer.result(rows)

    def _write_text(self, result: TextResult) -> None:
        columns = [results.column(name, "string") for name in result.columns]
        self._document["_columns"] = columns
        self._put(self._target, "".join(f"{row}\n" for row in result.rows).encode())
        self._put(f"{self._target}.metadata", results.metadata(columns, self._query.id))

    # statements that Trino runs

    def _run_in_trino(self, translation: Translation) -> None:
        accessed = self._check_rights(translation)
        for sql in translation.before:
            all_rows(self._trino(sql))
        run = self._trino(translation.sql, translation.properties)
        try:
            self._consume(run, accessed)
        finally:
            for sql in translation.after:
                all_rows(self._trino(sql))
        if self._kind in MANIFEST_KINDS:
            self._write_manifest(run, translation.writes_to or accessed.written)
        if self._kind == "CREATE_VIEW" and translation.creates:
            self._add_view_columns(*translation.creates)

    def _add_view_columns(self, database: str, name: str) -> None:
        """Write the columns of a new view to the catalog, as Athena does and Trino does not."""
        view = glue_tables.get_table(self._glue, database, name)
        view["StorageDescriptor"]["Columns"] = glue_tables.view_columns(view)
        self._glue.update_table(DatabaseName=database, TableInput=glue_tables.table_input(view))

    def _check_rights(self, translation: Translation) -> AccessedTables:
        before = time.time()
        plan = io_plan(self._settings, translation.explain, self._query.database)
        accessed = self._rights.query(plan, self._kind, self._glue)
        self._rights.views(sources(self._query.statement, self._query.database), accessed, self._glue)
        if translation.creates:
            self._rights.glue("CreateTable", *translation.creates)
        if translation.writes_to:
            self._rights.objects("PutObject", translation.writes_to)
        self._statistics["QueryPlanningTimeInMillis"] = millis(before, time.time())
        return accessed

    def _consume(self, run: TrinoQuery, accessed: AccessedTables) -> None:
        """Read the rows to the end, and put the result and its metadata in S3."""
        before = time.time()
        scratch = self._settings.data / "athena" / "tmp"
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            path = Path(folder) / "result"
            with path.open("w", encoding="utf-8", newline="") as file:
                try:
                    file.writelines(self._lines(run))
                except EngineError as error:
                    if self._kind != "UNLOAD" or error.message != _NOTHING_UNLOADED:
                        raise
            self._statistics["EngineExecutionTimeInMillis"] = millis(before, time.time())
            self._count_bytes(run, accessed)
            self._document["_update_count"] = run.update_count or 0
            if self._kind not in WRITE_KINDS:
                bucket, key = split_location(self._target)
                self._s3.upload_file(str(path), bucket, key, ExtraArgs=self._query.put_options)
        target = self._query.output if self._kind in WRITE_KINDS else self._target
        self._put(f"{target}.metadata", results.metadata(self._document["_columns"], run.id))

    def _lines(self, run: TrinoQuery) -> Iterable[str]:
        """Lines of the result file: CSV with a header for a query, plain lines for EXPLAIN, none for a write."""
        columns: list[dict[str, Any]] | None = None
        rows = 0
        for batch in self._batches(run):
            if columns is None and run.columns is not None:
                columns = run.columns
                self._document["_columns"] = [results.trino_column(found) for found in columns]
                if self._kind == "SELECT":
                    yield results.csv_line([found["name"] for found in columns])
            if self._kind in WRITE_KINDS:
                continue
            rows += len(batch)
            for row in batch:
                cells = zip(row, columns or [], strict=True)
                values = [results.text(value, found["typeSignature"]) for value, found in cells]
                yield results.csv_line(values) if self._kind == "SELECT" else f"{values[0]}\n"
        self._document["_rows"] = {"InputRows": run.stats.get("processedRows", 0), "OutputRows": rows}

    def _batches(self, run: TrinoQuery) -> Iterable[list[list[Any]]]:
        """The batches of rows; raises Cancelled when the query was stopped or has read more than the limit."""
        for batch in run:
            over = self._over_the_limit(run.bytes_at_least)
            if over or self._stop.is_set():
                run.cancel()
                self._statistics["DataScannedInBytes"] = run.bytes_at_least
                self._undo(run)
                raise Cancelled(OVER_THE_LIMIT if over else CANCELLED_BY_USER)
            yield batch

    def _over_the_limit(self, scanned: int) -> bool:
        return self._query.cutoff is not None and scanned > self._query.cutoff

    def _count_bytes(self, run: TrinoQuery, accessed: AccessedTables) -> None:
        """Note how many bytes were read, and cancel a query that exceeded the limit between two polls.

        DML that has committed stays SUCCEEDED: if it were CANCELLED, its caller would send it again.
        """
        scanned = 0
        for name, read, splits in run.scans():
            table = accessed.tables.get(name)
            parquet = table and glue_tables.is_parquet(table)
            scanned += max(0, read - self._footer_bytes(name, table, read, splits)) if table and parquet else read
        self._statistics["DataScannedInBytes"] = self._document["_rows"]["InputBytes"] = scanned
        if self._over_the_limit(scanned) and self._kind not in _COMMITTED_KINDS:
            self._undo(run)
            raise Cancelled(OVER_THE_LIMIT)

    def _footer_bytes(self, name: str, table: Table, read: int, splits: int) -> int:
        """Bytes of Parquet footers in what Trino counts: of each split the last 16,384, or all of a smaller file.

        File sizes are looked up only when such small files are possible. A scan that left partitions out is assumed to
        have read files of average size.
        """
        if read >= 2 * FOOTER_BYTES * splits:
            return FOOTER_BYTES * splits
        if glue_tables.is_iceberg(table):
            files = ".".join(quote(part) for part in f"iceberg.{name}$files".split("."))
            sql = f"SELECT file_size_in_bytes FROM {files} WHERE content = 0"  # noqa: S608 (names from the catalog)
            sizes = [row[0] for row in all_rows(self._trino(sql))]
        else:
            sizes = [size for _, _, size in self._objects(glue_tables.location(table))]
        if not sizes:
            return FOOTER_BYTES * splits
        return round(sum(min(size, FOOTER_BYTES) for size in sizes) * splits / len(sizes))

    def _undo(self, run: TrinoQuery) -> None:
        """Delete what a CTAS or an UNLOAD made, its table and its files, once it has ended in Trino."""
        translation = self._query.translation
        if self._kind not in _REVERSIBLE_KINDS or not translation:
            return
        run.wait_for_end()
        if translation.creates:
            database, table = translation.creates
            with suppress(self._glue.exceptions.EntityNotFoundException):
                self._glue.delete_table(DatabaseName=database, Name=table)
        for bucket, key in self._files_of(run, translation.writes_to):
            self._s3.delete_object(Bucket=bucket, Key=key)

    # results

    def _put(self, url: str, body: bytes) -> None:
        bucket, key = split_location(url)
        self._s3.put_object(Bucket=bucket, Key=key, Body=body, **self._query.put_options)

    def _objects(self, folder: str) -> Iterable[tuple[str, str, int]]:
        """(bucket, key, size in bytes) of each object in a folder."""
        bucket, prefix = split_location(folder.rstrip("/") + "/")
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                yield bucket, item["Key"], item["Size"]

    def _files_of(self, run: TrinoQuery, folder: str) -> list[tuple[str, str]]:
        """(bucket, key) of each data file that the statement wrote: Trino puts its query id in the names."""
        return [(bucket, key) for bucket, key, _ in self._objects(folder) if run.id in key.rpartition("/")[2]]

    def _write_manifest(self, run: TrinoQuery, folder: str) -> None:
        paths = [f"s3://{bucket}/{key}" for bucket, key in self._files_of(run, folder)]
        manifest = f"{self._query.output}-manifest.csv"
        self._put(manifest, "\n".join(paths).encode())
        self._statistics["DataManifestLocation"] = manifest


def millis(start: float, end: float) -> int:
    """Milliseconds between two times in seconds."""
    return max(0, round((end - start) * 1000))
