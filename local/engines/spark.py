"""How a job's Java is started: its jars, its options, and the archive of the classes that it loads.

Java's class data sharing (Java Virtual Machine Guide, "Class Data Sharing"): the archive is made once, and spares each
job the reading and checking of some 20,000 classes. It is good for one Java and one class path; Java leaves one aside
that does not fit, and takes the classes from their jars. Standard library only: set-up makes the archive.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from local import settings
from local.engines import java
from local.settings import HOST, REGION

TOOLS = settings.TOOLS.resolve()  # an archive is good for the places that its jars were read from
JARS = TOOLS / "spark-jars"
ARCHIVE = TOOLS / "spark-classes" / "classes.jsa"
_STAMP = ARCHIVE.with_name("stamp")
# For two cores and short runs. A small job that writes Iceberg, CPU seconds (two busy cores, one run each): default
# collector and compilers 16, serial collector 19-21, serial without the C2 compiler 11-13. 1.5 million rows of JSON
# parsed and written by the JVM: 29-31 against 27-30 with C2. Without C2 Java reserves 48 MB for code, too little for a
# long run, which then slows down.
_OPTIONS = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"
# Without an archive, or with an unfit one, neither an error nor a word.
JAVA_OPTIONS = f"{_OPTIONS} -XX:SharedArchiveFile={ARCHIVE} -Xshare:auto -Xlog:cds*=off -Xlog:class+path=off"
ICEBERG_CATALOG = "org.apache.iceberg.spark.SparkCatalog"
# Spark's own settings of every job
LOCAL = {
    "spark.master": "local[2]",
    "spark.driver.memory": "1g",
    "spark.driver.bindAddress": HOST,
    "spark.driver.host": HOST,
    "spark.sql.shuffle.partitions": "4",  # two cores: the default of 200 is 200 tiny tasks
    "spark.ui.enabled": "false",
}

_JOB = Path(__file__).with_name("class_archive_workload.py")
_SECONDS = 600
_REFUSED = f"http://{HOST}:9"  # nobody listens there
_SETTINGS = {
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
    "spark.sql.catalog.trained": ICEBERG_CATALOG,
    "spark.sql.catalog.trained.type": "hadoop",
    "spark.sql.catalog.refused": ICEBERG_CATALOG,
    "spark.sql.catalog.refused.type": "glue",
    "spark.sql.catalog.refused.warehouse": "s3://none/",
    "spark.sql.catalog.refused.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
    "spark.sql.catalog.refused.glue.endpoint": _REFUSED,
    "spark.sql.catalog.refused.s3.endpoint": _REFUSED,
    "spark.sql.catalog.refused.client.region": REGION,
}


def jars() -> list[Path]:
    """What is behind Spark's own jars on the class path, always in one order."""
    return sorted(JARS.glob("*.jar"))


def environment(path: Iterable[Path]) -> dict[str, str]:
    """What spark-submit needs to find Java, Python and these jars."""
    return {
        **java.environment(),
        "PYSPARK_PYTHON": str(TOOLS / "airflow" / "bin" / "python"),
        "SPARK_DIST_CLASSPATH": os.pathsep.join(map(str, path)),  # read where they are, without a copy a run
        "SPARK_LOCAL_IP": HOST,
        "TZ": "UTC",
    }


def submit(properties: Path, given: Mapping[str, object]) -> list[str]:
    """How a command begins that submits a job with these settings, which it finds in the file ``properties``."""
    properties.write_text("".join(f"{name} {value}\n" for name, value in given.items()))
    return [str(TOOLS / "airflow" / "bin" / "spark-submit"), "--properties-file", str(properties)]


def run_noted_job(folder: Path, options: str, log: Path) -> None:
    """Run the job whose classes the archive has, with these options of Java; it works in ``folder``, which is empty.

    Raises subprocess.CalledProcessError; what it printed is in ``log``.
    """
    given = {
        **LOCAL,
        **_SETTINGS,
        "spark.driver.extraJavaOptions": f"{options} -Djava.io.tmpdir={folder}",
        "spark.local.dir": folder,
        "spark.sql.warehouse.dir": folder / "warehouse",
        "spark.sql.catalog.trained.warehouse": folder / "trained",
    }
    keys = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "TMPDIR": str(folder)}
    with log.open("ab") as output:
        subprocess.run(
            [*submit(folder / "spark.properties", given), _JOB, folder],
            env={**os.environ, **environment(jars()), **keys},
            stdout=output,
            stderr=output,
            timeout=_SECONDS,
            check=True,
        )


def stamp() -> str:
    """What the archive depends on: Java, Spark with its jars and where they are, and what the noted job does."""
    seen = hashlib.sha256((java.home() / "release").read_bytes() + _JOB.read_bytes() + Path(__file__).read_bytes())
    for made in (TOOLS / "airflow" / "stamp", TOOLS / "spark-jars.stamp"):
        seen.update(made.read_bytes() if made.exists() else b"")
    return seen.hexdigest()


def archive_needed() -> bool:
    """Whether there is no archive, or one of something else."""
    return not (ARCHIVE.exists() and _STAMP.exists() and _STAMP.read_text() == stamp())


def make_archive(log: Path) -> None:
    """Run a job whose classes are noted, and keep the archive: about 20 s and 200 MB once.

    Raises subprocess.CalledProcessError; what the job printed is in ``log``.
    """
    folder = Path(tempfile.mkdtemp(prefix="spark-classes-"))
    try:
        made = folder / ARCHIVE.name
        run_noted_job(folder, f"{_OPTIONS} -XX:ArchiveClassesAtExit={made}", log)
        ARCHIVE.parent.mkdir(exist_ok=True)
        new = ARCHIVE.with_suffix(".new")
        new.unlink(missing_ok=True)
        shutil.copy(made, new)
        new.replace(ARCHIVE)  # a job that runs keeps the old file
        _STAMP.write_text(stamp())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
