"""The watcher: events of the operating system, coalesced into paths worth looking at.

Events are hints and nothing more: a path is handed on when it has been quiet for a moment, and what
it is now is the scanner's question. Whatever may have lost events ends in `rescan`.
"""

from __future__ import annotations

import errno
import heapq
import math
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
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

QUIET_S = 0.05
"""A path is handed on after this long without an event: most programs have written by then."""
LONGEST_QUIET_S = 2.0
"""The quiet asked of a path doubles with every event that falls into it, up to here."""
LONGEST_WAIT_S = 5.0
"""A path that is never quiet is handed on after this: what is found then may be sent, or `Busy`."""
STOP_SECONDS = 1.0
"""How long the end of the watching is waited for."""
MAX_PATHS = 20_000
"""Paths waiting; with more, one look at the whole box is cheaper than so many single ones."""

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


@dataclass(frozen=True, slots=True)
class Dirty:
    """What to scan. `rescan`: look at the whole box; `lost`: since events were lost, and not since
    they were too many."""

    paths: tuple[str, ...]
    rescan: bool
    lost: bool = False


@dataclass(slots=True)
class _Waiting:
    first_s: float
    last_s: float
    quiet_s: float

    def due_s(self) -> float:
        return min(self.last_s + self.quiet_s, self.first_s + LONGEST_WAIT_S)


class Settling:
    """Hands a path on once it has been quiet for a while (pure: `now_s` comes in)."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}
        self._order: list[tuple[float, str]] = []
        """A heap of (when, path), one for each that waits. It is not due before that, but it may
        have moved meanwhile; that is looked at when its turn comes, not with every event."""
        self._rescan = False
        self._lost = False
        self._arriving_s: float | None = None
        """Since when a directory that was moved is gone through, before it is noted."""

    def arriving(self, now_s: float) -> None:
        """A directory was moved here, and will be `arrived` with all below. Until then nothing is
        handed on: it has gone from somewhere a moment ago, and that is half of the news."""
        self._arriving_s = now_s

    def arrived(self) -> float | None:
        """It has been gone through. When it came, which is when something happened there."""
        since_s, self._arriving_s = self._arriving_s, None
        return since_s

    def note(self, path: str, now_s: float) -> None:
        """Something happened at the path."""
        waiting = self._waiting.get(path)
        if waiting is None:
            if len(self._waiting) >= MAX_PATHS:
                self._give_up()
            elif not self._rescan:
                waiting = self._waiting[path] = _Waiting(now_s, now_s, QUIET_S)
                heapq.heappush(self._order, (waiting.due_s(), path))
            return
        if now_s - waiting.last_s > QUIET_S / 2:
            # Not the same write call any more: somebody is at work here.
            waiting.quiet_s = min(waiting.quiet_s * 2, LONGEST_QUIET_S)
        waiting.last_s = now_s

    def overflow(self) -> None:
        """Events were lost."""
        self._give_up()
        self._lost = True

    def _give_up(self) -> None:
        self._waiting.clear()
        self._order.clear()
        self._rescan = True

    def take(self, now_s: float) -> Dirty:
        """What is due; empty when nothing is."""
        if self._arriving_s is not None:
            return Dirty((), False)
        if self._rescan:
            lost, self._rescan, self._lost = self._lost, False, False
            return Dirty((), True, lost)
        due = []
        while (when_s := self._next_s()) is not None and when_s <= now_s:
            _, path = heapq.heappop(self._order)
            del self._waiting[path]
            due.append(path)
        return Dirty(tuple(due), False)

    def deadline_s(self) -> float | None:
        """When `take` will next have something, if nothing more happens."""
        if self._arriving_s is not None:
            return math.inf
        if self._rescan:
            return 0.0
        return self._next_s()

    def _next_s(self) -> float | None:
        """When the first is due; it is then at the top of the heap."""
        while self._order:
            when_s, path = self._order[0]
            due_s = self._waiting[path].due_s()
            if due_s <= when_s:
                return due_s
            heapq.heapreplace(self._order, (due_s, path))
        return None

    @property
    def lost(self) -> bool:
        """Whether events were lost that `take` has not told of."""
        return self._lost

    @property
    def busy(self) -> bool:
        """Whether something waits."""
        return self._rescan or bool(self._waiting) or self._arriving_s is not None


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

    def start(self) -> str | None:
        """Returns None, or one line for people why there are no events, or not for all
        directories (rescans still find everything)."""
        return self._open() or self.shortage()

    def _open(self) -> str | None:
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
            self.happened(*paths)

        return Watches(os.fsencode(self.root), happened, self.lost, self.arriving)

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

        _bounded(try_one_more)
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
            return eyes is not None and eyes.see_all and not self._settling.lost

    def stop(self) -> None:
        """End the watching. Stopping twice, or what never started, is harmless."""
        if self._eyes is not None:
            _bounded(self._eyes.stop)
            self._eyes = None

    def happened(self, *paths: str | bytes) -> None:
        """Something happened at these absolute paths. Called by the operating system's thread."""
        inside = [path for path in map(self._inside, paths) if path is not None]
        now_s = time.monotonic()
        with self._lock:
            since_s = self._settling.arrived()
            if not inside and since_s is None:
                return
            for path in inside:
                self._settling.note(path, now_s if since_s is None else since_s)
            wake, self._woken = not self._woken, True
        if wake:
            self._wake()

    def arriving(self) -> None:
        """A directory was moved to where it will be said to have `happened`."""
        with self._lock:
            self._settling.arriving(time.monotonic())

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
        """Whether no directory was refused."""
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


def _bounded(work: Callable[[], None]) -> None:
    """Do something with the library that may not come back: its threads now and then wait for each
    other for ever when directories are moved fast. Then a thread is left behind, which is a daemon
    and says nothing that is listened to, and not the node."""
    thread = threading.Thread(target=work, name="watcher-work", daemon=True)
    thread.start()
    thread.join(STOP_SECONDS)


def _why_not(root: str, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        remedy = "sudo sysctl fs.inotify.max_user_watches=1048576"
        return f"{root}: too many directories to watch, changes are found hourly; run: {remedy}"
    if error.errno == errno.EMFILE:
        remedy = "sudo sysctl fs.inotify.max_user_instances=1024"
        return f"{root}: too many watchers, changes are found hourly only; run: {remedy}"
    place = root if error.filename is None else os.fsdecode(error.filename)
    return f"{place}: cannot be watched, changes are found hourly only: {error.strerror or error}"
