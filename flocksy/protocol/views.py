"""Who is alive, and which view to wish for (design 4.4, *View*). Pure functions over bitmaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from flocksy.protocol.shown import Shown

MAX_CELL_AGE = 3
"""A member is alive while its newest cell is at most this many rounds old."""

MAX_ECHO_AGE = 6
"""And while that cell echoes one of ours at most this many rounds old: there and back."""


def members_of(bitmap: int) -> Iterator[int]:
    """The lane indexes in a bitmap, smallest first."""
    while bitmap:
        lowest = bitmap & -bitmap
        yield lowest.bit_length() - 1
        bitmap ^= lowest


def is_alive(cell: Shown, own: int, now: int, slack_rounds: int) -> bool:
    """Whether a member whose newest cell is `cell` is heard, hears us, and stays.

    A cut in one direction counts as down: only the echo proves that our cells arrive. Who is
    leaving counts as down at once. `slack_rounds` is 0 but in a burst so slow that its cells are
    rarer than rounds.
    """
    return (
        cell.round >= now - MAX_CELL_AGE - slack_rounds
        and cell.echo[own] >= now - MAX_ECHO_AGE - 2 * slack_rounds
        and not cell.leaving
    )


def largest_clique(own: int, rows: Mapping[int, int]) -> int:
    """The largest set around `own` in which all hear all, as a bitmap.

    Args:
        own: own lane; in `rows`.
        rows: per lane the members that it counts alive. Lanes without a row are not considered.

    Ties go to the set whose sorted members come first. Two nodes that see the same rows and are
    in each other's set need not agree yet, but the largest, first clique of the whole flock is
    the choice of each of its members: where rows agree, at least that view forms.
    """
    around = sum(1 << lane for lane in rows) & rows[own]
    if all(rows[lane] & around == around for lane in members_of(around)):
        return around | 1 << own  # The usual case: everybody hears everybody.
    hears = {
        lane: sum(1 << other for other in members_of(row) if rows.get(other, 0) >> lane & 1)
        for lane, row in rows.items()
    }
    best: list[int] = [own]

    def extend(chosen: list[int], open_lanes: Sequence[int]) -> None:
        """Depth first in ascending order: of equal size the first found is the smallest."""
        nonlocal best
        if len(chosen) > len(best):
            best = chosen
        bounds = _bounds(open_lanes, hears)
        for position, lane in enumerate(open_lanes):
            if len(chosen) + bounds[position] <= len(best):
                return
            rest = [other for other in open_lanes[position + 1 :] if hears[lane] >> other & 1]
            extend([*chosen, lane], rest)

    extend([own], [lane for lane in members_of(hears[own]) if lane != own])
    return sum(1 << lane for lane in best)


def _bounds(lanes: Sequence[int], hears: Mapping[int, int]) -> list[int]:
    """By position, how many of the lanes from there on can all hear each other, at most.

    Lanes are put into groups in which nobody hears anybody, greedily; of a group one counts.
    Without it a cut along pairs takes 2 ** (members / 2) steps.
    """
    groups: list[int] = []
    bounds = [0] * len(lanes)
    for position in range(len(lanes) - 1, -1, -1):
        lane = lanes[position]
        for number, group in enumerate(groups):
            if not group & hears[lane]:
                groups[number] |= 1 << lane
                break
        else:
            groups.append(1 << lane)
        bounds[position] = len(groups)
    return bounds
