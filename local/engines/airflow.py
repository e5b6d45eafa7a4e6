"""Airflow's four parts in the home: their environment and commands.

``python -m local.engines.airflow`` brings the metadata database up to date and makes the pool.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import urllib.request
from datetime import datetime
from importlib.metadata import version
from secrets import token_bytes, token_urlsafe

from datalake.names import STREAMING_FILMS_POOL
from local.engines import files, mysql, postgres
from local.environment import component
from local.settings import HOST, LISTEN, PYTHON_PATH, ROOT, TOOLS, Settings

PORTLESS_PARTS = ("scheduler", "dag-processor", "triggerer")  # whose heartbeats the API server reports
POLL_SECONDS = "1"  # the provider's defaults, 30 s and more, suit AWS


def _settings(settings: Settings) -> dict[str, str]:
    """Airflow's own settings, without the prefix AIRFLOW__."""

    def secret(name: str) -> str:
        return files.once(settings.secrets / f"airflow-{name}", lambda: token_urlsafe(64))

    fernet_path = settings.secrets / "airflow-fernet-key"
    fernet_key = files.once(fernet_path, lambda: base64.urlsafe_b64encode(token_bytes(32)).decode())
    return {
        "CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__EXECUTOR": "local.engines.airflow_executor.HomeExecutor",
        "CORE__PARALLELISM": "4",
        "CORE__FERNET_KEY": fernet_key,
        # Whoever reaches the port is an administrator; it listens on 127.0.0.1 only.
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "CORE__EXECUTION_API_SERVER_URL": f"{settings.airflow_url}/execution/",
        "CORE__HOSTNAME_CALLABLE": "urllib.request.localhost",  # 127.0.0.1: where the logs are served
        "API__HOST": LISTEN,
        "API__PORT": str(settings.airflow_port),
        "API__BASE_URL": settings.airflow_url,
        "API__WORKERS": "1",
        "API__SECRET_KEY": secret("secret-key"),
        "API_AUTH__JWT_SECRET": secret("jwt-secret"),
        "DATABASE__SQL_ALCHEMY_CONN": postgres.url(settings),
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
        "LOGGING__BASE_LOG_FOLDER": str(settings.logs / "airflow"),
        "LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(settings.logs / "airflow" / "dag_processor"),
        "LOGGING__WORKER_LOG_SERVER_PORT": str(settings.airflow_port + 1),
        "LOGGING__TRIGGER_LOG_SERVER_PORT": str(settings.airflow_port + 1),
        "OPERATORS__DEFAULT_DEFERRABLE": "True",  # as on AWS: who waits, waits in the triggerer
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        # A task whose worker or scheduler was killed is tried again after a minute; Airflow's defaults are 5 and 10.
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
        "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "30",
        "SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
        "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "15",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def database_environment(settings: Settings) -> dict[str, str]:
    """What Airflow needs to know before the lake exists."""
    return {
        **{f"AIRFLOW__{name}": value for name, value in _settings(settings).items()},
        "AIRFLOW_HOME": str(settings.data / "airflow"),
        "PYTHONPATH": PYTHON_PATH,
        "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of Airflow's own libraries, in every task's log
        "PATH": f"{TOOLS}/airflow/bin{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    }


def airflow_environment(settings: Settings) -> dict[str, str]:
    """The whole environment of Airflow's parts, and of the command ``airflow``, under the lake's airflow role."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR", "USER") if name in os.environ}
    return {
        **kept,
        **database_environment(settings),
        **component(settings, "airflow"),
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
        "LAKE_MYSQL_CA": str(mysql.ca_path(settings)),
        "LAKE_POLL_SECONDS": POLL_SECONDS,
        "LAKE_HOME": str(settings.home),
        "LAKE_PORT": str(settings.port),
    }


def command(part: str) -> list[str]:
    """The API server or one of PORTLESS_PARTS.

    Airflow's log servers would listen on every address of the machine, so ours takes their place.
    """
    options = ["--skip-serve-logs"] if part in ("scheduler", "triggerer") else []
    return [str(TOOLS / "airflow" / "bin" / "airflow"), part, *options]


def log_server(settings: Settings) -> list[str]:
    """The command that serves the logs of running tasks on 127.0.0.1; the API server fetches them with a token."""
    factory = ["--factory", "airflow.utils.serve_logs.log_server:get_app"]
    address = ["--host", HOST, "--port", str(settings.airflow_port + 1), "--log-level", "warning"]
    return [str(TOOLS / "airflow" / "bin" / "uvicorn"), *factory, *address]


def answers(settings: Settings) -> bool:
    """Whether the API serves."""
    with urllib.request.urlopen(f"{settings.airflow_url}/api/v2/version", timeout=5) as reply:  # noqa: S310
        return bool(reply.status == 200)


def beats(settings: Settings, part: str, since: datetime) -> bool:
    """Whether a part that has no port has sent a heartbeat after ``since``, as the API reports it."""
    with urllib.request.urlopen(f"{settings.airflow_url}/api/v2/monitor/health", timeout=5) as reply:  # noqa: S310
        report = json.load(reply)[part.replace("-", "_")]
    beat = report[f"latest_{part.replace('-', '_')}_heartbeat"]
    return beat is not None and datetime.fromisoformat(beat) >= since


def migrate(settings: Settings) -> None:
    """Bring the metadata database to this Airflow's version and make the pool; quick when both are done."""
    done = settings.data / "airflow" / "migrated"
    wanted = f"{version('apache-airflow')} {STREAMING_FILMS_POOL}"
    if done.exists() and done.read_text() == wanted:
        return
    from airflow.cli import cli_parser  # noqa: PLC0415  seconds of imports

    parser = cli_parser.get_parser()
    for line in (
        ["db", "migrate"],
        ["pools", "set", STREAMING_FILMS_POOL, "1", "one enrichment or rebuild at a time", "--include-deferred"],
    ):
        arguments = parser.parse_args(line)
        arguments.func(arguments)
    done.parent.mkdir(parents=True, exist_ok=True)
    done.write_text(wanted)


if __name__ == "__main__":
    migrate(Settings.from_environment())
    sys.exit(0)
