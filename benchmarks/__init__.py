"""Benchmarks: how long the lake takes, compared with a lower limit that is measured in the same run.

``python -m benchmarks.<name>`` runs one; README.md has the results.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "include"))
