"""The names of all resources of the lake, made by one rule.

``infrastructure/template.yaml`` states the same rule with ``!Sub``; a test compares every name. ARNs are not kept: they
are looked up at run time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PROJECT = "sakila-streams"

LANDING, CLEAN, CURATED, RESULTS, ARTIFACTS = "landing", "clean", "curated", "results", "artifacts"
AIRFLOW = "airflow"  # not a zone: the bucket of DAGs and code for Airflow on AWS

# Glue databases
SAKILA_DATABASE, LANDING_DATABASE, CURATED_DATABASE = "sakila", "landing", "curated"

# Key prefixes, each with its closing slash
DMS_PREFIX = "dms/"  # landing: DMS writes dms/<schema>/<table>/LOAD00000001.csv
STREAMING_PREFIX = "streaming/"  # landing: Firehose writes streaming/yyyy/MM/<object>
STREAMING_ERRORS_PREFIX = "streaming-errors/"  # landing: what Firehose could not deliver
REPAIRED_PREFIX = "streaming-repaired/"  # landing: repaired events, streaming-repaired/yyyy/MM/
REPAIRS_PREFIX = "repairs/"  # landing: lines that an operator has repaired, repairs/yyyy-MM/<any name>
RUNS_PREFIX = "runs/"  # curated: one JSON report a job run, runs/<job stem>/<job run id>.json
SAKILA_SCRIPTS_PREFIX = "sakila/"  # artifacts: sakila-schema.sql and sakila-data.sql
JOBS_PREFIX = "jobs/"  # artifacts: job scripts and the zip of include/datalake
LAMBDA_PREFIX = "lambda/"  # artifacts: the function's zip
QUERY_RESULTS_PREFIX = "athena/"  # results: what the workgroup writes
REPORTS_PREFIX = "reports/"  # results: what report_film_popularity publishes

SAKILA_SCHEMA = "sakila"  # the MySQL schema

# Airflow's pool of one slot, deferred tasks included: the Glue jobs that write streaming_films run one at a time
# (MaxConcurrentRuns=1), so the others wait here, where the queue can be seen.
STREAMING_FILMS_POOL = "streaming_films"


class _Name(property):
    """A property of ``Lake``: the name that the rule ``make`` gives to a resource; ``meaning`` is its docstring."""

    def __init__(self, make: Callable[[Any, str], str], thing: str, meaning: str) -> None:
        super().__init__(lambda lake: make(lake, thing), doc=meaning)

    def __get__(self, lake: Any, owner: type | None = None) -> str:  # type: ignore[override]
        made: str = super().__get__(lake, owner)
        return made


@dataclass(frozen=True)
class Lake:
    """Resource names of one deployment.

    ``environment`` (dev, prod, local, ...) distinguishes the deployments in one account; ``suffix``, such as the
    account id, makes bucket names globally unique. Both consist of lower-case letters, digits and hyphens.
    """

    environment: str
    suffix: str

    @classmethod
    def from_environment(cls) -> Lake:
        """Read LAKE_ENVIRONMENT and LAKE_SUFFIX; raises KeyError naming the one that is missing."""
        return cls(environment=os.environ["LAKE_ENVIRONMENT"], suffix=os.environ["LAKE_SUFFIX"])

    def name(self, thing: str) -> str:
        """Name of a resource that is unique within an account, e.g. ``sakila-streams-dev-events``."""
        return f"{PROJECT}-{self.environment}-{thing}"

    def bucket(self, zone: str) -> str:
        """Bucket of a zone, e.g. ``sakila-streams-dev-landing-123456789012``."""
        return f"{PROJECT}-{self.environment}-{zone}-{self.suffix}"

    @property
    def stack(self) -> str:
        """CloudFormation stack."""
        return f"{PROJECT}-{self.environment}"

    @property
    def key_alias(self) -> str:
        """Alias of the KMS key."""
        return f"alias/{self.name('lake')}"

    def role(self, component: str) -> str:
        """IAM role of a component: lambda, firehose, dms, crawler, jobs, maintenance, airflow, analyst, producer."""
        return self.name(component)

    landing_bucket = _Name(bucket, LANDING, "DMS's CSV files and Firehose's events.")
    clean_bucket = _Name(bucket, CLEAN, "Parquet of the Sakila tables.")
    curated_bucket = _Name(bucket, CURATED, "Iceberg tables and run reports.")
    results_bucket = _Name(bucket, RESULTS, "Athena's results and the reports.")
    artifacts_bucket = _Name(bucket, ARTIFACTS, "Code and SQL scripts; the deployment creates it, not the template.")
    airflow_bucket = _Name(bucket, AIRFLOW, "DAGs and code for Airflow on AWS.")
    mwaa_environment = _Name(name, AIRFLOW, "Airflow on AWS.")
    mysql_instance = _Name(name, "sakila", "RDS instance.")
    mysql_secret = _Name(name, "mysql", "Secret with host, port, username, password, dbname (RDS's own JSON keys).")
    dms_instance = _Name(name, "dms", "DMS replication instance.")
    dms_source = _Name(name, "mysql-source", "DMS endpoint of MySQL.")
    dms_target = _Name(name, "landing-target", "DMS endpoint of the landing bucket.")
    dms_task = _Name(name, "sakila-full-load", "DMS full-load task.")
    delivery_stream = _Name(name, "events", "Firehose stream of the partners' events.")
    csv_queue = _Name(name, "csv-objects", "SQS queue of new CSV objects.")
    csv_dead_letter_queue = _Name(
        name, "csv-objects-dead-letters", "SQS queue of CSV objects that could not be converted."
    )
    csv_dead_letters_alarm = _Name(name, "csv-dead-letters", "CloudWatch alarm: the dead-letter queue is not empty.")
    alarm_topic = _Name(name, "alarms", "SNS topic that every alarm is published to.")
    csv_function = _Name(name, "csv-to-parquet", "Lambda function that converts CSV to Parquet.")
    crawler = _Name(name, "streaming-events", "Glue crawler over the landed events.")
    film_category_job = _Name(name, "film-category", "Glue job that denormalises film, film_category and category.")
    streaming_films_job = _Name(name, "streaming-films", "Glue job that enriches events.")
    maintain_lake_job = _Name(name, "maintain-lake", "Glue job that maintains the Iceberg tables.")
    workgroup = _Name(name, "analysts", "Athena workgroup.")
