"""Chooses from a seed whom to kill and when: a shuffled deck holds each target as often as its share says, and the
pauses between kills are random."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.kill_loop.targets import Targets, Victim

# Percent of all kills
SHARES = {
    "lambda": 10,  # few, because a load waits two minutes before it repeats a killed Lambda's notification
    "dms": 12,
    "firehose": 14,
    "spark": 22,
    "task": 14,
    "scheduler": 8,
    "api-server": 8,
    "triggerer": 6,
    "dag-processor": 6,
}
PATIENCE = 5.0  # seconds to wait for a target that is not at work before another one takes its turn
LONGEST_WAIT = 600.0  # seconds without any target at work, after which the home counts as stuck
LOOK_SECONDS = 0.05


class Idle(Exception):
    """No target has been at work for LONGEST_WAIT."""


def deck(kills: int, rng: Random) -> list[str]:
    """``kills`` targets in random order, each as often as its share says, the largest remainders rounded up."""
    exact = {target: kills * share / sum(SHARES.values()) for target, share in SHARES.items()}
    whole = {target: int(number) for target, number in exact.items()}
    by_remainder = sorted(exact, key=lambda target: whole[target] - exact[target])
    for target in by_remainder[: kills - sum(whole.values())]:
        whole[target] += 1
    cards = [target for target, count in whole.items() for _ in range(count)]
    rng.shuffle(cards)
    return cards


class Killer:
    """Kills, and appends each kill to ``log`` as a JSON line. ``killed`` counts the kills by target."""

    def __init__(self, targets: Targets, log: Path, rng: Random, patience: float = PATIENCE) -> None:
        self._targets, self._log, self._rng, self._patience = targets, log, rng, patience
        self.killed: Counter[str] = Counter()

    def run(self, kills: int, pause: float, look: Callable[[], None]) -> None:
        """Kill ``kills`` times, on average ``pause`` seconds apart; ``look`` is called every second and may raise."""
        cards = deck(kills, self._rng)
        while cards:
            self._idle(self._rng.uniform(0.2, 1.8) * pause, look)
            victim = self._choose(cards, look)
            if self._targets.kill(victim):
                cards.remove(victim.target)
                self.killed[victim.target] += 1
                self._write(victim)

    def _choose(self, cards: list[str], look: Callable[[], None]) -> Victim:
        """A victim for the first card; after PATIENCE seconds, for the first card whose target is at work."""
        began = time.monotonic()
        while True:
            waited = time.monotonic() - began
            for target in cards[:1] if waited < self._patience else dict.fromkeys(cards):
                if victims := self._targets.at_work(target):
                    return self._rng.choice(victims)
            if waited > LONGEST_WAIT:
                raise Idle(f"none of {sorted(set(cards))} has been at work for {LONGEST_WAIT:.0f} s")
            self._idle(LOOK_SECONDS, look)

    def _idle(self, seconds: float, look: Callable[[], None]) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            look()
            time.sleep(min(left, 1.0))

    def _write(self, victim: Victim) -> None:
        line = {
            "kill": self.killed.total(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "target": victim.target,
            "pid": victim.pid,
            "doing": victim.doing,
        }
        with self._log.open("a") as file:
            file.write(json.dumps(line) + "\n")
