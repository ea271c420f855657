"""Asking for what is missing here, and serving what others miss.

Asked is when nothing has arrived on its own for a while. A want is heard by all; who serves it
follows from a hash of what is wanted, of the member and of the attempt, so that the work is shared
among the lanes and nobody is asked by name. Each attempt chooses the next member, so a holder is
found after as many attempts as there are members.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

FEW_WANTED = 64
"""Wants that travel in heartbeats: 2 KiB, a few of them."""

MANY_WANTED = 4096
"""Wants in one message of a burst: 128 KiB, and at most 4 GiB of answers."""


def serves(
    wanted: bytes, attempt: int, own: int, asker: int, uids: Sequence[str], view: int
) -> bool:
    """Whether the member in lane `own` is the one to serve `wanted` (a chunk id or a path key).

    The members of the view without the asker are put in the order of
    BLAKE2b(wanted, uid); attempt k falls to the k-th of them.
    """
    order = sorted(
        (lane for lane in range(len(uids)) if view >> lane & 1 and lane != asker),
        key=lambda lane: hashlib.blake2b(
            wanted + uids[lane].encode("ascii"), digest_size=16
        ).digest(),
    )
    return bool(order) and order[attempt % len(order)] == own


SOON_ROUNDS = 1
"""While a programme of bursts goes on, what is missing gets so long to come by itself: what is not
asked for before its next burst does not come in it."""


HELD_PAUSES = 4
"""For so many pauses bursts put a question off that bring nothing of what is missing. Where
somebody works all the time one follows the other."""


class Awaited:
    """Of what is missing that which has been for longest. More may be missing than is counted, and
    come and go meanwhile: only this shows whether what was asked for is on its way."""

    def __init__(self) -> None:
        self._names: set[bytes] = set()

    def left(self, missing: Collection[bytes]) -> int:
        """How much of it is missing now. 0: nothing of it; what is missing now is awaited next."""
        self._names.intersection_update(missing)
        left = len(self._names)
        if not left:
            self._names.update(missing)
        return left

    def take(self) -> set[bytes]:
        """All of it. It is awaited no longer."""
        names, self._names = self._names, set()
        return names


@dataclass(slots=True)
class Patience:
    """When to ask (again) for what one box misses."""

    pause_s: float
    attempt: int = 0
    asked: bool = False
    _asked_soon: bool = False
    _since: float | None = None
    _began: float = 0.0
    """When something came last, or was asked for."""
    _last: int = -1

    def due(self, now: float, missing: int, soon_s: float | None = None) -> bool:
        """Whether to ask now. `missing`: any number that shrinks with progress; 0 for nothing.
        `soon_s`: so long to wait for the first question between two bursts, if not the usual pause.

        Call it while no burst is agreed or running; `hold` while one is.
        """
        if missing == 0:
            self.attempt, self._since, self._last, self.asked = 0, None, -1, False
            return False
        if missing != self._last or self._since is None:
            if self._last >= 0 and missing < self._last:
                self.attempt = 0
                if soon_s is not None:
                    self.asked = False  # what is left is still queued where it was asked for
            self._last, self._since, self._began = missing, now, now
            return False
        pause_s = self.pause_s if soon_s is None or self._asked_soon else soon_s
        if now - self._since < pause_s:
            return False
        self._since = self._began = now
        self._asked_soon = True
        if self.asked:
            self.attempt += 1
        self.asked = True
        return True

    def hold(self, now: float) -> None:
        """Something is under way: count the pause anew, but not for ever."""
        self._asked_soon = False
        if self._since is not None and now - self._began < HELD_PAUSES * self.pause_s:
            self._since = now
