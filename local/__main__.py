"""``python -m local COMMAND``: the home's commands, see ``make``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "include"))

from local.commands.cli import main

sys.exit(main(sys.argv[1:]))
