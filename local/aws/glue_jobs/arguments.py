"""A job run's arguments: which ones Glue itself takes, and what they mean here.

Source: AWS Glue Developer Guide, "Using job parameters in AWS Glue jobs".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement

from local.aws.protocol import AwsError

# Taken by Glue and not handed to the script; those not named below change only what AWS observes or bills.
OF_GLUE = {
    "--additional-python-modules", "--class", "--conf", "--continuous-log-logGroup", "--datalake-formats",
    "--enable-auto-scaling", "--enable-continuous-cloudwatch-log", "--enable-continuous-log-filter",
    "--enable-glue-datacatalog", "--enable-job-insights", "--enable-metrics", "--enable-observability-metrics",
    "--enable-spark-ui", "--extra-files", "--extra-jars", "--extra-py-files", "--job-bookmark-option",
    "--job-language", "--python-modules-installer-option", "--spark-event-logs-path", "--user-jars-first",
}  # fmt: skip
# Arguments that would change a job's work, and the values with which they do not.
REFUSED_UNLESS = {
    "--class": "",
    "--enable-glue-datacatalog": "false",  # Spark's own catalog in Glue needs Hive's Glue client, which AWS keeps
    "--extra-files": "",
    "--extra-jars": "",
    "--job-bookmark-option": "job-bookmark-disable",
    "--job-language": "python",
    "--user-jars-first": "false",
}


def merged(job: Mapping[str, object], given: Mapping[str, str]) -> dict[str, str]:
    """Default arguments, overridden by the run's, except what the job says cannot be."""
    arguments: dict[str, str] = {}
    for part in (job.get("DefaultArguments"), given, job.get("NonOverridableArguments")):
        arguments |= part if isinstance(part, Mapping) else {}
    return arguments


def check(arguments: Mapping[str, str]) -> None:
    """Refuse, by name, an argument that the local home would have to ignore; InvalidInputException."""
    for name, harmless in REFUSED_UNLESS.items():
        if arguments.get(name, harmless).lower() != harmless:
            raise AwsError("InvalidInputException", f"The local home does not run jobs with {name} {arguments[name]}")
    for name in lake_formats(arguments):
        if name != "iceberg":
            raise AwsError("InvalidInputException", f"The local home has no jars for --datalake-formats {name}")


def lake_formats(arguments: Mapping[str, str]) -> list[str]:
    """The table formats whose jars the job asks for."""
    return _listed(arguments.get("--datalake-formats", ""))


def python_files(arguments: Mapping[str, str]) -> list[str]:
    """The S3 addresses of ``--extra-py-files``."""
    return _listed(arguments.get("--extra-py-files", ""))


def spark_settings(arguments: Mapping[str, str]) -> dict[str, str]:
    """The settings of ``--conf``: Glue takes one, so further ones are chained in its value ("a=b --conf c=d")."""
    settings = {}
    text = arguments.get("--conf", "").strip()
    for setting in re.split(r"\s+--conf\s+", text) if text else ():
        name, equals, value = setting.partition("=")
        if not equals:
            raise AwsError("InvalidInputException", f"--conf {setting!r} is no name=value")
        settings[name.strip()] = value.strip()
    return settings


def missing_modules(arguments: Mapping[str, str]) -> list[str]:
    """What ``--additional-python-modules`` asks for and the job's Python does not have, each with the reason.

    AWS would install them; here they come from the locked requirements, so a difference is a fault to be told.
    """
    wrong = []
    for text in _listed(arguments.get("--additional-python-modules", "")):
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            wrong.append(f"{text} (only name==version is understood)")
            continue
        try:
            installed = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{text} (not installed)")
            continue
        if not wanted.specifier.contains(installed, prereleases=True):
            wrong.append(f"{text} (installed: {installed})")
    return wrong


def for_script(arguments: Mapping[str, str]) -> list[str]:
    """The command line of the script."""
    words: list[str] = []
    for name, value in arguments.items():
        if name not in OF_GLUE:
            words += [name, value]
    return words


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
