"""A running node: wire process, scanner process, boxes and control socket, wired together."""

from __future__ import annotations

from flocksy.config.settings import NodeSettings
from flocksy.node.log import LogFormat

__all__ = ["run"]


def run(settings: NodeSettings, log_format: LogFormat) -> int:
    """Run the node in the foreground until it is told to stop. Returns the exit status.

    The caller holds the lock of the node's state. Raises `FlocksyError` where it cannot start.
    """
    from flocksy.node.log import set_up
    from flocksy.node.node import Node

    set_up(log_format)
    node = Node(settings)
    try:
        return node.run()
    finally:
        node.close()
