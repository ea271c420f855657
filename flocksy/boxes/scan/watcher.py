"""The watcher: events of the operating system, coalesced into paths worth looking at.

Events are hints and nothing more: a path is handed on when it has been quiet for a moment, and what
it is now is the scanner's question. Whatever may have lost events ends in `rescan`.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from watchdog.events import (
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from flocksy.boxes.disk.port import PRIVATE
from flocksy.boxes.scan.settling import Dirty, Settling
from flocksy.system import filesystems

STOP_SECONDS = 1.0
"""How long what the watching library does is waited for."""

EVENTS: list[type[FileSystemEvent]] = [
    DirAttribEvent,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
]
"""Not those of reading, which our own scanner makes, and not that a directory was modified, which
comes with everything that happens in it."""


class Watcher:
    """Watches one box. `wake` is called from the watcher's thread after the first event since
    the last `take`; it must be safe to call from any thread and return at once."""

    def __init__(self, root: str, wake: Callable[[], None]) -> None:
        self.root = os.path.realpath(root)
        """The box's directory, without links."""
        self._prefix = os.path.join(self.root, "")
        self._wake = wake
        self._lock = threading.Lock()
        self._settling = Settling()
        self._woken = False
        self._eyes: _Eyes | None = None
        self._lacks: str | None = None
        """What the last try for one more watch said."""
        self._elsewhere = ""
        """The type of a file system in it on which others change what is not told here."""

    def start(self) -> str | None:
        """Returns None, or one line for people why there are no events, or not for all
        directories (rescans still find everything)."""
        self._elsewhere = filesystems.changes_elsewhere(self.root)
        why_not = self._open()
        if why_not is None and self._eyes is not None and self._eyes.refused is not None:
            why_not = self._lacks = _why_not(self.root, self._eyes.refused)
        return why_not or self.shortage()

    def _open(self) -> str | None:
        self.happened(arrived=True)  # what was on its way as others saw it
        try:
            self._eyes = self._open_eyes()
        except OSError as error:
            return _why_not(self.root, error)
        return None

    def _open_eyes(self) -> _Eyes:
        if sys.platform != "linux":
            return _Observer(self)
        from flocksy.boxes.scan.watches import Watches  # the library has what it needs there alone

        def happened(paths: list[bytes]) -> None:
            self.happened(*paths, arrived=True)

        return Watches(os.fsencode(self.root), happened, self.lost, self._arriving)

    def shortage(self) -> str | None:
        """One line for people if the system gives us no more watches, so that directories made
        from now on, or some or all already, are not watched; else None. Asked now and then.

        One more watch, of a directory that is sure to be new, is tried for that. What could not be
        watched is tried again, and the box looked at as after lost events once it can.
        """
        if self._eyes is None:
            why_not = self._open()
            if why_not is not None:
                return why_not
            self.lost()
        eyes = self._eyes
        assert eyes is not None

        def try_one_more() -> None:
            try:
                folder = tempfile.mkdtemp(prefix="flocksy-")
            except OSError:
                return  # a full disk, for one: there is nothing to try it with, and the rest stays
            try:
                eyes.try_one_more(os.fsencode(folder))
                self._lacks = None
            except OSError as error:
                self._lacks = _why_not(self.root, error)
            finally:
                with suppress(OSError):
                    os.rmdir(folder)

        if not _bounded(try_one_more) and self._lacks is None:
            return f"{self.root}: not all of it is watched yet; flocksy rescan finds what happens"
        if self._lacks is None and self._elsewhere:
            return (
                f"{self.root}: {self._elsewhere} does not tell of what is changed elsewhere; that"
                " is found hourly, by flocksy rescan and by flocksy wait"
            )
        return self._lacks

    def take(self, now_s: float) -> Dirty:
        """What is due at `now_s`, in the time of `time.monotonic`."""
        with self._lock:
            self._woken = False
            return self._settling.take(now_s)

    def deadline_s(self) -> float | None:
        """When to call `take` next, if nothing more happens."""
        with self._lock:
            return self._settling.deadline_s()

    def unsettled(self) -> tuple[Sequence[str], bool]:
        """Where something has happened that `take` has not handed on; and whether it may have been
        anywhere."""
        with self._lock:
            return tuple(self._settling.waiting), self._settling.everywhere

    @property
    def busy(self) -> bool:
        """Whether something has happened that `take` has not handed on."""
        with self._lock:
            return self._settling.busy

    @property
    def sees_all(self) -> bool:
        """Whether everything that happens in the box is told, and nothing was lost that `take` has
        not told of."""
        eyes = self._eyes
        with self._lock:
            sees_it = eyes is not None and eyes.see_all and not self._elsewhere
            return sees_it and not self._settling.lost

    def stop(self) -> None:
        """End the watching. Stopping twice, or what never started, is harmless."""
        if self._eyes is not None:
            _bounded(self._eyes.stop)
            self._eyes = None

    def happened(self, *paths: str | bytes, arrived: bool = False) -> None:
        """Something happened at these absolute paths. `arrived`: what was on its way is among them.
        Called by the operating system's thread."""
        inside = [path for path in map(self._inside, paths) if path is not None]
        now_s = time.monotonic()
        with self._lock:
            for path in inside:
                self._settling.note(path, now_s)
            # At once: whoever is told of one of the two names alone sees a deletion. And whoever
            # was woken before has not got what was due.
            was_waited_for = arrived and self._settling.arrived()
            wake = was_waited_for or (bool(inside) and not self._woken)
            self._woken = self._woken or wake
        if wake:
            self._wake()

    def _arriving(self, left: bytes) -> None:
        path = self._inside(left)
        if path is not None:
            with self._lock:
                self._settling.arriving(path, time.monotonic())

    def lost(self) -> None:
        """Events were lost."""
        with self._lock:
            self._settling.overflow()
            wake, self._woken = not self._woken, True
        if wake:
            self._wake()

    def _inside(self, path: str | bytes) -> str | None:
        """The path inside the box; None for what is ours, and for the box itself."""
        name = os.fsdecode(path)
        if not name.startswith(self._prefix):
            return None
        relative = name[len(self._prefix) :].replace(os.sep, "/")
        if relative.partition("/")[0].casefold() == PRIVATE:
            return None
        return relative or None


