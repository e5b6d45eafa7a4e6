"""What is deployed depends only on the sources' content, and is complete."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infrastructure import package
from infrastructure.cfn.template import parse_template
from infrastructure.package import build_code, render_template, zip_bytes


def test_the_same_sources_give_the_same_keys_and_bytes() -> None:
    assert build_code() == build_code()


def test_content_and_nothing_else_changes_a_zip(tmp_path: Path) -> None:
    assert zip_bytes([("a.py", b"1")]) == zip_bytes([("a.py", b"1")])
    assert zip_bytes([("a.py", b"1")]) != zip_bytes([("a.py", b"2")])


def test_the_functions_zip_can_be_imported_alone(tmp_path: Path) -> None:
    code = build_code()
    body = next(artifact.body for artifact in code.artifacts if artifact.key == code.lambda_code_key)
    zipfile.ZipFile(io.BytesIO(body)).extractall(tmp_path)
    environment = {"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": "us-east-1"}
    command = [
        sys.executable,
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import csv_to_parquet; csv_to_parquet.handler",
    ]
    subprocess.run(command, env=environment, check=True)


def test_the_jobs_come_with_the_core_they_import() -> None:
    code = build_code()
    objects = {artifact.key: artifact.body for artifact in code.artifacts}
    scripts = {f"{code.jobs_prefix}{job}.py" for job in ("film_category", "streaming_films", "maintain_lake")}
    assert scripts | {f"{code.jobs_prefix}datalake.zip", code.lambda_code_key} == objects.keys()
    names = zipfile.ZipFile(io.BytesIO(objects[f"{code.jobs_prefix}datalake.zip"])).namelist()
    assert {"datalake/__init__.py", "datalake/names.py", "datalake/tables.py"} <= set(names)
    assert not [name for name in names if not name.endswith(".py")]


def test_files_are_put_in_and_aliases_written_out() -> None:
    text = render_template()
    assert package.FILE not in text.replace("A value file://PATH", "")
    template = json.loads(text)
    assert (
        template["Resources"]["StreamingFilmsJob"]["Properties"]["DefaultArguments"]["--datalake-formats"] == "iceberg"
    )


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text("Resources: {Task: {Properties: {TableMappings: file://infrastructure/dms/none.json}}}")
    monkeypatch.setattr(package, "TEMPLATE", template)
    with pytest.raises(FileNotFoundError, match=r"infrastructure/dms/none\.json"):
        render_template()


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("!Ref A", {"Ref": "A"}),
        ("!GetAtt A.B.C", {"Fn::GetAtt": ["A", "B.C"]}),
        ('!Sub "${A}"', {"Fn::Sub": "${A}"}),
        ("!If [C, !Ref A, b]", {"Fn::If": ["C", {"Ref": "A"}, "b"]}),
        ("!Condition C", {"Condition": "C"}),
        ("2012-10-17", "2012-10-17"),
    ],
)
def test_short_forms(short: str, long: object) -> None:
    assert parse_template(f"Value: {short}") == {"Value": long}


@pytest.mark.parametrize("text", ["- a list", "a: [", '{"a": ', "text"])
def test_what_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="template"):
        parse_template(text)
