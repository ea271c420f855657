"""A real box on a real disk with a real index, for the tests of what applies to it."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from blake3 import blake3

from flocksy.boxes.apply.applier import Applier, Report
from flocksy.boxes.apply.folders import make_folders
from flocksy.boxes.apply.history import FOLDER, History
from flocksy.boxes.apply.journal import IndexJournal
from flocksy.boxes.apply.placing import INCOMING
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import PRIVATE
from flocksy.index.store import BoxIndex
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.content import symlink_root
from flocksy.sync.operations import (
    DiskOperation,
    MakeDirectory,
    PutFile,
    PutSymlink,
    Remove,
    SetMetadata,
)
from flocksy.sync.trees import DiskEntry, SyncedEntry
from flocksy.sync.version import Kind, Version, version_id

NOW_MS = 1_790_000_000_000
MTIME_NS = 1_700_000_000_123_456_789

_Value = TypeVar("_Value")


def root_of(data: bytes) -> bytes:
    """Stands for the content root; what it is made of does not matter here."""
    return blake3(data).digest()


def finish(work: Generator[float, None, _Value]) -> _Value:
    """Run a generator that works in slices to its end."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # typed Any for all generators


class Bench:
    """One box. `contents` of what is staged are kept by path and root."""

    def __init__(
        self,
        place: Path,
        disk: RealDisk | None = None,
        capabilities: Capabilities | None = None,
        *,
        cap_bytes: int = 1 << 40,
    ) -> None:
        self.root = place / "box"
        self.root.mkdir(exist_ok=True)
        self.index = BoxIndex.open(place / "index.sqlite")
        self.disk = disk or RealDisk(str(self.root))
        self.capabilities = capabilities or Capabilities()
        self.now_ms = NOW_MS
        self.history = History(
            self.disk,
            lambda: self.now_ms,
            cap_bytes=cap_bytes,
            elapsed_ms=lambda: self.now_ms,
            secret=b"secret",
        )
        self.applier = Applier(
            self.disk, IndexJournal(self.index), self.history, self, self.capabilities
        )
        self.names: dict[tuple[str, bytes], str] = {}
        self.texts: dict[bytes, str] = {}
        self.count = 0
        make_folders(self.disk)

    def close(self) -> None:
        self.disk.close()
        self.index.close()

    # What the applier asks for.

    def staged(self, path: str, version: Version) -> str | None:
        return self.names.get((path, version.root))

    def link_text(self, path: str, version: Version) -> str | None:
        del path
        return self.texts.get(version.root)

    # What is to be done.

    def stage(self, path: str, data: bytes) -> str:
        self.count += 1
        name = f"{INCOMING}/staged-{os.getpid()}-{self.count}"
        (self.root / name).write_bytes(data)
        self.names[path, root_of(data)] = name
        return name

    def put(
        self,
        path: str,
        data: bytes,
        *,
        mode: int = 0o644,
        mtime_ns: int = MTIME_NS,
        source: str | None = None,
        attributes: bytes = b"",
    ) -> PutFile:
        if source is None:
            self.stage(path, data)
        version = Version(
            Kind.FILE, mode, mtime_ns, len(data), root_of(data), 1, (), attributes=attributes
        )
        return PutFile(
            path, version, frozenset({version_id(version)}), self.index.local(path), source
        )

    def put_link(self, path: str, text: str) -> PutSymlink:
        root = symlink_root(text.encode())
        self.texts[root] = text
        version = Version(Kind.SYMLINK, 0, 0, 0, root, 1, ())
        return PutSymlink(path, version, frozenset({version_id(version)}), self.index.local(path))

    def make_directory(self, path: str, mode: int = 0o755) -> MakeDirectory:
        version = Version(Kind.DIRECTORY, mode, 0, 0, b"", 1, ())
        return MakeDirectory(
            path, version, frozenset({version_id(version)}), self.index.local(path)
        )

    def set_metadata(
        self, path: str, mode: int, mtime_ns: int = MTIME_NS, attributes: bytes = b""
    ) -> SetMetadata:
        entry = self.local(path)
        is_file = entry.kind is Kind.FILE
        version = Version(
            entry.kind,
            mode,
            mtime_ns if is_file else 0,
            entry.size,
            entry.root,
            2,
            (),
            True,
            attributes=attributes,
        )
        return SetMetadata(path, version, frozenset({version_id(version)}), entry)

    def remove(self, path: str) -> Remove:
        tombstone = Version(Kind.TOMBSTONE, 0, 0, 0, b"", 2, ())
        synced = SyncedEntry(frozenset({version_id(tombstone)}), None)
        return Remove(path, self.local(path), synced)

    def apply(self, *operations: DiskOperation) -> Report:
        return finish(self.applier.apply(operations))

    # What is there.

    def local(self, path: str) -> DiskEntry:
        entry = self.index.local(path)
        assert entry is not None, path
        return entry

    def look_at_attributes(self) -> None:
        """As the scan does that follows a batch."""
        for path in self.paths():
            entry = self.local(path)
            if entry.kind is Kind.FILE:
                entry = replace(entry, attributes=self.disk.read_attributes(path))
                self.index.set_local(path, entry)

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def edit(self, path: str, data: bytes) -> None:
        """As an editor does that writes in place."""
        with open(self.root / path, "r+b") as file:
            file.truncate()
            file.write(data)

    def paths(self) -> set[str]:
        """Everything in the box, without what is ours."""
        return set(_walk(self.root, ""))

    def kept(self) -> dict[str, bytes]:
        """What the history holds: content (or text of a link) by name."""
        folder = self.root / FOLDER
        return {
            str(path.relative_to(folder)): (
                os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
            )
            for path in folder.glob("*/*")
        }

    def rows(self) -> dict[str, str]:
        """The history's rows: path by name."""
        rows = self.index.journal.kept(1 << 60, 1 << 30)
        return {row.name: row.path for row in rows}

    def temporaries(self) -> list[str]:
        return sorted(os.listdir(self.root / INCOMING))


def _walk(folder: Path, prefix: str) -> Iterator[str]:
    for entry in os.scandir(folder):
        path = prefix + entry.name
        if path == PRIVATE:
            continue
        yield path
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, path + "/")
