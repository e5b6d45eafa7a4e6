"""What every test gets: no real AWS, no home of the developer's own, an Airflow home that is thrown away.

Tests without a marker need no service and are fast:
``pytest -m "not services and not spark and not trino and not journey"``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import kept_decisions

# An example that is slow tells of a busy machine, not of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

# Their fixtures: emulator, lake_server; lake_services, aws_calls; spark, lake; zone, deployed; trino_home
pytest_plugins = [
    "tests.support.aws_services",
    "tests.support.dag_services",
    "tests.support.spark_session",
    "tests.support.clean_zone",
    "tests.support.athena_home",
]

# Set before any test module is imported: Airflow and boto3 read the environment at import time.
_AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))
# With the variables of `make test`, a make that a test runs would take part in its jobs and speak of them.
_OF_OTHERS = ("AIRFLOW", "AWS_", "LAKE_", "MYSQL_", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
for _name in [name for name in os.environ if name.startswith(_OF_OTHERS)]:
    if _name != "AWS_CA_BUNDLE":
        del os.environ[_name]
os.environ.update(
    {
        "AIRFLOW_HOME": str(_AIRFLOW_HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parents[1] / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(Path(__file__).parents[1] / "plugins"),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_AIRFLOW_HOME}/airflow.db",
        # Whatever forgets to name its endpoint and keys is refused at once instead of reaching AWS.
        "AWS_ACCESS_KEY_ID": "unit-test",
        "AWS_SECRET_ACCESS_KEY": "unit-test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "LAKE_ENVIRONMENT": "test",
        "LAKE_SUFFIX": "unit",
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
    }
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the faults' tests, and of all tests that use the template's roles."""
    parser.addoption("--seeds", type=int, default=1, help="how often each fault is tried, each time otherwise")
    parser.addoption("--fault-results", metavar="FILE", help="write how each fault's tests ended")
    parser.addoption(
        "--calls", type=Path, metavar="FOLDER", help="keep what IAM was asked: infrastructure.iam.decisions"
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Keep tests that build on each other in the order in which they are written: those of a file that is marked
    ``in_order``, and all of the journey. pytest-randomly, which this encloses, shuffles all others."""
    written = {item: place for place, item in enumerate(items)}
    yield
    groups: dict[str, list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        if item.get_closest_marker("journey"):
            groups["journey"].append(place)
        elif item.get_closest_marker("in_order"):
            groups[item.location[0]].append(place)
    for places in groups.values():
        in_order = sorted((items[place] for place in places), key=written.__getitem__)
        for place, item in zip(places, in_order, strict=True):
            items[place] = item


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how to have the same order again, also where ``-q`` hides pytest-randomly's own line."""
    if (seed := config.getoption("randomly_seed", None)) and terminalreporter.stats.keys() & {"failed", "error"}:
        terminalreporter.write_line(f"The same order again: pytest -p randomly --randomly-seed={seed}")


def pytest_configure(config: pytest.Config) -> None:
    """Pass ``--calls`` on to the helpers, which have no access to pytest's options."""
    kept_decisions.folder = config.getoption("--calls")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the Airflow home."""
    shutil.rmtree(_AIRFLOW_HOME, ignore_errors=True)
