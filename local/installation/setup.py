"""Installs what the home needs and this machine lacks, and nothing else. Standard library only: it runs first.

``python3 -m local.installation.setup``: Debian packages by apt-get (as root or by passwordless sudo, else it prints the
command and stops); then, side by side, the two locked Python environments, Spark's jars and an archive of their
classes, Trino and the Sakila scripts into ``.local/tools``. Each has a stamp, the hash of what it is made from, so a
second run needs no network and under a second. Names of steps or packages as arguments limit it to these; those that
only the tests need are installed only when they are named. The steps' output is in ``.local/logs/setup-<step>.log``.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from local.engines.files import digest
from local.installation.parallel import SetupError, Step, perform, run
from local.installation.python_environments import (
    WANTED,
    environment_needed,
    make_environment,
    make_uv,
    python,
    uv_needed,
)
from local.settings import ROOT, TOOLS
from local.supervision.processes import end
from local.supervision.reaper import descendants_of

LOGS = ROOT / ".local" / "logs"
Install = Callable[[Path, Callable[[str], None]], None]  # fills a folder; says how it goes on
FOR_TESTS = ("docker-compose", "containers", "scanners")  # a package and two steps


# Debian packages


def packages() -> dict[str, Callable[[], bool]]:
    """Debian packages, and whether the programs of each are there."""
    from local.engines import java  # noqa: PLC0415

    def has_java() -> bool:
        try:
            java.home()
        except FileNotFoundError:
            return False
        return True

    def has_venv() -> bool:
        if (TOOLS / "airflow" / "bin" / "python").exists():
            return True
        tried = [python(), "-c", "import ensurepip, venv"]
        return subprocess.run(tried, check=False, capture_output=True).returncode == 0

    def found(program: str) -> bool:
        return bool(shutil.which(program))

    return {
        "mariadb-server-core": lambda: found("mariadbd") or Path("/usr/sbin/mariadbd").exists(),
        "mariadb-client-core": lambda: found("mariadb"),
        "postgresql-15": lambda: bool(list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))),
        "openjdk-17-jdk-headless": has_java,
        "maven": lambda: found("mvn"),
        "make": lambda: found("make"),
        "python3-venv": has_venv,
        "docker-compose": lambda: found("docker-compose"),
    }


def missing_packages() -> list[str]:
    """Debian packages whose programs are not there."""
    return [package for package, is_there in packages().items() if not is_there()]


def install_script(packages: list[str]) -> str:
    """Shell lines, for root, that install packages and start nothing.

    PostgreSQL's package would make and start a cluster. Debian's own switch against that is a file in createcluster.d
    (see pg_createcluster, section 1); it is there only while the packages are installed.
    """
    lines = ["set -e", "export DEBIAN_FRONTEND=noninteractive"]
    if any(package.startswith("postgresql") for package in packages):
        switch = "/etc/postgresql-common/createcluster.d/sakila-streams.conf"
        lines += [
            "mkdir -p /etc/postgresql-common/createcluster.d",
            f"echo 'create_main_cluster = false' > {switch}",
            f"trap 'rm -f {switch}; rmdir --ignore-fail-on-non-empty /etc/postgresql-common/createcluster.d' EXIT",
        ]
    options = "-q -y --no-install-recommends -o DPkg::Lock::Timeout=120"
    return "\n".join([*lines, "apt-get -q update", f"apt-get {options} install {' '.join(packages)}"])


def install_packages(packages: list[str], log: Path) -> None:
    """Install Debian packages; raises SetupError with the exact command when we may not."""
    script = install_script(packages)
    if not shutil.which("apt-get"):
        raise SetupError(f"this machine has no apt-get; install by other means: {', '.join(packages)}")
    command = ["sh", "-c", script]
    if os.geteuid() != 0:
        tried = ["sudo", "-n", "true"]
        if not shutil.which("sudo") or subprocess.run(tried, check=False, capture_output=True).returncode:
            raise SetupError(
                f"these Debian packages are missing: {', '.join(packages)}\n"
                f"and only root may install them. Run this once, then try again:\n\nsudo sh -c '\n"
                + script.replace("'", "'\\''")
                + "\n'"
            )
        command = ["sudo", "-n", *command]
    run(command, log)


# Steps


def steps() -> list[Step]:
    """Everything but the packages, which come first."""
    from local.engines import spark, trino  # noqa: PLC0415
    from local.installation import sakila  # noqa: PLC0415

    spark_jars = _java_step("spark-jars", [trino.JARS / "spark.pom.xml"], trino.install_spark_jars)
    trino_parts = [*trino.JARS.glob("trino-*.pom.xml"), *trino.JARS.glob("*.java")]

    def archive_needed() -> bool:
        return environment_needed("airflow") or spark_jars.needed() or spark.archive_needed()

    return [
        Step("uv", uv_needed, make_uv),
        _environment_step("airflow"),
        _environment_step("emulator"),
        spark_jars,
        _java_step("trino", trino_parts, trino.install, "spark-jars"),  # one Maven at a time: they share a repository
        Step("spark-classes", archive_needed, spark.make_archive, ("airflow", "spark-jars")),
        Step("sakila", lambda: not sakila.installed(TOOLS), lambda log: _logged(sakila.install, TOOLS, log)),
        _environment_step("containers"),
        _environment_step("scanners"),
    ]


def _environment_step(name: str) -> Step:
    return Step(name, lambda: environment_needed(name), lambda log: make_environment(name, log), ("uv",))


def _java_step(name: str, made_from: list[Path], install: Install, *after: str) -> Step:
    """A folder of TOOLS that ``install`` fills, replaced when a file that it is made from has changed."""
    folder, stamp = TOOLS / name, TOOLS / f"{name}.stamp"
    wanted = digest(sorted(made_from))

    def needed() -> bool:
        return not folder.is_dir() or not stamp.exists() or stamp.read_text() != wanted

    def run_step(log: Path) -> None:
        fresh = TOOLS.resolve() / f"{name}.new"  # Maven would take a relative folder from its pom on
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        _logged(install, fresh, log)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
        stamp.write_text(wanted)

    return Step(name, needed, run_step, after)


def _logged(install: Install, folder: Path, log: Path) -> None:
    """Run another module's step: what it says and what its commands print goes to the log."""
    with log.open("a") as output:
        try:
            install(folder, lambda text: print(text, file=output, flush=True))
        except subprocess.CalledProcessError as error:
            output.write(f"{error.output or ''}\n")
            raise


