"""Free ports for servers that a test starts."""

from __future__ import annotations

import os
import socket

_given: set[int] = set()


def free_ports(count: int = 1) -> int:
    """First of ``count`` consecutive free ports on 127.0.0.1 that no earlier call of this process was given."""
    start = 20000 + os.getpid() % 1000 * 10  # test runs side by side begin their search apart
    for first in range(start, 32000, 10):
        block = range(first, first + count)
        if not _given.isdisjoint(block):
            continue
        try:
            for port in block:
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        _given.update(block)
        return first
    raise RuntimeError("no free ports between 20000 and 32000")
