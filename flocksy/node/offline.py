"""The same commands with no node running: on this disk's index and history alone.

The caller holds the lock of the node's state. Looking opens the index and the folder and changes
nothing. Restoring opens the box as a node does, makes the version and brings it to the disk by the
same steps; the others learn of it when the node runs again.
"""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from flocksy.boxes.activation import is_of_known_past, open_box
from flocksy.boxes.box import Box
from flocksy.boxes.disk import marker
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.guard import Guard
from flocksy.boxes.keeper import PAUSED_BY_USER
from flocksy.boxes.past.deciding import check_recorded, decide
from flocksy.boxes.past.moments import moment_of
from flocksy.boxes.past.recall import Recall
from flocksy.boxes.past.restoring import Restoring
from flocksy.boxes.scan.scanner import Scanner
from flocksy.boxes.setup import BoxSetup
from flocksy.boxes.whereabouts import located
from flocksy.config.settings import BoxSettings
from flocksy.errors import FlocksyError
from flocksy.index.store import BoxIndex
from flocksy.node import past
from flocksy.node.choosing import ignored_by_file
from flocksy.node.setups import setup_of
from flocksy.node.undo import check_can_be_put, check_can_reject
from flocksy.status.control import Answer

NOTE = "(the node does not run: this is what this disk knows, and its history alone)"

NOTE_RESTORED = "(the node does not run: the others get it when it does)"

REMEDY = "start the node and ask again"

COMES_LATER = "its version is made, and it comes when the node runs"

PATIENCE_SECONDS = 5.0
"""Nothing comes from elsewhere: what a disk does not bring within this it does not bring."""

TURN_SECONDS = 0.01

Opened = TypeVar("Opened")

COPY_BYTES = 16 << 20
"""Copied before the rest is looked at again."""


