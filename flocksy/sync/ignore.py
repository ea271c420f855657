"""`.flockignore`: what a box leaves out, in gitignore's words.

One file at the top of the box, synced like any other, so that all members leave out the same. The
patterns mean what they mean to git: the last one that matches counts, `!` takes a path back in,
nothing below a directory that is left out comes back, a `/` at the end means directories only.

Each directory on the way to a path is judged by itself, and then the path: so a pattern has to
match the whole of what is judged, and not only a directory above it. `GitIgnoreSpec` judges a path
in one go, and goes wrong where patterns take in and out in turn.

What it says may come from anybody in the flock, so it is not the library that matches: it makes one
regular expression of a pattern, which tries out every way to share a path out among its stars and
takes hours for some. Here names are matched one by one, from the left, and no star is tried twice.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from flocksy.sync.names import ancestors, owner_of_copy

IGNORE_FILE = ".flockignore"
"""At the top of the box. It is never left out itself, whatever a pattern says, nor are its conflict
copies: what they say counts, too."""

MAX_IGNORE_BYTES = 64 << 10
"""A larger one is none that somebody wrote."""

MAX_PATTERNS = 500
"""Each path is held against all of them: some tenths of a millisecond, a second at worst."""

MAX_PATTERN_CHARACTERS = 4096
"""As long as a path can be."""

MAX_REMEMBERED = 10_000
"""Directories whose answer is kept: most paths asked for lie beside each other."""


def is_ignore_file(path: str) -> bool:
    """Whether the path is `.flockignore`, or a conflict copy of it, or one of that."""
    if not path.startswith(IGNORE_FILE):
        return False
    while path != IGNORE_FILE:
        owner = owner_of_copy(path)
        if owner is None or not owner[1]:
            return False
        path, _ = owner
    return True


@dataclass(frozen=True, slots=True)
class Match:
    """The pattern that decided, on which line (from 1), and the path that it matched: the one
    asked for, or a directory above it."""

    line: int
    pattern: str
    path: str


class _Pattern:
    """One line: which paths it speaks of, and what it says of them."""

    def __init__(self, number: int, line: str, *, leaves_out: bool) -> None:
        """`line` is a pattern that the library has taken; `leaves_out`: it does not begin with !"""
        self.number = number
        self.line = line.strip()
        self.leaves_out = leaves_out
        text = (line if leaves_out else line[1:]).rstrip("\n")
        if not text.endswith("\\ "):
            text = text.rstrip()
        self.meaning = leaves_out, text
        """Of two patterns in which this is the same, each does what the other does."""
        names = text.split("/")
        self.directories_only = len(names) > 1 and not names[-1]
        if self.directories_only:
            del names[-1]
        if len(names) == 1:
            names.insert(0, ANY_DEPTH)  # without a / it is meant at every depth
        elif not names[0]:
            del names[0]
        self._names = [None if _is_any_depth(name) else _name(name) for name in names]

    def speaks_of(self, names: Sequence[str], *, is_directory: bool) -> bool:
        """Whether the path with these names is meant, itself and not by a directory above it."""
        if self.directories_only and not is_directory:
            return False
        wanted = self._names
        at = then = 0
        again: tuple[int, int] | None = None  # behind the last `**`, and where it was tried last
        while at < len(names):
            if then < len(wanted):
                name = wanted[then]
                if name is None:
                    then += 1
                    if then == len(wanted):
                        return True  # whatever lies below
                    again = (then, at)
                    continue
                if name.fullmatch(names[at]):
                    at, then = at + 1, then + 1
                    continue
            if again is None:
                return False
            then, at = again[0], again[1] + 1
            again = (then, at)
        return then == len(wanted)


ANY_DEPTH = "**"
_STAR = "[^/]*"
_SUFFIX = "/x(?:(?P<ps_d>/)|$)"
_NOTHING = re.compile("(?!)")


def _is_any_depth(name: str) -> bool:
    """To git more than two stars are two."""
    return len(name) > 1 and not name.strip("*")


def _name(name: str) -> re.Pattern[str]:
    """What one name of a pattern matches, compiled so that no star is tried twice: each takes as
    little as lets what follows it fit, the last one as much, and that stands."""
    if not name:
        return _NOTHING  # between two /
    # With a name behind it, since at the end of a line spaces do not count.
    found, _ = GitIgnoreSpecPattern.pattern_to_regex(f"/{name}/x")
    assert found is not None and found.startswith("^") and found.endswith(_SUFFIX), found
    first, *others = found[1 : -len(_SUFFIX)].split(_STAR)
    if not others:
        return re.compile(first, re.DOTALL)
    # Of stars side by side the last one is enough.
    middle = "".join(f"(?>{_STAR}?{other})" for other in others[:-1] if other)
    return re.compile(f"{first}{middle}(?>{_STAR}{others[-1]})", re.DOTALL)


class Ignore:
    """The patterns of one text. `problems`: the lines that are no patterns, in words."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.problems: tuple[str, ...] = ()
        self._patterns: list[_Pattern] = []
        problems: list[str] = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                self._patterns.append(self._pattern(number, line))
            except ValueError as error:
                problems.append(f"line {number}: {line.strip()[:80]!r} {error}; it is left out")
        self.problems = tuple(problems)
        self.tells_kinds_apart = any(one.directories_only for one in self._patterns)
        """Whether there are patterns for directories only."""
        self._above: dict[str, Match | None] = {}

    @property
    def leaves_out(self) -> bool:
        """Whether there is a pattern that leaves anything out."""
        return any(one.leaves_out for one in self._patterns)

    def covers(self, other: Ignore) -> bool:
        """Whether the lines show that all that `other` leaves out is left out by this as well: none
        is lacking, and none takes back in that does not do so in `other`."""
        ours = [one.meaning for one in self._patterns]
        theirs = [one.meaning for one in other._patterns]
        if not other.leaves_out:
            return True
        if all(leaves_out for leaves_out, _ in ours):
            return {one for one in theirs if one[0]} <= set(ours)
        at = 0  # the last one that matches decides, so all of them have to be here in their order
        for one in ours:
            if at < len(theirs) and one == theirs[at]:
                at += 1
            elif not one[0]:
                return False
        return at == len(theirs)

    def match(self, path: str, *, is_directory: bool) -> Match | None:
        """What leaves `path` out, or None."""
        if not self._patterns or is_ignore_file(path):
            return None
        for above in reversed(list(ancestors(path))):
            found = self._directory(above)
            if found is not None:
                return found
        return self._directory(path) if is_directory else self._look(path, is_directory=False)

    def _directory(self, path: str) -> Match | None:
        if path not in self._above:
            if len(self._above) >= MAX_REMEMBERED:
                self._above.clear()
            self._above[path] = self._look(path, is_directory=True)
        return self._above[path]

    def _look(self, path: str, *, is_directory: bool) -> Match | None:
        """The last pattern that speaks of the path itself, if it leaves it out."""
        names = path.split("/")
        for pattern in reversed(self._patterns):
            if pattern.speaks_of(names, is_directory=is_directory):
                found = Match(pattern.number, pattern.line, path)
                return found if pattern.leaves_out else None
        return None

    def _pattern(self, number: int, line: str) -> _Pattern:
        """Raises `ValueError` with words."""
        if len(self._patterns) >= MAX_PATTERNS:
            raise ValueError(f"is one pattern too many, there can be {MAX_PATTERNS}")
        if len(line) > MAX_PATTERN_CHARACTERS:
            raise ValueError(f"is longer than {MAX_PATTERN_CHARACTERS} characters")
        try:
            with warnings.catch_warnings():
                # A set that another Python might read as something else: members would not agree.
                warnings.simplefilter("error", FutureWarning)
                _, leaves_out = GitIgnoreSpecPattern.pattern_to_regex(line)
                if leaves_out is not None:
                    return _Pattern(number, line, leaves_out=leaves_out)
        except (ValueError, re.error, OverflowError, RecursionError, FutureWarning):
            raise ValueError("is no pattern of gitignore") from None
        raise ValueError("says nothing")
