"""A disk in memory behind the port of `flocksy.boxes.disk.port`, with what goes wrong with disks.

Names, kinds and times are kept here; the bytes of files lie in a directory of a temporary file
system, so that descriptors are real ones. What was written and not flushed may be lost in a power
cut: a change of names is lost or kept as a whole, together with all earlier ones in the same
directories, unless one of its directories was flushed since; bytes of a file that was not flushed
come back whole, cut off, with zeros at the end, or as they were when it last was; mode, time and
attributes of what was not flushed come back as they are, or as they were then.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, NoReturn

from flocksy.boxes.apply.placing import INCOMING, SCRATCH
from flocksy.boxes.disk.port import MODE_BITS, PRIVATE, Stat
from flocksy.errors import BoxError
from flocksy.index.journal import HISTORY
from flocksy.sync.attributes import decode_attributes, encode_attributes
from flocksy.sync.version import Kind

_COPY_BYTES = 1 << 16


class PowerCutError(BaseException):
    """The node ends between two instructions. Nothing may catch it but the simulator."""


@dataclass(eq=False, slots=True)
class Inode:
    """A file, directory or symlink."""

    number: int
    kind: Kind
    mode: int
    mtime_ns: int
    ctime_ns: int
    size: int = 0
    text: str = ""
    attributes: dict[bytes, bytes] = field(default_factory=dict)
    names: int = 0
    entries: dict[str, Inode] = field(default_factory=dict)
    durable_entries: dict[str, Inode] = field(default_factory=dict)
    durable_bytes: bytes | None = b""
    """None: what it holds is durable."""
    is_fresh: bool = True
    """Whether it never had a durable name: with its first one comes what it shows then."""
    durable_looks: tuple[int, int, int, dict[bytes, bytes]] | None = None
    """Mode, times and attributes as at the last flush. None: as they are."""
    real: int = 0
    changes: int = 0
    taken_from: str = ""
    """The path from which an exchange took it last, unless one has brought it back."""
    durable_taken_from: str = ""


OUR_FOLDERS = (PRIVATE, INCOMING, SCRATCH, HISTORY)


@dataclass(slots=True)
class _Change:
    """A change of names that is not durable yet."""

    directories: frozenset[int]
    entries: tuple[tuple[Inode, str, Inode | None], ...]
    taken: tuple[tuple[Inode, str], ...] = ()
    """What an exchange has taken, and from where, as in `Inode.taken_from`."""


class SimulatedDisk:
    """The disk of one node, on which there is one box. It outlives the node's processes."""

    def __init__(
        self, root: str, store: Path, draw: random.Random, wall_ns: Callable[[], int]
    ) -> None:
        self.root = root
        self.capacity = 1 << 30
        self.used = 0
        self.others = 0
        """Bytes that something else takes."""
        self.refuses: Callable[[], bool] = lambda: False
        """Whether an operation that writes fails with an I/O error."""
        self.unreadable: Callable[[], bool] = lambda: False
        """Likewise one that reads or looks."""
        self.cut_in: int | None = None
        """The power goes in so many operations that change something."""
        self.on_cut: Callable[[], None] = lambda: None
        self.visited: Callable[[str, bool], None] | None = None
        """Told of a path that is about to be looked at, or (True) changed: not by hand."""
        self.dropped: Inode | None = None
        """Whose name the call removes that is under way, not by hand."""
        self.dead = False
        self.watchers: list[Callable[[str], None]] = []
        self.operations = 0
        self.refused: Counter[str] = Counter()
        """What it has refused, not by hand."""
        self.by_hand = False
        self._wall_ns = wall_ns
        self._draw = draw
        self._store = store
        self._count = 1
        self._top = Inode(1, Kind.DIRECTORY, 0o755, wall_ns(), wall_ns(), names=1)
        self._changes: list[_Change] = []
        self._dirty: dict[int, Inode] = {}
        self._dressed: dict[int, Inode] = {}
        self._by_real: dict[int, Inode] = {}
        store.mkdir(parents=True, exist_ok=True)

    # ── what goes wrong ──────────────────────────────────────────────────────────────────────

    def _step(self, path: str) -> None:
        """Before anything is changed."""
        self._alive()
        if self.by_hand:
            return
        self.operations += 1
        if self.visited is not None:
            self.visited(path, True)
        if self.cut_in is not None:
            self.cut_in -= 1
            if self.cut_in <= 0:
                self.cut_in = None
                self.dead = True
                self.on_cut()
                raise PowerCutError
        if self.refuses():
            self._refuse("writes", errno.EIO, path)

    def _refuse(self, what: str, number: int, path: str) -> NoReturn:
        self.refused[what] += 1
        raise OSError(number, os.strerror(number), path)

    def _alive(self) -> None:
        if self.dead and not self.by_hand:
            raise PowerCutError

    def _glance(self, path: str) -> None:
        """Before anything is looked at."""
        self._alive()
        if self.by_hand:
            return
        if self.visited is not None:
            self.visited(path, False)
        if self.unreadable():
            self._refuse("reads", errno.EIO, path)

    def read(self, inode: Inode) -> None:
        """Before bytes are read through a descriptor."""
        if inode.kind is Kind.FILE and not self.by_hand and self.unreadable():
            self._refuse("reads", errno.EIO, "")

    def _room(self, size: int, path: str) -> None:
        if self.used + self.others + size > self.capacity and not self.by_hand:
            self._refuse("for want of room", errno.ENOSPC, path)

    def power_cut(self) -> None:
        """Only what is durable, and some of the rest, is left."""
        draw, rest = self._draw, self._changes
        if draw.random() < 0.5:
            kept = rest[: draw.randrange(len(rest) + 1)]
        else:
            kept = [change for change in rest if draw.random() < 0.5]
        self._commit(kept)
        self._changes = []
        for inode in list(self._dirty.values()):
            durable = inode.durable_bytes
            assert durable is not None
            choice = draw.randrange(3)
            if choice == 1:
                self._put_bytes(inode, durable)
            elif choice == 2:
                size, kept = inode.size, self.bytes_of(inode)[: draw.randrange(inode.size + 1)]
                self._put_bytes(inode, kept.ljust(size, b"\0") if inode.number % 2 else kept)
            inode.durable_bytes = None
        self._dirty.clear()
        for inode in self._dressed.values():
            if inode.durable_looks is not None and draw.random() < 0.5:
                inode.mode, inode.mtime_ns, inode.ctime_ns, inode.attributes = inode.durable_looks
            inode.durable_looks = None
        self._dressed.clear()
        self._restore(self._top)
        self._sweep()
        for _, inode in self.walk():
            inode.taken_from = inode.durable_taken_from

    def _restore(self, directory: Inode) -> None:
        directory.entries = dict(directory.durable_entries)
        for inode in directory.entries.values():
            if inode.kind is Kind.DIRECTORY:
                self._restore(inode)

    def _sweep(self) -> None:
        """Count again what is linked and used."""
        self.used = 0
        seen: dict[int, Inode] = {}
        for _, inode in self.walk():
            if inode.number not in seen:
                seen[inode.number] = inode
                inode.names = 0
                self.used += inode.size
            inode.names += 1

    # ── for who sees everything ──────────────────────────────────────────────────────────────

    def walk(self) -> Iterator[tuple[str, Inode]]:
        """Every path with what stands there."""
        waiting = [("", self._top)]
        while waiting:
            path, directory = waiting.pop()
            for name, inode in directory.entries.items():
                below = f"{path}/{name}" if path else name
                yield below, inode
                if inode.kind is Kind.DIRECTORY:
                    waiting.append((below, inode))

    def walk_durable(self) -> Iterator[tuple[str, Inode]]:
        """Every path that a power cut leaves for sure, but for files that it may tear."""
        waiting = [("", self._top)]
        while waiting:
            path, directory = waiting.pop()
            for name, inode in directory.durable_entries.items():
                below = f"{path}/{name}" if path else name
                if inode.kind is Kind.DIRECTORY:
                    waiting.append((below, inode))
                elif inode.durable_bytes is None:
                    yield below, inode

    def bytes_of(self, inode: Inode) -> bytes:
        """What a file holds."""
        return self._place(inode).read_bytes()

    def find(self, path: str) -> Inode | None:
        """What stands there, or None."""
        here = self._top
        for name in path.split("/") if path else ():
            if here.kind is not Kind.DIRECTORY or name not in here.entries:
                return None
            here = here.entries[name]
        return here

    def of_descriptor(self, descriptor: int) -> Inode | None:
        """The file that a descriptor is of, if it is one of this disk's."""
        return self._by_real.get(os.fstat(descriptor).st_ino)

    # ── written and flushed through descriptors ──────────────────────────────────────────────

    def write(self, inode: Inode, data: bytes | memoryview, offset: int, descriptor: int) -> None:
        """Bytes go into a file."""
        self._step("")
        growth = max(0, offset + len(data) - inode.size)
        self._room(growth, "")
        os.pwrite(descriptor, data, offset)
        self._written(inode, inode.size + growth)

    def _written(self, inode: Inode, size: int) -> None:
        if inode.durable_bytes is None:
            inode.durable_bytes = b""  # what was there may be gone as well
        self._dirty[inode.number] = inode
        self.used += size - inode.size
        inode.size = size
        inode.changes += 1
        inode.mtime_ns = inode.ctime_ns = self._wall_ns()

    def flush(self, inode: Inode) -> None:
        """What a file holds becomes durable."""
        self._step("")
        self._durable(inode)

    def _durable(self, inode: Inode) -> None:
        inode.durable_bytes = inode.durable_looks = None
        self._dirty.pop(inode.number, None)
        self._dressed.pop(inode.number, None)

    def _before_dressing(self, inode: Inode) -> None:
        """Mode, time or attributes are about to change. What hands do is durable at once."""
        if self.by_hand:
            inode.durable_looks = None
        elif inode.durable_looks is None:
            looks = inode.mode, inode.mtime_ns, inode.ctime_ns, dict(inode.attributes)
            inode.durable_looks = looks
            self._dressed[inode.number] = inode

    # ── the port ─────────────────────────────────────────────────────────────────────────────

    def stat(self, path: str) -> Stat | None:
        if path not in OUR_FOLDERS:  # looked at all the time, and people have no hand in them
            self._glance(path)
        inode = self.find(path)
        return None if inode is None else self.stat_of(inode)

    def stat_of(self, inode: Inode) -> Stat:
        """As `stat` shows it."""
        size = len(os.fsencode(inode.text)) if inode.kind is Kind.SYMLINK else inode.size
        return Stat(
            inode.kind,
            0o777 if inode.kind is Kind.SYMLINK else inode.mode,
            inode.mtime_ns,
            size,
            inode.number,
            inode.ctime_ns,
            7,
            taken_bytes=size,
        )

    def scan(self, path: str) -> list[tuple[str, Stat]]:
        self._glance(path)
        directory = self._directory(path)
        return [(name, self.stat_of(inode)) for name, inode in directory.entries.items()]

    def open_read(self, path: str) -> int:
        self._glance(path)
        inode = self._existing(path)
        if inode.kind is not Kind.FILE:
            raise OSError(errno.EINVAL, "not a regular file", path)
        return os.open(self._place(inode), os.O_RDONLY | os.O_CLOEXEC)

    def read_link(self, path: str) -> str:
        self._glance(path)
        inode = self._existing(path)
        if inode.kind is not Kind.SYMLINK:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        return inode.text

    def create(self, path: str) -> int:
        self._step(path)
        self._room(1, path)
        self._new(path, Kind.FILE, 0o600)
        return os.open(self._place(self._existing(path)), os.O_RDWR | os.O_CLOEXEC)

    def make_directory(self, path: str, mode: int) -> None:
        self._step(path)
        self._room(1, path)
        self._new(path, Kind.DIRECTORY, mode & MODE_BITS)

    def make_symlink(self, path: str, text: str) -> None:
        self._step(path)
        self._room(1, path)
        self._new(path, Kind.SYMLINK, 0o777, text)

    def link(self, source: str, target: str) -> bool:
        self._step(target)
        inode = self._existing(source)
        directory, name = self._free(target)
        inode.ctime_ns = self._wall_ns()
        inode.names += 1
        self._change([(directory, name, inode)], target)
        return True

    def copy(self, source: str, target: str) -> Iterator[None]:
        reading = self.open_read(source)
        try:
            writing = self.create(target)
            try:
                inode, at = self._existing(target), 0
                while data := os.pread(reading, _COPY_BYTES, at):
                    self.write(inode, data, at, writing)
                    at += len(data)
                    yield
            finally:
                os.close(writing)
        finally:
            os.close(reading)

    def move(self, source: str, target: str) -> None:
        # What is being removed moves to the history: then the path in question is the old one.
        self._step(source if target.partition("/")[0] == PRIVATE else target)
        old, old_name = self._parent(source)
        inode = self._existing(source)
        directory, name = self._free(target)
        if inode.kind is Kind.DIRECTORY and self._is_below(directory, inode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), target)
        inode.ctime_ns = self._wall_ns()
        self._change([(old, old_name, None), (directory, name, inode)], source, target)

    def replace(self, source: str, target: str) -> None:
        """Of files of ours: nobody looks at what goes."""
        if self.find(target) is None:
            self.move(source, target)
            return
        self.exchange(source, target)
        self.remove_file(source)

    def exchange(self, temporary: str, path: str) -> None:
        self._step(path)
        first, first_name = self._parent(temporary)
        second, second_name = self._parent(path)
        ours, theirs = self._existing(temporary), self._existing(path)
        if ours is theirs:
            return
        ours.ctime_ns = theirs.ctime_ns = self._wall_ns()
        taken = ((ours, ""), (theirs, path))
        for inode, taken_from in taken:
            inode.taken_from = taken_from
        entries: list[tuple[Inode, str, Inode | None]] = [
            (first, first_name, theirs),
            (second, second_name, ours),
        ]
        self._change(entries, temporary, path, taken=taken)

    def settle(self, temporary: str, path: str) -> str | None:
        del temporary, path
        return None

    def remove_file(self, path: str) -> None:
        if not self.by_hand:
            self.dropped = self.find(path)
        try:
            self._step(path)
        finally:
            if not self.by_hand:
                self.dropped = None
        directory, name = self._parent(path)
        inode = self._existing(path)
        if inode.kind is Kind.DIRECTORY:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        inode.names -= 1
        if not inode.names:
            self.used -= inode.size
        self._change([(directory, name, None)], path)

    def remove_directory(self, path: str) -> None:
        self._step(path)
        directory, name = self._parent(path)
        inode = self._existing(path)
        if inode.kind is not Kind.DIRECTORY:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        if inode.entries:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
        # It was empty, and so it is gone no sooner than what was in it has left.
        self._change([(directory, name, None)], path, also=inode.number)

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        self._step(path)
        there = self._existing(path)
        if inode is not None and there.number != inode:
            raise FileNotFoundError(errno.ENOENT, "replaced by another", path)
        if there.kind is Kind.SYMLINK:
            raise OSError(errno.EINVAL, "neither a file nor a directory", path)
        self._before_dressing(there)
        if mode is not None and there.mode != mode & MODE_BITS:
            there.mode = mode & MODE_BITS
            there.ctime_ns = self._wall_ns()
        if mtime_ns is not None:
            there.mtime_ns = mtime_ns
            there.ctime_ns = self._wall_ns()
        self._happened(path)
        return self.stat_of(there)

    def read_attributes(self, path: str) -> bytes:
        self._glance(path)
        return encode_attributes(self._file(path).attributes)

    def set_attributes(self, path: str, attributes: bytes) -> None:
        inode, wanted = self._file(path), decode_attributes(attributes)
        before = dict(inode.attributes)
        for name in sorted(before.keys() | wanted.keys()):
            if before.get(name) == wanted.get(name):
                continue
            try:
                self._step(path)
            except OSError:
                inode.attributes = before
                raise
            self._before_dressing(inode)
            inode.attributes.pop(name, None)
            if name in wanted:
                inode.attributes[name] = wanted[name]
            inode.ctime_ns = self._wall_ns()
            self._happened(path)

    def _file(self, path: str) -> Inode:
        inode = self._existing(path)
        if inode.kind is not Kind.FILE:
            raise OSError(errno.EINVAL, "not a regular file", path)
        return inode

    def flush_file(self, path: str) -> None:
        inode = self._existing(path)
        if inode.kind is not Kind.FILE:
            raise OSError(errno.EINVAL, "not a regular file", path)
        self.flush(inode)

    def flush_directory(self, path: str) -> None:
        self._step(path)
        directory = self._directory(path)
        number = directory.number
        self._commit([change for change in self._changes if number in change.directories])
        self._durable(directory)

    def flush_later(self, path: str) -> Callable[[], None]:
        is_file = self._existing(path).kind is Kind.FILE
        return partial(self.flush_file if is_file else self.flush_directory, path)

    def flush_all(self) -> bool:
        self._step("")
        self._commit(list(self._changes))
        for inode in (*self._dirty.values(), *self._dressed.values()):
            self._durable(inode)
        return True

    def flush_around(self, path: str) -> bool:
        self._existing(path)
        return self.flush_all()

    def space(self) -> tuple[int, int]:
        return max(0, self.capacity - self.used - self.others), self.capacity

    def identity(self) -> int:
        return 4242

    def former_identity(self) -> int:
        return self.identity()

    def type_name(self) -> str:
        return "tmpfs"

    # ── names ────────────────────────────────────────────────────────────────────────────────

    def _place(self, inode: Inode) -> Path:
        return self._store / str(inode.number)

    def _put_bytes(self, inode: Inode, data: bytes) -> None:
        self._place(inode).write_bytes(data)
        inode.size = len(data)
        inode.changes += 1

    def _existing(self, path: str) -> Inode:
        inode = self.find(path)
        if inode is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return inode

    def _directory(self, path: str) -> Inode:
        inode = self._existing(path)
        if inode.kind is not Kind.DIRECTORY:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return inode

    def _parent(self, path: str) -> tuple[Inode, str]:
        folder, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            raise OSError(errno.EINVAL, "not the path of an entry", path)
        if len(os.fsencode(name)) > 255:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
        return self._directory(folder), name

    def _free(self, path: str) -> tuple[Inode, str]:
        directory, name = self._parent(path)
        if name in directory.entries:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        return directory, name

    def _is_below(self, directory: Inode, above: Inode) -> bool:
        if directory is above:
            return True
        return any(
            self._is_below(directory, one)
            for one in above.entries.values()
            if one.kind is Kind.DIRECTORY
        )

    def _new(self, path: str, kind: Kind, mode: int, text: str = "") -> None:
        directory, name = self._free(path)
        self._count += 1
        now_ns = self._wall_ns()
        inode = Inode(self._count, kind, mode, now_ns, now_ns, text=text, names=1)
        if kind is Kind.FILE:
            place = self._place(inode)
            place.touch()
            inode.real = place.stat().st_ino
            self._by_real[inode.real] = inode
            self._dirty[inode.number] = inode
        else:
            inode.durable_bytes = None
        self._change([(directory, name, inode)], path)

    def _change(
        self,
        entries: list[tuple[Inode, str, Inode | None]],
        *paths: str,
        also: int = 0,
        taken: tuple[tuple[Inode, str], ...] = (),
    ) -> None:
        numbers = {also} if also else set()
        now_ns = self._wall_ns()
        for directory, name, inode in entries:
            numbers.add(directory.number)
            directory.mtime_ns = directory.ctime_ns = now_ns
            if inode is None:
                directory.entries.pop(name, None)
            else:
                directory.entries[name] = inode
                if inode.kind is Kind.DIRECTORY:
                    numbers.add(inode.number)
        self._changes.append(_Change(frozenset(numbers), tuple(entries), taken))
        for path in paths:
            self._happened(path)

    def _commit(self, wanted: list[_Change]) -> None:
        """These changes, and all earlier ones that have to do with them, become durable."""
        left: list[_Change] = []
        asked = {id(change) for change in wanted}
        needed: set[int] = set()
        done: list[_Change] = []
        for change in reversed(self._changes):
            if id(change) in asked or needed & change.directories:
                needed |= change.directories
                done.append(change)
            else:
                left.append(change)
        for change in reversed(done):
            for directory, name, inode in change.entries:
                if inode is None:
                    directory.durable_entries.pop(name, None)
                else:
                    directory.durable_entries[name] = inode
                    if inode.is_fresh:
                        inode.is_fresh, inode.durable_looks = False, None
            for taken, taken_from in change.taken:
                taken.durable_taken_from = taken_from
        self._changes = left[::-1]

    def _happened(self, path: str) -> None:
        for watcher in self.watchers:
            watcher(path)

    # ── what people do ───────────────────────────────────────────────────────────────────────

    def write_file(self, path: str, data: bytes) -> None:
        """Somebody writes a file, new or in place, and it is durable at once: its name, too, which
        a batch that is not flushed yet may have given it."""
        inode = self.find(path)
        if inode is None:
            self._new(path, Kind.FILE, 0o644)
            inode = self._existing(path)
        else:
            directory, name = self._parent(path)
            named = _Change(frozenset({directory.number}), ((directory, name, inode),))
            self._changes.append(named)
        place = self._place(inode)
        with place.open("r+b") as file:
            file.truncate(len(data))
            file.write(data)
        self._written(inode, len(data))
        self._durable(inode)
        self._happened(path)

    @contextmanager
    def hand(self) -> Iterator[None]:
        """Somebody does something here, which is durable at once."""
        before = len(self._changes)
        self.by_hand = True
        try:
            yield
        finally:
            self.by_hand = False
            self._commit(self._changes[before:])

    def destroy(self) -> None:
        """Remove the bytes."""
        shutil.rmtree(self._store, ignore_errors=True)


class OpenDisk:
    """What `RealDisk` is in the simulator: a handle of the disk that is mounted at a path."""

    mounted: ClassVar[dict[str, SimulatedDisk]] = {}

    def __init__(self, root: str) -> None:
        disk = self.mounted.get(root)
        if disk is None:
            raise BoxError(f"{root}: there is no such directory; create or mount it")
        disk._alive()
        self.root = root
        self._disk = disk

    def __getattr__(self, name: str) -> object:
        return getattr(self._disk, name)

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> OpenDisk:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""
