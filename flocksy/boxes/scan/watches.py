"""The directories of one box under the eyes of the Linux kernel (inotify).

The watching library's own observer takes each event through three threads and holds all of them
back for half a second when something was moved, to pair the two ends; and it watches our private
directory, where every temporary would make it work. Paths alone are needed here, so its lower level
is used: one thread that reads events, and a watch for each directory that is not ours.

A directory that appears (made, or moved here) is watched with all below, and only then it is told,
with every directory below: whoever looks at it then sees what came before the watch, and the watch
sees what comes after. Of one that is moved away the watches go; if it went to another place of the
box, it appears there. One that we may not read cannot be watched: it appears when its mode changes,
or that of the directory it is in.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator

from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchDescriptor,
)

from flocksy.boxes.disk.port import PRIVATE

_MASK = Mask(
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MOVE
    | InotifyConstants.IN_MODIFY
    | InotifyConstants.IN_CLOSE_WRITE
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
)
"""Whatever changes an entry. Not reading, which our own scanner does."""

MAX_MOVES = 16
"""Both ends of a move are told one after the other, unless others move something just then."""


class Watches:
    """See the head of this module. Implements the library's `WatchCallback`."""

    def __init__(
        self,
        root: bytes,
        happened: Callable[[list[bytes]], None],
        lost: Callable[[], None],
        arriving: Callable[[bytes], None],
    ) -> None:
        """`happened` gets absolute paths, `lost` says that events were, `arriving` that a directory
        was moved from there to where it is then said to have `happened`; all from another thread.

        Raises `OSError` where the root cannot be watched, or the system gives no more instances.
        """
        self._root = root
        self._happened = happened
        self._lost = lost
        self._arriving = arriving
        self._lock = threading.Lock()
        self._path_of: dict[WatchDescriptor, bytes] = {}
        self._watch_of: dict[bytes, WatchDescriptor] = {}
        self._name_of: dict[WatchDescriptor, CallbackId] = {}
        """The library wants a name for each time that we ask for a watch."""
        self._names = itertools.count()
        self._inside: dict[bytes, set[bytes]] = {}
        """Directories by the one they are in; all of them watched."""
        self._closed: dict[bytes, set[bytes]] = {}
        """Directories that we may not watch, by the one they are in."""
        self.refused: OSError | None = None
        """Why a directory below the root is not watched: the system gives no more watches, or the
        disk did not say which there are."""
        self._anew = False  # watches are being set for all that is there
        self._left: dict[int, bytes] = {}
        """By move, where the last directories went from that were moved."""
        self._inotify = InotifyFD()
        try:
            with self._lock:
                self._watch(root)
                self._watch_below(root)
        except BaseException:
            self._inotify.close()
            # That leaves it to the thread, which never ran, and of instances there are few.
            self._inotify._close_resources()
            raise
        self._inotify.start()

    def stop(self) -> None:
        """End the watching."""
        self._inotify.stop()
        self._inotify.join()

    @property
    def see_all(self) -> bool:
        """Whether no directory was refused, and watches are not just being set."""
        return self.refused is None and not self._anew

    def try_one_more(self, folder: bytes) -> None:
        """Watch `folder`, which is not watched, and let go of it; then what was refused before:
        its events until now were lost. Raises `OSError` where the system gives no more watches."""
        name = CallbackId(next(self._names))
        watch = self._inotify.add_callback(folder, _MASK, self, name)
        self._inotify.remove_callbacks([(watch, name)])
        if self.see_all:
            return  # without the lock, which is held while a large folder is gone through
        with self._lock:
            if self.refused is None:
                return
            self._anew, self.refused = True, None
            try:
                if self._root not in self._watch_of:
                    self._try(self._root)
                self._watch_below(self._root)
                if self.refused is not None:
                    raise self.refused
                self._lost()
            finally:
                self._anew = False

    # -- from the library, in its thread -----------------------------------------------------------

    def on_event(self, event: InotifyEvent) -> None:
        """Something happened in a watched directory."""
        found: list[bytes] = []
        try:
            with self._lock:
                folder = self._path_of.get(event.wd)
                if folder is not None:  # else a late event of a directory that has gone
                    found.append(os.path.join(folder, event.name) if event.name else folder)
                    if event.mask & InotifyConstants.IN_ISDIR and event.name:
                        found += self._of_directory(event, found[0])
        finally:
            self._happened(found)

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """A directory was deleted, or its disk has gone."""
        with self._lock:
            path = self._path_of.pop(wd, None)
            self._name_of.pop(wd, None)
            if path is not None and self._watch_of.get(path) == wd:
                self._drop(path)

    def on_queue_overflow(self) -> None:
        """Events were lost, so directories may have appeared and moved unseen."""
        with self._lock:
            self._anew = True
            try:
                self._forget(self._root)
                try:
                    self._watch(self._root)
                except OSError as error:
                    self.refused = error
                self._watch_below(self._root)
                self._lost()
            finally:
                self._anew = False

    # -- under the lock ----------------------------------------------------------------------------

    def _of_directory(self, event: InotifyEvent, path: bytes) -> list[bytes]:
        """Watch where directories are now, after something happened to the one at `path`. What has
        happened elsewhere by that."""
        if event.is_moved_from:
            self._left[event.cookie] = path
            if len(self._left) > MAX_MOVES:
                del self._left[next(iter(self._left))]
            self._forget(path)
        elif event.is_moved_to or event.is_create:
            if event.is_moved_to and event.cookie in self._left:
                self._arriving(self._left.pop(event.cookie))  # to watch all in it may take a while
            return self._appeared(path)
        elif event.is_attrib:
            closed = self._closed_at(path)
            return [one for at in closed for one in (at, *self._appeared(at))]
        elif event.is_delete:
            self._closed.get(os.path.dirname(path), set()).discard(path)
        return []

    def _appeared(self, path: bytes) -> list[bytes]:
        """Watch a directory and all below; returns those below."""
        if self._is_ours(path):
            return []
        self._forget(path)  # what was there before, if its end was not told
        if not self._try(path):
            return []
        return self._watch_below(path)

    def _watch_below(self, path: bytes) -> list[bytes]:
        """Watch all directories below that are not watched; returns them."""
        return [
            folder
            for folder in self._folders_below(path)
            if folder not in self._watch_of and self._try(folder)
        ]

    def _folders_below(self, path: bytes) -> Iterator[bytes]:
        """Top-down, so that of a directory that is being filled the watch comes before the look."""
        waiting = [path]
        while waiting:
            try:
                with os.scandir(waiting.pop()) as entries:
                    folders = [one.path for one in entries if one.is_dir(follow_symlinks=False)]
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue  # it has gone again, or may not be read: the scan says so
            except OSError as error:
                self.refused = error
                continue
            for folder in folders:
                if not self._is_ours(folder):
                    yield folder
                    waiting.append(folder)

    def _is_ours(self, path: bytes) -> bool:
        folder, name = os.path.split(path)
        return folder == self._root and os.fsdecode(name).casefold() == PRIVATE

    def _try(self, path: bytes) -> bool:
        """False: it has gone again, or may not be watched."""
        try:
            return self._watch(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            self.refused = error
            return False

    def _watch(self, path: bytes) -> bool:
        name = CallbackId(next(self._names))
        watch = self._inotify.add_callback(path, _MASK, self, name)
        if watch < 0:  # permission denied: the library tells that so
            self._closed.setdefault(os.path.dirname(path), set()).add(path)
            return False
        if watch in self._path_of:
            # The kernel knows it already, by another path: it was moved, and we are about to be
            # told so. What comes from now on is of this path.
            self._inotify.remove_callbacks([(watch, self._name_of[watch])])
            self._drop(self._path_of[watch])
        self._path_of[watch] = path
        self._watch_of[path] = watch
        self._name_of[watch] = name
        self._closed.get(os.path.dirname(path), set()).discard(path)
        if path != self._root:
            self._inside.setdefault(os.path.dirname(path), set()).add(path)
        return True

    def _closed_at(self, path: bytes) -> list[bytes]:
        """The directory if it is not watched since we may not, and those in it."""
        closed = [path] if path in self._closed.get(os.path.dirname(path), ()) else []
        return closed + sorted(self._closed.get(path, ()))

    def _forget(self, path: bytes) -> None:
        """Let go of the watches of a directory and all below, and of what was not watched there."""
        self._closed.get(os.path.dirname(path), set()).discard(path)
        watches = []
        waiting = [path]
        while waiting:
            folder = waiting.pop()
            waiting += self._inside.get(folder, ())
            watch = self._watch_of.get(folder)
            if watch is not None:
                watches.append((watch, self._name_of.pop(watch)))
                self._path_of.pop(watch, None)
                self._drop(folder)
        if watches:
            self._inotify.remove_callbacks(watches)

    def _drop(self, path: bytes) -> None:
        self._watch_of.pop(path, None)
        self._inside.pop(path, None)
        self._closed.pop(path, None)
        self._inside.get(os.path.dirname(path), set()).discard(path)
