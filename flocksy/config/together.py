"""Settings that must fit each other, and the size of the flock."""

from __future__ import annotations

from flocksy.config.model import ProgramModel
from flocksy.errors import ConfigError

MOST_BURST_BYTES = 1 << 30
"""On every link in one burst."""

LEAST_BURST_CELLS = 64
"""The shortest burst there is (`MIN_BURST_CELLS`)."""

PADDED_CELLS = 1024
"""Up to here bursts are padded to a power of two; to longer ones a tenth at most is added."""

LONGEST_BURST_SECONDS = 60
"""At `max_rate`. Who leaves, or joins anew, has to finish its burst first, and waits little longer
than this for its end (`LEAVE_SECONDS` of the node); and no clock is measured meanwhile."""

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
    is_public = program.burst_timing != "on-demand"
    if is_public and program.burst_cells * program.burst_cell > MOST_BURST_BYTES:
        raise ConfigError(
            f"{path}: burst_cells = {program.burst_cells} of {program.burst_cell} bytes are more "
            "than 1 GiB; choose fewer"
        )
    _check_duration(program, _padded(program.burst_cells) if is_public else LEAST_BURST_CELLS, path)
    if not is_public:
        return
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


def _check_duration(program: ProgramModel, cells: int, path: str) -> None:
    """Raise `ConfigError` where bursts of so many cells last too long."""
    length = cells * program.burst_cell
    if not 0 < program.max_rate * LONGEST_BURST_SECONDS < length:
        return
    fewer = "fewer (burst_cells) or " if cells > LEAST_BURST_CELLS else ""
    seconds = -(-length // program.max_rate)
    least = -(-length // (LONGEST_BURST_SECONDS * 1000))
    raise ConfigError(
        f"{path}: a burst of {cells} cells of {program.burst_cell} bytes takes {seconds} s at"
        f" max_rate = {program.max_rate}, and at most {LONGEST_BURST_SECONDS} are allowed; choose"
        f" {fewer}smaller cells (burst_cell), or a max_rate of {least}K at least"
    )


def _padded(cells: int) -> int:
    """About as `flocksy.protocol.padding` does it."""
    return 1 << (cells - 1).bit_length() if cells < PADDED_CELLS else cells


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
