"""TCP ports on this machine that nothing listens on."""

from __future__ import annotations

import errno
import socket
from contextlib import closing

from services.launcher.errors import LaunchError

LOOPBACK = "127.0.0.1"
UI_PORT = 7420
UI_PORTS_TRIED = 100


def free_port(host: str = LOOPBACK) -> int:
    """A port that was free a moment ago; who binds it must be ready to lose the race."""
    with closing(socket.socket()) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen there now (a port in TIME_WAIT counts as free)."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
        return True


def first_free_port(start: int = UI_PORT, host: str = LOOPBACK) -> int:
    """The first free port from `start` upwards; raises LaunchError after a hundred."""
    for port in range(start, start + UI_PORTS_TRIED):
        if is_free(port, host):
            return port
    raise LaunchError(
        f"no free port from {start} to {start + UI_PORTS_TRIED - 1} on {host}",
        fix="stop a program that listens there",
    )
