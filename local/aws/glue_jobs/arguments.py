"""The arguments of a job run: those that Glue itself uses and what they do here, and those of the script.

Source: AWS Glue Developer Guide, "Using job parameters in AWS Glue jobs".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement

from local.aws.protocol import AwsError

# Used by Glue and not passed on to the script; those without a function below only change monitoring and bills on AWS.
USED_BY_GLUE = {
    "--additional-python-modules", "--class", "--conf", "--continuous-log-logGroup", "--datalake-formats",
    "--enable-auto-scaling", "--enable-continuous-cloudwatch-log", "--enable-continuous-log-filter",
    "--enable-glue-datacatalog", "--enable-job-insights", "--enable-metrics", "--enable-observability-metrics",
    "--enable-spark-ui", "--extra-files", "--extra-jars", "--extra-py-files", "--job-bookmark-option",
    "--job-language", "--python-modules-installer-option", "--spark-event-logs-path", "--user-jars-first",
}  # fmt: skip
# Arguments that would change what a job does, and the only value that is accepted because it changes nothing
REFUSED_UNLESS = {
    "--class": "",
    "--enable-glue-datacatalog": "false",  # it needs AWS's Hive client for Glue, which is not published
    "--extra-files": "",
    "--extra-jars": "",
    "--job-bookmark-option": "job-bookmark-disable",
    "--job-language": "python",
    "--user-jars-first": "false",
}


def merge(job: Mapping[str, object], given: Mapping[str, str]) -> dict[str, str]:
    """The job's default arguments, overridden by the run's, overridden by the job's NonOverridableArguments."""
    arguments: dict[str, str] = {}
    for part in (job.get("DefaultArguments"), given, job.get("NonOverridableArguments")):
        arguments |= part if isinstance(part, Mapping) else {}
    return arguments


def refuse_unsupported(arguments: Mapping[str, str]) -> None:
    """Raise InvalidInputException naming an argument that the local home would have to ignore."""
    for name, harmless in REFUSED_UNLESS.items():
        if arguments.get(name, harmless).lower() != harmless:
            raise AwsError("InvalidInputException", f"The local home does not run jobs with {name} {arguments[name]}")
    for name in lake_formats(arguments):
        if name != "iceberg":
            raise AwsError("InvalidInputException", f"The local home has no jars for --datalake-formats {name}")


def lake_formats(arguments: Mapping[str, str]) -> list[str]:
    """The table formats whose jars the job requests."""
    return _split(arguments.get("--datalake-formats", ""))


def python_files(arguments: Mapping[str, str]) -> list[str]:
    """The S3 addresses of ``--extra-py-files``."""
    return _split(arguments.get("--extra-py-files", ""))


def spark_settings(arguments: Mapping[str, str]) -> dict[str, str]:
    """The settings of ``--conf``: Glue accepts it once, so its value chains several ("a=b --conf c=d")."""
    settings = {}
    text = arguments.get("--conf", "").strip()
    for setting in re.split(r"\s+--conf\s+", text) if text else ():
        name, equals, value = setting.partition("=")
        if not equals:
            raise AwsError("InvalidInputException", f"--conf {setting!r} is not name=value")
        settings[name.strip()] = value.strip()
    return settings


def missing_modules(arguments: Mapping[str, str]) -> list[str]:
    """The modules of ``--additional-python-modules`` that the job's Python does not have, each with the reason.

    AWS would install them; here they come from the locked requirements, so a difference makes the run fail.
    """
    wrong = []
    for text in _split(arguments.get("--additional-python-modules", "")):
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


def script_arguments(arguments: Mapping[str, str]) -> list[str]:
    """The arguments on the script's command line."""
    words: list[str] = []
    for name, value in arguments.items():
        if name not in USED_BY_GLUE:
            words += [name, value]
    return words


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
