"""Gets the two SQL scripts of the Sakila sample database. Standard library only.

From the first source that has them: the folder SAKILA_DIR; MySQL's official zip; Debian's source package
percona-toolkit, through the mirror that this machine already uses. The licence of the scripts (BSD) stands in the
scripts; the project does not hold a copy. ``VERSION`` beside them says what they are and where they come from. Counts
are checked when ``load_sakila`` has loaded them, for versions differ a little (payment: 16,044 rows in 1.5, 16,049 in
0.8).
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

SCRIPTS = ("sakila-schema.sql", "sakila-data.sql")
ZIP = "https://downloads.mysql.com/docs/sakila-db.zip"
ZIP_SECONDS = 8  # so that a machine which cannot reach it falls through quickly
PACKAGE, PACKAGE_VERSION = "percona-toolkit", "3.2.1-1"
TARBALL = "percona-toolkit_3.2.1.orig.tar.gz"
TARBALL_SHA256 = "92da0d3712533205f283515ff47ce68521fc2de20989c45b4c65a9743d0f7487"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Unaltered copies: SHA-256 of the script -> what it is
KNOWN = {
    "d80d69e78c800020126847678dfebe6bc40f78a828b2e33a9db38d7a6c84c123": "1.5 (2024)",
    "7cc06a3207963846f9a30ff39c693d14c7c50132591660f98140359aab240cc0": "1.5 (2024)",
    "b5faa864eca9adfa613a36f83cab17749739b729677222c05050963b95525742": "0.8",
    "f4f33c907ee49847a622c65acdc379ac8e93f2c6bc4de680a053a9c974d61008": "0.8",
}
TABLES = (
    "actor", "address", "category", "city", "country", "customer", "film", "film_actor", "film_category", "film_text",
    "inventory", "language", "payment", "rental", "staff", "store",
)  # fmt: skip

Progress = Callable[[str], None]
Scripts = dict[str, bytes]


class SakilaError(Exception):
    """No usable Sakila; the message says what to do."""


def install(tools: Path, progress: Progress) -> None:
    """Put the scripts and VERSION into ``tools``/sakila unless they are there; raises SakilaError.

    A folder named by SAKILA_DIR is used or refused, never passed over.
    """
    folder = tools / "sakila"
    given = os.environ.get("SAKILA_DIR")
    if installed(tools) and not given:
        return
    if given:
        source, scripts = given, from_folder(Path(given))
    else:
        source, scripts = _first(progress)
    version = check(scripts, source)
    fresh = tools / "sakila.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for name, content in scripts.items():
        (fresh / name).write_bytes(content)
    (fresh / "VERSION").write_text(f"Sakila {version}\nfrom {source}\n")
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def installed(tools: Path) -> bool:
    """Whether the scripts are there, and are those of SAKILA_DIR if that is given."""
    folder = tools / "sakila"
    if not (folder / "VERSION").exists():
        return False
    given = os.environ.get("SAKILA_DIR")
    return not given or all(
        (Path(given) / name).exists() and (Path(given) / name).read_bytes() == (folder / name).read_bytes()
        for name in SCRIPTS
    )


def _first(progress: Progress) -> tuple[str, Scripts]:
    """Name and scripts of the first source that answers; SakilaError with every source's own reason."""
    failures = []
    for source, get in ((ZIP, from_zip), (f"Debian's source package {PACKAGE} {PACKAGE_VERSION}", from_debian)):
        progress(f"Sakila: {source}")
        try:
            return source, get()
        except (OSError, SakilaError, subprocess.SubprocessError, zipfile.BadZipFile, tarfile.TarError) as error:
            failures.append(f"  {source}: {error}")
    raise SakilaError(
        "no source of the Sakila sample database can be reached:\n"
        + "\n".join(failures)
        + f"\nPut {' and '.join(SCRIPTS)} (from {ZIP}) into a folder and name it: SAKILA_DIR=/path/to/it make up"
    )


def from_folder(folder: Path) -> Scripts:
    """The scripts in a folder that the user gives; raises SakilaError."""
    missing = [name for name in SCRIPTS if not (folder / name).is_file()]
    if missing:
        raise SakilaError(f"SAKILA_DIR={folder} lacks {' and '.join(missing)}; give the folder that holds both scripts")
    return {name: (folder / name).read_bytes() for name in SCRIPTS}


