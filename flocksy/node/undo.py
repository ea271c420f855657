"""The commands that look into the past and change it back, of a running node."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flocksy.boxes.box import Box
from flocksy.boxes.keeper import Keeper
from flocksy.boxes.lanes.exchange import Exchange
from flocksy.boxes.past.deciding import check_recorded, decide
from flocksy.boxes.past.dismissing import dismiss
from flocksy.boxes.past.moments import moment_of
from flocksy.boxes.past.recall import Recall, Recalled
from flocksy.boxes.past.restoring import Restoring
from flocksy.boxes.setup import BoxSetup, Mode
from flocksy.errors import FlocksyError
from flocksy.node import past
from flocksy.status.control import Answer, Arguments, Pending

LOOK_SECONDS = 0.1
"""How often a restore looks at what has come."""

REMEDY = "ask again in a moment"

LEAST_PATIENCE_SECONDS = 20.0
"""What is missing is given up after so long without progress, or after every member has been asked
twice."""


@dataclass(slots=True)
class _Job:
    """A `flocksy restore` that has not been answered. `chosen` is what it was asked for."""

    pending: Pending
    name: str
    box: Box
    restoring: Restoring
    chosen: list[Recalled]


class Undo:
    """Answers `history`, `deleted`, `restore`, `conflicts`, `dismiss`, `approve` and `reject` for
    one node."""

    def __init__(
        self, exchange: Exchange, keeper: Keeper, now: Callable[[], float], members: int
    ) -> None:
        """`members`: of the configured flock, this node included."""
        self._exchange = exchange
        self._keeper = keeper
        self._now = now
        self._members = members
        self._jobs: list[_Job] = []
        self.handlers: dict[str, Callable[[Arguments], Answer | Pending]] = {
            "history": self._history,
            "deleted": self._deleted,
            "restore": self._restore,
            "conflicts": self._conflicts,
            "conflicts_show": self._conflicts_show,
            "conflicts_resolve": self._conflicts_resolve,
            "dismiss": self._dismiss,
            "approve": self._approve,
            "reject": self._reject,
        }

    def turn(self, now: float) -> float | None:
        """Bring the restores on. Returns when to come again."""
        for job in list(self._jobs):
            if self._bring_on(job, now):
                self._jobs.remove(job)
        return now + LOOK_SECONDS if self._jobs else None

    def close(self, why: str) -> None:
        """Restore no more. `why`: what becomes of the node."""
        for job in self._jobs:
            job.pending.fail(f"{why}; what has not been restored is as it was")
        self._jobs.clear()

    # -- looking --------------------------------------------------------------------------------

    def _history(self, arguments: Arguments) -> Answer:
        return past.history(_place(*self._at(arguments["path"])))

    def _deleted(self, arguments: Arguments) -> Answer:
        places = [_place(*one) for one in self._all(arguments["path"])]
        return past.deleted(places, int(str(arguments["limit"])))

    def _conflicts(self, arguments: Arguments) -> Answer:
        return past.list_conflicts(
            [(name, box.index, under) for name, box, under in self._all(arguments["path"])]
        )

    def _conflicts_show(self, arguments: Arguments) -> Answer:
        name, box, path = self._at(arguments["path"])
        return past.show_conflict(box.index, name, path)

    # -- changing -------------------------------------------------------------------------------

    def _conflicts_resolve(self, arguments: Arguments) -> Answer:
        name, box, path = self._at(arguments["path"])
        _check_writable(name, box)
        decide(box, path, both=bool(arguments["both"]), remedy=REMEDY)
        kept = "all of it is kept" if arguments["both"] else "it is kept, the others are put away"
        return {"resolved": {"box": name, "path": path}, "text": f"{name}: {path}: {kept}"}

    def _dismiss(self, arguments: Arguments) -> Answer:
        name, box, path = self._at(arguments["path"])
        _check_writable(name, box)
        exchange = self._exchange
        shared = exchange.peers.sharing(box.setup.tag, exchange.live())
        paths = dismiss(
            box,
            path,
            away=self._members - 1 - len(shared),
            denied=exchange.repair.denied(box, shared),
            anyway=bool(arguments["anyway"]),
        )
        return past.dismissed(name, paths, left=len(box.planning.missing.below(path)))

    def _restore(self, arguments: Arguments) -> Answer | Pending:
        name, box, path = self._at(arguments["path"])
        now = self._now()
        _check_writable(name, box)
        at = arguments["at"]
        if at is None and (waiting := past.waiting_below(box.guard, path)):
            check_can_reject(box.setup)
            box.reject(waiting)
            return _brought_back(name, waiting)
        moment = None if at is None else moment_of(str(at), time.time_ns() // 1_000_000)
        recall = Recall(box.index, box.disk)
        recall.check_recorded(path, REMEDY, box.guard.waiting)
        check_recorded(box, (path,), REMEDY)
        chosen = recall.choose(path, moment)
        check_recorded(box, [one.path for one in chosen], REMEDY)
        chosen = [one for one in chosen if not recall.is_shown(one)]
        if not chosen:
            return past.nothing_to_restore(name, path)
        check_can_be_put(box, chosen)
        exchange = self._exchange
        missing = [one.path for one in chosen if not recall.is_here(one.version)]
        if missing and not exchange.report.real_allowed:
            raise FlocksyError(
                f"{missing[0]}: its content is not on this disk, and there is nobody to ask: "
                "waiting for the flock"
            )
        members = len(exchange.live()) + 1
        patience_s = max(LEAST_PATIENCE_SECONDS, 2 * members * exchange.ask_pause_s)
        restoring = Restoring(
            box.index,
            box.staging,
            box.planning,
            box.record,
            chosen,
            patience_s=patience_s,
            now=now,
        )
        job = _Job(Pending(), name, box, restoring, chosen)
        self._jobs.append(job)
        return job.pending

    def _approve(self, arguments: Arguments) -> Answer:
        lines = []
        for name, box in self._asking(arguments["box"]):
            strangers = box.guard.strangers
            count = box.approve()
            lines.append(
                f"{name}: the two trees are put together"
                if strangers
                else f"{name}: {_deletions(count)} approved"
            )
        return {"text": "\n".join(lines) or "nothing waits"}

    def _reject(self, arguments: Arguments) -> Answer:
        lines = []
        asking = self._asking(arguments["box"])
        check_can_reject(*(box.setup for _, box in asking if not box.guard.strangers))
        for name, box in asking:
            if box.guard.strangers:
                self._keeper.pause(name)
                word = shlex.quote(name)
                lines.append(
                    f"{name}: paused; flocksy box remove {word} if its folder is another one's, "
                    f"flocksy box resume {word} to be asked again"
                )
                continue
            lines.append(f"{name}: {_deletions(box.reject())} undone; the files come back here")
        return {"text": "\n".join(lines) or "nothing waits"}

    # -- restores under way ---------------------------------------------------------------------

    def _bring_on(self, job: _Job, now: float) -> bool:
        """Whether it is over. Who waits for it has been told then."""
        kept = next((one for one in self._keeper.boxes if one.box is job.box), None)
        if kept is None:
            job.pending.fail(f"{job.name}: rests now or is gone; ask again when it goes on")
            return True
        try:
            if job.pending.gone:
                job.restoring.give_up("nobody waits for it any more")
                return True
            if self._exchange.quiet:
                job.restoring.turn(now, job.box.intake.changed.__contains__)
        except (OSError, FlocksyError) as error:
            self._keeper.failed(job.box, error)
            job.pending.fail(f"{kept.reason}; then ask again")
            return True
        if job.restoring.done:
            self._answer(job)
        return job.restoring.done

    def _answer(self, job: _Job) -> None:
        try:
            job.pending.answer(past.restored(job.name, job.chosen, job.restoring))
        except FlocksyError as error:
            job.pending.fail(str(error))

    # -- which box ------------------------------------------------------------------------------

    def _at(self, given: object) -> tuple[str, Box, str]:
        """The box that an absolute path lies in, and the path inside it."""
        kept, path = past.inside_kept(self._keeper, str(given))
        if kept.box is None:
            raise FlocksyError(f"{kept.setup.name}: rests: {kept.reason}")
        return kept.setup.name, kept.box, path

    def _all(self, given: object) -> list[tuple[str, Box, str]]:
        """The same for all open boxes where no path is given."""
        if given is not None:
            return [self._at(given)]
        return [
            (kept.setup.name, kept.box, "") for kept in self._keeper.boxes if kept.box is not None
        ]

    def _asking(self, given: object) -> list[tuple[str, Box]]:
        """The boxes in which something waits for a word: of that name, or all."""
        if given is not None:
            kept = self._keeper.get(str(given))
            if kept.box is None:
                raise FlocksyError(f"{given}: rests: {kept.reason}")
        return [
            (name, box)
            for name, box, _ in self._all(None)
            if given in (None, name) and (box.guard.waiting or box.guard.strangers)
        ]


def _check_writable(name: str, box: Box) -> None:
    if box.setup.mode.receives_only:
        raise FlocksyError(
            f"{name}: is {box.setup.mode} here, so nothing is changed from this node; "
            "do it on one that syncs the box"
        )
    if box.guard.strangers:
        raise FlocksyError(f"{name}: waits for your word first: {box.guard.words(name)}")
    if box.adopting:
        raise FlocksyError(f"{name}: is being looked through; try again when that is done")


def check_can_reject(*setups: BoxSetup) -> None:
    """Raise `FlocksyError` where in one of these boxes nothing can be brought back: to be asked
    before the first is answered."""
    for setup in setups:
        if setup.mode is Mode.SEND_ONLY:
            others = "; nothing is undone in the other boxes: name the one you mean"
            raise FlocksyError(
                f"{setup.name}: is send-only here, so nothing is brought back: approve the "
                f"deletions, or put the files there again{others if len(setups) > 1 else ''}"
            )


def check_can_be_put(box: Box, chosen: Sequence[Recalled]) -> None:
    """Raise `FlocksyError` where something of it may not stand on this disk: everybody would get a
    version of it, and here nothing would be restored."""
    for one in chosen:
        reason = box.held.why_not_put(one.path)
        if reason is not None:
            raise FlocksyError(
                f"{one.path}: cannot be restored on this node: {reason or 'it is not held'}"
            )


def _place(name: str, box: Box, under: str) -> past.Place:
    return past.Place(name, box.index, box.disk, box.guard, under)


def _brought_back(name: str, paths: list[str]) -> Answer:
    text = f"{name}: {_deletions(len(paths))} that waited undone; the files come back here"
    told = {"box": name, "restored": paths[: past.MAX_TOLD], "failed": {}, "note": ""}
    return {"restore": told, "text": text}


def _deletions(count: int) -> str:
    return f"{count} deletion{'' if count == 1 else 's'}"
