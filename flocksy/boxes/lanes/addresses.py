"""Where members are reached: what is told to the others of it, and what others tell.

A machine that roams has another address when it comes back. Whoever finds a member live tells the
others at which endpoint, one member at a time and in turn, at a fixed pace whatever has happened;
of itself a node tells the endpoints it is bound to. What is told is tried by the wire process
while a link is down, in turn with what is configured. Nobody has to be believed: who answers there
must have the member's key.

An endpoint that was told and has worked is kept, until what is configured works again or is
changed.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from flocksy.seam.limits import TEXT_BYTES
from flocksy.seam.report import JOINING, LIVE, WireReport
from flocksy.sync.messages import MAX_ADDRESS_BYTES, Address

TELL_ROUNDS = 20
"""From one that is told to the next. One takes some 40 bytes of one heartbeat: of all that is free
in heartbeats less than a hundredth."""

TAKE_ROUNDS = 10
"""From each member one is taken in so many. A few of each member are kept, whoever told them: who
tells false ones delays a right one by minutes."""

MAX_BYTES = 1 << 16

Usable = Callable[[str, Sequence[str]], bool]
"""Whether an endpoint that was told can be that of a member with these configured ones."""


class Addresses:
    """What one node knows of where its members are."""

    def __init__(
        self,
        own_lane: int,
        uids: Sequence[str],
        configured: Sequence[Sequence[str]],
        path: Path,
        period_s: float,
        usable: Usable,
    ) -> None:
        """`configured`: the endpoints of each lane, also of our own. `path`: where what has worked
        is kept. A file that cannot be read is taken for none: it is only a help."""
        self._own = own_lane
        self._uids = tuple(uids)
        self._configured = [tuple(endpoints) for endpoints in configured]
        self._path = path
        self._period_s = period_s
        self._usable = usable
        self._worked = self._read()
        self._taken_at: dict[int, float] = {}
        self._tell_at = 0.0
        self._turn = itertools.cycle(range(len(uids)))
        self._own_turn = itertools.cycle(self._configured[own_lane])

    def first(self, lane: int) -> tuple[str, ...]:
        """The endpoints to begin with, the likeliest first."""
        worked = self._worked.get(self._uids[lane])
        return (*([worked] if worked else []), *self._configured[lane])

    def heard(self, teller: int, message: Address, now: float) -> bool:
        """Whether what a member says is to be tried."""
        lane = message.member
        if teller == self._own or lane == self._own or lane >= len(self._uids):
            return False
        before = self._taken_at.get(teller)
        if before is not None and now - before < TAKE_ROUNDS * self._period_s:
            return False
        self._taken_at[teller] = now
        return self._usable(message.endpoint, self._configured[lane])

    def to_tell(self, report: WireReport, now: float) -> Address | None:
        """What is to be told now, if it is time for that and there is something."""
        if now < self._tell_at:
            return None
        self._tell_at = now + TELL_ROUNDS * self._period_s
        lane = next(self._turn)
        link = report.lanes[lane]
        if lane == self._own:
            endpoint = next(self._own_turn)
        else:
            endpoint = link.target if link.state in (LIVE, JOINING) else ""
        if not 0 < len(endpoint) <= MAX_ADDRESS_BYTES or not self._usable(
            endpoint, self._configured[lane]
        ):
            return None
        return Address(lane, endpoint)

    def note(self, report: WireReport) -> None:
        """Keep what works. Raises `OSError` where it cannot be kept; it is tried again then."""
        worked = dict(self._worked)
        for lane, link in enumerate(report.lanes):
            # A longer one may have been cut on its way.
            if link.state in (LIVE, JOINING) and 0 < len(link.address) < TEXT_BYTES:
                if link.address in self._configured[lane]:
                    worked.pop(self._uids[lane], None)
                else:
                    worked[self._uids[lane]] = link.address
        if worked != self._worked:
            self._write(worked)
            self._worked = worked

    def _read(self) -> dict[str, str]:
        try:
            with self._path.open("rb") as file:
                found = decode(file.read(MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        worked = {}
        for uid, endpoints in zip(self._uids, self._configured, strict=True):
            at, *instead_of = found.get(uid, ("",))
            if at and instead_of == list(endpoints) and self._usable(at, endpoints):
                worked[uid] = at
        return worked

    def _write(self, worked: Mapping[str, str]) -> None:
        configured = dict(zip(self._uids, self._configured, strict=True))
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="ascii") as file:
            file.write(encode({uid: [at, *configured[uid]] for uid, at in worked.items()}))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


def encode(kept: Mapping[str, Sequence[str]]) -> str:
    """The file: by uid, the endpoint that has worked and then those that were configured."""
    return json.dumps(kept)


def decode(data: bytes) -> dict[str, list[str]]:
    """What `encode` has written. Raises `ValueError` and `RecursionError`."""
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("not by uid")
    for endpoints in found.values():
        if not isinstance(endpoints, list) or not endpoints:
            raise ValueError("not lists of endpoints")
        if not all(isinstance(endpoint, str) for endpoint in endpoints):
            raise ValueError("not endpoints")
    return found
