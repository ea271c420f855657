"""Which texts of `.flockignore` are in force: of several, each leaves out.

What was shared once cannot be called back. A file that somebody is writing is empty for a while, or
half of what it will be, and of two that are in conflict one shows. So what a text leaves out counts
at once, and what it takes back in counts when it has stood unchanged for a while: until then all
that was in force before leaves out as well. Two texts are not put together into one, since a `!` of
the second would take back in what the first leaves out.

Most changes take nothing back in, as far as their lines show (`Ignore.covers`), and wait for
nothing. Pure: time comes in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flocksy.sync.ignore import Ignore

STANDS_SECONDS = 30.0
"""A text counts as a whole after this: longer than a program writes at it, or a person between two
saves that belong together."""

EMPTY_STANDS_SECONDS = 300.0
"""One that says nothing: `cat >` has made the file empty, and somebody is typing."""

MAX_TEXTS = 32
"""In force at a time: each path is held against all of them. Of more, those in the middle go: the
oldest ones have stood, the youngest are what is meant now."""


class TextsInForce:
    """Those of one box. `texts` leave out now; `waits`: some of them only until what is to be in
    force has stood for long enough, and a call of `settle` says that it counts."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """`texts`: those that have been in force so far."""
        self._in_force = _without_covered(map(Ignore, texts))
        self._wanted: tuple[Ignore, ...] = ()
        self._since: float | None = None
        self.waits = bool(self._in_force)

    @property
    def texts(self) -> tuple[str, ...]:
        """See the class."""
        return tuple(one.text for one in self._in_force)

    def want(self, texts: Sequence[str], now: float | None) -> None:
        """These are to be in force, and nothing else. `now` None: no time passes yet."""
        if tuple(texts) != tuple(one.text for one in self._wanted):
            known = {one.text: one for one in (*self._wanted, *self._in_force)}
            self._wanted = tuple(known.get(text) or Ignore(text) for text in texts)
            self._since = None
            found = _some(_without_covered((*self._wanted, *self._in_force)))
            self._in_force = found
            self.waits = not all(_is_covered(one, self._wanted) for one in found)
        if self._since is None:
            self._since = now

    def settle(self) -> None:
        """What is wanted counts, whatever it takes back in."""
        self._in_force, self.waits = _some(_without_covered(self._wanted)), False

    @property
    def stands_at(self) -> float | None:
        """When what is wanted has stood for long enough; None: no time has passed so far."""
        if self._since is None:
            return None
        is_empty = any(not one.leaves_out for one in self._wanted)
        return self._since + (EMPTY_STANDS_SECONDS if is_empty else STANDS_SECONDS)


def _some(texts: tuple[Ignore, ...]) -> tuple[Ignore, ...]:
    half = MAX_TEXTS // 2
    return texts if len(texts) <= MAX_TEXTS else texts[:half] + texts[-half:]


def _is_covered(one: Ignore, others: Iterable[Ignore]) -> bool:
    return not one.leaves_out or any(other.covers(one) for other in others)


def _without_covered(some: Iterable[Ignore]) -> tuple[Ignore, ...]:
    """What leaves out the same with fewer texts; the order stays."""
    kept: list[Ignore] = []
    for one in some:
        if not _is_covered(one, kept):
            kept = [other for other in kept if not one.covers(other)]
            kept.append(one)
    return tuple(kept)
