"""Whether a path still shows what the local tree says of it: asked before a version is made.

The local tree is what scans saw, and scans of one path may overtake each other: an old *gone* that
comes last would be a deletion for everybody. One look per path costs microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Stat
from flocksy.boxes.disk.spelling import Spelling
from flocksy.boxes.scan.following import FollowingDisk, stat_shown
from flocksy.boxes.scan.links import Links
from flocksy.boxes.scan.looking import says
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind


class Standing:
    """Compares paths of one box with its disk."""

    def __init__(
        self, disk: RealDisk | FollowingDisk, links: Links | None, capabilities: Capabilities
    ) -> None:
        self._disk = disk
        self._links = links
        self._capabilities = capabilities

    def as_known(self, known: Mapping[str, DiskEntry | None]) -> set[str]:
        """Those of the paths that show what is known of them (None: nothing), as far as a look
        without reading tells."""
        spelling = Spelling(self._disk) if self._capabilities.respelling else None
        return {path for path, entry in known.items() if self._is_as(path, entry, spelling)}

    def _is_as(self, path: str, entry: DiskEntry | None, spelling: Spelling | None) -> bool:
        try:
            found = stat_shown(self._disk, path)
            if entry is None:
                return found is None or self._is_no_entry(path, found, spelling)
        except OSError:
            return False
        if found is None or found.kind is not entry.kind:
            return False
        if entry.kind is Kind.DIRECTORY:
            # What is in it are paths of their own. A closed one is open for an instant where
            # something is brought into it: a mode that nobody has given it.
            return found.mode == entry.mode or not self._capabilities.mode_bits
        return (
            found.size == entry.size
            and found.mtime_ns == entry.mtime_ns
            and (found.inode == entry.inode or not self._capabilities.stable_inodes)
            and (entry.kind is not Kind.SYMLINK or says(self._disk, path, entry))
        )

    def _is_no_entry(self, path: str, found: Stat, spelling: Spelling | None) -> bool:
        """Whether what was found at `path` is nothing of the box by that name."""
        if self._links is not None and found.kind is Kind.SYMLINK and self._links.is_closed(path):
            return True
        # Another spelling of any of its components may have found it.
        return spelling is not None and spelling.first_unlisted(path) is not None
