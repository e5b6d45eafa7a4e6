"""The artifacts of a deployment: the template with its files included, and the zips of the function and the jobs."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infrastructure.cfn.template import parse_template

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "infrastructure" / "template.yaml"
STACK_POLICY = ROOT / "infrastructure" / "stack-policy.json"
PARAMETERS = ROOT / "infrastructure" / "parameters"
LAMBDA_SOURCE = ROOT / "include" / "lambda" / "csv_to_parquet"
JOBS_SOURCE = ROOT / "include" / "glue"
LAMBDA_PACKAGES = ("datalake",)  # packages below include/ that the function imports
JOBS_PACKAGES = ("datalake", "datalake_spark")  # packages below include/ that the jobs import
FILE = "file://"
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # a fixed time, so that equal sources give equal zips


def render_template() -> str:
    """``template.yaml`` as JSON: YAML aliases expanded, every ``file://PATH`` replaced by the file's text.

    Raises FileNotFoundError for a file that does not exist.
    """
    return json.dumps(_with_files(parse_template(TEMPLATE.read_text())), separators=(",", ":"))


def _with_files(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _with_files(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_files(value) for value in node]
    if isinstance(node, str) and node.startswith(FILE):
        return file_text(node)
    return node


def file_text(reference: str) -> str:
    """The text that replaces ``file://PATH``: JSON without white space, any other file unchanged."""
    path = ROOT / reference.removeprefix(FILE)
    text = path.read_text()
    return json.dumps(json.loads(text), separators=(",", ":")) if path.suffix == ".json" else text


def parameters_of(environment: str) -> dict[str, str]:
    """The template parameters of ``infrastructure/parameters/<environment>.json``."""
    values: dict[str, str] = json.loads((PARAMETERS / f"{environment}.json").read_text())
    return values


def environments() -> list[str]:
    """The environments that have a parameters file."""
    return sorted(path.stem for path in PARAMETERS.glob("*.json"))


@dataclass(frozen=True)
class Artifact:
    """One object of the artifacts bucket."""

    key: str
    body: bytes


@dataclass(frozen=True)
class Code:
    """The code of a deployment, under keys that contain a hash of it."""

    lambda_code_key: str
    jobs_prefix: str
    artifacts: tuple[Artifact, ...]


def build_code() -> Code:
    """Zip the function and the jobs' packages and collect the job scripts; raises FileNotFoundError without sources."""
    own = _python_files(LAMBDA_SOURCE, LAMBDA_SOURCE)
    jobs = {path.name: path.read_bytes() for path in sorted(JOBS_SOURCE.glob("*.py")) if path.name != "__init__.py"}
    for folder, found in ((LAMBDA_SOURCE, own), (JOBS_SOURCE, jobs)):
        if not found:
            raise FileNotFoundError(f"No Python files in {folder}")
    function = zip_bytes(own + _packages(LAMBDA_PACKAGES))
    jobs["datalake.zip"] = zip_bytes(_packages(JOBS_PACKAGES))
    lambda_key = f"lambda/{hashlib.sha256(function).hexdigest()}.zip"
    prefix, scripts = below_hash("jobs/", jobs)
    return Code(lambda_key, prefix, (Artifact(lambda_key, function), *scripts))


def below_hash(root: str, files: Mapping[str, bytes]) -> tuple[str, list[Artifact]]:
    """The prefix ``ROOT<sha256>/``, which contains a hash of names and contents, and the files as objects below it."""
    digest = hashlib.sha256()
    for name, body in files.items():
        digest.update(name.encode() + hashlib.sha256(body).digest())
    prefix = f"{root}{digest.hexdigest()}/"
    return prefix, [Artifact(prefix + name, body) for name, body in files.items()]


def _packages(names: Iterable[str]) -> list[tuple[str, bytes]]:
    return [file for name in names for file in _python_files(ROOT / "include" / name, ROOT / "include")]


def _python_files(folder: Path, base: Path) -> list[tuple[str, bytes]]:
    return [(path.relative_to(base).as_posix(), path.read_bytes()) for path in sorted(folder.rglob("*.py"))]


def zip_bytes(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A zip of (name, content); the same files in the same order give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name, ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()
