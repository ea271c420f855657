"""What the disk under a box can hold, as the probe found it, and what therefore counts as equal."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import partial

from flocksy.sync.name_rules import EVERY_NAME, NameRules
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import LATEST_NS, MAX_SIZE, MODE_MASK, Kind, Version


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one disk can hold. What it cannot hold is not a change.

    The planner looks at all down to `attributes`; the rest is for those who decide what is `held`
    and how entries are recognised.
    """

    mode_bits: bool = True
    symlinks: bool = True
    mtime_grain_ns: int = 1
    earliest_mtime_ns: int = -LATEST_NS
    """Shown of every time before it."""
    latest_mtime_ns: int = LATEST_NS
    """Shown of every time after it."""
    max_file_bytes: int = MAX_SIZE
    attributes: bool = False
    """Extended ones, of files: this disk holds them, and they are wanted here."""
    case_folding: bool = False  # "A" and "a" are one entry
    normalising: bool = False  # composed and decomposed names are one entry
    stable_inodes: bool = True
    names: NameRules = EVERY_NAME

    @property
    def respelling(self) -> bool:
        """Whether this disk finds entries under other names than they are listed with."""
        return self.case_folding or self.normalising

    def folded(self, path: str) -> str:
        """The same for paths that are one to this disk. What is one letter to us may be two to it,
        so where these are equal the paths need not be one."""
        form = partial(unicodedata.normalize, "NFC") if self.normalising else str
        return form(form(path).casefold()) if self.case_folding else form(path)

    def why_not_so_large(self, version: Version) -> str | None:
        """Why this disk cannot hold a file of that size, in words for people, or None."""
        if version.size <= self.max_file_bytes:
            return None
        return (
            f"this disk cannot hold a file of {version.size} bytes: leave it to the others, or have"
            " the box on another disk"
        )

    def same(self, left: DiskEntry | None, right: DiskEntry | None) -> bool:
        """Whether two looks at this disk, the later one first, showed the same."""
        if left is None or right is None:
            return left is right
        return (
            left.kind is right.kind
            and left.root == right.root
            and self._same_metadata(left, right.mode, right.mtime_ns)
            and self._same_attributes(left, right.attributes or b"")
        )

    def shows_metadata(self, entry: DiskEntry, version: Version) -> bool:
        """Whether the entry has the metadata of `version`, as far as this disk can."""
        return self._same_metadata(entry, version.mode, version.mtime_ns) and self._same_attributes(
            entry, version.attributes
        )

    def _same_attributes(self, seen: DiskEntry, attributes: bytes) -> bool:
        """What was not looked at is no change. Where nothing was known, nothing is none either."""
        return not self.attributes or seen.attributes is None or seen.attributes == attributes

    def _same_metadata(self, entry: DiskEntry, mode: int, mtime_ns: int) -> bool:
        """Of symlinks there is none; of directories the mtime is no metadata."""
        if entry.kind is Kind.SYMLINK:
            return True
        if self.mode_bits and (entry.mode ^ mode) & MODE_MASK:
            return False
        return entry.kind is Kind.DIRECTORY or self.same_time(entry.mtime_ns, mtime_ns)

    def same_time(self, left_ns: int, right_ns: int) -> bool:
        """Whether two times of a file are one to this disk, which may round them, and shows its
        first or its last time for what lies beyond."""
        return abs(self._held_time(left_ns) - self._held_time(right_ns)) < self.mtime_grain_ns

    def _held_time(self, mtime_ns: int) -> int:
        return max(self.earliest_mtime_ns, min(mtime_ns, self.latest_mtime_ns))


def shows_content(entry: DiskEntry | None, version: Version | None) -> bool:
    """Whether the entry is of the version's kind and content; None and None count as equal."""
    if entry is None or version is None:
        return entry is None and (version is None or not version.is_content)
    return entry.kind is version.kind and entry.root == version.root
