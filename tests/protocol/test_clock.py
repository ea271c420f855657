"""Flock time: measured both ways, moved slowly, led by nobody."""

from __future__ import annotations

import pytest

from flocksy.config.model import LONGEST_PERIOD
from flocksy.protocol.cell import MAX_TIME_US
from flocksy.protocol.clock import SAMPLES, FlockClock, middle
from flocksy.protocol.header import Times

MS = 1_000_000
PERIOD_NS = 250 * MS
START_NS = 1_700_000_000_000_000_000


class World:
    """Some nodes with wrong clocks, and a network with known delays."""

    def __init__(self, *wrong_by_ms: float) -> None:
        self.now_ns = 5_000_000_000
        lanes = len(wrong_by_ms)
        self.clocks = [
            FlockClock(lanes, own, PERIOD_NS, START_NS + int(wrong * MS))
            for own, wrong in enumerate(wrong_by_ms)
        ]

    def round(self, delay_ms: float = 1, back_ms: float | None = None) -> None:
        """Everybody hears everybody; lower lanes are heard after `delay_ms`, others `back_ms`."""
        stamps = [clock.times(self.now_ns) for clock in self.clocks]
        for own, clock in enumerate(self.clocks):
            for lane, times in enumerate(stamps):
                if lane != own:
                    way = delay_ms if lane < own or back_ms is None else back_ms
                    clock.heard(lane, times, self.now_ns + int(way * MS))
        self.now_ns += PERIOD_NS
        for clock in self.clocks:
            clock.slew(self.now_ns, PERIOD_NS)

    def spread_ms(self) -> float:
        times = [clock.flock_ns(self.now_ns) for clock in self.clocks]
        return (max(times) - min(times)) / MS


def test_offsets_are_measured_both_ways() -> None:
    world = World(0, 40, -30)
    for _ in range(3):
        world.round(delay_ms=20)
    offset = world.clocks[0].offset_ns(1, world.now_ns)
    assert offset is not None and abs(offset - 40 * MS) < MS
    assert world.clocks[0].right(1, world.now_ns)


def test_the_least_delayed_measurement_counts() -> None:
    world = World(0, 0)
    world.round()
    world.round()
    for _ in range(10):
        world.round(delay_ms=1, back_ms=90)
    offset = world.clocks[0].offset_ns(1, world.now_ns)
    assert offset is not None and abs(offset) < 2 * MS


def test_an_old_measurement_is_forgotten() -> None:
    world = World(0, 0)
    for _ in range(2):
        world.round(delay_ms=1)
    for _ in range(SAMPLES + 1):
        world.round(delay_ms=5)
    assert all(s.delay_us >= 9_000 for s in world.clocks[0]._samples[1])


def test_clocks_meet_at_the_median_and_not_faster_than_allowed() -> None:
    world = World(0, 2, 30)
    before = [clock.flock_ns(world.now_ns) for clock in world.clocks]
    start_ns = world.now_ns
    for _ in range(20):
        world.round()
    elapsed = world.now_ns - start_ns
    for clock, was in zip(world.clocks, before, strict=True):
        moved = clock.flock_ns(world.now_ns) - was - elapsed
        assert abs(moved) <= elapsed * 200 // 1_000_000
    for _ in range(700):
        world.round()
    assert world.spread_ms() < 0.1
    drift = world.clocks[1].flock_ns(world.now_ns) - (world.now_ns + START_NS + 2 * MS)
    assert abs(drift) < MS, "the middle clock stays"


def test_no_clock_is_moved_by_more_than_a_quarter_period_at_once() -> None:
    """However long it was not: after a burst, or when the process stood still."""
    world = World(0, 400)
    for _ in range(2):
        world.round()
    clock = world.clocks[0]
    for _ in range(2):
        before_ns = clock.flock_ns(world.now_ns)
        clock.slew(world.now_ns, 3_600_000 * MS)
        assert clock.flock_ns(world.now_ns) - before_ns == PERIOD_NS // 4


def test_a_clock_that_is_wrong_is_told_from_those_that_are_right() -> None:
    world = World(0, 1, 70)
    for _ in range(3):
        world.round()
    assert [clock.right(2, world.now_ns) for clock in world.clocks] == [False, False, True]
    found = [clock.wrong_by_ns(world.now_ns) for clock in world.clocks]
    assert found[:2] == [0, 0] and abs(found[2] + 69.5 * MS) < MS


