"""What a look has found is made durable before anybody hears of it.

The index may lag the disk and never lead it (design 6.3), for what people write as well. Hardly any
program flushes what it saves, and the system keeps that in memory for half a minute; but the index
is durable much earlier, and so are the other members. Without this a power cut in between leaves a
file empty that all others have in full, and the next look takes that for somebody's edit.

Done in the scanner, never in a burst, and beside the looks at other boxes: who copies a film here
waits for its disk, and nobody else does.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from flocksy.boxes.disk.beside import in_thread
from flocksy.boxes.disk.port import Disk
from flocksy.boxes.scan.findings import Finding, Gone, Seen, Unreadable
from flocksy.boxes.scan.following import stat_shown
from flocksy.sync.names import parent_of
from flocksy.sync.version import Kind
from flocksy.system import kernel, processes

FLUSH_SINGLY = 8
"""Up to so many findings are flushed one by one: cheaper than everything that anybody wrote to
these file systems, which is what `syncfs` flushes."""


def made_durable(
    disk: Disk, findings: Sequence[Finding]
) -> Generator[float, None, Sequence[Finding]]:
    """The findings, once no power cut takes what they say; what cannot be flushed is one that
    cannot be read. Yields as `in_thread`.

    What changes again before its flush is not what was found, and whoever makes a version looks
    once more whether it is (`scan/standing.py`).
    """
    changes = [finding for finding in findings if isinstance(finding, Seen | Gone)]
    if not changes:
        return findings

    def flush() -> Sequence[Finding]:
        # All who flush wait for each other: whoever has the least of the disk would hold them up.
        processes.set_ordinary_io()
        if len(changes) > FLUSH_SINGLY and _flush_all(disk, changes):
            return findings
        one_by_one = _OneByOne(disk)
        return [one_by_one.flushed(finding) for finding in findings]

    return (yield from in_thread(flush))


def _flush_all(disk: Disk, changes: Sequence[Seen | Gone]) -> bool:
    """All file systems that these are on. False where each is to be flushed by itself: there is no
    such call, or it has failed and only that tells for which of them."""
    seen = [change for change in changes if isinstance(change, Seen)]
    try:
        folders = [_nearest(disk, folder) for folder in {parent_of(one.path) for one in changes}]
        places = {
            **{one.entry.device: one.path for one in seen if one.entry.kind is Kind.DIRECTORY},
            **dict(folders),
            **{one.entry.device: one.path for one in seen if one.entry.kind is Kind.FILE},
        }
        return all(disk.flush_around(path) for path in places.values())
    except OSError:
        return False


def _nearest(disk: Disk, folder: str) -> tuple[int, str]:
    """The number of the file system of the directory, or of the first one above it that is still
    there; and its path."""
    while (found := stat_shown(disk, folder)) is None and folder:
        folder = parent_of(folder)
    return 0 if found is None else found.device, folder


@dataclass(slots=True)
class _OneByOne:
    """Flushes findings by themselves, and the directories that name them once each."""

    disk: Disk
    _folders: dict[str, OSError | None] = field(default_factory=dict)

    def flushed(self, finding: Finding) -> Finding:
        """The finding, if it is durable now."""
        if not isinstance(finding, Seen | Gone):
            return finding
        try:
            if isinstance(finding, Seen) and finding.entry.kind is Kind.FILE:
                self._flush(self.disk.flush_file, finding.path)
            elif isinstance(finding, Seen) and finding.entry.kind is Kind.DIRECTORY:
                self._flush_directory(finding.path)
            self._flush_directory(parent_of(finding.path))
        except OSError as error:
            reason = f"is not safe on its disk: {error.strerror or error}"
            took_s = finding.hashing_s if isinstance(finding, Seen) else 0.0
            return Unreadable(finding.path, reason, hashing_s=took_s)
        return finding

    def _flush_directory(self, path: str) -> None:
        if path not in self._folders:
            self._folders[path] = None
            try:
                if not self._flush(self.disk.flush_directory, path) and path:
                    self._flush_directory(parent_of(path))  # what went with it went from there
            except OSError as error:
                self._folders[path] = error
        failed = self._folders[path]
        if failed is not None:
            raise failed

    def _flush(self, flush: Callable[[str], None], path: str) -> bool:
        """False if nothing is there any more."""
        try:
            flush(path)
        except FileNotFoundError:
            return False
        except PermissionError:
            self.disk.flush_all()  # closed to ourselves; where there is no such call, no other does
        except OSError as error:
            # Some have nothing to flush, or no way to ask for it.
            if not kernel.is_unsupported(error) and error.errno != errno.EROFS:
                raise
        return True