class Offline:
    """The boxes of a node that does not run."""

    def __init__(
        self, boxes: Sequence[BoxSettings], state_dir: str, private: tuple[str, ...]
    ) -> None:
        self._setups = [setup_of(box, state_dir, private) for box in boxes]
        self._paused = {box.name for box in boxes if box.paused}

    def history(self, given: str) -> Answer:
        """`flocksy history`"""
        setup, path = self._at(given)
        with _looking(setup) as (index, disk):
            return past.history(_place(setup, index, disk, path), NOTE)

    def deleted(self, given: str | None, limit: int) -> Answer:
        """`flocksy deleted`"""
        with ExitStack() as opened:
            found, note = self._look(given, opened)
            return past.deleted(found, limit, note)

    def conflicts(self, given: str | None) -> Answer:
        """`flocksy conflicts`"""
        with ExitStack() as opened:
            found, note = self._look(given, opened)
            return past.list_conflicts([(at.name, at.index, at.under) for at in found], note)

    def conflicts_show(self, given: str) -> Answer:
        """`flocksy conflicts show`"""
        setup, path = self._at(given)
        with _looking(setup) as (index, _):
            return past.show_conflict(index, setup.name, path, NOTE)

    def conflicts_resolve(self, given: str, *, both: bool) -> Answer:
        """`flocksy conflicts resolve`"""
        setup, path = self._at(given)
        with self._changing(setup) as box:
            decide(box, path, both=both, remedy=REMEDY)
            _work(box, lambda: box.planning.idle)
        text = f"{setup.name}: {path}: decided; the others learn of it when the node runs"
        return {"resolved": {"box": setup.name, "path": path}, "text": text}

    def restore(self, given: str, at: str | None) -> Answer:
        """`flocksy restore`"""
        setup, path = self._at(given)
        with self._changing(setup) as box:
            recall = Recall(box.index, box.disk)
            recall.check_recorded(path, REMEDY)
            check_recorded(box, (path,), REMEDY)
            moment = None if at is None else moment_of(at, _now_ms())
            chosen = recall.choose(path, moment)
            check_recorded(box, [one.path for one in chosen], REMEDY)
            chosen = [one for one in chosen if not recall.is_shown(one)]
            if not chosen:
                return past.nothing_to_restore(setup.name, path)
            check_can_be_put(box, chosen)
            missing = [one.path for one in chosen if not recall.is_here(one.version)]
            if missing:
                raise FlocksyError(
                    f"{missing[0]}: its content is not on this disk; start the node, and it is "
                    "asked for from the members"
                )
            restoring = Restoring(
                box.index,
                box.staging,
                box.planning,
                box.record,
                chosen,
                patience_s=math.inf,
                now=time.monotonic(),
            )

            def done() -> bool:
                restoring.turn(time.monotonic())
                return restoring.done

            _work(box, done)
            box.planning.finish()  # as closing the box does: what comes of it is told here
            if not done():
                reason = restoring.trouble or "its content is not on this disk any more"
                restoring.give_up(reason, COMES_LATER)
            return past.restored(setup.name, chosen, restoring, NOTE_RESTORED)

    def ignored(self, given: str) -> Answer:
        """`flocksy ignored`"""
        setup, path = self._at(given)
        with ExitStack() as opened:
            if Path(setup.index_path).exists():
                opened.enter_context(_looking(setup))  # else its disk may be away, and the file too
            return ignored_by_file(located(setup), path)

    def approve(self, name: str | None) -> Answer:
        """`flocksy approve`, for what waited when the node stopped."""
        return self._decide(name, approve=True)

    def reject(self, name: str | None) -> Answer:
        """`flocksy reject`, likewise."""
        return self._decide(name, approve=False)

    def _decide(self, name: str | None, *, approve: bool) -> Answer:
        if name is not None and name not in {one.name for one in self._setups}:
            known = ", ".join(sorted(one.name for one in self._setups)) or "none"
            raise FlocksyError(f"{name}: this node has no such box; it has: {known}")
        lines = []
        with ExitStack() as opened:
            boxes, left_out = _each(
                opened,
                # With what is only received nothing is deleted for anybody from here.
                [one for one in self._known() if not one.mode.receives_only],
                self._changing,
                name,
            )
            now = time.monotonic()
            asking = [(setup, box) for setup, box in boxes if find_waiting(box, now)]
            if not approve:
                check_can_reject(*(setup for setup, _ in asking))
            for setup, box in asking:
                count = box.decide(now, approve=approve)
                lines.append(
                    f"{setup.name}: {count} deletion{'' if count == 1 else 's'} "
                    + ("approved" if approve else "undone")
                )
        if lines:
            lines.append("(the node does not run: it is done when it does)")
        else:
            lines.append("nothing waited when the node stopped")
        return {"text": "\n".join([*lines, *left_out])}

    @contextmanager
    def _changing(self, setup: BoxSetup) -> Iterator[Box]:
        """What a person has paused stays as it is, as while the node runs."""
        if setup.name in self._paused:
            raise FlocksyError(
                f"{setup.name}: rests: {PAUSED_BY_USER}; flocksy box resume "
                f"{shlex.quote(setup.name)} lets it go on"
            )
        with _working(setup) as box:
            yield box

    def _at(self, given: str) -> tuple[BoxSetup, str]:
        setups = {one.name: one for one in self._setups}

        def known(name: str, path: str) -> bool:
            return _is_known(setups[name], path)

        folders = [(name, _folder(one)) for name, one in setups.items()]
        name, path = past.inside(folders, given, known)
        return setups[name], path

    def _look(self, given: str | None, opened: ExitStack) -> tuple[list[past.Place], str]:
        """The box that a path lies in, or all, each with where to look in it; and the note."""
        if given is not None:
            setup, under = self._at(given)
            return [_place(setup, *opened.enter_context(_looking(setup)), under)], NOTE
        boxes, left_out = _each(opened, self._known(), _looking)
        found = [_place(setup, index, disk, "") for setup, (index, disk) in boxes]
        return found, "\n".join([*left_out, NOTE])

    def _known(self) -> list[BoxSetup]:
        """The boxes that a node has run with."""
        return [one for one in self._setups if Path(one.index_path).exists()]


