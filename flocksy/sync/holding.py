"""Which paths of a box this node holds: chosen, and not ignored (design 6.2).

The rest is known and not held: nothing is read or written there, and absence is never a deletion.
What a disk cannot hold, or what cannot be looked at just now, is for whoever keeps the disk to say.
"""

from __future__ import annotations

from collections.abc import Iterable

from flocksy.sync.ignore import IGNORE_FILE, Ignore, Match, is_ignore_file
from flocksy.sync.names import ancestors


class Choice:
    """What was chosen, by `folders` and the `texts` of `.flockignore`, of which each leaves out. No
    folders: the whole box."""

    def __init__(self, folders: Iterable[str] = (), texts: Iterable[str] = ()) -> None:
        self.folders = tuple(folders)
        self.texts = tuple(texts)
        self._ignores = tuple(map(Ignore, self.texts))
        self._is_by_kind = any(one.tells_kinds_apart for one in self._ignores)
        self._folders = frozenset(self.folders)
        self._on_the_way = frozenset(above for one in self.folders for above in ancestors(one))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Choice):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[frozenset[str], frozenset[str]]:
        return self._folders, frozenset(self.texts)

    def is_selected(self, path: str) -> bool:
        """Whether `path` is in a chosen folder, is one, or is a directory above one."""
        if not self._folders or path in self._on_the_way or is_ignore_file(path):
            return True
        return path in self._folders or any(above in self._folders for above in ancestors(path))

    def depends_on_kind(self, path: str) -> bool:
        """Whether it matters if `path` is a directory (a pattern with a `/` at its end)."""
        if not self._is_by_kind:
            return False
        as_directory = self.ignored(path, is_directory=True)
        return (as_directory is None) != (self.ignored(path, is_directory=False) is None)

    def holds(self, path: str, *, is_directory: bool) -> bool:
        """Whether the path is chosen and not ignored."""
        return self.is_selected(path) and self.ignored(path, is_directory=is_directory) is None

    def ignored(self, path: str, *, is_directory: bool) -> Match | None:
        """The pattern that leaves the path out, or None."""
        for one in self._ignores:
            found = one.match(path, is_directory=is_directory)
            if found is not None:
                return found
        return None

    def explain(self, path: str, *, is_directory: bool) -> str | None:
        """Why the path is not held, in words that follow its name; None if it is."""
        if not self.is_selected(path):
            return f"is outside the chosen folders of this node ({', '.join(self.folders)})"
        found = self.ignored(path, is_directory=is_directory)
        if found is None:
            return None
        where = f"line {found.line} of {IGNORE_FILE}: {found.pattern}"
        if found.path != path:
            return f"is ignored with {found.path}/ by {where}"
        return f"is ignored by {where}"
