from __future__ import annotations

import base64
import gzip
import zipfile
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.secret_search import forms, hits, in_files, needles

SECRET = "c4nary/+%with?all&kinds"
WANTED = needles({"the secret": SECRET})


@pytest.mark.parametrize("before", ["", "u", "user:", "lake:"])
@pytest.mark.parametrize("after", ["", "@", "@host:3306/sakila"])
def test_a_secret_is_found_however_it_is_written(before: str, after: str) -> None:
    text = f"{before}{SECRET}{after}"
    for written in (
        text.encode(),
        quote(text, safe="").encode(),
        base64.b64encode(text.encode()),
        base64.urlsafe_b64encode(text.encode()),
    ):
        assert hits(b"...." + written + b"....", WANTED) == {"the secret"}, written


def test_another_text_is_not_taken_for_it() -> None:
    other = SECRET.replace("nary", "nery")
    for written in (other.encode(), base64.b64encode(other.encode()), quote(other, safe="").encode()):
        assert hits(written, WANTED) == set()
    with pytest.raises(ValueError, match="by chance"):
        forms("short")


def test_files_are_opened(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "task.log").write_text(f"password={SECRET}\n")
    (tmp_path / "packed.gz").write_bytes(gzip.compress(SECRET.encode()))
    with zipfile.ZipFile(tmp_path / "packed.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner", SECRET)
    table = pa.table({"number": [1], "text": [SECRET], "nested": [{"deep": [SECRET]}]})
    pq.write_table(table.select(["number", "text"]), tmp_path / "flat.parquet", compression="zstd")
    pq.write_table(table.select(["nested"]), tmp_path / "nested.parquet", compression="snappy")
    (tmp_path / "clean.log").write_text("nothing\n")
    assert [path for path, _ in in_files(tmp_path, WANTED)] == [
        "flat.parquet", "logs/task.log", "nested.parquet", "packed.gz", "packed.zip",
    ]  # fmt: skip
