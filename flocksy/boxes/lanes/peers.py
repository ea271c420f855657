"""What the members say they know: digests of boxes, heard in heartbeats.

Every heartbeat carries the digest of one box (boxes in rotation). Equal digests mean equal flock
trees; a difference that stands for some rounds outside bursts starts a reconciliation. Digests
speak of what lanes have carried only, never of a disk, so nothing here tells who has a change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flocksy.seam.report import WireReport
from flocksy.sync.reconcile import KNOWN_TAG_BYTES

STANDING_ROUNDS = 4
"""Rounds a difference must stand before anybody asks (design 6.4)."""

STANDING_HEARTBEATS = 4 * STANDING_ROUNDS
"""Or heartbeats of one lane between bursts, none of which has agreed since the last that did: where
bursts follow each other all the time, there are never so many rounds between two."""

SILENT_ROUNDS = 40
"""A live member that has not named a box for so many of its heartbeats is not configured for it:
more than twice the boxes a member rotates through (of one with more boxes twice those are waited
for). The same holds for one that named it before: its box rests, or was taken out of its settings.
"""

MAX_BOXES_HEARD = 256
"""Boxes remembered per lane. Further ones are not remembered: a member's fault, never ours."""


@dataclass(slots=True)
class _Heard:
    digest: bytes
    heartbeat: int
    """Which of the lane's heartbeats named the box last."""
    differs_since: int | None = None
    differed: int = 0
    """Heartbeats between bursts that named it and differed, since one agreed."""
    compared: int = 0
    """The last of these heartbeats."""


class Peers:
    """The digests last heard from every lane."""

    def __init__(self, lanes: int, own_lane: int) -> None:
        self._own_lane = own_lane
        self._heard: list[dict[bytes, _Heard]] = [{} for _ in range(lanes)]
        self._heartbeats = [0] * lanes

    def follow(self, before: WireReport, report: WireReport) -> None:
        """Whose boxes count from now on says so from now on: below quorum everybody names none."""
        anew = before.view ^ report.view
        if report.real_allowed and not before.real_allowed:
            anew |= report.view
        for lane in range(len(self._heard)):
            if anew >> lane & 1:
                self.forget(lane)

    def heard(self, lane: int, known: bytes) -> None:
        """A heartbeat of `lane` said `known` (32 bytes; all zeros say nothing)."""
        if lane == self._own_lane:
            return
        self._heartbeats[lane] += 1
        if not any(known):
            return
        tag, digest = known[:KNOWN_TAG_BYTES], known[KNOWN_TAG_BYTES:]
        boxes = self._heard[lane]
        entry = self._of(lane, tag)
        if entry is not None:
            entry.digest, entry.heartbeat = digest, self._heartbeats[lane]
        elif tag in boxes or len(boxes) < MAX_BOXES_HEARD:
            boxes[tag] = _Heard(digest, self._heartbeats[lane])

    def forget(self, lane: int) -> None:
        """The lane left the view, came into it, or the view has a quorum again: what it said need
        not be true any more, and that it named no box said nothing."""
        if self._heartbeats[lane]:
            self._heard[lane].clear()
            self._heartbeats[lane] = 0

    def agree(self, tag: bytes, digest: bytes, lanes: Iterable[int]) -> bool:
        """Whether each of these lanes either says the same of the box or surely lacks it."""
        lanes = list(lanes)
        lacking = self.lacking(tag, lanes)
        said = [self._of(lane, tag) for lane in lanes if lane not in lacking]
        return all(entry is not None and entry.digest == digest for entry in said)

    def lacking(self, tag: bytes, lanes: Iterable[int]) -> list[int]:
        """Those of these lanes that surely lack the box: they name others, or none, and long."""
        tag = tag[:KNOWN_TAG_BYTES]
        return [
            lane for lane in lanes if self._of(lane, tag) is None and self._silent_since(lane, 0)
        ]

    def sharing(self, tag: bytes, lanes: Iterable[int]) -> list[int]:
        """Those of these lanes that have the box, by (the first bytes of) its tag."""
        return [lane for lane in lanes if self._of(lane, tag[:KNOWN_TAG_BYTES]) is not None]

    def standing(self, tag: bytes, digest: bytes, lanes: Iterable[int], round_: int) -> bool:
        """Whether some lane's digest of the box has differed from ours for long enough.

        To be called once per round outside bursts; any agreement starts the counts anew.
        """
        result = False
        for lane in lanes:
            entry = self._of(lane, tag)
            if entry is None:
                continue
            if entry.digest == digest:
                entry.differs_since, entry.differed = None, 0
                continue
            if entry.compared != entry.heartbeat:
                entry.compared = entry.heartbeat
                entry.differed += 1
            if entry.differs_since is None:
                entry.differs_since = round_
            stands = round_ - entry.differs_since >= STANDING_ROUNDS
            result = result or stands or entry.differed > STANDING_HEARTBEATS
        return result

    def calm(self) -> None:
        """A burst or a reconciliation is under way: count the rounds of differences anew, but not
        the heartbeats."""
        for boxes in self._heard:
            for entry in boxes.values():
                entry.differs_since = None

    def _of(self, lane: int, tag: bytes) -> _Heard | None:
        """What the lane says of the box, unless it has long not named it."""
        entry = self._heard[lane].get(tag)
        return None if entry is None or self._silent_since(lane, entry.heartbeat) else entry

    def _silent_since(self, lane: int, heartbeat: int) -> bool:
        """Whether a box that was last named by this heartbeat of the lane would have been named
        again."""
        most = max(SILENT_ROUNDS, 2 * len(self._heard[lane]))
        return self._heartbeats[lane] - heartbeat >= most
