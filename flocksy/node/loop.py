"""The event loop of the box process: file descriptors, deadlines, signals. Nothing else.

Callbacks run one after the other on one thread and must return within some milliseconds, so that
the rings are drained in time.
"""

from __future__ import annotations

import selectors
import signal
import socket
import time
from collections.abc import Callable
from types import FrameType
from typing import Protocol


class Readable(Protocol):
    """Something with a file descriptor that becomes readable."""

    def fileno(self) -> int: ...


class Loop:
    """Waits for whatever comes first. `wake` may be called from any thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, self._swallow)
        self._handlers: list[tuple[signal.Signals, object]] = []
        self._signalled: list[signal.Signals] = []

    def watch(self, source: Readable, callback: Callable[[], None]) -> None:
        """Call `callback` whenever `source` is readable."""
        self._selector.register(source.fileno(), selectors.EVENT_READ, callback)

    def forget(self, source: Readable) -> None:
        """Stop watching `source`."""
        self._selector.unregister(source.fileno())

    def wake(self) -> None:
        """Make the current or the next `wait` return at once."""
        try:
            self._wake_writer.send(b"\1")
        except OSError:
            return  # full: it is going to wake up anyway; closed: nobody waits any more

    def catch(self, *signals: signal.Signals) -> None:
        """Collect these signals for `signalled` instead of letting them act."""
        # A handler runs in the main thread only, but the system may interrupt another one: the
        # wait of the main thread would go on. So the signal itself writes to the wake-up socket.
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        for number in signals:
            self._handlers.append((number, signal.signal(number, self._on_signal)))

    def signalled(self) -> list[signal.Signals]:
        """Signals that came since the last call, each once: Ctrl-Z twice is no second stop."""
        caught: dict[signal.Signals, None] = {}
        # One by one: another may come between any two steps here.
        while self._signalled:
            caught[self._signalled.pop(0)] = None
        return list(caught)

    def wait(self, timeout_s: float) -> None:
        """Run the callbacks of what is ready, after at most `timeout_s` seconds."""
        for key, _ in self._selector.select(max(0.0, timeout_s)):
            key.data()

    def close(self) -> None:
        """Give the signals back and close."""
        for number, handler in self._handlers:
            signal.signal(number, handler)  # type: ignore[arg-type]  # as signal.signal returned it
        if self._handlers:
            signal.set_wakeup_fd(-1)
        self._selector.close()
        self._wake_reader.close()
        self._wake_writer.close()

    @staticmethod
    def now() -> float:
        """Monotonic seconds, as all deadlines of the box process are given."""
        return time.monotonic()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._signalled.append(signal.Signals(number))
        self.wake()

    def _swallow(self) -> None:
        try:
            self._wake_reader.recv(4096)
        except BlockingIOError:
            return
