"""flocksy with one line wrong: what the simulator has to notice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.simulator.mutation import Mutant, import_mutated
from tests.simulator.undone import UNDONE
from tests.sync.mutants import MUTANTS

_OPEN = (
    "            self._journal.open([step.entry for step in open_steps if not step.is_shadowed])\n"
)
_PLACE = "            yield from self._place(placer, batch)\n"
_TRIED = (
    "            if outcome.result is Result.CHANGED:\n"
    "                self._retry[path] = now + CHANGED_SECONDS\n"
    "            elif self._retry.pop(path, None) is not None or outcome.problem:\n"
    "                # What it was to be tried again for may be done with it;"
    " or it could not be dressed.\n"
    "                self.add((path,))"
)

WIRE = (
    Mutant(
        "a shown need follows the wish",
        "flocksy.protocol.agreement",
        "            need=need.need if need else 0,",
        "            need=(need.need if need.repeat_of else self.inputs.need) if need else 0,",
    ),
    Mutant(
        "a burst is joined twice",
        "flocksy.protocol.agreement",
        "                and self.last.newest < burst.round < self.now\n",
        "                and burst.round < self.now\n",
        plan="joined_twice",
    ),
    Mutant(
        "whoever is in the view is heard",
        "flocksy.protocol.heard",
        "        return not any(members & ~row for row in rows)\n",
        "        return bool(rows)\n",
        plan="one_way",
    ),
    Mutant(
        "who hears all goes on alone",
        "flocksy.protocol.heard",
        "        rows = (self.row, *(cell.row for cell in self.newest(members)))\n",
        "        rows = (self.row,)\n",
        plan="hub",
    ),
    Mutant(
        "the start is counted from the noticing",
        "flocksy.protocol.agreement",
        "        start = self.parameters.start(burst)\n",
        "        start = max(burst.round, self.now - 2) + self.parameters.lead_rounds\n",
    ),
    Mutant(
        "real bytes below quorum",
        "flocksy.protocol.agreement",
        "        real = quorum and self.mode in REAL",
        "        real = True",
    ),
    Mutant(
        "a prepared heartbeat outlives a stop",
        "flocksy.wire.emitter",
        "            self._was_away(now_ns, late_ns)",
        "            pass",
        plan="stale_heartbeat",
    ),
    Mutant(
        "a heartbeat of a burst outlives the burst",
        "flocksy.wire.emitter",
        "        self._withhold()\n\n    def _leave",
        "\n    def _leave",
        plan="heartbeat_after_abort",
    ),
    Mutant(
        "rare cells to come, or gone by, excuse old ones",
        "flocksy.protocol.heard",
        "    return 3 * burst.delta_us // period_us if start < now <= last else 0",
        "    return 3 * burst.delta_us // period_us",
        plan="slow_burst_to_come",
    ),
    Mutant(
        "a need shows on a timetable",
        "flocksy.protocol.timing",
        "        return self.cells if round_ % self.every < SLOT_ROUNDS else 0\n",
        "        return self.cells if round_ % self.every < SLOT_ROUNDS or wanted else 0\n",
        sign="which is not on the timetable",
    ),
    Mutant(
        "no rest",
        "flocksy.protocol.needs",
        "        quiet_until = since + rest",
        "        quiet_until = since",
    ),
    Mutant(
        "a repeat without a pause",
        "flocksy.protocol.needs",
        "            return now >= self.owed.due",
        "            return True",
    ),
    Mutant(
        "a join only has bursts where somebody needs them",
        "flocksy.protocol.needs",
        "        if self.programme is not None:\n            return now",
        "        if self.programme is not None and wanted:\n            return now",
    ),
    Mutant(
        "a repeat that was left only has bursts where somebody needs them",
        "flocksy.protocol.needs",
        "            if not parameters.programme_cells:\n",
        "            if True:\n",
        seeds=20,
    ),
    Mutant(
        "a burst of the programme is as long as somebody wants",
        "flocksy.protocol.needs",
        "Latch(programme_cells, now, of_programme=True)",
        "Latch(max(wanted, programme_cells), now, of_programme=True)",
        seeds=20,
    ),
    Mutant(
        "the debts of joins add up",
        "flocksy.protocol.programme",
        "    return Programme(PROGRAMME_BURSTS, begins, since)",
        "    return Programme(PROGRAMME_BURSTS + (owed.left if owed else 0), begins, since)",
    ),
    Mutant(
        "needs do not wait for the programme",
        "flocksy.protocol.needs",
        "            return now >= max(self.quiet_until, self.programme.begins)",
        "            return now >= self.quiet_until",
    ),
    Mutant(
        "a gap that is not said",
        "flocksy.wire.lane",
        "        if not self.gap[gear]:",
        "        if False:",
    ),
    Mutant(
        "a burst without a confirmation",
        "flocksy.protocol.agreement",
        "            self.feed(Event.PROPOSAL_MADE, best)\n",
        "            self.feed(Event.PROPOSAL_MADE, best)\n"
        "            self.feed(Event.PROPOSAL_CONFIRMED, best)\n",
        plan="lost_while_agreeing",
    ),
    Mutant(
        "a need that shows",
        "flocksy.wire.emitter",
        "        if now_ns < instant:\n",
        "        instant += 500 if self._seam.box().need else 0\n        if now_ns < instant:\n",
        sign="who wished to send",
    ),
    Mutant(
        "who has something to say gives a burst up sooner",
        "flocksy.wire.emitter",
        "            if run.stalled(now_ns):\n",
        "            if run.stalled(now_ns + 500_000_000 * (self._seam.box().need > 0)):\n",
        sign="who wished to send",
    ),
    Mutant(
        "who has left a burst leaves a heartbeat out",
        "flocksy.wire.emitter",
        "        beats = self._round >= self._resume and not self._begins_burst()\n",
        "        beats = self._round >= self._resume and not self._begins_burst()\n"
        "        beats = beats and not (output.shown.left and self._round % 8 == 0)\n",
        sign="no heartbeats in rounds",
    ),
    Mutant(
        "what a header says is not checked",
        "flocksy.protocol.cell",
        "    if not holds:\n",
        "    if False:\n",
        plan="flipped_bits",
        sign="is not a valid Kind",
    ),
    Mutant(
        "bursts end where the content does",
        "flocksy.protocol.proposals",
        "padded(length)",
        "length",
    ),
    Mutant(
        "an old session counts",
        "flocksy.wire.lane",
        "            self.expected = [0, 0]\n        if sequence",
        "            pass\n        if sequence",
        plan="old_session",
    ),
    Mutant(
        "a need that was not served is shown in the rest",
        "flocksy.protocol.needs",
        "            latch = replace(latch, round=max(latch.round, quiet_until))\n",
        "            pass\n",
        plan="need_in_a_rest",
    ),
    Mutant(
        "a clock that nobody mends",
        "flocksy.wire.emitter",
        "        if self._lost_rounds >= LOST_ROUNDS:",
        "        if False:",
        plan="wrong_clock",
    ),
)

BOXES = tuple(
    replace(mutant, boxes=True)
    for mutant in (
        Mutant(
            "renamed before it is in the journal",
            "flocksy.boxes.apply.applier",
            _OPEN + _PLACE,
            _PLACE + _OPEN,
            plan="cut_while_placing",
        ),
        Mutant(
            "a journal that is not flushed",
            "flocksy.boxes.apply.journal",
            "transaction(durable=True):\n            self._index.journal.open",
            "transaction():\n            self._index.journal.open",
            plan="cut_while_placing",
        ),
        Mutant(
            "contents that are not flushed",
            "flocksy.boxes.apply.applier",
            "        yield from flush_contents(self._disk, fresh)\n        open_steps",
            "        open_steps",
        ),
        Mutant(
            "directories that are not flushed",
            "flocksy.boxes.apply.flushing",
            "    folders, files = sorted(placer.touched), sorted(placer.dressed)\n",
            "    folders: list[str] = []\n    files = sorted(placer.dressed)\n",
            seeds=120,
        ),
        Mutant(
            "metadata that is not flushed",
            "flocksy.boxes.apply.flushing",
            "    folders, files = sorted(placer.touched), sorted(placer.dressed)\n",
            "    folders = sorted(placer.touched)\n    files: list[str] = []\n",
            plan="dressed_and_cut",
            sign="that is nobody's",
        ),
        Mutant(
            "exchanged and not looked at",
            "flocksy.boxes.apply.placing",
            "        if not self.same(found, entry.before, at=entry.temporary):\n"
            "            self._put_back(entry)\n",
            "        if False:\n            self._put_back(entry)\n",
            plan="edits_at_an_exchange",
        ),
        Mutant(
            "replaced and not kept",
            "flocksy.boxes.apply.placing",
            "            self.disk.move(entry.temporary, entry.kept_as)\n        except OSError:",
            "            self.disk.remove_file(entry.temporary)\n        except OSError:",
        ),
        Mutant(
            "removed and not kept",
            "flocksy.boxes.apply.placing",
            "        elif self.same(found, entry.before, at=entry.kept_as):\n"
            "            self.note_kept(",
            "        elif self.same(found, entry.before, at=entry.kept_as):\n"
            "            self.disk.remove_file(entry.kept_as)\n            self.note_kept(",
        ),
        Mutant(
            "removals before contents",
            "flocksy.boxes.apply.applier",
            "        yield from each(first, guarded(put))\n"
            "        yield from each(early, guarded(remove))\n",
            "        yield from each([*early, *late], guarded(remove))\n"
            "        yield from each(first, guarded(put))\n",
        ),
        Mutant(
            "what is said of a path that is done",
            "flocksy.boxes.planning",
            "            self.problems.pop(path, None)"
            "  # it may have been done for the sake of another path\n" + _TRIED,
            _TRIED.replace("self.add((path,))", "pass"),
            plan="problem_that_was_none",
        ),
        Mutant(
            "a disk's trouble with what nobody waits for",
            "flocksy.boxes.content.under_way",
            "        over = trouble is None or all("
            "one.complete or one.key in without for one in every)\n",
            "        over = trouble is None\n",
            plan="trouble_that_was_none",
        ),
        Mutant(
            "an edit during the recovery, read as one of what stood there before",
            "flocksy.boxes.apply.recovery",
            "            return _applied(entry, there.entry(after.root), shows, settled=False)"
            "  # just now\n",
            "            return None\n",
            plan="edited_while_recovered",
        ),
        Mutant(
            "what was cleared out of the way and is gone counts as deleted",
            "flocksy.boxes.apply.recovery",
            "        if there is None and out is None and entry.before is None:\n",
            "        if False:\n",
            plan="cleared_and_lost",
        ),
        Mutant(
            "the old name goes although somebody has overwritten the new one",
            "flocksy.boxes.apply.placing",
            " and self.is_named(*linked):\n            self.disk.remove_file",
            ":\n            self.disk.remove_file",
            plan="overwritten_as_it_comes",
        ),
        Mutant(
            "nobody asks for what is missing",
            "flocksy.boxes.lanes.exchange",
            "        self.repair.ask(box, self._now, live, shared,"
            " soon=self._report.programme > 0)\n",
            "",
        ),
        Mutant(
            "a difference that nobody mends",
            "flocksy.boxes.lanes.repair",
            "            self._say(reconcile.opening(box.setup.tag, box.index.items))\n",
            "            pass\n",
        ),
    )
)

_NOTICED_OF_THE_CORE = frozenset(
    {
        "the parents of a change are what has arrived, not what was seen",
        "a copy is put away before its owner is recorded",
        "the directories above are not looked at",
        "copies that are due are not looked at",
        "copies that are due no more are not looked at",
        "removals before what is moved out of them",
    }
)

CORE = tuple(
    Mutant(one.what, f"flocksy.sync.{one.module}", one.old, one.new, boxes=True)
    for one in MUTANTS
    if one.what in _NOTICED_OF_THE_CORE
)
"""Of the planner's own mutants some that few runs notice. (`tests/sync` has to notice all.)"""

CROWDS = (
    Mutant(
        "the floor is not asked",
        "flocksy.boxes.lanes.crowd",
        "        return self.left(view) >= self.floor\n",
        "        return True\n",
        plan="below_the_floor",
        sign="members after",
    ),
    Mutant(
        "the meter begins anew at each start",
        "flocksy.boxes.lanes.crowd",
        "= _read(path) if path is not None else None\n",
        "= None\n",
        plan="below_the_floor",
        sign="counts None members after",
    ),
)
"""Of the floor and the meter (`crowds`). Below the floor a node is outside, and what it makes there
is held: that it is not told in the bursts of others shows in `tests/boxes/test_crowd.py` alone."""


def every() -> Sequence[Mutant]:
    """All mutants that have to be noticed."""
    return (*WIRE, *BOXES, *UNDONE, *CORE, *CROWDS)


def install(name: str) -> Mutant:
    """Have the mutant of this name imported."""
    (mutant,) = (one for one in every() if one.name == name)
    import_mutated(mutant)
    return mutant
