"""The Unix socket itself: made for its owner only, on the systems that have one."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import stat
import sys
import time

from flocksy.errors import FlocksyError

MAX_PATH_BYTES = 103
"""The shortest limit among the systems (macOS: 104 bytes with the final zero)."""

BACKLOG = 16
"""Commands that may be started while the node is busy with a batch; more of them wait."""

FULL_SECONDS = 0.02
"""Between two tries to connect while so many wait already."""

_NOT_HERE = "flocksy has no control socket on this system: only on Linux, macOS and the BSDs"


def listen(path: str) -> socket.socket:
    """A non-blocking listening socket at `path` (0600, its directory 0700 if made here).

    A left-over socket at `path` is replaced, anything else refused.
    """
    if sys.platform == "win32":
        raise FlocksyError(_NOT_HERE)
    check_length(path)
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise FlocksyError(f"{path}: is not a socket; move it away")
            os.unlink(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(path)
        os.chmod(path, 0o600)  # nobody can connect before listen()
        sock.listen(BACKLOG)
    except OSError as error:
        raise FlocksyError(f"{path}: cannot make the control socket: {error.strerror}") from error
    sock.setblocking(False)
    return sock


def connect(path: str, timeout_seconds: float | None) -> socket.socket:
    """A connection to the node that listens at `path`. OSError where nobody does."""
    if sys.platform == "win32":
        raise FlocksyError(_NOT_HERE)
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout_seconds)
        while True:
            try:
                sock.connect(path)
            except BlockingIOError:  # with a time limit nobody waits for room in the backlog
                if deadline is None or time.monotonic() >= deadline:
                    raise
                time.sleep(FULL_SECONDS)
            else:
                return sock
    except BaseException:
        sock.close()
        raise


def check_length(path: str) -> None:
    """Raise `FlocksyError` where `path` is longer than the address of a socket can be."""
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise FlocksyError(
            f"{path}: longer than the {MAX_PATH_BYTES} bytes a socket's path can have; "
            "set XDG_RUNTIME_DIR or a shorter --state-dir"
        )


def remove(path: str) -> None:
    """Remove the socket, if it is still there."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def selector_fileno(selector: selectors.BaseSelector) -> int:
    """The file descriptor of an epoll or kqueue, which is itself readable when it has events."""
    if sys.platform == "linux" and isinstance(selector, selectors.EpollSelector):
        return selector.fileno()
    if sys.platform != "win32" and sys.platform != "linux":
        if isinstance(selector, selectors.KqueueSelector):
            return selector.fileno()
    raise FlocksyError(_NOT_HERE)
