"""Free ports for servers that a test starts."""

from __future__ import annotations

import socket

_claims: list[socket.socket] = []  # held until this process ends


def free_ports(count: int = 1) -> int:
    """First of ``count`` (at most 10) consecutive free ports on 127.0.0.1; no other test run on this machine gets them.

    They lie below Linux's ephemeral ports, so that no client's connection takes one before the server is up.
    """
    for first in range(20000, 32000, 10):
        if _claim(first) and all(_is_free(port) for port in range(first, first + count)):
            return first
    raise RuntimeError("no free ports between 20000 and 32000")


def _claim(first: int) -> bool:
    """Whether this block of ports is ours now: its name in Linux's abstract socket namespace has one holder."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0sakila-streams-test-ports-{first}")
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
