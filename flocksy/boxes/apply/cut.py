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
        on_their_way: inode to the temporary from which a file is to reach its path.
        spelling: of a disk that finds entries under other names too.
        brought: the paths that have what the batch brings, as such a disk folds them, and their
            last names as they are.
        twins: by such a path the removal of what has it: the old name of a rename, as a rule.
        cleared: the paths of twins that were dealt with for the sake of the new name.
    """

    linked: dict[int, str]
    on_their_way: dict[int, str]
    spelling: Spelling | None
    brought: dict[str, str]
    twins: dict[str, JournalEntry]
    cleared: set[str]

    @classmethod
    def of(cls, placer: Placer, entries: Sequence[JournalEntry]) -> Cut:
        """Of these entries."""
        folded, twins, on_their_way = placer.capabilities.folded, {}, {}
        for entry in entries:
            if entry.after is not None:
                on_their_way[entry.after.inode] = entry.temporary
            elif entry.before is not None:
                twins[folded(entry.path)] = entry
        spelling = Spelling(placer.disk) if placer.capabilities.respelling else None
        return cls({}, on_their_way, spelling, {}, twins, set())

    def note_brought(self, placer: Placer, path: str) -> None:
        """What the batch brings there is there."""
        self.brought[placer.capabilities.folded(path)] = path.rpartition("/")[2]

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

    def came_along(self, placer: Placer, path: str) -> bool:
        """Whether what the disk finds there is what had that path before: in a directory to which
        the batch has given its other case, by its own name, and not brought."""
        first = self.spelling.first_unlisted(path) if self.spelling is not None else None
        if self.spelling is None or first is None or first == path:
            return False
        folded = placer.capabilities.folded
        is_new = self.brought.get(folded(path)) == path.rpartition("/")[2]
        return folded(first) in self.brought and not is_new and self.spelling.lists(path)

    def second_name(self, placer: Placer, removal: JournalEntry, there: Stat) -> str | None:
        """Where the file that is to be removed, and stands `there`, is as well, as half of a
        rename: its new path or, where nobody has worked on it, the temporary on its way to that."""
        at = self.linked.get(there.inode)
        if at is None and placer.same(there, removal.before, at=removal.path):
            at = self.on_their_way.get(there.inode)
        return at
