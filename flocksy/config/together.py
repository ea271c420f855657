"""Settings that must fit each other, and the size of the flock."""

from __future__ import annotations

from flocksy.config.model import ProgramModel
from flocksy.errors import ConfigError

MOST_BURST_BYTES = 1 << 30
"""On every link in one burst."""

LONGEST_CELL_SECONDS = 60
"""What headers can say (`MAX_DELTA_US`): who shows more is not understood."""

LEAST_EVERY = 9
"""Periods from one instant of a timetable to the next: the rounds in which its burst is asked for
(`SLOT_ROUNDS`) and those until the last of these would begin. With fewer the need would nearly
always be there, and bursts would follow each other as they end."""

SMALLEST_VIEW = 2
"""In a view of one there is nobody to hide among. Below it only with `allow_small_view`."""


def check_timing(program: ProgramModel, period_ms: int, path: str) -> None:
    """Raise `ConfigError` where bursts could not happen as they are wanted."""
    if program.burst_timing != "on-demand" and not program.max_rate:
        # At a pace that follows what the nodes can do, content is slower than cover.
        raise ConfigError(
            f"{path}: with burst_timing = {program.burst_timing} cells leave at a fixed rate,"
            " or their pace would tell whether anything is in them; say how much: max_rate = 500K"
        )
    if 0 < program.max_rate * LONGEST_CELL_SECONDS < program.burst_cell:
        raise ConfigError(
            f"{path}: one cell of {program.burst_cell} bytes takes longer than a minute at max_rate"
            f" = {program.max_rate}; choose a smaller burst_cell or a higher rate"
        )
    if program.burst_timing == "on-demand":
        return
    if program.burst_cells * program.burst_cell > MOST_BURST_BYTES:
        raise ConfigError(
            f"{path}: burst_cells = {program.burst_cells} of {program.burst_cell} bytes are more "
            "than 1 GiB; choose fewer"
        )
    if program.burst_timing == "timetable" and round(program.burst_every * 1000) % period_ms:
        raise ConfigError(
            f"{path}: burst_every = {program.burst_every:g} is not a multiple of the period, "
            f"{period_ms / 1000:g} s"
        )
    if program.burst_timing == "timetable" and program.burst_every * 1000 < LEAST_EVERY * period_ms:
        raise ConfigError(
            f"{path}: burst_every = {program.burst_every:g} is too short for a period of "
            f"{period_ms / 1000:g} s; at least {LEAST_EVERY * period_ms / 1000:g}"
        )


def possinymity_floor(program: ProgramModel, members: int, path: str) -> int:
    """The floor as it was said. Raises `ConfigError` where no flock of `members` could reach it."""
    if program.possinymity_floor > members:
        raise ConfigError(
            f"{path}: possinymity_floor = {program.possinymity_floor}, but the flock has only "
            f"{members} members; nothing could ever be sent"
        )
    return program.possinymity_floor


def min_view(program: ProgramModel, members: int, path: str) -> int:
    """A strict majority where nothing else was said. Raises `ConfigError` for what hides nobody."""
    majority = members // 2 + 1
    value = majority if program.min_view is None else program.min_view
    if value > members:
        raise ConfigError(
            f"{path}: min_view = {value} is more than the {members} members; nothing would ever "
            "be sent"
        )
    if value < SMALLEST_VIEW and not program.allow_small_view:
        raise ConfigError(
            f"{path}: min_view = {value} hides nobody; take at least {SMALLEST_VIEW}, or add "
            "allow_small_view = true if you want just that"
        )
    return value
