"""Making durable what a batch has written, named and dressed, in a thread.

What a directory or file shows is of two parts. A flush of a directory keeps the names in it, and
its own mode; mode, time and attributes of a file in it are kept by a flush of that file alone. All
of it has to be durable before the index says that it is there: what a power cut takes after that
reads as a change that somebody has made here, and is undone for the whole flock.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress

from flocksy.boxes.apply.batch import Step, guarded
from flocksy.boxes.apply.placing import Placer
from flocksy.boxes.disk.beside import in_thread
from flocksy.boxes.disk.port import Disk
from flocksy.errors import FlocksyError
from flocksy.sync.version import Kind

FLUSH_SINGLY = 8
"""Up to so many files or directories are flushed one by one: cheaper than everything that anybody
wrote to this file system, which is what `syncfs` flushes."""


def flush_contents(disk: Disk, steps: Sequence[Step]) -> Generator[float, None, None]:
    """The temporaries of these steps; one that cannot be flushed fails its step."""
    if len(steps) > FLUSH_SINGLY and (yield from in_thread(disk.flush_all)):
        return

    def flush() -> None:
        one = guarded(lambda step: disk.flush_file(step.entry.temporary))
        for step in steps:
            one(step)

    if steps:
        yield from in_thread(flush)


def flush_places(disk: Disk, placer: Placer) -> Generator[float, None, None]:
    """The directories in which names have changed, and what was dressed at its path."""
    folders, files = sorted(placer.touched), sorted(placer.dressed)
    is_much = len(folders) + len(files) > FLUSH_SINGLY
    if is_much and (yield from in_thread(disk.flush_all)):
        return

    def flush() -> bool:
        try:
            for folder in folders:
                # One that is gone again has nothing to keep.
                with suppress(FileNotFoundError):
                    disk.flush_directory(folder)
            for path in files:
                _flush_file(disk, path)
        except PermissionError:
            # A mode closes it to ourselves. Opened for that instant it would be durable as open.
            return disk.flush_all()
        return True

    if (folders or files) and not (yield from in_thread(flush)):
        yield from _flush_closed(placer)


def _flush_closed(placer: Placer) -> Generator[float, None, None]:
    """All of them, where a mode denies some to ourselves: opened for the instant in which a handle
    of one is opened, and flushed by that once what is above it is closed again. Deepest first: what
    was opened for the others is to be flushed in its turn."""
    done: set[str] = set()
    for path in sorted(placer.dressed):
        yield from _flush_by_handle(placer, path, path)
    while left := placer.touched - done:
        folder = max(left)
        done.add(folder)
        yield from _flush_by_handle(placer, folder, f"{folder}/" if folder else folder)


def _flush_by_handle(placer: Placer, path: str, inside: str) -> Generator[float, None, None]:
    flushes: list[Callable[[], None]] = []

    def opened() -> None:
        found = placer.disk.stat(path)
        if found is not None and found.kind in (Kind.FILE, Kind.DIRECTORY):
            flushes.append(placer.disk.flush_later(path))

    try:
        # Gone; another's; or a file that its own mode closes, for which there is no other call.
        with suppress(FileNotFoundError, PermissionError):
            placer.insist(inside, opened)
    except FlocksyError:
        for flush in flushes:
            flush()  # else its handle would stay open
        raise
    for flush in flushes:
        yield from in_thread(flush)


def _flush_file(disk: Disk, path: str) -> None:
    """A file at its path; what somebody has put there since is not ours to flush."""
    found = disk.stat(path)
    if found is not None and found.kind is Kind.FILE:
        with suppress(FileNotFoundError):
            disk.flush_file(path)
