"""``make sql Q="select ..."``: one statement in the analysts' workgroup, its rows as a table, and what it costs on AWS.

The statement is the argument, or the variable LAKE_SQL, or the standard input: ``make sql < report.sql``. make passes Q
through that variable, so that no shell and no make reads its quotes and dollars. Works on the lake that
LAKE_ENVIRONMENT names; without it on the home, as its developer.
"""

from __future__ import annotations

import argparse
import os
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from local.commands.analyst import Analyst, dollars, scanned, seconds, show
from local.commands.lifecycle import chosen_lake
from local.settings import Settings
from local.supervision.control import HomeError

SHOWN = 100  # rows
WIDEST = 100_000  # characters of a line: a terminal wraps it, so no value is cut


def statement(given: str | None) -> str:
    """The SQL to run; raises HomeError when there is none."""
    sql = given or os.environ.get("LAKE_SQL") or ("" if sys.stdin.isatty() else sys.stdin.read())
    if not sql.strip():
        raise HomeError('no statement: make sql Q="select ...", or make sql < file.sql')
    return sql


def main(settings: Settings, options: argparse.Namespace) -> int:
    """Run the statement and print its rows. Raises HomeError with Athena's own reason when it fails."""
    sql = statement(options.statement)
    try:
        analyst = Analyst(boto3.Session(), chosen_lake(settings))
        execution = analyst.execute(sql)
        columns, rows = analyst.answer(execution, SHOWN + 1)
    except (BotoCoreError, ClientError) as error:
        raise HomeError(str(error)) from error
    console = Console(width=WIDEST)
    if columns:
        show(console, "", columns, rows[:SHOWN])
    if len(rows) > SHOWN:
        whole = execution["ResultConfiguration"]["OutputLocation"]
        print(f"the first {SHOWN} rows; all of them: {whole}")
    elif columns:
        print(f"{len(rows)} {'row' if len(rows) == 1 else 'rows'}")
    print(f"{scanned(execution):,} bytes scanned, {seconds(execution):.1f} s, {dollars(execution):.5f} dollars on AWS")
    return 0
