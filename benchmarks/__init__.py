"""What the lake takes, beside a limit that is measured in the same run: ``python -m benchmarks.<name>``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "include"))
