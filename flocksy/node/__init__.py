"""A running node: wire process, scanner process, boxes and control socket, wired together."""

from __future__ import annotations

import os
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
    settings = _of_this_moment(settings)
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


def _of_this_moment(before: NodeSettings) -> NodeSettings:
    """What the files say now that the lock is ours. `before` was read without it, perhaps long
    before, since a person was asked for a passphrase: a command that has changed the files
    meanwhile found no node to tell, and said that it is done. Raises `FlocksyError`."""
    path = before.config_path
    if os.path.exists(path) and not os.path.isfile(path):
        return before  # a pipe says it once
    settings = reload(before, lambda _: None)
    _wipe_all_but(settings, before)
    return settings


def _succeeding(before: NodeSettings, successor: NodeSettings) -> NodeSettings:
    """What the next node runs with; a private key that it has not is wiped."""
    settings = _newest(successor)
    _wipe_all_but(settings, before, successor)
    return settings


def _wipe_all_but(kept: NodeSettings, *others: NodeSettings) -> None:
    for gone in others:
        if gone.key_pair.private_key is not kept.key_pair.private_key:
            memory.wipe(gone.key_pair.private_key)


def _newest(settings: NodeSettings) -> NodeSettings:
    """What the files say now: they may have changed again while the node was leaving."""
    from flocksy.node.processes import check_could_run

    try:
        return reload(settings, lambda found: check_could_run(found, settings.hostnames))
    except RevokedError:
        raise
    except FlocksyError:
        return settings  # as they were when they were right
