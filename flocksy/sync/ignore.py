"""`.flockignore`: what a box leaves out, in gitignore's words.

One file at the top of the box, synced like any other, so that all members leave out the same. The
patterns mean what they mean to git: the last one that matches counts, `!` takes a path back in,
nothing below a directory that is left out comes back, a `/` at the end means directories only.

Each directory on the way to a path is judged by itself, and then the path: so a pattern has to
match the whole of what is judged, and not only a directory above it. `GitIgnoreSpec` judges a path
in one go, and goes wrong where patterns take in and out in turn.

What it says may come from anybody in the flock. A pattern becomes a regular expression whose worst
case grows with every `*` in it, so what has too many is left out, and said.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass

from pathspec import GitIgnoreSpec
from pathspec.pattern import RegexPattern

from flocksy.sync.names import ancestors

IGNORE_FILE = ".flockignore"
"""At the top of the box. It is never left out itself, whatever a pattern says."""

MAX_IGNORE_BYTES = 64 << 10
"""A larger one is none that somebody wrote."""

MAX_PATTERNS = 500
"""Each path is held against all of them: some tenths of a millisecond."""

MAX_STARS = 6
MAX_STARS_PER_NAME = 3
"""Runs of `*` in a pattern, and between two `/` of it: a name of 255 bytes takes some tens of
milliseconds at worst."""

MAX_REMEMBERED = 10_000
"""Directories whose answer is kept: most paths asked for lie beside each other."""


@dataclass(frozen=True, slots=True)
class Match:
    """The pattern that decided, on which line (from 1), and the path that it matched: the one
    asked for, or a directory above it."""

    line: int
    pattern: str
    path: str


class Ignore:
    """The patterns of one text. `problems`: the lines that are no patterns, in words."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.problems: tuple[str, ...] = ()
        self._patterns: list[tuple[int, str, bool, re.Pattern[str]]] = []
        problems: list[str] = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                self._patterns.append((number, line.strip(), *self._compiled(line)))
            except ValueError as error:
                problems.append(f"line {number}: {line.strip()[:80]!r} {error}; it is left out")
        self.problems = tuple(problems)
        self.tells_kinds_apart = any(line.endswith("/") for _, line, *_ in self._patterns)
        """Whether there are patterns for directories only."""
        self._above: dict[str, Match | None] = {}

    def match(self, path: str, *, is_directory: bool) -> Match | None:
        """What leaves `path` out, or None."""
        if path == IGNORE_FILE or not self._patterns:
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
        for number, line, leaves_out, regex in reversed(self._patterns):
            # Where a pattern may end at a directory, its one group is the "/" behind that.
            mark = next(iter(regex.groupindex), None)
            shown = path + "/" if is_directory and mark is not None else path
            found = regex.search(shown)
            while (
                found is not None and mark is not None and found.end(mark) not in (-1, len(shown))
            ):
                found = regex.search(shown, found.end())  # it spoke of a directory above
            if found is not None:
                return Match(number, line, path) if leaves_out else None
        return None

    def _compiled(self, line: str) -> tuple[bool, re.Pattern[str]]:
        """Whether the pattern leaves out (or takes in), and what it matches. Raises `ValueError`
        with words."""
        if len(self._patterns) >= MAX_PATTERNS:
            raise ValueError(f"is one pattern too many, there can be {MAX_PATTERNS}")
        names = [_single_stars(name) for name in line.split("/")]
        counts = [_stars(name) for name in names]
        if max(counts) > MAX_STARS_PER_NAME or sum(counts) > MAX_STARS:
            raise ValueError(
                f"has too many *: {MAX_STARS_PER_NAME} in a name and {MAX_STARS} in all are the"
                " most"
            )
        try:
            with warnings.catch_warnings():
                # A set that another Python might read as something else: members would not agree.
                warnings.simplefilter("error", FutureWarning)
                (pattern,) = GitIgnoreSpec.from_lines(["/".join(names)]).patterns
        except (ValueError, re.error, OverflowError, RecursionError, FutureWarning):
            raise ValueError("is no pattern of gitignore") from None
        if pattern.include is None or not isinstance(pattern, RegexPattern):
            raise ValueError("says nothing")
        assert isinstance(pattern.regex, re.Pattern)
        return pattern.include, pattern.regex


_ESCAPED_OR_STARS = re.compile(r"\\.|\*+", re.DOTALL)


def _single_stars(name: str) -> str:
    """One `*` for each run of them, which means the same, but for a name that is `**`: every star
    would become a loop within loops, and thirty of them take for ever."""
    if name.removeprefix("!").rstrip() == "**":
        return name
    return _ESCAPED_OR_STARS.sub(lambda found: _one(found[0]), name)


def _one(found: str) -> str:
    return "*" if found.startswith("*") else found


def _stars(name: str) -> int:
    """How many runs of `*` there are that are no plain signs."""
    return sum(found.startswith("*") for found in _ESCAPED_OR_STARS.findall(name))
