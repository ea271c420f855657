"""What a recovery finds out on its way through the entries of a batch that was cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flocksy.boxes.apply.journal import JournalEntry
from flocksy.boxes.apply.placing import Placer
from flocksy.boxes.disk.port import Stat
from flocksy.boxes.disk.spelling import Spelling


@dataclass(frozen=True, slots=True)
class Cut:
    """Of one batch, in the hands of `recovery`.

    Args:
        linked: inode to path of files that have reached it; a removal of such a file is the second
            half of a rename, and two live names of one file must not stay.
        spelling: of a disk that finds entries under other names too.
        brought: the paths that have what the batch brings, as such a disk folds them.
        twins: by such a path the removal of what has it: the old name of a rename, as a rule.
        cleared: the paths of twins that were dealt with for the sake of the new name.
    """

    linked: dict[int, str]
    spelling: Spelling | None
    brought: set[str]
    twins: dict[str, JournalEntry]
    cleared: set[str]

    @classmethod
    def of(cls, placer: Placer, entries: Sequence[JournalEntry]) -> Cut:
        """Of these entries."""
        capabilities = placer.capabilities
        spelling = Spelling(placer.disk) if capabilities.respelling else None
        removals = [one for one in entries if one.before is not None and one.after is None]
        return cls(
            {}, spelling, set(), {capabilities.folded(one.path): one for one in removals}, set()
        )

    def is_otherwise_spelt(self, path: str) -> bool:
        """Whether what the disk finds there has another name, itself or a directory above it."""
        return self.spelling is not None and self.spelling.first_unlisted(path) is not None

    def stands(self, placer: Placer, path: str) -> Stat | None:
        """What stands at the path, by that very name."""
        there = placer.disk.stat(path)
        return None if there is not None and self.is_otherwise_spelt(path) else there

    def twin(self, placer: Placer, path: str) -> JournalEntry | None:
        """The removal of what has the old name, where `path` is a new name for the same entry."""
        return self.twins.get(placer.capabilities.folded(path)) if self.spelling else None
