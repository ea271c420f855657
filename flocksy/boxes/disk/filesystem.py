"""The disk of this machine behind the port of `flocksy.boxes.disk.port`.

An entry is looked at and changed by the same handle wherever the system allows it. `openat2` does
the walk without links in one call; where there is none it is done component by component.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

from flocksy.boxes.disk import dressing
from flocksy.boxes.disk.often import Often
from flocksy.boxes.disk.port import MODE_BITS, PARKED, Disk, Stat, as_stat, is_one_file
from flocksy.errors import BoxError
from flocksy.system import files, filesystems, kernel, opening, renames

__all__ = ["Disk", "RealDisk", "Stat", "as_stat"]

_COPY_BYTES = 1 << 20
"""Bytes per step of a copy: about a millisecond, so that a caller can slice its time."""

_DIRECTORY_FLAGS = os.O_RDONLY | opening.O_DIRECTORY | opening.O_NOFOLLOW | opening.O_CLOEXEC
# Without O_NONBLOCK the open of a FIFO that took the place of a file would hang.
_ANYTHING_FLAGS = os.O_RDONLY | opening.O_NOFOLLOW | opening.O_NONBLOCK | opening.O_CLOEXEC

# Walking meets these when a component is missing or is not a directory of the box.
_NO_WAY = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV})

# For unknown calls (a sandbox), during a rename, for a long path. The walk tells what it really is.
_WALK_INSTEAD = frozenset({errno.EPERM, errno.EAGAIN, errno.EINVAL, errno.ENAMETOOLONG})


class RealDisk:
    """A box on the disk of this machine. Keep one per box; `close` it to let a drive be taken out.

    Calls may come from any thread: what is kept beside the root's handle is for one thread alone.
    """

    def __init__(self, root: str) -> None:
        """Raises `BoxError` when `root` is no directory that we may read and enter."""
        if not opening.HAS_DIRECTORY_HANDLES:
            raise BoxError("flocksy cannot keep boxes safe on this operating system yet")
        self.root = root
        try:
            # The root itself may be reached through links: its path is the user's own word.
            self._root_fd = os.open(root, os.O_RDONLY | opening.O_DIRECTORY | opening.O_CLOEXEC)
        except FileNotFoundError:
            raise BoxError(f"{root}: there is no such directory; create or mount it") from None
        except NotADirectoryError:
            raise BoxError(f"{root}: is not a directory, and a box has to be one") from None
        except OSError as error:
            raise BoxError(f"{root}: cannot be opened: {error.strerror}") from None
        self._often = Often(lambda path: self._open(path, _DIRECTORY_FLAGS))
        self._openat2 = True
        self._exchange = True
        self._noreplace = True

    def close(self) -> None:
        if self._root_fd >= 0:
            os.close(self._root_fd)
            self._root_fd = -1
        self._often.close()

    def __enter__(self) -> RealDisk:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # ── looking ──────────────────────────────────────────────────────────────────────────────

    def stat(self, path: str) -> Stat | None:
        if not path:
            return as_stat(os.fstat(self._root_fd))
        try:
            with self._parent(path) as (parent, name):
                return as_stat(os.stat(name, dir_fd=parent, follow_symlinks=False))
        except FileNotFoundError:
            return None

    def scan(self, path: str) -> list[tuple[str, Stat]]:
        found = []
        with self._directory(path) as handle, os.scandir(handle) as entries:
            for entry in entries:
                # One that vanished since the listing is not there.
                with suppress(FileNotFoundError):
                    found.append((entry.name, as_stat(entry.stat(follow_symlinks=False))))
        return found

    def open_read(self, path: str) -> int:
        descriptor = self._open(path, _ANYTHING_FLAGS)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a regular file", path)
        return descriptor

    def read_link(self, path: str) -> str:
        with self._parent(path) as (parent, name):
            return os.readlink(name, dir_fd=parent)

    # ── making ───────────────────────────────────────────────────────────────────────────────

    def create(self, path: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | opening.O_NOFOLLOW | opening.O_CLOEXEC
        with self._parent(path) as (parent, name):
            return os.open(name, flags, 0o600, dir_fd=parent)

    def make_directory(self, path: str, mode: int) -> None:
        with self._parent(path) as (parent, name):
            os.mkdir(name, mode & MODE_BITS, dir_fd=parent)

    def make_symlink(self, path: str, text: str) -> None:
        if "\0" in text:  # which the call would refuse with a ValueError
            raise OSError(errno.EILSEQ, os.strerror(errno.EILSEQ), path)
        with self._parent(path) as (parent, name):
            os.symlink(text, name, dir_fd=parent)

    def link(self, source: str, target: str) -> bool:
        with self._parents(source, target) as (source_fd, old, target_fd, new):
            try:
                os.link(old, new, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)
            except FileExistsError:
                raise
            except OSError as error:
                # EPERM: FAT and its like; also a file of somebody else where links to such are
                # forbidden. EMLINK: one name too many. In all cases a copy does.
                if error.errno in (errno.EPERM, errno.EMLINK) or kernel.is_unsupported(error):
                    return False
                raise
        return True

    def copy(self, source: str, target: str) -> Iterator[None]:
        reading = self.open_read(source)
        try:
            writing = self.create(target)
            try:
                while data := os.read(reading, _COPY_BYTES):
                    view = memoryview(data)
                    while view:
                        view = view[os.write(writing, view) :]
                    yield
            finally:
                os.close(writing)
        finally:
            os.close(reading)

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        with dressing.handle(self._open, path) as handle:
            return dressing.set_metadata(handle, mode, mtime_ns, inode)

    def read_attributes(self, path: str) -> bytes:
        with dressing.handle(self._open, path) as handle:
            return dressing.read_attributes(handle)

    def set_attributes(self, path: str, attributes: bytes) -> None:
        with dressing.handle(self._open, path) as handle:
            dressing.set_attributes(handle, attributes)

    # ── moving ───────────────────────────────────────────────────────────────────────────────

    def move(self, source: str, target: str) -> None:
        with self._parents(source, target) as (source_fd, old, target_fd, new):
            if self._noreplace:
                try:
                    renames.rename_noreplace(source_fd, old, target_fd, new)
                    return
                except OSError as error:
                    if not kernel.is_unsupported(error):
                        raise
            _move_by_steps(source_fd, old, target_fd, new)
            # Only now: the same error also speaks of a name that cannot be.
            self._noreplace = False

    def replace(self, source: str, target: str) -> None:
        with self._parents(source, target) as (source_fd, old, target_fd, new):
            os.replace(old, new, src_dir_fd=source_fd, dst_dir_fd=target_fd)

    def exchange(self, temporary: str, path: str) -> None:
        """Where the file system cannot exchange in one step, the path is empty for an instant: what
        stood there goes to `temporary` + `PARKED`, the new content to the path, and the old one to
        `temporary`. A crash in between is mended by `settle`."""
        with self._parents(temporary, path) as (temporary_fd, ours, path_fd, name):
            if self._exchange:
                try:
                    renames.rename_exchange(temporary_fd, ours, path_fd, name)
                    return
                except OSError as error:
                    if not kernel.is_unsupported(error):
                        raise
        parked = temporary + PARKED
        self.move(path, parked)
        try:
            self.move(temporary, path)
        except OSError:
            # Somebody was quicker (or may write here and we may not): what we took goes back if
            # the name is free. If not, it stays parked and `settle` finds it.
            with suppress(FileExistsError), _not_cut(path, parked):
                self.move(parked, path)
            raise
        with _not_cut(path, parked):
            self.move(parked, temporary)
        self._exchange = False

    def settle(self, temporary: str, path: str) -> str | None:
        parked = temporary + PARKED
        taken, there, ours = self.stat(parked), self.stat(path), self.stat(temporary)
        if taken is None:
            return None
        if is_one_file(taken, there) or (there is not None and is_one_file(taken, ours)):
            self.remove_file(parked)  # one of the moves was cut between its two steps
            return None
        if ours is None:
            self.move(parked, temporary)
            return None
        try:
            self.move(parked, path)
        except FileExistsError:
            return parked
        return None

    def remove_file(self, path: str) -> None:
        with self._parent(path) as (parent, name):
            os.unlink(name, dir_fd=parent)

    def remove_directory(self, path: str) -> None:
        with self._parent(path) as (parent, name):
            os.rmdir(name, dir_fd=parent)

    # ── flushing ─────────────────────────────────────────────────────────────────────────────

    def flush_file(self, path: str) -> None:
        descriptor = self.open_read(path)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def flush_directory(self, path: str) -> None:
        with self._directory(path) as handle:
            files.flush_directory(handle)

    def flush_later(self, path: str) -> Callable[[], None]:
        descriptor = self._open(path or ".", _ANYTHING_FLAGS)

        def flush() -> None:
            try:
                is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
                (files.flush_directory if is_directory else os.fsync)(descriptor)
            finally:
                os.close(descriptor)

        return flush

    def flush_all(self) -> bool:
        return files.sync_filesystem(self._root_fd)

    def flush_around(self, path: str) -> bool:
        descriptor = self._open(path or ".", _ANYTHING_FLAGS)
        try:
            return files.sync_filesystem(descriptor)
        finally:
            os.close(descriptor)

    def space(self) -> tuple[int, int]:
        return filesystems.space(self._root_fd)

    def identity(self) -> int:
        return filesystems.identity(self._root_fd)

    def former_identity(self) -> int:
        return filesystems.former_identity(self._root_fd)

    def type_name(self) -> str:
        return filesystems.kind(self._root_fd)

    # ── handles ──────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        """Handle of the directory that `path` is in, and its name there."""
        directory, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            raise OSError(errno.EINVAL, "not the path of an entry", path)
        kept = self._often.get(directory) if directory else self._root_fd
        if kept is not None:
            yield kept, name
            return
        handle = self._open(directory, _DIRECTORY_FLAGS)
        try:
            yield handle, name
        finally:
            os.close(handle)

    @contextmanager
    def _parents(self, first: str, second: str) -> Iterator[tuple[int, str, int, str]]:
        with self._parent(first) as (first_fd, old), self._parent(second) as (second_fd, new):
            yield first_fd, old, second_fd, new

    @contextmanager
    def _directory(self, path: str) -> Iterator[int]:
        # A handle of its own also for the root: scandir moves the handle's position.
        handle = self._open(path or ".", _DIRECTORY_FLAGS)
        try:
            yield handle
        finally:
            os.close(handle)

    def _open(self, path: str, flags: int) -> int:
        """Open what exists at `path`, through no link."""
        if ".." in path and ".." in path.split("/"):
            raise OSError(errno.EINVAL, "not a path in the box", path)
        if self._openat2:
            try:
                return opening.open_beneath(self._root_fd, path, flags)
            except OSError as error:
                if error.errno in _NO_WAY:
                    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
                if error.errno == errno.ENOSYS:
                    self._openat2 = False
                elif error.errno not in _WALK_INSTEAD:
                    raise
        return self._walk(path, flags)

    def _walk(self, path: str, flags: int) -> int:
        """As `opening.open_beneath`, component by component."""
        names = path.split("/")
        if "" in names:
            raise OSError(errno.EINVAL, "not a path in the box", path)
        handle = self._root_fd
        try:
            for index, name in enumerate(names):
                last = index == len(names) - 1
                below = os.open(name, flags if last else _DIRECTORY_FLAGS, dir_fd=handle)
                if handle != self._root_fd:
                    os.close(handle)
                handle = below
        except OSError as error:
            if handle != self._root_fd:
                os.close(handle)
            if error.errno in _NO_WAY:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
            raise
        return handle


@contextmanager
def _not_cut(path: str, parked: str) -> Iterator[None]:
    """Where an exchange must not end: whoever asked for it could not tell what is where."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise BoxError(
            f"{path}: what stood there is at {parked} in the box: {error.strerror or error}"
        ) from error


def _move_by_steps(source_fd: int, old: str, target_fd: int, new: str) -> None:
    """Rename without replacing where the file system has no such rename."""
    found = os.stat(old, dir_fd=source_fd, follow_symlinks=False)
    if not stat.S_ISDIR(found.st_mode):
        try:
            os.link(old, new, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EMLINK) and not kernel.is_unsupported(error):
                raise
        else:
            try:
                os.unlink(old, dir_fd=source_fd)
            except OSError:
                # It has not moved, so it must not be there: it would be in the way of the next try.
                with suppress(OSError):
                    there = os.stat(new, dir_fd=target_fd, follow_symlinks=False)
                    if (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino):
                        os.unlink(new, dir_fd=target_fd)
                raise
            return
    # A directory replaces an empty directory at most, so nothing can be lost there. For a file on
    # such a file system (FAT, over FUSE) there is no way without a gap between look and rename.
    try:
        os.stat(new, dir_fd=target_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(old, new, src_dir_fd=source_fd, dst_dir_fd=target_fd)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