class _Eyes(Protocol):
    """What watches a box: `Watches` on Linux, elsewhere the library's observer."""

    @property
    def see_all(self) -> bool:
        """Whether no directory was refused, and watches are not just being set."""
        ...

    @property
    def refused(self) -> OSError | None:
        """Why a directory is not watched."""
        ...

    def try_one_more(self, folder: bytes) -> None:
        """Raises `OSError` where the system gives no more watches."""
        ...

    def stop(self) -> None:
        """End the watching."""
        ...


class _Observer:
    """The observer that the library has for this system."""

    see_all = True
    refused = None

    def __init__(self, watcher: Watcher) -> None:
        self._observer = Observer()
        try:
            self._observer.schedule(
                _Handler(watcher), watcher.root, recursive=True, event_filter=EVENTS
            )
            self._observer.start()
        except OSError:
            self._observer.on_thread_stop()  # it holds a thread and a descriptor already
            raise

    def try_one_more(self, folder: bytes) -> None:
        watch = self._observer.schedule(FileSystemEventHandler(), os.fsdecode(folder))
        self._observer.unschedule(watch)

    def stop(self) -> None:
        self._observer.stop()


class _Handler(FileSystemEventHandler):
    """From events to paths."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._watcher.happened(event.src_path, event.dest_path)


def _bounded(work: Callable[[], None]) -> bool:
    """Do something with the library that may not come back: its threads now and then wait for each
    other for ever when directories are moved fast. Then a thread is left behind, which is a daemon
    and says nothing that is listened to, and not the node. Whether it has come back."""
    thread = threading.Thread(target=work, name="watcher-work", daemon=True)
    thread.start()
    thread.join(STOP_SECONDS)
    return not thread.is_alive()


def _why_not(root: str, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        remedy = "sudo sysctl fs.inotify.max_user_watches=1048576"
        return f"{root}: too many directories to watch, changes are found hourly; run: {remedy}"
    if error.errno == errno.EMFILE:
        remedy = "sudo sysctl fs.inotify.max_user_instances=1024"
        return f"{root}: too many watchers, changes are found hourly only; run: {remedy}"
    place = root if error.filename is None else os.fsdecode(error.filename)
    return f"{place}: cannot be watched, changes are found hourly only: {error.strerror or error}"
