"""What an MWAA environment runs, as objects of its bucket.

``mwaa/<sha256>/`` holds plugins.zip, requirements.txt and startup.sh, which MWAA reads when an environment is created
or updated: the prefix contains a hash of them, so a changed file is a changed parameter of the template. MWAA reads
``dags/`` all the time.

MWAA unpacks plugins.zip into /usr/local/airflow/plugins, which Airflow puts on ``sys.path``; PYTHONPATH cannot be set
there. So everything that DAGs import is in that archive, with an .airflowignore so that Airflow does not execute it.
"""

from __future__ import annotations

from infrastructure.package import ROOT, Artifact, below_hash, zip_bytes

MWAA = ROOT / "infrastructure" / "mwaa"
DAGS = ROOT / "dags"
PLUGINS = ROOT / "plugins"
INCLUDE = ROOT / "include"
PACKAGES = ("datalake", "lake_airflow")  # packages below include/ that the DAGs import
DAGS_PREFIX = "dags/"
MWAA_PREFIX = "mwaa/"
# The order of the template's parameter MwaaCodeVersions
CODE = ("plugins.zip", "requirements.txt", "startup.sh")


def build() -> tuple[Artifact, ...]:
    """The three files of CODE, in that order, under one prefix; then the DAGs."""
    contents = (_plugins(), *((MWAA / name).read_bytes() for name in CODE[1:]))
    _, code = below_hash(MWAA_PREFIX, dict(zip(CODE, contents, strict=True)))
    return (*code, *(Artifact(DAGS_PREFIX + path.name, path.read_bytes()) for path in sorted(DAGS.glob("*.py"))))


def _plugins() -> bytes:
    """A zip of plugins/, the packages and queries of include/, and the wheels of requirements.txt."""
    found = [(path, PLUGINS) for path in [PLUGINS / ".airflowignore", *PLUGINS.rglob("*.py")]]
    found += [(path, INCLUDE) for package in PACKAGES for path in (INCLUDE / package).rglob("*.py")]
    found += [(path, INCLUDE) for path in (INCLUDE / "sql").rglob("*.sql")]
    found += [(path, MWAA / "wheels") for path in (MWAA / "wheels").glob("*.whl")]
    return zip_bytes(sorted((path.relative_to(base).as_posix(), path.read_bytes()) for path, base in found))
