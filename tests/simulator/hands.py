"""What people do in their folders, anywhere and at any time."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from flocksy.sync.attributes import encode_attributes
from flocksy.sync.version import Kind

if TYPE_CHECKING:
    from tests.simulator.boxes import BoxFlock
    from tests.simulator.disk import Inode, SimulatedDisk

NAMES = ("a", "b.txt", "c.bin", "D ü", "e")
"""Few names, and the same for files and directories: paths shall collide."""

SIZES = (0, 10, 10, 1_000, 5_000, 20_000, 90_000)


class Hands:
    """Somebody's, at one disk."""

    def __init__(self, flock: BoxFlock, disk: SimulatedDisk, draw: random.Random) -> None:
        self._flock = flock
        self._disk = disk
        self._draw = draw
        self._lane = flock.disks.index(disk)

    def do(self) -> None:
        """One thing."""
        kinds = (
            (self._write, 6),
            (self._rename, 4),
            (self._delete, 3),
            (self._copy, 1),
            (self._link, 1),
            (self._chmod, 1),
            (self._folder, 1),
        )
        (kind,) = self._draw.choices([one for one, _ in kinds], [share for _, share in kinds])
        if not self._every():
            kind = self._write
        kind()

    def interfere(self, path: str) -> None:
        """One thing at the very path that flocksy is at, or with what stands there."""
        draw = self._draw
        away = draw.choice((path + ".away", self._some_path()))
        below = f"{path}/{draw.choice(NAMES)}"
        kinds: tuple[tuple[Callable[[], None], int], ...] = (
            (partial(self._write, path), 5),
            (partial(self._rename, path, away), 3),
            (partial(self._rename, None, path), 2),
            (partial(self._delete, path), 3),
            (partial(self._chmod, path), 1),
            (partial(self._write, below), 2),
            (partial(self._folder, path), 1),
            (partial(self._link, path), 1),
        )
        (kind,) = draw.choices([one for one, _ in kinds], [share for _, share in kinds])
        kind()

    # -- where -----------------------------------------------------------------------------

    def _every(self) -> list[str]:
        return sorted(path for path, _ in self._disk.walk() if path.partition("/")[0] != ".flocksy")

    def _existing(self) -> str | None:
        every = self._every()
        return self._draw.choice(every) if every else None

    def _some_path(self) -> str:
        depth = self._draw.choice((1, 1, 2, 3))
        return "/".join(self._draw.choice(NAMES) for _ in range(depth))

    def _target(self) -> str:
        there = self._existing() if self._draw.random() < 0.5 else None
        return there or self._some_path()

    def _below(self, path: str) -> list[tuple[str, Inode]]:
        return [
            (below, inode)
            for below, inode in self._disk.walk()
            if below == path or below.startswith(path + "/")
        ]

    def _touch(self, path: str) -> None:
        """What is at the path or below it is not what somebody left untouched any more."""
        for _, inode in self._below(path):
            if inode.kind is not Kind.DIRECTORY:
                self._flock.untouched.discard(self._flock.digest_of(self._lane, inode))

    def _remove(self, path: str) -> None:
        for below, inode in sorted(self._below(path), key=lambda one: one[0], reverse=True):
            if inode.kind is Kind.DIRECTORY:
                self._disk.remove_directory(below)
            else:
                self._disk.remove_file(below)

    def _clear(self, path: str) -> bool:
        """Make the path one that something can be put at. False: it cannot be."""
        parts = path.split("/")[:-1]
        for end in range(1, len(parts) + 1):
            above = self._disk.find("/".join(parts[:end]))
            if above is not None and above.kind is not Kind.DIRECTORY:
                return False
        for end in range(1, len(parts) + 1):
            if self._disk.find("/".join(parts[:end])) is None:
                self._disk.make_directory("/".join(parts[:end]), 0o755)
        self._touch(path)
        found = self._disk.find(path)
        if found is not None and found.kind is Kind.DIRECTORY:
            self._remove(path)
        return True

    def _say(self, words: str) -> None:
        self._flock.counts["edits"] += 1
        self._flock.say(f"  somebody at node {self._lane}: {words}")

    # -- what ------------------------------------------------------------------------------

    def _write(self, path: str | None = None) -> None:
        path = path or self._target()
        if not self._clear(path):
            return
        flock = self._flock
        flock.written += 1
        size = self._draw.choice(SIZES)
        data = f"content {flock.written} ".encode() + random.Random(flock.written).randbytes(size)
        self._say(f"write {flock.written} ({len(data)}) {path!r}")
        found = self._disk.find(path)
        if found is not None and (found.kind is Kind.SYMLINK or self._draw.random() < 0.5):
            new = f"{path}.{flock.written}.tmp"
            self._disk.write_file(new, data)
            self._disk.remove_file(path)
            self._disk.move(new, path)
        else:
            self._disk.write_file(path, data)
        inode = self._disk.find(path)
        assert inode is not None
        flock.untouched.add(flock.digest_of(self._lane, inode))
        if flock.tagging and flock.written % 3 == 0:
            self._tag(path, inode)

    def _rename(self, path: str | None = None, target: str | None = None) -> None:
        path, target = path or self._existing(), target or self._target()
        if path is None or path == target or self._disk.find(path) is None:
            return
        if target.startswith(path + "/") or path.startswith(target + "/"):
            return
        self._touch(path)
        if not self._clear(target):
            return
        self._say(f"rename {path!r} to {target!r}")
        if self._disk.find(target) is not None:
            self._disk.remove_file(target)
        self._disk.move(path, target)

    def _delete(self, path: str | None = None) -> None:
        path = path or self._existing()
        inode = self._disk.find(path) if path is not None else None
        if path is not None and inode is not None:
            if self._flock.tagging and inode.kind is Kind.FILE and self._flock.counts["edits"] % 2:
                self._tag(path, inode)
                return
            self._say(f"delete {path!r}")
            self._touch(path)
            self._remove(path)

    def _copy(self) -> None:
        path, target = self._existing(), self._target()
        if path is None or path == target or path.startswith(target + "/"):
            return
        inode = self._disk.find(path)
        if inode is None or inode.kind is not Kind.FILE:
            return
        data = self._disk.bytes_of(inode)
        if not self._clear(target):
            return
        self._say(f"copy {path!r} to {target!r}")
        if self._disk.find(target) is not None:
            self._disk.remove_file(target)
        self._disk.write_file(target, data)

    def _link(self, path: str | None = None) -> None:
        path = path or self._target()
        if not self._clear(path):
            return
        flock = self._flock
        flock.written += 1
        self._say(f"link {path!r}")
        if self._disk.find(path) is not None:
            self._disk.remove_file(path)
        self._disk.make_symlink(path, f"nowhere/{flock.written}")
        flock.untouched.add(b"-> " + f"nowhere/{flock.written}".encode())

    def _chmod(self, path: str | None = None) -> None:
        path = path or self._existing()
        inode = self._disk.find(path) if path is not None else None
        if path is None or inode is None or inode.kind is Kind.SYMLINK:
            return
        mode = 0o700 if inode.kind is Kind.DIRECTORY else self._draw.choice((0o600, 0o640, 0o755))
        if self._flock.tagging and inode.kind is Kind.FILE and mode != 0o600:
            self._tag(path, inode)
            return
        self._say(f"chmod {mode:o} {path!r}")
        self._disk.set_metadata(path, mode, None)

    def _tag(self, path: str, inode: Inode) -> None:
        """Set an extended attribute, or remove one. Draws nothing."""
        tags, number = dict(inode.attributes), self._flock.counts["edits"]
        name = b"tag" if number % 3 else b"note"
        if name in tags and number % 2:
            del tags[name]
        else:
            tags[name] = b"%d" % number
        self._say(f"tag {path!r}: {tags}")
        self._disk.set_attributes(path, encode_attributes(tags))

    def _folder(self, path: str | None = None) -> None:
        path = path or self._some_path()
        found = self._disk.find(path)
        if (found is None or found.kind is not Kind.DIRECTORY) and self._clear(path):
            if found is not None:
                self._disk.remove_file(path)
            self._say(f"mkdir {path!r}")
            self._disk.make_directory(path, 0o755)
