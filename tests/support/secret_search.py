"""Looks for secrets where none may be: in a home's files, Airflow's database, CloudWatch's logs and command lines.

A secret is found in plain text, in base64 (at any offset, so also inside ``user:password``) and URL-encoded, and also
where bytes are hidden from a plain search: in gzip and zip files and in the columns of Parquet files.
"""

from __future__ import annotations

import base64
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
import pyarrow.parquet as pq
from pyarrow import ArrowInvalid

Needles = Mapping[bytes, str]  # what to look for -> what it is called


def forms(secret: str) -> set[bytes]:
    """Each form in which a text may hold a secret; raises ValueError for one so short that chance finds it."""
    plain = secret.encode()
    if len(plain) < 12:
        raise ValueError("a secret this short is found by chance")
    found = {plain, quote(secret, safe="").encode()}
    for before in range(3):  # base64 turns three bytes into four letters: there are three ways to cut them
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * before + plain).rstrip(b"=")
            begun = -(-before * 8 // 6)  # letters that also hold bits of what stands before
            ended = (before + len(plain)) * 8 // 6
            found.add(text[begun:ended])
    return found


def needles(secrets: Mapping[str, str]) -> dict[bytes, str]:
    """All forms of the secrets, which are given as name -> value."""
    return {form: name for name, value in secrets.items() for form in forms(value)}


def hits(data: bytes, wanted: Needles) -> set[str]:
    """Names of the secrets that ``data`` holds."""
    return {name for form, name in wanted.items() if form in data}


def in_files(root: Path, wanted: Needles) -> Iterator[tuple[str, str]]:
    """(path below ``root``, name of the secret) for every file that holds one."""
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue  # a temporary file of a database or a job that has been removed since
        for name in sorted(set().union(*(hits(part, wanted) for part in _parts(path, data)))):
            yield path.relative_to(root).as_posix(), name


def _parts(path: Path, data: bytes) -> Iterator[bytes]:
    """A file's bytes, and what is compressed in them."""
    yield data
    if data[:2] == b"\x1f\x8b":
        try:
            yield gzip.decompress(data)
        except (EOFError, OSError, zlib.error):
            return  # still being written
    elif data[:4] == b"PK\x03\x04" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                yield archive.read(member)
    elif data[:4] == b"PAR1" == data[-4:]:
        try:
            table = pq.read_table(io.BytesIO(data))
        except ArrowInvalid:
            return
        for column in table.columns:
            for chunk in column.chunks:
                yield from (buffer.to_pybytes() for buffer in chunk.buffers() if buffer)


def in_postgres(url: str, wanted: Needles) -> Iterator[tuple[str, str]]:
    """(table, name of the secret) for every table of a PostgreSQL database that holds one in any row."""
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SET bytea_output = 'escape'")
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
        for (table,) in cursor.fetchall():
            dump = io.BytesIO()
            cursor.copy_expert(f'COPY "{table}" TO STDOUT', dump)
            for name in sorted(hits(dump.getvalue(), wanted)):
                yield table, name


def in_logs(logs: Any, wanted: Needles) -> Iterator[tuple[str, str]]:
    """(log group, name of the secret) for every group of CloudWatch Logs that holds one."""
    for page in logs.get_paginator("describe_log_groups").paginate():
        for group in page["logGroups"]:
            found: set[str] = set()
            for events in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                found |= hits("\n".join(event["message"] for event in events["events"]).encode(), wanted)
            for name in sorted(found):
                yield group["logGroupName"], name


def in_command_lines(processes: list[int], wanted: Needles) -> Iterator[tuple[str, str]]:
    """(command, name of the secret) for every process with one in its command line, which all users can read."""
    for process in processes:
        try:
            line = Path(f"/proc/{process}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for name in sorted(hits(line, wanted)):
            yield line.split(b"\0")[0].decode(), name
