"""Python environments: their locks, when they are replaced, and the error for a wrong Python. None is made here."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme

from local.installation import python_environments, setup
from local.installation.parallel import SetupError
from local.settings import PYTHON_PATH, ROOT


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text(), re.MULTILINE))


def test_production_and_local_requirements_agree() -> None:
    production, local = pins(ROOT / "requirements.txt"), pins(ROOT / "local" / "requirements.txt")
    assert len(production) > 100
    assert production.items() <= local.items()


@pytest.mark.parametrize("lock", ["requirements.txt", *python_environments.LOCKS.values()])
def test_every_locked_package_has_hashes(lock: str) -> None:
    text = (ROOT / lock).read_text()
    blocks = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert [block.split("==")[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_uv_is_taken_from_the_lock_with_its_hashes() -> None:
    lines = python_environments.requirement("uv", (ROOT / "local" / "requirements.txt").read_text())
    assert re.fullmatch(r"uv==\S+ \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+", lines)
    assert not lines.rstrip().endswith("\\")
    with pytest.raises(SetupError, match="does not name nothing-such"):
        python_environments.requirement("nothing-such", lines)


def test_a_wrong_python_is_told_which_one_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_environments, "WANTED", (3, 99))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SetupError, match=r"Python 3.11 is needed .* this is 3\.\d+\.\d+ and there is no python3.11"):
        python_environments.python()


def test_an_environment_is_made_anew_when_its_lock_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("a==1\n")
    monkeypatch.setattr(python_environments, "TOOLS", tmp_path)
    monkeypatch.setattr(python_environments, "locked", lambda _: lock)
    assert python_environments.environment_needed("airflow")
    (tmp_path / "airflow" / "bin").mkdir(parents=True)
    (tmp_path / "airflow" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "airflow" / "stamp").write_text(python_environments.stamp("airflow"))
    assert not python_environments.environment_needed("airflow")
    lock.write_text("a==2\n")
    assert python_environments.environment_needed("airflow")
    assert not python_environments.moved("airflow")


def test_an_environment_is_made_anew_where_its_folder_was_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with ``mv lake elsewhere``: every program's first line would name a Python that is gone."""
    monkeypatch.setattr(python_environments, "TOOLS", tmp_path / "before")
    made = tmp_path / "before" / "airflow" / "bin"
    made.mkdir(parents=True)
    (made / "python").symlink_to(sys.executable)
    (made / "uv").touch()
    (made.parent / "stamp").write_text(python_environments.stamp("airflow"))
    assert not any(step.needed() for step in setup.steps() if step.name in ("uv", "airflow"))
    (tmp_path / "before").rename(tmp_path / "after")
    monkeypatch.setattr(python_environments, "TOOLS", tmp_path / "after")
    assert all(step.needed() for step in setup.steps() if step.name in ("uv", "airflow"))


class Index(HTTPServer):
    """A package index with no packages, whose certificate a private authority has signed."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Answer)


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Index)
        self.server.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """``tmp_path``/authority.pem is the authority's certificate."""
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    authority.issue_cert("localhost").configure_cert(context)
    with Index() as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_an_authority_that_the_system_trusts_is_trusted(tmp_path: Path, index: Index) -> None:
    """As behind a company's proxy: pip and Maven read the system's store, uv only with ``--system-certs``.

    https://docs.astral.sh/uv/concepts/authentication/certificates: "By default, uv uses bundled Mozilla root
    certificates". A mount namespace of its own gives the process a store that trusts the index's authority alone.
    """
    store = "/etc/ssl/certs/ca-certificates.crt"
    within = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*within, "test", "-f", store], capture_output=True, check=False).returncode:
        pytest.skip(f"this machine allows no namespaces, or has no {store}")
    uv = tmp_path / "airflow" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.symlink_to(shutil.which("uv") or pytest.fail("there is no uv"))
    (tmp_path / "lock").write_text(f"nothing-such==1 --hash=sha256:{64 * '0'}\n")
    code = """
        import sys; from pathlib import Path; from local.installation import python_environments
        folder = Path(sys.argv[1]); python_environments.TOOLS = folder
        python_environments.locked = lambda _: folder / "lock"
        python_environments.make_environment("scanners", folder / "log")
    """
    variables = {
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONPATH": PYTHON_PATH,
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "UV_DEFAULT_INDEX": f"https://localhost:{index.server_port}/simple",
    }
    mounted = f'mount --bind {tmp_path}/authority.pem {store} && exec "$@"'
    command = [*within, "sh", "-c", mounted, "sh", sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    done = subprocess.run(command, env=variables, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert "CalledProcessError" in done.stderr, "the index has no package"
    assert index.asked == ["/simple/nothing-such/"], (tmp_path / "log").read_text()