def test_before_the_first_cell_a_clock_steps_to_the_others() -> None:
    world = World(0, 1, 90_000)
    late = world.clocks[2]
    for lane in (0, 1):
        late.heard(lane, world.clocks[lane].times(world.now_ns), world.now_ns + MS)
    late.step()
    assert world.spread_ms() < 3


def test_a_first_node_keeps_its_clock_and_a_second_takes_over_the_firsts() -> None:
    world = World(0, 90_000)
    world.clocks[0].step()
    assert world.spread_ms() == 90_000
    world.clocks[1].heard(0, world.clocks[0].times(world.now_ns), world.now_ns + MS)
    world.clocks[1].step()
    assert world.spread_ms() < 3


@pytest.mark.parametrize(
    "shown", [(0, 1 - MAX_TIME_US), (MAX_TIME_US - 1, MAX_TIME_US - 1), (5, -5)]
)
def test_no_clock_steps_to_a_time_that_its_cells_cannot_show(shown: tuple[int, int]) -> None:
    """Of its own cells one would be a traceback, the other is refused by all, and never echoed."""
    clock = FlockClock(2, 0, PERIOD_NS, START_NS)
    clock.heard(1, Times(*shown, (None, None)), 0)
    clock.step()
    assert clock.flock_ns(0) == START_NS
    clock.heard(1, Times(START_NS // 1000, 90_000_000, (None, None)), 0)
    clock.step()
    assert clock.flock_ns(0) == START_NS + 90_000 * MS


def test_no_clock_is_found_wrong_by_a_time_that_its_cells_cannot_show() -> None:
    ours, theirs = (FlockClock(2, own, PERIOD_NS, START_NS) for own in (1, 0))
    theirs.heard(1, ours.times(0), MS)
    shown = theirs.times(PERIOD_NS)
    ours.heard(0, shown._replace(correction_us=90_000_000), PERIOD_NS + MS)
    assert ours.wrong_by_ns(PERIOD_NS) == 90_000 * MS
    ours.heard(0, shown._replace(correction_us=MAX_TIME_US // 2), PERIOD_NS + MS)
    assert ours.wrong_by_ns(PERIOD_NS) == 0


def test_two_clocks_alone_meet_in_the_middle() -> None:
    world = World(0, 30)
    for _ in range(700):
        world.round()
    assert world.spread_ms() < 0.1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7], 7),
        ([5, 1, 3], 3),
        ([0, 0, 900, 900], 0),
        ([900, 0, 0, 900], 900),
        ([0, 900], 0),
        ([900, 0], 900),
        ([4, 900, 5, 6], 5),
    ],
)
def test_of_two_camps_the_first_members_counts(values: list[int], expected: int) -> None:
    assert middle(dict(enumerate(values))) == expected


def test_of_two_equal_camps_one_gives_way() -> None:
    """Else they would call each other's clocks wrong for ever."""
    world = World(0, 0, 90_000, 90_000)
    for _ in range(3):
        world.round()
    found = [clock.wrong_by_ns(world.now_ns) for clock in world.clocks]
    assert found[:2] == [0, 0]
    assert all(abs(wrong_by + 90_000 * MS) < MS for wrong_by in found[2:])
    world.clocks[2].step()
    assert world.clocks[2].flock_ns(0) < START_NS + 3 * MS + PERIOD_NS


def test_clocks_are_measured_at_the_longest_period_also_after_a_loss() -> None:
    """Who gives a stamp back has held it for a round, or for two."""
    period_ns = LONGEST_PERIOD * 1000 * MS
    ours, theirs = (FlockClock(2, own, period_ns, START_NS) for own in range(2))
    theirs.heard(0, ours.times(0), MS)
    ours.heard(1, theirs.times(2 * period_ns), 2 * period_ns + MS)
    assert ours.offset_ns(1, 2 * period_ns) == 0


def test_nonsense_is_no_measurement() -> None:
    world = World(0, 0)
    world.round()
    clock = world.clocks[0]
    times = world.clocks[1].times(world.now_ns)
    clock.heard(1, times._replace(sent_us=times.sent_us - 10_000_000), world.now_ns)
    assert clock.offset_ns(1, world.now_ns) is None