def install(only: Sequence[str] = ()) -> None:
    """Install what is missing; raises SetupError, or FileNotFoundError without Java.

    With ``only`` it is these packages and steps, with what Python alone needs.
    """

    def is_wanted(name: str) -> bool:
        return name in only if only else name not in FOR_TESTS

    if packages := [one for one in missing_packages() if is_wanted(one) or one == "python3-venv"]:
        print(f"installing {', '.join(packages)}", flush=True)
        perform([Step("packages", lambda: True, lambda log: install_packages(packages, log))], LOGS)
    if not only:
        from local.engines import java  # noqa: PLC0415

        os.environ.update(java.environment())
    if wanted := [step for step in steps() if is_wanted(step.name) and step.needed()]:
        print(f"installing into {TOOLS}: {', '.join(step.name for step in wanted)}", flush=True)
        perform(wanted, LOGS)


def main() -> int:
    """Install what is missing; 0 when all is there."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, interrupted)
    try:
        if sys.version_info[:2] != WANTED:
            os.execv(python(), [python(), "-m", "local.installation.setup", *sys.argv[1:]])  # noqa: S606
        LOGS.mkdir(parents=True, exist_ok=True)
        TOOLS.mkdir(parents=True, exist_ok=True)
        sys.path.insert(0, str(ROOT / "include"))
        with (TOOLS / "lock").open("a") as lock:  # `make demo` and `make test` may be typed side by side
            fcntl.flock(lock, fcntl.LOCK_EX)
            install(sys.argv[1:])
    except (SetupError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        end(descendants_of(os.getpid()))
        print("interrupted; the next run continues where this one stopped", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
