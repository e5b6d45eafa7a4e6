"""Where Sakila's scripts come from, and the errors when they cannot be fetched or are not Sakila."""

from __future__ import annotations

import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.installation import sakila
from local.installation.sakila import SakilaError

SCHEMA = "-- Sakila Sample Database Schema\n-- Version 1.5\n" + "".join(
    f"CREATE TABLE {table} (id INT);\n" for table in sakila.TABLES
)
DATA = "".join(f"INSERT INTO `{table}` VALUES (1);\n" for table in sakila.TABLES if table != "film_text")


def write(folder: Path, schema: str = SCHEMA, data: str = DATA) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "sakila-schema.sql").write_text(schema)
    (folder / "sakila-data.sql").write_text(data)
    return folder


def test_a_given_folder_is_used_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = write(tmp_path / "given")
    monkeypatch.setenv("SAKILA_DIR", str(given))
    sakila.install(tmp_path, print)
    assert (tmp_path / "sakila" / "sakila-schema.sql").read_text() == SCHEMA
    assert (tmp_path / "sakila" / "VERSION").read_text() == (
        f"Sakila 1.5, a copy whose checksums are not known\nfrom {given}\n"
    )
    assert sakila.installed(tmp_path)
    write(given, data=DATA + "-- changed\n")
    assert not sakila.installed(tmp_path), "another copy is given now"


def test_known_scripts_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {hashlib.sha256(text.encode()).hexdigest(): "0.8" for text in (SCHEMA, DATA)}
    monkeypatch.setattr(sakila, "KNOWN", known)
    assert sakila.check({"sakila-schema.sql": SCHEMA.encode(), "sakila-data.sql": DATA.encode()}, "here") == "0.8"


def test_scripts_of_two_versions_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in (SCHEMA, DATA)]
    monkeypatch.setattr(sakila, "KNOWN", dict(zip(digests, ("1.5 (2024)", "0.8"), strict=True)))
    with pytest.raises(SakilaError, match=r"here: .* are of different versions: 0.8, 1.5 \(2024\)"):
        sakila.check({"sakila-schema.sql": SCHEMA.encode(), "sakila-data.sql": DATA.encode()}, "here")


def test_a_missing_script_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = write(tmp_path / "given")
    (given / "sakila-data.sql").unlink()
    monkeypatch.setenv("SAKILA_DIR", str(given))
    with pytest.raises(SakilaError, match=f"SAKILA_DIR={given} lacks sakila-data.sql; give the folder that holds both"):
        sakila.install(tmp_path, print)


@pytest.mark.parametrize(
    ("schema", "data", "complaint"),
    [
        (SCHEMA, "<html>not found</html>", "sakila-data.sql .* no INSERT INTO for actor, "),
        (SCHEMA, DATA.partition("INSERT INTO `rental`")[0], "sakila-data.sql .* for rental, staff, store"),
        ("CREATE TABLE film (id INT);", DATA, "sakila-schema.sql .* no CREATE TABLE for actor, "),
    ],
    ids=["a page instead of the data", "cut off", "another schema"],
)
def test_a_wrong_copy_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema: str, data: str, complaint: str
) -> None:
    given = write(tmp_path / "given", schema, data)
    monkeypatch.setenv("SAKILA_DIR", str(given))
    with pytest.raises(SakilaError, match=complaint) as error:
        sakila.install(tmp_path, print)
    assert str(given) in str(error.value)
    assert "Give an unaltered copy: SAKILA_DIR=" in str(error.value)
    assert not (tmp_path / "sakila").exists()


@pytest.fixture
def zip_server() -> Iterator[str]:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("sakila-db/sakila-schema.sql", SCHEMA)
        archive.writestr("sakila-db/sakila-data.sql", DATA)
        archive.writestr("sakila-db/sakila.mwb", "a drawing")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content.getvalue())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/sakila-db.zip"
    server.shutdown()
    server.server_close()


def test_the_official_zip_is_unpacked(zip_server: str) -> None:
    scripts = sakila.from_zip(zip_server)
    assert scripts == {"sakila-schema.sql": SCHEMA.encode(), "sakila-data.sql": DATA.encode()}


def test_without_any_source_every_reason_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAKILA_DIR", raising=False)
    monkeypatch.setattr(sakila, "ZIP", "http://127.0.0.1:9/sakila-db.zip")
    monkeypatch.setattr(sakila.from_zip, "__defaults__", ("http://127.0.0.1:9/sakila-db.zip",))
    monkeypatch.setenv("PATH", str(tmp_path))
    said: list[str] = []
    with pytest.raises(SakilaError) as error:
        sakila.install(tmp_path, said.append)
    message = str(error.value)
    assert "http://127.0.0.1:9/sakila-db.zip: <urlopen error [Errno 111] Connection refused>" in message
    assert "percona-toolkit 3.2.1-1: this machine has no apt-get" in message
    assert "SAKILA_DIR=/path/to/it make up" in message
    assert len(said) == 2
