"""``make airflow ARGS="dags list"``: Airflow's own command line, run against the home's Airflow.

Takes the arguments of ``airflow``; without any, those in the variable AIRFLOW_ARGS, which are divided as a shell would
divide them. make passes ARGS through that variable, so that no shell and no make reads their quotes and dollars.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from local.engines.airflow import airflow_environment
from local.settings import Settings
from local.supervision import control
from local.supervision.control import HomeError

OF_OTHERS = ("AIRFLOW", "AWS_", "LAKE_")  # variables of the caller's own that Airflow would read


def main(settings: Settings, options: argparse.Namespace) -> int:
    """Become Airflow's command, under the role of the home's Airflow. Raises HomeError."""
    try:
        arguments = options.rest or shlex.split(os.environ.get("AIRFLOW_ARGS", ""))
    except ValueError as error:
        raise HomeError(f"ARGS: {error}: {os.environ['AIRFLOW_ARGS']}") from error
    if not arguments:
        raise HomeError('no command for Airflow: make airflow ARGS="dags list", or ARGS="--help" for all commands')
    control.check_up(settings)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OF_OTHERS)}
    program = Path(sys.executable).with_name("airflow")
    quiet = {"PYTHONWARNINGS": "ignore"}  # of Airflow's own libraries, in the middle of what is printed
    os.execve(program, [str(program), *arguments], {**kept, **airflow_environment(settings), **quiet})  # noqa: S606
