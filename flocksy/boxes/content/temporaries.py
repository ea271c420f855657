"""The temporary files that incoming content is written to, inside the box, beside nobody's files.

A temporary has one name for one (path, root), in every run, so that what an earlier run wrote is
found again. Nothing is flushed. A disk that refuses to be written to is told in `trouble`, and one
that holds no file so large in `max_file_bytes`: that is trouble for such files alone.

People make room by removing them, also in the middle. What is made anew in the place of one has
zeros where that had been written, so it is not made before the caller knows (`LostError`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from contextlib import suppress

from blake3 import blake3

from flocksy.boxes.apply.placing import INCOMING
from flocksy.boxes.apply.remedies import describe
from flocksy.boxes.disk.handles import Handles
from flocksy.boxes.disk.port import PARKED, Disk
from flocksy.sync.content import MAX_CHUNK_BYTES
from flocksy.sync.names import encode_path
from flocksy.sync.version import MAX_SIZE
from flocksy.system import files, opening

_ZEROS = bytes(MAX_CHUNK_BYTES)
_OURS = 0o600
MAX_OPEN_FILES = 64
"""Of the 1,024 that a process may commonly have."""
WRITE_OUT_BYTES = 8 << 20
"""Written to one file before the system is asked to bring it to the disk and to forget it. So the
flush at the end finds little left to do, and a big file does not push out of memory what the person
at the machine works with."""


class LostError(Exception):
    """Somebody has removed a temporary, and what was in it has to come again. The next write makes
    it anew."""


class Temporaries:
    """Those of one kind, told by the prefix of their names."""

    def __init__(self, disk: Disk, prefix: str) -> None:
        self._disk = disk
        self._prefix = prefix
        self._files = Handles(self._open, MAX_OPEN_FILES)
        self._unasked: dict[str, int] = {}
        """Bytes written to a file since the system was last asked to write it out."""
        self._begun: set[str] = set()
        """Those that are there, as far as is known, and may have something in them."""
        self.trouble: str | None = None
        """Why the disk refused the last write, for people; None when it did not."""
        self.max_file_bytes = MAX_SIZE
        """No larger file can be on this disk, as far as its refusals have shown."""

    def name(self, path: str, root: bytes) -> str:
        """The temporary's path in the box."""
        return f"{INCOMING}/{self._prefix}{blake3(root + encode_path(path)).hexdigest(16)}"

    def begun(self, name: str, size: int) -> bool:
        """Whether an earlier run has left something that may be part of `size` bytes."""
        try:
            found = self._disk.stat(name)
            if found is not None and found.names == 1 and found.mode & _OURS != _OURS:
                # It has the mode of its path already, which may deny us to write into it.
                self._disk.set_metadata(name, _OURS, None)
        except OSError:
            return False
        # With two names it is at its path already, by a move that was cut between its two steps:
        # what is written into it would be written there.
        if found is not None and (found.size > size or found.names > 1):
            self.remove(name)
            return False
        if found is not None:
            self._begun.add(name)
        return found is not None

    def holds(self, name: str, size: int) -> bool:
        """Whether a file of that size is there, as far as the disk tells."""
        try:
            found = self._disk.stat(name)
        except OSError:
            return True  # a disk that refuses has not lost it
        return found is not None and found.size == size

    def taken_bytes(self, name: str) -> int:
        """What it takes up on the disk; 0 where the disk refuses."""
        try:
            found = self._disk.stat(name)
        except OSError:
            return 0
        return 0 if found is None else found.taken_bytes

    def write_whole(self, name: str, data: bytes | memoryview) -> bool:
        """A small file in one go. False: the disk refused."""
        try:
            try:
                descriptor = self._create(name)
            except FileExistsError:
                self.remove(name)  # of an earlier run
                descriptor = self._create(name)
            try:
                files.write_at(descriptor, data, 0)
            finally:
                os.close(descriptor)
        except OSError as error:
            return self._refused(error)
        self._begun.add(name)
        self.trouble = None
        return True

    def write(self, name: str, data: bytes | memoryview, offsets: Collection[int]) -> bool:
        """The same bytes to each of these offsets; without any, the file is made. Zeros where
        nothing was written become a hole, so that sparse files stay sparse. False: the disk
        refused. Raises `LostError`."""
        try:
            descriptor = self._files.get(name)
            self._begun.add(name)
            empty = _is_zeros(data)
            for offset in offsets:
                if empty and offset >= os.fstat(descriptor).st_size:
                    os.truncate(descriptor, offset + len(data))  # a hole reads as zeros
                elif not (empty and files.is_hole(descriptor, offset, len(data))):
                    files.write_at(descriptor, data, offset)
        except OSError as error:
            if error.errno == errno.EFBIG and offsets:
                least_bytes = max(offsets) + len(data)
                self.max_file_bytes = min(self.max_file_bytes, least_bytes - 1)
                return False
            return self._refused(error)
        written = self._unasked.get(name, 0) + len(data) * len(offsets)
        if written >= WRITE_OUT_BYTES:
            files.write_out(descriptor)
            written = 0
        self._unasked[name] = written
        self.trouble = None
        return True

    def read(self, name: str, length: int, offset: int) -> bytes:
        """At most `length` bytes; none where the disk refuses. Raises `LostError`."""
        try:
            return files.read_at(self._files.get(name), length, offset)
        except OSError:
            return b""

    def done(self, name: str) -> None:
        """Nothing more is written to it for now."""
        self._files.close(name)
        self._unasked.pop(name, None)

    def placed(self, name: str) -> None:
        """It has been moved to where it belongs."""
        self.done(name)
        self._begun.discard(name)

    def rename(self, name: str, other: str) -> bool:
        """Give it another name, in place of whatever has that. False: the disk refused. Raises
        `LostError`, when nothing has that name any more."""
        self.done(name)
        self.remove(other)
        try:
            self._disk.move(name, other)
        except FileNotFoundError:
            self._see_lost(name)
            return True  # nothing has been written to it yet
        except OSError as error:
            return self._refused(error)
        if name in self._begun:
            self._begun.remove(name)
            self._begun.add(other)
        return True

    def remove(self, name: str) -> None:
        """It is not needed any more. What cannot be removed is swept another time."""
        self.placed(name)
        with suppress(OSError):
            self._disk.remove_file(name)

    def sweep(self, wanted: Collection[str]) -> None:
        """Remove those of earlier runs but for the wanted, and for what was parked."""
        try:
            listing = self._disk.scan(INCOMING)
        except OSError:
            return
        for entry, _ in listing:
            name = f"{INCOMING}/{entry}"
            if entry.endswith(PARKED):
                continue
            if entry.startswith(self._prefix) and name not in wanted:
                self.remove(name)

    def close(self) -> None:
        """Let go of all files."""
        self._files.close_all()
        self._unasked.clear()

    def _see_lost(self, name: str) -> None:
        """It is not there. Raises `LostError` when it has been."""
        if name in self._begun:
            self._begun.remove(name)
            raise LostError

    def _refused(self, error: OSError) -> bool:
        self.trouble = describe(error)
        return False

    def _create(self, name: str) -> int:
        try:
            return self._disk.create(name)
        except FileNotFoundError:  # people make room by removing all of it
            with suppress(FileExistsError):
                self._disk.make_directory(INCOMING, 0o700)
            return self._disk.create(name)

    def _open(self, name: str) -> int:
        """For reading and writing; made when it was never there."""
        try:
            reading = self._disk.open_read(name)
        except FileNotFoundError:
            self._see_lost(name)
            return self._create(name)
        try:
            # Through the handle, so that it is the same file whatever happens to the name.
            return os.open(
                opening.descriptor_path(reading), os.O_RDWR | opening.O_CLOEXEC | opening.O_BINARY
            )
        finally:
            os.close(reading)


def _is_zeros(data: bytes | memoryview) -> bool:
    # Nearly everything that is something else has it near its beginning.
    return data[:64] == _ZEROS[: len(data[:64])] and data == _ZEROS[: len(data)]
