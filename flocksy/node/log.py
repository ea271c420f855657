"""The node's log: short lines for people, or one JSON object per line.

Nothing logged names who made a change, and nothing is logged inside a tick of the schedule: the
log belongs to the box process. The other two write what Python says of a bug that ends them, and
no more.

A line may come of what is in a box, and who waits until it is written has all lanes wait in a
burst: where a terminal is held (Ctrl-S), or where a pipe's reader does not read. So a thread writes
it.
"""

from __future__ import annotations

import json
import logging
import os
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TextIO

from flocksy.errors import FlocksyError
from flocksy.status.printable import printable
from flocksy.system.processes import held_back, run_in_batches

LogFormat = Literal["human", "json"]

MAX_WAITING = 1000
"""Lines that wait to be written; what comes while there are so many is dropped. A line may name
two paths, so this is some MB at worst."""

END_SECONDS = 3.0
"""How long the end of a node waits until all is written."""


class _Human(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = self.formatTime(record, "%H:%M:%S")
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        return f"{stamp} {level}{printable(_words(record))}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "time": round(record.created, 3),
                "level": record.levelname.lower(),
                "part": record.name.removeprefix("flocksy."),
                "message": _words(record),
            },
            ensure_ascii=True,
        )


def _words(record: logging.LogRecord) -> str:
    """What is said, also by libraries: theirs may come with an error, or be wrong."""
    error = record.exc_info[1] if record.exc_info else None
    try:
        words = record.getMessage()
        return words if error is None else f"{words} ({type(error).__name__}: {error})"
    except Exception as wrong:  # noqa: BLE001 - whatever their objects do to be written
        return f"a library's message that cannot be written ({type(wrong).__name__})"


class _Background(logging.Handler):
    """Writes lines in their order, on a thread of its own. Whoever logs waits for nothing."""

    def __init__(self, stream: TextIO) -> None:
        """Raises `FlocksyError` where there is no thread to be had."""
        super().__init__()
        # Past the stream, which a thread that hangs in it would hold: Python aborts at its end
        # where it cannot have it.
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding
        self._changed = threading.Condition()
        self._waiting: list[bytes] = []
        self._dropped = 0
        self._ending = False
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        try:
            with held_back():  # for good in that thread: signals are for the main one
                self._thread.start()
        except RuntimeError as error:
            raise FlocksyError(
                f"the log cannot be written ({error}): make room in memory, or for more processes"
                " of this user"
            ) from error

    def emit(self, record: logging.LogRecord) -> None:
        line = self._line(record)
        with self._changed:
            if len(self._waiting) < MAX_WAITING:
                self._waiting.append(line)
                self._changed.notify()
            else:
                self._dropped += 1

    def end(self) -> None:
        """Write what waits, and nothing afterwards; but do not wait long for a reader."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(END_SECONDS)
        if self._thread.is_alive():
            # Nor must the last words of this process wait for who does not read.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._descriptor)

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode(self._encoding, "backslashreplace")

    def _work(self) -> None:
        run_in_batches()  # like all of the box process
        while lines := self._take():
            self._write(b"".join(lines))

    def _take(self) -> list[bytes]:
        """Wait for lines, and take all. None are left only at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending)
            lines, self._waiting = self._waiting, []
            dropped, self._dropped = self._dropped, 0
        if dropped:  # after these, and before whatever comes
            words = "%d lines of the log were dropped here: nobody read what was written"
            lines.append(
                self._line(
                    logging.LogRecord(
                        "flocksy.node", logging.WARNING, "", 0, words, (dropped,), None
                    )
                )
            )
        return lines

    def _write(self, line: bytes) -> None:
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BlockingIOError:  # set so by somebody else who has the same one open
                select.select([], [self._descriptor], [])
            except OSError:
                return  # a closed pipe, a full disk: there is nowhere to say it


@contextmanager
def written(log_format: LogFormat) -> Iterator[None]:
    """What is logged meanwhile, and what libraries warn of, goes to standard error."""
    handler = _Background(sys.stderr)
    handler.setFormatter(_Human() if log_format == "human" else _Json())
    logging.getLogger("flocksy").setLevel(logging.INFO)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        handler.end()
        root.removeHandler(handler)
