"""The applier's open batch and the rows of the history. Part of `BoxIndex`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kept:
    """Something the history holds: `name` is its path below `.flocksy/history/`."""

    name: str
    path: str
    version_id: bytes | None
    root: bytes
    size: int
    kept_ms: int


class Journal:
    """Which paths the applier is about to touch. A path in an open batch is never read as edited
    or deleted; after a crash it is re-read first."""

    def open(self, rows: Sequence[tuple[str, bytes]]) -> None:
        """Note (path, what is planned there, as the applier encodes it). Durable on return."""
        raise NotImplementedError

    def open_rows(self) -> Sequence[tuple[str, bytes]]:
        """The open batch, in its order; empty when none is open."""
        raise NotImplementedError

    def contains(self, path: str) -> bool:
        raise NotImplementedError

    def close(self) -> None:
        """Forget the batch; in one transaction with the synced entries it led to."""
        raise NotImplementedError

    def keep(self, kept: Kept) -> None:
        """A file went into the history."""
        raise NotImplementedError

    def kept(self, before_ms: int, limit: int) -> Sequence[Kept]:
        """What the history got before that time, oldest first."""
        raise NotImplementedError

    def kept_of(self, path: str, limit: int) -> Sequence[Kept]:
        """What the history holds of a path, newest first."""
        raise NotImplementedError

    def kept_bytes(self) -> int:
        raise NotImplementedError

    def drop_kept(self, name: str) -> None:
        raise NotImplementedError
