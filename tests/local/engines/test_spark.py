"""The archive of a job's classes: it is replaced when what it depends on changes, and jobs use it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.engines import java, spark


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tools with an archive that is up to date."""
    (tmp_path / "airflow").mkdir()
    (tmp_path / "airflow" / "stamp").write_text("lock and place")
    (tmp_path / "spark-jars.stamp").write_text("jars")
    (tmp_path / "release").write_text("17.0.1")
    (tmp_path / "job.py").write_text("noted")
    monkeypatch.setattr(spark, "TOOLS", tmp_path)
    monkeypatch.setattr(spark, "ARCHIVE", tmp_path / "classes.jsa")
    monkeypatch.setattr(spark, "_STAMP", tmp_path / "stamp")
    monkeypatch.setattr(spark, "_JOB", tmp_path / "job.py")
    monkeypatch.setattr(java, "home", lambda: tmp_path)
    assert spark.archive_needed()
    (tmp_path / "classes.jsa").touch()
    (tmp_path / "stamp").write_text(spark.stamp())
    assert not spark.archive_needed()
    return tmp_path


@pytest.mark.parametrize("changed", ["airflow/stamp", "spark-jars.stamp", "release", "job.py"])
def test_what_it_depends_on_makes_it_anew(tools: Path, changed: str) -> None:
    (tools / changed).write_text("other")
    assert spark.archive_needed()


def test_one_that_is_gone_is_made_anew(tools: Path) -> None:
    (tools / "classes.jsa").unlink()
    assert spark.archive_needed()


@pytest.mark.spark
def test_a_job_takes_its_classes_from_it(tmp_path: Path) -> None:
    """Java silently ignores an archive that does not fit."""
    loaded, log = tmp_path / "loaded", tmp_path / "log"
    spark.run_noted_job(tmp_path, f"{spark.JAVA_OPTIONS} -Xlog:class+load:file={loaded}", log)
    sources = re.findall(r"source: (.*)$", loaded.read_text(), re.MULTILINE)
    archived = sum(source.startswith("shared objects file") for source in sources)
    assert archived > 10_000
    assert archived / len(sources) > 0.7
    assert "[cds" not in log.read_text()
