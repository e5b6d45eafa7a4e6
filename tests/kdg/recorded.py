"""What the Kinesis Data Generator itself made (recorded.json, by record.mjs), and the chance from which it made it."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "recorded.json").read_text(encoding="utf-8"))
NOW: float = RECORDED["now"] / 1000
# An empty template's result: only where a helper without a surrounding text gives nothing
NOTHING = "string parameter is required!"


class Chance(Random):
    """The sequence of ``uniform`` in record.mjs."""

    def __init__(self) -> None:
        super().__init__()
        self._state = 42

    def random(self) -> float:
        self._state = self._state * 48271 % 2147483647
        return self._state / 2147483647

    def getrandbits(self, k: int) -> int:
        """Bits as faker.js draws them: four numbers below 256 for an address, 31 below 16 for a UUID, and its 4."""
        if k == 32:
            return int.from_bytes(int(self.random() * 256) for _ in range(4))
        digits = [f"{int(self.random() * 16):x}" for _ in range(31)]
        return int("".join([*digits[:12], "4", *digits[12:]]), 16)
