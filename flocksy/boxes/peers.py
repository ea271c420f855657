"""What the members say they know: digests of boxes, heard in heartbeats.

Every heartbeat carries the digest of one box (boxes in rotation). Equal digests mean equal flock
trees; a difference that stands for some rounds outside bursts starts a reconciliation. Digests
speak of what lanes have carried only, never of a disk, so nothing here tells who has a change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

TAG_BYTES = 8
"""The part of a box id that stands before the digest in the 32 bytes of a cell."""

STANDING_ROUNDS = 4
"""Rounds a difference must stand before anybody asks (design 6.4)."""

SILENT_ROUNDS = 40
"""A live member that has not named a box for so many of its heartbeats is not configured for it:
more than twice the boxes a member rotates through."""

MAX_BOXES_HEARD = 256
"""Boxes remembered per lane. Further ones are not remembered: a member's fault, never ours."""


@dataclass(slots=True)
class _Heard:
    digest: bytes
    round: int
    differs_since: int | None = None


class Peers:
    """The digests last heard from every lane."""

    def __init__(self, lanes: int, own_lane: int) -> None:
        self._own_lane = own_lane
        self._heard: list[dict[bytes, _Heard]] = [{} for _ in range(lanes)]
        self._heartbeats = [0] * lanes

    def heard(self, lane: int, known: bytes, round_: int) -> None:
        """A heartbeat of `lane` said `known` (32 bytes; all zeros say nothing)."""
        if lane == self._own_lane:
            return
        self._heartbeats[lane] += 1
        if not any(known):
            return
        tag, digest = known[:TAG_BYTES], known[TAG_BYTES:]
        boxes = self._heard[lane]
        entry = boxes.get(tag)
        if entry is not None:
            entry.digest, entry.round = digest, round_
        elif len(boxes) < MAX_BOXES_HEARD:
            boxes[tag] = _Heard(digest, round_)

    def left(self, lane: int) -> None:
        """The lane is not in the view: what it said is no longer true."""
        if self._heartbeats[lane]:
            self._heard[lane].clear()
            self._heartbeats[lane] = 0

    def agree(self, tag: bytes, digest: bytes, lanes: Iterable[int]) -> bool:
        """Whether each of these lanes either says the same of the box or surely lacks it."""
        for lane in lanes:
            entry = self._heard[lane].get(tag)
            if entry is None:
                if self._heartbeats[lane] < SILENT_ROUNDS:
                    return False
            elif entry.digest != digest:
                return False
        return True

    def share(self, tag: bytes, lanes: Iterable[int]) -> bool:
        """Whether any of these lanes has the box."""
        return any(tag in self._heard[lane] for lane in lanes)

    def standing(self, tag: bytes, digest: bytes, lanes: Iterable[int], round_: int) -> bool:
        """Whether some lane's digest of the box has differed from ours for long enough.

        To be called once per round outside bursts; any agreement starts the count anew.
        """
        result = False
        for lane in lanes:
            entry = self._heard[lane].get(tag)
            if entry is None:
                continue
            if entry.digest == digest:
                entry.differs_since = None
            elif entry.differs_since is None:
                entry.differs_since = round_
            elif round_ - entry.differs_since >= STANDING_ROUNDS:
                result = True
        return result

    def calm(self) -> None:
        """A burst or a reconciliation is under way: count the rounds of differences anew."""
        for boxes in self._heard:
            for entry in boxes.values():
                entry.differs_since = None
