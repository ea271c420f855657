"""The control socket of a running node, kept where commands find it.

Its directory may go while the node runs: with the last session of a user systemd removes
`/run/user/UID`, and a node under nohup or tmux flies on. And a command may look elsewhere: cron and
su know no `$XDG_RUNTIME_DIR`. So the socket is made anew when it is gone, and the state directory
says where it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from flocksy.config.state import socket_place, tell_control_path
from flocksy.errors import FlocksyError
from flocksy.status.control import ControlServer, Handler

LOOK_SECONDS = 2.0
"""Between two looks whether the socket is still there."""

log = logging.getLogger("flocksy.node")


class Control:
    """Has `handle` asked by who connects. `server` is for the loop."""

    def __init__(self, state_dir: str, handle: Handler, problem: Callable[[str], None]) -> None:
        """`problem` is told in words what keeps commands from this node. Raises `FlocksyError`."""
        self._state_dir = state_dir
        self._problem = problem
        self._look_at = 0.0
        path = socket_place(state_dir)
        self.server = ControlServer(path, handle)
        self._tell(path)

    def turn(self, now: float) -> None:
        """Make the socket anew where it is gone; also elsewhere, if its directory is."""
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        if self.server.is_in_place:
            return
        try:
            path = socket_place(self._state_dir)
            self.server.move(path)
        except FlocksyError as error:
            self._problem(f"{error}; until then commands do not reach this node")
            return
        log.warning("the control socket was gone: it is at %s now", path)
        self._tell(path)

    def _tell(self, path: str) -> None:
        try:
            tell_control_path(self._state_dir, path)
        except OSError as error:
            self._problem(
                f"{self._state_dir}: where the control socket is cannot be written down"
                f" ({error.strerror}): a command with another XDG_RUNTIME_DIR does not find it"
            )