def from_zip(url: str = ZIP) -> Scripts:
    """The scripts in MySQL's zip; raises OSError, BadZipFile or SakilaError."""
    with urllib.request.urlopen(url, timeout=ZIP_SECONDS) as reply:  # noqa: S310  a constant https address
        archive = zipfile.ZipFile(io.BytesIO(reply.read()))
    found = {Path(member).name: member for member in archive.namelist()}
    if missing := [name for name in SCRIPTS if name not in found]:
        raise SakilaError(f"the archive lacks {' and '.join(missing)}")
    return {name: archive.read(found[name]) for name in SCRIPTS}


def from_debian() -> Scripts:
    """The scripts in the test data of Debian 12's percona-toolkit.

    apt gets it with lists and settings of its own in a temporary folder, so the system's stay as they are and nobody
    need be root; ``--tar-only`` because the mirror may lack the package's other files. Raises SakilaError or OSError.
    """
    if not shutil.which("apt-get"):
        raise SakilaError("this machine has no apt-get")
    columns = "$(REPO_URI) $(CODENAME) $(COMPONENT)"
    targets = _run(["apt-get", "indextargets", "--format", columns, "Created-By: Packages"])
    sources = [line.split() for line in targets.splitlines()]
    mirrors = [uri for uri, codename, component in sources if (codename, component) == ("bookworm", "main")]
    if not mirrors:
        raise SakilaError("no Debian 12 (bookworm) main source is configured on this machine")
    with tempfile.TemporaryDirectory(prefix="sakila-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for below in ("lists/partial", "cache/archives/partial", "parts"):
            (folder / below).mkdir(parents=True)
        (folder / "source.list").write_text(f"deb-src [signed-by={KEYRING}] {mirrors[0]} bookworm main\n")
        (folder / "apt.conf").write_text(
            f'Dir::State::lists "{folder}/lists";\nDir::Cache "{folder}/cache";\n'
            f'Dir::Etc::sourcelist "{folder}/source.list";\nDir::Etc::sourceparts "{folder}/parts";\n'
            'APT::Sandbox::User "root";\nAcquire::Retries "1";\nAcquire::http::Timeout "20";\n'
        )
        environment = {**os.environ, "APT_CONFIG": str(folder / "apt.conf")}
        _run(["apt-get", "-q", "update"], env=environment)
        wanted = f"{PACKAGE}={PACKAGE_VERSION}"
        _run(["apt-get", "-q", "source", "--tar-only", "--download-only", wanted], env=environment, cwd=folder)
        content = (folder / TARBALL).read_bytes()
    if hashlib.sha256(content).hexdigest() != TARBALL_SHA256:
        raise SakilaError(f"{TARBALL} is not the file that Debian published")
    scripts = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            path = Path(member.name)
            if path.parent.name == "sakila-db" and path.name in SCRIPTS and (file := archive.extractfile(member)):
                scripts[path.name] = file.read()
    return {name: scripts[name] for name in SCRIPTS}


def check(scripts: Scripts, source: str) -> str:
    """The version of a pair of scripts; raises SakilaError when they cannot be Sakila, or are of two versions."""
    versions = {KNOWN.get(hashlib.sha256(content).hexdigest(), "") for content in scripts.values()}
    if len(versions) == 1 and "" not in versions:
        return versions.pop()
    if len(versions - {""}) > 1:
        raise SakilaError(f"{source}: the schema and the data are of different versions: {', '.join(sorted(versions))}")
    for name, statement in (("sakila-schema.sql", "CREATE TABLE"), ("sakila-data.sql", "INSERT INTO")):
        text = scripts[name].decode("latin-1")
        found = {table.lower() for table in re.findall(rf"{statement}\s+[`\"]?(\w+)", text, re.IGNORECASE)}
        # A trigger of the schema fills film_text.
        needed = [table for table in TABLES if table != "film_text" or statement == "CREATE TABLE"]
        if missing := [table for table in needed if table not in found]:
            raise SakilaError(
                f"{source}: {name} is no usable copy of Sakila's script: it has no {statement} for "
                f"{', '.join(missing)}. Give an unaltered copy: SAKILA_DIR=/path/to/it make up"
            )
    stated = re.search(rb"Version (\d+\.\d+)", scripts["sakila-schema.sql"])
    return f"{stated[1].decode() if stated else 'of unknown version'}, a copy whose checksums are not known"


def _run(command: list[str], env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Output of a command; SakilaError with its last words when it fails or takes two minutes."""
    done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise SakilaError(f"{' '.join(command[:2])}: {last}")
    return done.stdout
