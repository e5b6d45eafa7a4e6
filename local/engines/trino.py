"""Trino 406, the engine behind Athena's front: installed from Maven artifacts, configured and started for one home.

It listens on 127.0.0.1 only. Its Glue calls and its AssumeRole go through our server, its S3 calls to the emulator; the
user whose keys it holds may do nothing but assume the analysts' role.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from string import Template

from datalake.names import Lake
from local.settings import ACCOUNT, ENVIRONMENT, HOST, REGION, SUFFIX, TOOLS, Settings

VERSION = "406"
JARS = Path(__file__).resolve().parent / "jars"
ENGINE_USER = "athena-engine"  # IAM user that assumes the analysts' role

# Big jars that nothing here calls (each was taken away and every kind of statement tried).
SUPERFLUOUS = ("calcite-core", "coral-trino-parser", "jdbi3", "postgresql", "rubix-presto")
PLUGINS = {"hive": "LocalHivePlugin", "iceberg": "io.trino.plugin.iceberg.IcebergPlugin"}
# The single-threaded collector and the first compiler stage halve memory and start-up; queries here are small.
JVM = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:ReservedCodeCacheSize=256m",  # with one stage Java reserves 48 MB, which a busy Trino fills
    "-Xmx768m",
    "-Xss512k",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djdk.attach.allowAttachSelf=true",
    "-Djdk.nio.maxCachedBufferSize=2000000",
    "-Dfile.encoding=UTF-8",
    "-Duser.timezone=UTC",
)

Progress = Callable[[str], None]


def install(fresh: Path, progress: Progress) -> None:
    """Fill the folder ``fresh`` with Trino: about 40 s and 290 MB of download the first time.

    Raises subprocess.CalledProcessError, with Maven's or javac's words in its output, when a step fails.
    """
    progress("Trino: downloading the server")
    _download(JARS / "trino-main.pom.xml", fresh / "lib")
    _run(["javac", "-d", str(fresh / "start"), str(JARS / "Start.java")], "-cp", f"{fresh}/lib/*")
    for plugin, service in PLUGINS.items():
        progress(f"Trino: downloading the {plugin} connector")
        folder = fresh / "plugin" / plugin
        _download(JARS / f"trino-{plugin}.pom.xml", folder)
        services = folder / "zz-services"  # a folder among the jars is on the plugin's class path too
        (services / "META-INF/services").mkdir(parents=True)
        (services / "META-INF/services/io.trino.spi.Plugin").write_text(f"{service}\n")
        if plugin == "hive":
            _run(["javac", "-d", str(services), str(JARS / "LocalHivePlugin.java")], "-cp", f"{folder}/*")
    for jar in fresh.rglob("*.jar"):
        if jar.name.startswith(SUPERFLUOUS):
            jar.unlink()
    _share(fresh)


def install_spark_jars(fresh: Path, progress: Progress) -> None:
    """Fill the folder ``fresh`` with the jars that Glue 5.1 has and pyspark lacks; about 10 s and 120 MB once."""
    progress("Spark: downloading Iceberg and S3A")
    _download(JARS / "spark.pom.xml", fresh)


def configure(settings: Settings, access_key: str, secret_key: str) -> None:
    """Write Trino's settings for this home; the keys are those of ENGINE_USER."""
    home = _home(settings)
    lake = Lake(ENVIRONMENT, SUFFIX)
    values = {
        "port": settings.trino_port,
        "etc": home / "etc",
        "plugins": TOOLS / "trino" / "plugin",
        "metastore": home / "unload",
        "temporary": home / "tmp",
        "server_url": settings.server_url,
        "emulator_url": settings.emulator_url,
        "region": REGION,
        "role": f"arn:aws:iam::{ACCOUNT}:role/{lake.role('analyst')}",
        "warehouse": f"s3://{lake.results_bucket}/warehouse",
        "access_key": access_key,
        "secret_key": secret_key,
    }

    def write(name: str, *templates: str) -> None:
        text = "".join(Template((JARS / "trino" / template).read_text()).substitute(values) for template in templates)
        path = home / "etc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text)

    write("config.properties", "config.properties")
    write("log.properties", "log.properties")
    write("catalog/awsdatacatalog.properties", "awsdatacatalog.properties", "glue.properties", "s3.properties")
    write("catalog/iceberg.properties", "iceberg.properties", "glue.properties", "s3.properties")
    write("catalog/unload.properties", "unload.properties", "s3.properties")


def command(settings: Settings) -> list[str]:
    """The process to start, in any working folder; it needs no environment of its own."""
    home = _home(settings)
    for folder in ("tmp", "unload"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    trino = TOOLS / "trino"
    return [
        "java",
        *JVM,
        f"-Djava.io.tmpdir={home / 'tmp'}",
        f"-Dconfig={home / 'etc' / 'config.properties'}",
        f"-Dlog.levels-file={home / 'etc' / 'log.properties'}",
        "-cp",
        f"{trino / 'start'}:{trino / 'lib'}/*",
        "Start",
        VERSION,
    ]


def started(settings: Settings) -> bool:
    """Whether Trino itself answers at its port and takes statements."""
    import requests  # noqa: PLC0415  set-up has the standard library alone

    try:
        reply = requests.get(f"http://{HOST}:{settings.trino_port}/v1/info", timeout=5)
        return reply.ok and reply.json().get("starting") is False
    except (requests.RequestException, ValueError):
        return False


def _home(settings: Settings) -> Path:
    return settings.data / "trino"


def _download(pom: Path, folder: Path) -> None:
    _run(
        ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", "-DincludeScope=runtime"],
        f"-DoutputDirectory={folder}",
    )


def _run(arguments: list[str], *more: str) -> None:
    subprocess.run([*arguments, *more], check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _share(folder: Path) -> None:
    """Hard-link equal jars: the connectors need most of the same ones."""
    seen: dict[str, Path] = {}
    for jar in sorted(folder.rglob("*.jar")):
        first = seen.setdefault(f"{jar.name}-{hashlib.sha256(jar.read_bytes()).hexdigest()}", jar)
        if first is not jar:
            jar.unlink()
            os.link(first, jar)
