"""What a power cut leaves of a box: a disk that remembers what was flushed and forgets the rest.

A `PowerRecord` looks at the whole box after every call of the applier that changes something, and
notes what is durable: contents by `flush_file` and `flush_all`, names by `flush_directory` and
`flush_all`, mode and time of an entry by a flush of it. After a cut the disk shows

* the names, modes and times of *some* moment between the last that is durable and the last there
  was (journalling file systems keep the order of such changes, and may lose the youngest);
* of each file that was written since its last flush its old content, nothing, zeros, a half, or
  all of it;
* an index of *some* moment since its last durable transaction.

All three are drawn independently, so every order that the applier does not enforce comes up.
"""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Stat
from flocksy.sync.version import Kind

MAX_INDEXES = 6
"""Copies kept of the index since its last durable transaction."""


@dataclass(frozen=True, slots=True)
class Item:
    """What stood at a path. `data`: a file's content or a symlink's text."""

    mode: int
    inode: int
    mtime_ns: int
    ctime_ns: int
    data: bytes


Tree = dict[str, Item]


@dataclass(slots=True)
class Indexed:
    """The files of an index as they were, by the end of their names."""

    files: dict[str, bytes]


@dataclass(slots=True)
class Cut:
    """One state that the disk may be in after a power cut."""

    tree: Tree
    index: Indexed
    inodes: dict[int, Item] = field(default_factory=dict)
    """New inode -> what it was, filled by `restore`."""

    def restore(self, box: Path, index: Path) -> None:
        """Put the box and the index there, where nothing is but an empty directory: another one
        would be a copy."""
        box.mkdir(exist_ok=True)
        links: dict[int, Path] = {}
        folders = []
        for path, item in sorted(self.tree.items()):
            target = box / path
            if stat.S_ISDIR(item.mode):
                target.mkdir(mode=0o700)
                folders.append((target, item))
                self.inodes[os.lstat(target).st_ino] = item
                continue
            if item.inode in links:
                os.link(links[item.inode], target, follow_symlinks=False)
                continue
            if stat.S_ISLNK(item.mode):
                os.symlink(item.data, os.fsencode(target))
            else:
                target.write_bytes(item.data)
                target.chmod(stat.S_IMODE(item.mode))
            os.utime(target, ns=(item.mtime_ns, item.mtime_ns), follow_symlinks=False)
            links[item.inode] = target
            self.inodes[os.lstat(target).st_ino] = item
        for target, item in reversed(folders):
            os.utime(target, ns=(item.mtime_ns, item.mtime_ns))
            target.chmod(stat.S_IMODE(item.mode))
        for end, data in self.index.files.items():
            index.with_name(index.name + end).write_bytes(data)


