"""A running node: wire process, scanner process, boxes and control socket, wired together."""

from __future__ import annotations

import signal

from flocksy.config.load import reload
from flocksy.config.settings import NodeSettings
from flocksy.errors import FlocksyError, RevokedError
from flocksy.node.log import LogFormat, written
from flocksy.system import memory
from flocksy.system.processes import write_anyway

__all__ = ["run"]


def run(settings: NodeSettings, log_format: LogFormat, *, once: bool = False) -> int:
    """Run the node in the foreground until it is told to stop, or `once` until all is equal.
    Returns the exit status.

    The caller holds the lock of the node's state. Raises `FlocksyError` where it cannot start or
    go on.
    """
    write_anyway()  # what is logged must not decide when this node leaves the flock
    with written(log_format):
        return _run(settings, once)


def _run(settings: NodeSettings, once: bool) -> int:
    from flocksy.node.node import Node

    memory.forbid_core_dumps()
    if hasattr(signal, "SIGHUP"):
        # Between two of its nodes the process reads everything anew by itself.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    while True:
        memory.lock_in_memory(settings.key_pair.private_key)
        node = Node(settings, once=once)
        try:
            status = node.run()
        finally:
            node.close()
        if node.successor is None:
            memory.wipe(settings.key_pair.private_key)
            return status
        settings = _succeeding(settings, node.successor)


def _succeeding(before: NodeSettings, successor: NodeSettings) -> NodeSettings:
    """What the next node runs with; a private key that it has not is wiped."""
    settings = _newest(successor)
    kept = settings.key_pair.private_key
    for gone in (before.key_pair.private_key, successor.key_pair.private_key):
        if gone is not kept:
            memory.wipe(gone)
    return settings


def _newest(settings: NodeSettings) -> NodeSettings:
    """What the files say now: they may have changed again while the node was leaving."""
    from flocksy.node.processes import shared_bytes

    try:
        return reload(settings, shared_bytes)
    except RevokedError:
        raise
    except FlocksyError:
        return settings  # as they were when they were right
