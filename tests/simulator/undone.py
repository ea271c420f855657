"""flocksy without the mends of what long soaks found: each fails in the run kept for it."""

from __future__ import annotations

from tests.simulator.mutation import Mutant

UNDONE = (
    Mutant(
        "a filled directory passes for the empty one that was brought",
        "flocksy.boxes.apply.placing",
        " and not self.is_filled(entry):",
        ":",
        plan="filled_as_it_is_taken_back",
    ),
    Mutant(
        "a renamed file that stands under neither name is dropped",
        "flocksy.boxes.apply.stranded",
        "    yield from each(entries, keep)\n",
        "    yield from ()\n",
        plan="renamed_to_no_name",
    ),
    Mutant(
        "an edit in the recovery passes for what the batch had brought",
        "flocksy.boxes.apply.placing",
        "            if moved or found.size != shown.size:\n",
        "            if False:\n",
        plan="written_into_while_recovered",
    ),
    Mutant(
        "what was cleared for a file that cannot come counts as deleted",
        "flocksy.boxes.apply.recovery",
        "                placer.keep_temporary(entry)\n"
        "            return Applied(entry.path, None, None, settled=False)\n",
        "                placer.keep_temporary(entry)\n            return None\n",
        plan="cleared_and_closed",
    ),
    Mutant(
        "an edit whose folder is gone has no place to go back to",
        "flocksy.boxes.apply.placing",
        "        except (FileExistsError, FileNotFoundError):\n            if found.kind",
        "        except FileExistsError:\n            if found.kind",
        plan="edit_without_a_folder",
    ),
    Mutant(
        "a mode that was set in the tick of the clock is not seen",
        "flocksy.boxes.scan.looking",
        "            and found.mode == entry.mode\n",
        "",
        plan="mode_in_the_same_tick",
    ),
    Mutant(
        "bursts get slower with each loss",
        "flocksy.protocol.schedule",
        "self._delta_us * factor, self._most_us)",
        "self._delta_us * factor, 1e7)",
        plan="slower_and_slower",
    ),
    Mutant(
        "a repeat takes the place of a need that is shown",
        "flocksy.protocol.needs",
        "        if self.shown(now) is not None:\n            return self\n",
        "",
        plan="repeat_owed_meanwhile",
    ),
    Mutant(
        "the old name of a renamed file stays where the new one was written into",
        "flocksy.boxes.apply.recovery",
        "    if there is not None and there.kind is Kind.FILE and there.inode == after.inode:\n",
        "    if False:\n",
        plan="edited_between_two_cuts",
    ),
    Mutant(
        "a change of what was brought passes for one of what the history refused",
        "flocksy.boxes.apply.placing",
        "            if found and before and entry.kept_as and self.same(",
        "            if False and self.same(",
        plan="changed_as_the_history_refused",
    ),
    Mutant(
        "what somebody made of what was brought is not brought back",
        "flocksy.boxes.apply.recovery",
        "    if out is not None and _brought_back(",
        "    if False and _brought_back(",
        plan="newest_and_held_back",
    ),
    Mutant(
        "what could not be read waits for the hour",
        "flocksy.boxes.intake",
        "                        self.unread.failed(path, now, finding.hashing_s)\n",
        "                        pass\n",
        plan="not_read_for_a_moment",
    ),
    Mutant(
        "who starts anew with a wrong clock has forgotten what was measured",
        "flocksy.wire.emitter",
        "self._clock.anew(wrong_by_ns)",
        "self._clock.anew()",
        plan="a_clock_mended_between_bursts",
    ),
    Mutant(
        "the same member is always the first that is asked for records",
        "flocksy.boxes.lanes.repair",
        "attempt = self._draw.randrange(ATTEMPTS)",
        "attempt = 0",
        plan="asked_of_who_has_no_more",
    ),
)
"""The other two of the first eleven plans show what was wrong with the simulator."""