class PowerRecord:
    """The history of one box and its index since they were last durable as a whole."""

    def __init__(self, box: Path, index: Path, chance: random.Random) -> None:
        self._box = box
        self._index = index
        self._chance = chance
        self._trees: list[Tree] = []
        self._floor = 0
        self._moved: dict[str, int] = {}  # directory -> the last tree in which its names differ
        self._dressed: dict[int, int] = {}  # inode -> the last tree in which it looks otherwise
        self._durable: dict[int, bytes] = {}
        self._indexes: list[Indexed] = []
        self._seen: dict[tuple[int, int, int, int], bytes] = {}
        self.on_step: Callable[[], None] = lambda: None
        """Called after each step: the place to take a `cut`."""
        self.everything()

    def everything(self) -> None:
        """All that is there now is durable."""
        self._trees, self._floor = [self._look()], 0
        self._moved.clear()
        self._dressed.clear()
        self._durable = {item.inode: item.data for item in self._trees[0].values()}
        self._indexes = [self._copy_index()]

    def hands(self) -> None:
        """Somebody has changed something in the box, and flushed it, as careful programs do."""
        before, now = self._trees[-1], self._look()
        for path, item in now.items():
            if before.get(path) != item:
                self._durable[item.inode] = item.data
        self._trees.append(now)
        self._floor = len(self._trees) - 1

    def stepped(self, *folders: str) -> None:
        """A call has changed the names in these directories, or something about the entries."""
        self._trees.append(self._look())
        for folder in folders:
            self._moved[folder] = len(self._trees) - 1
        self.on_step()

    def dressed(self, path: str) -> None:
        """A call has set mode or time of what stands there."""
        self._trees.append(self._look())
        self._dressed[self._look_at(self._box / path).inode] = len(self._trees) - 1
        self.on_step()

    def flushed_file(self, path: str) -> None:
        item = self._look_at(self._box / path)
        self._durable[item.inode] = item.data
        self._floor = max(self._floor, self._dressed.get(item.inode, 0))
        self.on_step()

    def flushed_directory(self, path: str) -> None:
        inode = self._look_at(self._box / path).inode
        self._floor = max(self._floor, self._moved.get(path, 0), self._dressed.get(inode, 0))
        self.on_step()

    def flushed_all(self) -> None:
        self._trees.append(self._look())
        self._floor = len(self._trees) - 1
        self._durable |= {item.inode: item.data for item in self._trees[-1].values()}
        self.on_step()

    def committed(self, *, durable: bool) -> None:
        """A transaction of the index has ended."""
        if durable:
            self._indexes = [self._copy_index()]
        elif len(self._indexes) < MAX_INDEXES and self._chance.random() < 0.3:
            self._indexes.append(self._copy_index())

    def cut(self) -> Cut:
        """Draw one of the states that a cut in this instant may leave."""
        trees = self._trees[self._floor :]
        tree = self._chance.choice((trees[0], trees[-1], self._chance.choice(trees)))
        index = self._chance.choice((*self._indexes, self._copy_index()))
        torn: dict[int, bytes] = {}
        for item in tree.values():
            if stat.S_ISREG(item.mode) and item.inode not in torn:
                torn[item.inode] = self._torn(item)
        return Cut(
            {
                path: Item(
                    item.mode,
                    item.inode,
                    item.mtime_ns,
                    item.ctime_ns,
                    torn.get(item.inode, item.data),
                )
                for path, item in tree.items()
            },
            index,
        )

    def _torn(self, item: Item) -> bytes:
        durable = self._durable.get(item.inode, b"")
        if durable == item.data:
            return durable
        half = item.data[: len(item.data) // 2]
        return self._chance.choice((durable, b"", bytes(len(item.data)), half, item.data))

    def _look(self) -> Tree:
        tree: Tree = {}
        for folder, folders, files in os.walk(self._box):
            for name in (*folders, *files):
                path = Path(folder, name)
                tree[str(path.relative_to(self._box))] = self._look_at(path)
        return tree

    def _look_at(self, path: Path) -> Item:
        found = os.lstat(path)
        data = b""
        if stat.S_ISLNK(found.st_mode):
            data = os.readlink(os.fsencode(path))
        elif stat.S_ISREG(found.st_mode):
            key = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            if key not in self._seen:
                self._seen[key] = path.read_bytes()
            data = self._seen[key]
        return Item(found.st_mode, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, data)

    def _copy_index(self) -> Indexed:
        files = {}
        for end in ("", "-wal"):
            path = self._index.with_name(self._index.name + end)
            if path.exists():
                files[end] = path.read_bytes()
        return Indexed(files)


class RecordedDisk(RealDisk):
    """Tells a record of everything that it does. Without one it is an ordinary disk."""

    record: PowerRecord | None = None

    def _stepped(self, *paths: str) -> None:
        if self.record is not None:
            self.record.stepped(*(path.rpartition("/")[0] for path in paths))

    def create(self, path: str) -> int:
        descriptor = super().create(path)
        self._stepped(path)
        return descriptor

    def make_directory(self, path: str, mode: int) -> None:
        super().make_directory(path, mode)
        self._stepped(path)

    def make_symlink(self, path: str, text: str) -> None:
        super().make_symlink(path, text)
        self._stepped(path)

    def link(self, source: str, target: str) -> bool:
        done = super().link(source, target)
        self._stepped(target)
        return done

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        found = super().set_metadata(path, mode, mtime_ns, inode)
        if self.record is not None:
            self.record.dressed(path)
        return found

    def move(self, source: str, target: str) -> None:
        super().move(source, target)
        self._stepped(source, target)

    def replace(self, source: str, target: str) -> None:
        super().replace(source, target)
        self._stepped(source, target)

    def exchange(self, temporary: str, path: str) -> None:
        super().exchange(temporary, path)
        self._stepped(temporary, path)

    def remove_file(self, path: str) -> None:
        super().remove_file(path)
        self._stepped(path)

    def remove_directory(self, path: str) -> None:
        super().remove_directory(path)
        self._stepped(path)

    def flush_file(self, path: str) -> None:
        super().flush_file(path)
        if self.record is not None:
            self.record.flushed_file(path)

    def flush_directory(self, path: str) -> None:
        super().flush_directory(path)
        if self.record is not None:
            self.record.flushed_directory(path)

    def flush_later(self, path: str) -> Callable[[], None]:
        found, flush = self.stat(path), super().flush_later(path)

        def recording() -> None:
            flush()
            if self.record is not None and found is not None:
                is_file = found.kind is Kind.FILE
                (self.record.flushed_file if is_file else self.record.flushed_directory)(path)

        return recording

    def flush_all(self) -> bool:
        done = super().flush_all()
        if done and self.record is not None:
            self.record.flushed_all()
        return done


class RestoredDisk(RealDisk):
    """A box after a cut, with the inode numbers it had before: a cut does not change them."""

    def __init__(self, root: str, cut: Cut) -> None:
        super().__init__(root)
        self._inodes = {now: item.inode for now, item in cut.inodes.items()}

    def stat(self, path: str) -> Stat | None:
        found = super().stat(path)
        return None if found is None else self._as_before(found)

    def scan(self, path: str) -> list[tuple[str, Stat]]:
        return [(name, self._as_before(found)) for name, found in super().scan(path)]

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        now = next((new for new, old in self._inodes.items() if old == inode), inode)
        return self._as_before(super().set_metadata(path, mode, mtime_ns, now))

    def _as_before(self, found: Stat) -> Stat:
        inode = self._inodes.get(found.inode, found.inode)
        return Stat(
            found.kind,
            found.mode,
            found.mtime_ns,
            found.size,
            inode,
            found.ctime_ns,
            found.device,
        )


def remove(box: Path, index: Path) -> None:
    """Take away what is there, for a `Cut.restore`. The directory stays."""
    for one in box.iterdir():
        shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
    for end in ("", "-wal", "-shm"):
        index.with_name(index.name + end).unlink(missing_ok=True)
