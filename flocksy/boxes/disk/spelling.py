"""What entries are really called, on a disk that finds them under other names too.

Where two cases or two normal forms are one, `Disk.stat("dir/file")` may show what is in "DIR". Only
listings tell, and only those of every directory on the way.
"""

from __future__ import annotations

from flocksy.boxes.disk.port import Disk


class Spelling:
    """The names in the directories of one box. For one look at it: each is listed once at most,
    until it is said that a name has come."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._names: dict[str, set[str]] = {}

    def first_unlisted(self, path: str) -> str | None:
        """The first of the directories above `path`, or `path` itself, that is not listed by the
        very name that it has here; None where all are. Raises `OSError` where nobody can tell."""
        above = ""
        for name in path.split("/"):
            here = f"{above}/{name}" if above else name
            if name not in self._listed(above):
                return here
            above = here
        return None

    def lists(self, path: str) -> bool:
        """Whether its directory, whatever that is called, lists it by its last name."""
        folder, _, name = path.rpartition("/")
        return name in self._listed(folder)

    def came(self, path: str) -> None:
        """What stands at the path has just got that name."""
        folder, _, name = path.rpartition("/")
        if folder in self._names:
            self._names[folder].add(name)

    def forget(self) -> None:
        """Some entry has another name now, or none."""
        self._names.clear()

    def _listed(self, folder: str) -> set[str]:
        if folder not in self._names:
            try:
                listing = self._disk.scan(folder)
            except FileNotFoundError:
                listing = []  # no directory
            self._names[folder] = {name for name, _ in listing}
        return self._names[folder]
