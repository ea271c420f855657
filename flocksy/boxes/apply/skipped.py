"""What may stand in the way of the flock and no scan ever tells of."""

from __future__ import annotations

from collections.abc import Callable

from flocksy.boxes.disk.port import Stat
from flocksy.sync.version import Kind


class Skipped:
    """Knows what scans of one box pass over, and says why."""

    def __init__(self, *, ignore_symlinks: bool) -> None:
        self._ignore_symlinks = ignore_symlinks
        self.ignored: Callable[[str, bool], str | None] = lambda *_: None
        """Why a path is ignored if it is a directory, or if it is none, in words that follow its
        name. Whoever knows what is held sets it."""
        self.unread: Callable[[str], str | None] = lambda _: None
        """Why no scan can tell what stands at a path. Whoever knows what they said sets it."""

    def why(self, path: str, found: Stat) -> str | None:
        """Why what was found at `path` is skipped, for people; None where it is not."""
        if found.kind is None:
            return "something stands here that no box holds (a FIFO, socket or device)"
        if found.kind is Kind.SYMLINK and self._ignore_symlinks:
            return "a symbolic link stands here, and this box ignores those"
        reason = self.ignored(path, found.kind is Kind.DIRECTORY)
        return self.unread(path) if reason is None else f"what stands here {reason}"
