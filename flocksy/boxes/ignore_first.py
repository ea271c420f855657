"""Before a disk of unknown past is adopted: what the flock ignores is none of its business.

Adoption shares whatever the disk holds. So where the flock has a `.flockignore` that this disk does
not show, that path is adopted, planned and applied alone, and `Held` looks at it before the rest is
judged. While its content has no holder everything waits: what was shared cannot be called back.
So it does for its conflict copies, which leave out as well. And where the disk has another
`.flockignore`: of two texts one would be in force, for all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from flocksy.boxes.activation import Opened
from flocksy.boxes.held import Held
from flocksy.boxes.ignore_copies import ignore_copies
from flocksy.boxes.planning import Planning
from flocksy.boxes.receiving import Receiving
from flocksy.boxes.setup import Mode
from flocksy.sync.capabilities import shows_content
from flocksy.sync.ignore import IGNORE_FILE
from flocksy.sync.version import Kind
from flocksy.sync.view import View

COPY_BYTES = 1 << 20
"""Copied on this disk per turn: a `.flockignore` of any size that counts."""

LOOK_SECONDS = 1.0
"""Between two looks whether this disk still has a `.flockignore` of its own."""

_WAITS = (
    "its content has not come yet; it says what is left out, so this folder is not shared before"
    " (if nobody has it any more: change or delete it on another member)"
)
_DIFFERS = (
    "is another one than the flock's, and one of the two would be in force for all: so this folder"
    " is not shared before you have put its lines into the flock's, on another member, and removed"
    " it here"
)


class IgnoreFirst:
    """See the head of this module. `adopt` adopts the paths given and has them planned."""

    def __init__(
        self,
        opened: Opened,
        planning: Planning,
        receiving: Receiving,
        held: Held,
        adopt: Callable[[Sequence[str]], None],
        mode: Mode,
    ) -> None:
        self._index = opened.index
        self._staging = opened.staging
        self._planning = planning
        self._receiving = receiving
        self._held = held
        self._adopt = adopt
        self._mode = mode
        self._differs = False
        self._begun = False
        self.done = False
        """Whether the rest may be adopted, once `Held` has looked again."""

    def turn(self, now: float) -> float | None:
        """Work a little, outside bursts, with the flock's tree known. When to come again."""
        if self._held.moving:
            return 0.0  # and does not look before that has ended
        if self._held.is_unknown:
            return now + LOOK_SECONDS
        ripe_at = self._held.unripe(IGNORE_FILE)
        if not self._begun and ripe_at is not None and self._index.local(IGNORE_FILE) is not None:
            return ripe_at  # somebody may still be at it
        self._differs = not self._begun and self._has_its_own()
        if self._differs:
            return now + LOOK_SECONDS
        if not self._begun:
            self._begun = True
            wanted = View(self._index).wanted(IGNORE_FILE).version
            shown = shows_content(self._index.local(IGNORE_FILE), wanted)
            copies = self._copies()
            if not copies and (wanted is None or wanted.kind is not Kind.FILE or shown):
                self._end()
                return 0.0
            self._adopt((IGNORE_FILE, *copies))
        self._receiving.believe(now)
        copying = self._staging.advance(COPY_BYTES)
        again = self._planning.turn(now, ignore_only=True)
        unsure = IGNORE_FILE in self._receiving.unsure
        paths = (IGNORE_FILE, *self._copies())
        if not (copying or unsure or any(map(self._planning.is_under_way, paths))):
            self._end()
        return 0.0 if copying or self.done else again

    def _copies(self) -> Collection[str]:
        return () if self._mode is Mode.SEND_ONLY else ignore_copies(self._index)

    def _has_its_own(self) -> bool:
        """Whether the disk has a text that the flock has not and never had, and that would stand
        beside the flock's. What nobody was told of is not the flock's."""
        local, state = self._index.local(IGNORE_FILE), self._index.lane_state(IGNORE_FILE)
        if self._mode is not Mode.SYNC or local is None or not local.root or state is None:
            return False
        known = {head.root for head in state.heads.values() if head.is_content}
        return bool(known) and local.root not in known.union(state.superseded.values())

    def _end(self) -> None:
        self.done, self._held.takes_ignore_file = True, False

    @property
    def problems(self) -> Mapping[str, str]:
        """What is said while the rest waits."""
        if self._differs:
            return {IGNORE_FILE: _DIFFERS}
        return {IGNORE_FILE: _WAITS} if self._begun and not self.done else {}