def _each(
    opened: ExitStack,
    setups: Sequence[BoxSetup],
    how: Callable[[BoxSetup], AbstractContextManager[Opened]],
    name: str | None = None,
) -> tuple[list[tuple[BoxSetup, Opened]], list[str]]:
    """The boxes opened, or the one of that name. Where none is named, one that cannot be opened
    is left out, as one that rests is while the node runs; a line for each says why."""
    found, left_out = [], []
    for setup in setups:
        if name not in (None, setup.name):
            continue
        try:
            found.append((setup, opened.enter_context(how(setup))))
        except (FlocksyError, OSError) as error:
            if name is not None:
                raise
            why = str(error).removeprefix(f"{setup.name}: ")
            left_out.append(f"{setup.name}: is left out: {why}")
    return found, left_out


def _folder(setup: BoxSetup) -> str:
    """Where the box is now. What is wrong with the disk of one box is said where that one is meant,
    by whoever opens it."""
    try:
        return located(setup).path
    except FlocksyError:
        return setup.path


def _is_known(setup: BoxSetup, path: str) -> bool:
    if not Path(setup.index_path).exists():
        return False
    try:
        index = BoxIndex.open(Path(setup.index_path))
    except FlocksyError:
        return False
    try:
        return past.is_known(index, path)
    except FlocksyError:
        return False
    finally:
        index.close()


def _place(setup: BoxSetup, index: BoxIndex, disk: RealDisk, under: str) -> past.Place:
    # Nothing is deleted for anybody from a disk that only receives, or is to be adopted first.
    asks = not setup.mode.receives_only and is_of_known_past(setup, index)
    guard = Guard.of_the_last_run(index, setup.guard_percent if asks else None)
    return past.Place(setup.name, index, disk, guard, under)


@contextmanager
def _looking(setup: BoxSetup) -> Iterator[tuple[BoxIndex, RealDisk]]:
    if not Path(setup.index_path).exists():
        raise FlocksyError(f"{setup.name}: no node has run with this box yet")
    setup = located(setup)
    with RealDisk(setup.path) as disk:
        index = BoxIndex.open(Path(setup.index_path))
        try:
            found = marker.look(
                disk, setup.name, setup.path, setup.box_id, index, removable=setup.removable
            )
            if found.pauses:
                raise FlocksyError(found.message)
            yield index, disk
        finally:
            index.close()


@contextmanager
def _working(setup: BoxSetup) -> Iterator[Box]:
    """The box, opened as by a node; nothing is scanned."""
    if not Path(setup.index_path).exists():
        raise FlocksyError(f"{setup.name}: no node has run with this box yet")
    if setup.mode.receives_only:
        raise FlocksyError(f"{setup.name}: is {setup.mode} here, so nothing is changed from here")
    setup = located(setup)
    opened = open_box(setup, _now_ms, lambda: None)
    if opened.adopting:
        opened.close()
        raise FlocksyError(f"{setup.name}: is to be looked through first; start the node")
    try:
        box = Box(setup, opened, Scanner(), _now_ms)
    except BaseException:
        opened.close()
        raise
    try:
        while box.held.moving:
            box.held.move()  # nothing is decided before it is known what is held
        yield box
    finally:
        box.close()


def find_waiting(box: Box, now: float) -> bool:
    """The deletions that the last run left waiting wait again. Whether there are any."""
    gone = [path for path in box.intake.changed if box.index.local(path) is None]
    for path in box.guard.hold(gone, now):
        box.intake.changed.pop(path)
    return bool(box.guard.waiting)


def _work(box: Box, done: Callable[[], bool]) -> None:
    """Copy, plan and apply until `done`."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not done() and time.monotonic() < until:
        if box.staging.advance(COPY_BYTES):
            until = time.monotonic() + PATIENCE_SECONDS
        if box.planning.turn(time.monotonic()) == 0.0:
            continue
        time.sleep(TURN_SECONDS)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
