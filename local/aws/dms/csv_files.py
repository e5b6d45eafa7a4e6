"""CSV files as DMS writes them to S3: LOAD00000001.csv and so on, none larger than MaxFileSize.

Rules (DMS user guide, "Using Amazon S3 as a target"): the counter has eight hexadecimal digits; there is a header row
only with AddColumnName; NULL is written as CsvNullValue; with Rfc4180, a field that contains the delimiter, a quote or
a line break is quoted, and quotes inside it are doubled. AWS does not document how it writes binary columns and
truth values; here they are hexadecimal, and ``true`` or ``false``.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING

from boto3.s3.transfer import TransferConfig

from local.aws.dms.endpoint_settings import S3Target

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

Value = str | bytes | None
MEMORY_BYTES = 16 * 1024 * 1024  # a larger file is buffered on disk until it is uploaded
_ONE_PUT = TransferConfig(multipart_threshold=64 * 1024 * 1024, multipart_chunksize=64 * 1024 * 1024, use_threads=False)


def formatter(target: S3Target, plain: bool) -> Callable[[Value], str]:
    """The function that writes a column's values.

    Values of ``plain`` columns (numbers, times) need no quotes when the delimiter is a comma.
    """
    null = target.null

    def write_plain(value: Value) -> str:
        return null if value is None else value  # type: ignore[return-value] # numbers and times arrive as str

    if plain and target.delimiter == ",":
        return write_plain
    needs_quotes = re.compile("[" + re.escape(target.delimiter + target.row_delimiter) + '"\r\n]').search
    quoting = target.quoting

    def write(value: Value) -> str:
        if value is None:
            return null
        text = value.hex() if isinstance(value, bytes) else value
        if quoting and needs_quotes(text):
            return '"' + text.replace('"', '""') + '"'
        return text

    return write


class TableFiles:
    """Writes the rows of one table; ``close`` uploads the last file. A table without rows gets no file."""

    def __init__(self, s3: S3Client, target: S3Target, prefix: str, columns: Sequence[tuple[str, bool]]) -> None:
        """``columns`` are pairs of a name and whether its values are plain (see ``formatter``)."""
        self._s3, self._target, self._prefix = s3, target, prefix
        self._formatters = [formatter(target, plain) for _, plain in columns]
        names = [formatter(target, plain=False)(name) for name, _ in columns]
        self._header = self._line(names) if target.header else b""
        self._file: IO[bytes] | None = None
        self._size = 0
        self.written = 0

    def write(self, row: Sequence[Value]) -> None:
        """Append a row; if the current file would become too large, upload it and begin a new one."""
        line = self._line([write(value) for write, value in zip(self._formatters, row, strict=True)])
        if self._file and self._size + len(line) > self._target.max_file_bytes and self._size > len(self._header):
            self.close()
        if self._file is None:
            self._file = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 - closed by the upload
            self._size = self._file.write(self._header)
        self._size += self._file.write(line)

    def close(self) -> None:
        """Upload the current file."""
        if self._file is None:
            return
        self.written += 1
        key = f"{self._prefix}LOAD{self.written:08X}.csv"
        self._file.seek(0)
        with self._file as file:
            self._s3.upload_fileobj(file, self._target.bucket, key, self._target.put_arguments or None, Config=_ONE_PUT)
        self._file = None

    def discard(self) -> None:
        """Drop the current file without uploading it."""
        if self._file:
            self._file.close()
            self._file = None

    def _line(self, fields: list[str]) -> bytes:
        return (self._target.delimiter.join(fields) + self._target.row_delimiter).encode()


def remove_files(s3: S3Client, target: S3Target, prefix: str) -> None:
    """Delete the files that earlier loads wrote into a table's folder, and no other files there."""
    written_by_dms = re.compile(re.escape(prefix) + r"LOAD[0-9A-F]{8}\.csv")
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=target.bucket, Prefix=f"{prefix}LOAD"):
        found = (item["Key"] for item in page.get("Contents", []))
        keys: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in found if written_by_dms.fullmatch(key)]
        if keys:
            s3.delete_objects(Bucket=target.bucket, Delete={"Objects": keys})
