"""Checks that what a guide writes as a code span exists. Every span must be in one of these classes, in this order:

1. a command (its first word is the name of a program), checked as a command;
2. an object in S3, ``s3://<zone bucket>/...`` or ``s3://$LAKE_ZONE_BUCKET/...``, or a key: names.py has its
   zone and its first folder;
3. a resource's name of names.py or the template, also after a prefix that some source contains, or without
   ``sakila-streams-<environment>-``;
4. a path in the repository, from its root, from include/ (the import root) or from the guide's folder; or one that
   begins with $LAKE_HOME, each part of which some source has as a file's name;
5. ``service:Action`` and operations of AWS's API, which are in botocore's models;
6. words that some source contains exactly: parameters, outputs, columns, tasks, settings, values;
7. several such words, divided by a placeholder (``<...>``), an equals sign or a slash;
8. ``AIRFLOW__SECTION__KEY``, a setting in Airflow's own list;
9. the beginning (``LAKE_*``, ``s3:List*``) or the end (``..._KWARGS``) of a word of a source or of AWS's API;
10. an example in quotes, ``'2026'``, or the id of a check of checkov, ``CKV_AWS_18``;
11. a word of another program, which FOREIGN lists with its source.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from botocore import xform_name

from datalake import names
from local.settings import ROOT
from tests.docs import commands, known
from tests.docs.shell import assignments

PROGRAMS = {"make", "aws", "python", "airflow", "pytest", "pip", "curl", "docker", "eval", "git", "export"}
ZONES = {names.LANDING, names.CLEAN, names.CURATED, names.RESULTS, names.ARTIFACTS, "airflow"}
FOREIGN = {
    "FOR TIMESTAMP AS OF": "Athena's SQL",
    "S3.AccessDenied": "Firehose's log (Data Firehose Developer Guide: Amazon S3 data delivery errors)",
    "ThrottledRecords": "Firehose's metric (Data Firehose Developer Guide: Monitoring with CloudWatch metrics)",
    "AccessDeniedException": "AWS's error",
    "airflow.api": "an endpoint of PrivateLink (MWAA User Guide: Creating the required VPC service endpoints)",
    "airflow.env": "the same",
    "airflow.ops": "the same",
    "ecr.api": "the same",
    "ecr.dkr": "the same",
    "rds-ca-rsa2048-g1": "RDS's authority (RDS User Guide: Using SSL/TLS to encrypt a connection)",
    "ConcurrentRunsExceededException": "Glue's error",
    "Task timed out": "Lambda's log (Lambda Developer Guide: Troubleshoot execution issues)",
    "Runtime exited": "the same",
    "No module named 'awswrangler'": "Python",
    "certificate verify failed": "OpenSSL",
    "already exists": "CloudFormation's message",
    "Cannot find version": "RDS's message",
    "mysql": "a schema of MySQL's own",
    "performance_schema": "the same",
    "DELETE_FAILED": "CloudFormation's status",
    "UPDATE_ROLLBACK_FAILED": "the same",
}


def problems(text: str, guide: Path) -> Iterator[str]:
    """The problems of a code span of a guide."""
    words = assignments(text.split())[1]
    if len(text.split()) > 1 and words and words[0].rpartition("/")[2] in PROGRAMS:
        yield from commands.problems(text)
    elif text.startswith("s3://"):
        yield from _object(text)
    elif found := re.fullmatch(rf"(.*?)({names.PROJECT}-[^/]*)", text):
        if not known.is_resource(found[2]):
            yield f"there is no resource {found[2]}"
        if found[1] not in known.source():
            yield f"nothing begins with {found[1]}"
    elif not _exists(text, guide):
        yield f"nothing is called {text}"


def _object(text: str) -> Iterator[str]:
    bucket, _, key = text.removeprefix("s3://").partition("/")
    zone = re.fullmatch(r"<(\w+) bucket>|\$LAKE_([A-Z]+)_BUCKET", bucket)
    if not (zone and (zone[1] or zone[2].lower()) in ZONES) and not known.is_resource(bucket):
        yield f"there is no bucket {bucket}"
    if key and not _key(key):
        yield f"no zone has a folder {key}"


def _key(text: str) -> bool:
    return text.startswith(tuple(known.PREFIXES))


def _exists(text: str, guide: Path) -> bool:
    if text in FOREIGN or text in known.dag_words() or known.is_short_name(text) or text in known.api_words():
        return True
    if text.startswith("$LAKE_HOME/"):
        return all(known.is_file_name(one) for one in text.split("/")[1:])
    if known.in_source(text) or re.fullmatch(r"'[^']*'", text) or re.fullmatch(r"CKV2?_AWS_\d+", text):
        return True
    if setting := re.fullmatch(r"AIRFLOW__([A-Z]+)__([A-Z_]+)(=.*)?", text):
        return (setting[1].lower(), setting[2].lower()) in known.airflow_settings()
    if re.fullmatch(r"[\w:.]+\*|\.\.\.\w+", text):
        return known.some_word(text)
    if ("/" in text or "." in text) and (_path(text, guide) or _key(text)):
        return True
    if action := re.fullmatch(r"([a-z0-9-]+):(\w+)", text):
        return known.operation(action[1], xform_name(action[2], "-")) is not None
    parts = [one for one in re.split(r"<[^>]*>|[/=\s]|\.\.\.|\byyyy\b|\bMM\b", text) if one.strip(".-")]
    return len(parts) > 1 and all(
        known.in_source(one.strip(".-")) or known.is_short_name(one.strip("-")) for one in parts
    )


def _path(text: str, guide: Path) -> bool:
    for folder in (ROOT, ROOT / "include", guide.parent):
        place = (folder / text).resolve()
        if place.is_relative_to(ROOT):
            relative = str(place.relative_to(ROOT))
            if {relative, f"{relative}/"} & known.files():
                return True
    return False
