"""`.flockignore`: what a box leaves out, in gitignore's words.

One file at the top of the box, synced like any other, so that all members leave out the same. The
patterns mean what they mean to git: the last one that matches counts, `!` takes a path back in,
nothing below a directory that is left out comes back, a `/` at the end means directories only.

What it says may come from anybody in the flock. A pattern becomes a regular expression whose worst
case grows with every `*` in it, so what has too many is left out, and said.
"""

from __future__ import annotations

from dataclasses import dataclass

from pathspec import GitIgnoreSpec

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
        self._lines: list[tuple[int, str]] = []
        problems: list[str] = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            why = self._why_not(line)
            if why is None:
                self._lines.append((number, line))
            else:
                problems.append(f"line {number}: {line.strip()[:80]!r} {why}; it is left out")
        self.problems = tuple(problems)
        self._spec = GitIgnoreSpec.from_lines([line for _, line in self._lines])
        self._above: dict[str, Match | None] = {}

    def match(self, path: str, *, is_directory: bool) -> Match | None:
        """What leaves `path` out, or None."""
        if path == IGNORE_FILE or not self._lines:
            return None
        for above in reversed(list(ancestors(path))):
            found = self._directory(above)
            if found is not None:
                return found
        return self._directory(path) if is_directory else self._look(path, path)

    def _directory(self, path: str) -> Match | None:
        if path not in self._above:
            if len(self._above) >= MAX_REMEMBERED:
                self._above.clear()
            self._above[path] = self._look(path, path + "/")
        return self._above[path]

    def _look(self, path: str, shown: str) -> Match | None:
        found = self._spec.check_file(shown)
        if not found.include or found.index is None:
            return None
        number, line = self._lines[found.index]
        return Match(number, line.strip(), path)

    def _why_not(self, line: str) -> str | None:
        if len(self._lines) >= MAX_PATTERNS:
            return f"is one pattern too many, there can be {MAX_PATTERNS}"
        names = line.split("/")
        if any(_runs(name) > MAX_STARS_PER_NAME for name in names) or _runs(line) > MAX_STARS:
            return (
                f"has too many *: {MAX_STARS_PER_NAME} in a name and {MAX_STARS} in all"
                " are the most"
            )
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError:
            return "is no pattern of gitignore"
        return None


def _runs(text: str) -> int:
    """How many runs of `*` there are."""
    return sum(
        1 for at, sign in enumerate(text) if sign == "*" and (at == 0 or text[at - 1] != "*")
    )
