"""Trino's settings and start; the running one is tested with Athena (``tests/local/aws/athena``)."""

from __future__ import annotations

import re
from pathlib import Path

from local.engines import trino
from local.settings import Settings


def test_settings_of_a_home(tmp_path: Path) -> None:
    settings = Settings(tmp_path, 15400)
    trino.configure(settings, "AKIAEXAMPLE", "s3cr3t")
    etc = tmp_path / "data" / "trino" / "etc"
    config = (etc / "config.properties").read_text()
    assert "http-server.http.port=15404" in config
    assert "node.bind-ip=127.0.0.1" in config
    hive = (etc / "catalog" / "awsdatacatalog.properties").read_text()
    assert "hive.metastore.glue.endpoint-url=http://127.0.0.1:15400\n" in hive  # the journal sees what Trino changes
    assert "hive.s3.endpoint=http://127.0.0.1:15401\n" in hive
    assert "hive.s3.iam-role=arn:aws:iam::123456789012:role/sakila-streams-local-analyst\n" in hive
    for path in etc.rglob("*.properties"):
        text = path.read_text()
        assert "$" not in text, path
        names = re.findall(r"^([^#=\s]+)=", text, re.MULTILINE)
        assert len(names) == len(set(names)), path
        assert path.stat().st_mode & 0o077 == 0, path  # keys stand in some


def test_command_keeps_to_the_home(tmp_path: Path) -> None:
    command = trino.command(Settings(tmp_path, 15400))
    assert command[0] == "java"
    assert command[-2:] == ["Start", "406"]
    assert f"-Djava.io.tmpdir={tmp_path}/data/trino/tmp" in command
    assert (tmp_path / "data" / "trino" / "tmp").is_dir()


def test_nothing_answers_before_the_start(tmp_path: Path) -> None:
    assert not trino.started(Settings(tmp_path, 15480))


def test_poms_name_no_repository() -> None:
    for pom in trino.JARS.glob("*.pom.xml"):
        assert "<repositor" not in pom.read_text()
        assert "<url>" not in pom.read_text()
