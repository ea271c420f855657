"""All boxes of a node: open, resting, or being adopted.

A box rests when its disk is not what the index remembers, or on the user's word. While it rests
nothing is read, written or concluded; it is looked at now and then and goes on by itself when the
cause is gone (mounting a drive is enough), unless a person paused it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flocksy.boxes.activation import open_box, renew_marker, still_ours
from flocksy.boxes.box import Box
from flocksy.boxes.disk.marker import check_place
from flocksy.boxes.lanes.exchange import Exchange
from flocksy.boxes.scan.scanner import Scanner, ScanReport
from flocksy.boxes.setup import BoxSetup
from flocksy.boxes.whereabouts import located, remember_place
from flocksy.errors import FlocksyError

LOOK_SECONDS = 2.0
"""How often an open box's marker is looked at, and a resting one's cause."""

RENEW_SECONDS = 3600.0
"""Between two renewals of an open box's marker: a copy of its folder that is put back is told from
it where the copy is older."""

RENEW_AGAIN_SECONDS = 60.0
"""After one that could not be, as on a disk that is full."""

PAUSED_BY_USER = "paused by flocksy box pause"

log = logging.getLogger("flocksy.box")


@dataclass(slots=True)
class Kept:
    """One box as the node knows it. `box` is None while it rests, for `reason`."""

    setup: BoxSetup
    box: Box | None = None
    reason: str = "not opened yet"
    by_user: bool = False
    look_at: float = 0.0
    renew_at: float = 0.0

    @property
    def place(self) -> str:
        """Where its folder is: not the configured path, where its disk is plugged in elsewhere."""
        return self.setup.path if self.box is None else self.box.setup.path


class Keeper:
    """Opens, closes and turns the boxes."""

    def __init__(
        self,
        exchange: Exchange,
        scanner: Scanner,
        now_ms: Callable[[], int],
        wake: Callable[[], None],
    ) -> None:
        self._exchange = exchange
        self._scanner = scanner
        self._now_ms = now_ms
        self._wake = wake
        self._kept: dict[str, Kept] = {}
        exchange.on_failure = self.failed

    @property
    def boxes(self) -> Sequence[Kept]:
        """All boxes, by name."""
        return [self._kept[name] for name in sorted(self._kept)]

    def get(self, name: str) -> Kept:
        """The box of that name. Raises `FlocksyError`."""
        kept = self._kept.get(name)
        if kept is None:
            known = ", ".join(sorted(self._kept)) or "none"
            raise FlocksyError(f"{name}: this node has no such box; it has: {known}")
        return kept

    def add(
        self, setup: BoxSetup, now: float, *, paused: bool = False, agreed: bool = False
    ) -> Kept:
        """Keep one more box, and open it if it can be and is not `paused` by a person. `agreed`: a
        person has been asked about its mode."""
        kept = self._kept[setup.name] = Kept(setup, by_user=paused)
        if paused:
            kept.reason = PAUSED_BY_USER
        else:
            self._try_to_open(kept, now, agreed=agreed)
        return kept

    def remove(self, name: str) -> None:
        """Keep the box no longer. Its files stay as they are."""
        self._rest(self.get(name), "removed")
        del self._kept[name]

    def pause(self, name: str) -> None:
        """Let the box rest until `resume`."""
        kept = self.get(name)
        kept.by_user = True
        self._rest(kept, PAUSED_BY_USER)

    def resume(self, name: str, now: float) -> Kept:
        """Let the box go on, if nothing else stops it."""
        kept = self.get(name)
        kept.by_user = False
        if kept.box is None:
            self._try_to_open(kept, now)
        return kept

    def adopt(self, name: str, now: float) -> Kept:
        """The user says that what is at the box's path is to be taken as it is."""
        kept = self.get(name)
        kept.by_user = False
        self._rest(kept, "being adopted")
        self._try_to_open(kept, now, adopt=True)
        return kept

    def turn(self, now: float, *, quiet: bool) -> float | None:
        """Give every box its turn. Returns when to come again.

        `quiet`: as in `Box.turn`. In a burst no box is opened but on a person's word, who waits for
        the answer.
        """
        again: list[float] = []
        for kept in self._kept.values():
            when = self._turn_one(kept, now, quiet)
            if when is not None:
                again.append(when)
        return min(again, default=None)

    def scanned(self, report: ScanReport, now: float) -> None:
        """A part of what the scanner found, for the box that asked."""
        kept = self._kept.get(report.box)
        if kept is None or kept.box is None:
            return
        try:
            kept.box.scanned(report, now)
        except (OSError, FlocksyError) as error:
            self.failed(kept.box, error)

    def scan_with(self, scanner: Scanner, now: float) -> None:
        """The scanner has died, and what it was asked for with it; this is the new one."""
        self._scanner = scanner
        for kept in self._kept.values():
            if kept.box is not None:
                kept.box.scan_with(scanner, now)

    def failed(self, box: Box, error: OSError | FlocksyError) -> None:
        """The disk or the index of an open box failed (full, gone, damaged): let it rest until the
        cause has gone. The other boxes go on."""
        for kept in self._kept.values():
            if kept.box is box:
                words = (isinstance(error, OSError) and error.strerror) or error
                self._rest(kept, f"box {kept.setup.name}: {words}; goes on by itself")
                log.error("%s", kept.reason)

    def close(self) -> None:
        """Finish what is being applied and close all boxes."""
        for kept in self._kept.values():
            self._rest(kept, "the node stops")

    def _turn_one(self, kept: Kept, now: float, quiet: bool) -> float | None:
        # To open a box is work that only a node has whose drive comes back or whose disk was full,
        # and in a burst all have the same.
        if now >= kept.look_at and (quiet or kept.box is not None):
            try:
                self._look(kept, now, quiet)
            except (OSError, FlocksyError) as error:
                if kept.box is not None:
                    self.failed(kept.box, error)
        box = kept.box
        if box is None:
            return kept.look_at if quiet else None
        try:
            when = box.turn(now, quiet=quiet)
            if (
                box.adopting
                and quiet
                and box.scanned_once
                and self._exchange.agrees(box)
                and box.guard.may_adopt()
            ):
                when = box.adopt(now)
                if not box.adopting:
                    log.info("box %s: looked through, sharing it now", kept.setup.name)
                return kept.look_at if when is None else min(when, kept.look_at)
            self._introduce(box, quiet)
        except (OSError, FlocksyError) as error:
            self.failed(box, error)
            kept.look_at = now + LOOK_SECONDS
            return kept.look_at
        return kept.look_at if when is None else min(when, kept.look_at)

    def _introduce(self, box: Box, quiet: bool) -> None:
        """Note that what is here and what the others have is one, once that shows."""
        if box.guard.met or box.adopting or not quiet:
            return
        if not box.scanned_once or box.intake.changed or box.index.outgoing_count():
            return  # the others cannot know yet what is here
        if self._exchange.has_met(box) and not box.guard.estranged():
            box.guard.meet()

    def _look(self, kept: Kept, now: float, quiet: bool) -> None:
        kept.look_at = now + LOOK_SECONDS
        if kept.box is not None:
            reason = still_ours(kept.box.disk, kept.box.setup, kept.box.index)
            if reason is not None:
                self._rest(kept, reason)
                log.warning("%s", reason)
            elif quiet and now >= kept.renew_at:
                done = renew_marker(kept.box.disk, kept.box.setup, kept.box.index)
                kept.renew_at = now + (RENEW_SECONDS if done else RENEW_AGAIN_SECONDS)
        elif not kept.by_user:
            self._try_to_open(kept, now)

    def _try_to_open(
        self, kept: Kept, now: float, *, adopt: bool = False, agreed: bool = False
    ) -> None:
        kept.look_at = now + LOOK_SECONDS
        try:
            others = [one.place for one in self._kept.values() if one is not kept]
            setup = located(kept.setup)
            check_place(setup.name, setup.path, others)
            opened = open_box(setup, self._now_ms, self._wake, adopt=adopt, agreed=agreed)
            try:
                remember_place(setup, opened.index)
                box = Box(setup, opened, self._scanner, self._now_ms)
            except BaseException:
                opened.close()
                raise
        except (OSError, FlocksyError) as error:
            if str(error) != kept.reason:
                log.warning("%s", error)
            kept.reason = str(error)
            return
        for words in opened.words:
            log.warning("%s", words)
        kept.box = box
        kept.renew_at = now + RENEW_SECONDS
        kept.box.rescan(now)
        kept.reason = ""
        self._exchange.add(kept.box)
        log.info("box %s: %s", setup.name, setup.path)

    def _rest(self, kept: Kept, reason: str) -> None:
        kept.reason = reason
        if kept.box is not None:
            self._exchange.remove(kept.box)
            box, kept.box = kept.box, None
            try:
                box.close()
            except (OSError, FlocksyError) as error:
                words = (isinstance(error, OSError) and error.strerror) or error
                log.warning("box %s: %s", kept.setup.name, words)
