"""``make stream``: the partners' events into the home's delivery stream, under the role of the producer.

Takes the options of ``python -m kdg`` but --stream and --ledger: the stream is the lake's, and acknowledged event ids
are appended to <LAKE_HOME>/ledgers/live.ids.
"""

from __future__ import annotations

import argparse
import os

from datalake.names import Lake
from kdg.__main__ import arguments
from kdg.__main__ import main as kdg
from local.environment import component
from local.settings import ENVIRONMENT, SUFFIX, Settings
from local.supervision import control


def main(settings: Settings, options: argparse.Namespace) -> int:
    """Run the generator; its exit status. Raises HomeError when the home does not run."""
    ledger = settings.home / "ledgers" / "live.ids"
    given = ["--stream", Lake(ENVIRONMENT, SUFFIX).delivery_stream, "--ledger", str(ledger), *options.rest]
    arguments(given)  # a wrong option, or --help, comes before everything else
    control.check_up(settings)
    producer = component(settings, "producer")
    # keys or profiles of the caller's own would come before the role's credentials
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(producer)
    return kdg(given)
