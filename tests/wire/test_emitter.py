"""Whole wire sides in one process under virtual time, over a network in memory."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from flocksy.protocol.clock import FlockClock
from flocksy.protocol.header import Times
from flocksy.protocol.programme import PROGRAMME_BURSTS
from flocksy.protocol.timing import SLOT_ROUNDS, BurstTiming
from flocksy.seam.joint import BoxSeam, Gear, WireSeam
from flocksy.seam.report import BoxReport
from flocksy.testing.flock import make_settings
from flocksy.wire.emitter import Emitter
from flocksy.wire.memory import MemoryNetwork
from flocksy.wire.process import shape_of
from flocksy.wire.settings import WireSettings
from tests.simulator.clock import LocalClock

MS = 1_000_000
S = 1_000 * MS
NODES = 3
WALL_NS = 1_700_000_000 * S


class Simulation:
    """Three nodes whose boxes fill every slot and keep what they see."""

    def __init__(self, seed: int = 1, **overrides: object) -> None:
        self.random = random.Random(seed)
        overrides = {"burst_cell": 4096, "min_view": 2, **overrides}
        endpoints = [f"memory://{i}" for i in range(NODES)]
        self.settings: list[WireSettings] = make_settings(endpoints, **overrides)
        self.network = MemoryNetwork(NODES, self.delay, now_ns=5 * S)
        self.emitters: list[Emitter | None] = [None] * NODES
        self.boxes: list[BoxSeam] = []
        self.wires: list[WireSeam] = []
        self.needs = [0] * NODES
        self.cut: set[int] = set()
        self.lossy = 0.0
        self.seen: list[list[tuple[int, bytes, int, bool, int]]] = [[] for _ in range(NODES)]
        self.filled: dict[tuple[int, bytes], int] = {}
        self.finished: list[list[tuple[bytes, bool, bool]]] = [[] for _ in range(NODES)]
        for settings in self.settings:
            box = BoxSeam(shape_of(settings))
            self.wires.append(WireSeam(box.handle()))
            box.launched()
            self.boxes.append(box)
        for lane in range(NODES):
            self.start(lane)

    def start(self, lane: int, clock_error_ns: int = 0) -> None:
        self.emitters[lane] = Emitter(
            self.settings[lane],
            self.wires[lane],
            self.network.ports[lane],
            self.network.now_ns,
            WALL_NS + self.network.now_ns + clock_error_ns,
            self.random.randbytes,
        )

    def delay(self, source: int, target: int, _now_ns: int) -> int | None:
        if {source, target} & self.cut or self.random.random() < self.lossy:
            return None
        return self.random.randint(1 * MS, 3 * MS)

    def turn_boxes(self) -> None:
        for lane, box in enumerate(self.boxes):
            while (inbound := box.take()) is not None:
                if inbound.gear == Gear.BURST:
                    mark = int.from_bytes(inbound.payload[:4], "little")
                    self.seen[lane].append(
                        (inbound.lane, inbound.burst_id, inbound.k, inbound.gap, mark)
                    )
                inbound.payload.release()
                box.done()
            report = box.report()
            if report.burst is not None:
                key = lane, report.burst.burst_id
                done = self.filled.setdefault(key, 0)
                while done < report.burst.length and (slot := box.burst_slot()) is not None:
                    slot[:4] = (lane << 24 | done + 1).to_bytes(4, "little")
                    slot.release()
                    box.publish_burst(report.burst.burst_id)
                    done += 1
                self.filled[key] = done
            last = report.last_burst
            if last is not None:
                told = (last.burst_id, last.finished, last.gap)
                history = self.finished[lane]
                if not history or history[-1] != told:
                    history.append(told)
            box.state(BoxReport(need=self.needs[lane]))

    def run(self, seconds: float, until: object = None) -> bool:
        end = self.network.now_ns + int(seconds * S)

        def between() -> bool:
            self.turn_boxes()
            return callable(until) and bool(until())

        return self.network.run(self.emitters, end, between)

    def views(self) -> list[int]:
        return [box.report().view for box in self.boxes]

    def burst_runs(self) -> bool:
        return any(sent and sent[-1][1] == 4096 for sent in self.network.sent)

    def close(self) -> None:
        self.emitters.clear()
        for wire, box in zip(self.wires, self.boxes, strict=True):
            wire.close()
            box.close()


@pytest.fixture
def flock() -> Iterator[Simulation]:
    simulation = Simulation()
    yield simulation
    simulation.close()


def test_a_flock_forms_its_view_and_beats_on_the_grid(flock: Simulation) -> None:
    assert flock.run(5, lambda: flock.views() == [7] * 3)
    flock.run(2)
    period_ns = flock.settings[0].period_ns
    for sent in flock.network.sent:
        assert {length for _, length in sent} == {1024}
        # Flock time moves a little: the delays are not the same both ways.
        assert all((WALL_NS + at + MS) % period_ns < 2 * MS for at, _ in sent)
    counts = [len(sent) for sent in flock.network.sent]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("pace", ["max", "grid"])
def test_in_a_burst_every_lane_carries_data_to_everybody(pace: str) -> None:
    flock = Simulation(pace=pace)
    assert flock.run(5, lambda: flock.views() == [7] * 3)
    flock.needs[1] = 100
    assert flock.run(10, lambda: all(flock.finished))
    (burst_id, finished, gap) = flock.finished[0][0]
    assert finished and not gap
    for lane, seen in enumerate(flock.seen):
        for source in range(NODES):
            cells = [entry[2:] for entry in seen if entry[0] == source and entry[1] == burst_id]
            expected = [(k, False, source << 24 | k + 1) for k in range(128)]
            assert cells == expected, (lane, source)
    flock.needs[1] = 0
    flock.run(2)
    for sent in flock.network.sent:
        assert sum(length == 4096 for _, length in sent) == 128
    flock.close()


def burst_cells(flock: Simulation) -> list[int]:
    return [sum(length == 4096 for _, length in sent) for sent in flock.network.sent]


@pytest.mark.parametrize("needs", [(0, 0, 0), (0, 30, 0), (64, 1, 0)])
def test_a_join_is_followed_by_the_same_bursts_whoever_needs_what(needs: tuple[int, ...]) -> None:
    flock = Simulation(programme_bytes=64 * 4096)
    each = PROGRAMME_BURSTS * 64
    flock.needs = list(needs)
    flock.boxes[0].state(BoxReport(need=needs[0]))
    assert flock.run(60, lambda: len(flock.finished[0]) >= 1)
    flock.needs = [0] * NODES
    flock.run(60)
    assert burst_cells(flock) == [each] * NODES
    flock.emitters[2] = None
    flock.run(2)
    assert flock.views()[:2] == [0b011] * 2
    flock.start(2)
    flock.run(60)
    assert flock.views() == [7] * NODES
    assert burst_cells(flock) == [2 * each] * NODES
    # The box process of each hears of it: of the first view, and of the one with the newcomer.
    assert [box.report().joins for box in flock.boxes] == [2, 2, 1]
    flock.close()


def test_on_a_timetable_a_join_has_no_bursts_of_its_own() -> None:
    flock = Simulation(
        programme_bytes=64 * 4096, timing=BurstTiming("timetable", every=1_000_000, cells=64)
    )
    flock.run(60)
    assert flock.views() == [7] * NODES
    assert burst_cells(flock) == [0] * NODES
    flock.close()


def test_a_lost_burst_cell_is_a_gap_and_gets_one_repeat(flock: Simulation) -> None:
    assert flock.run(5, lambda: flock.views() == [7] * 3)
    flock.needs[2] = 64
    assert flock.run(5, flock.burst_runs)
    flock.needs[2] = 0
    flock.lossy = 0.02
    flock.run(0.03)
    flock.lossy = 0.0
    assert flock.run(20, lambda: all(len({b for b, _, _ in f}) == 2 for f in flock.finished))
    first, second = {b for b, _, _ in flock.finished[0]}, flock.finished[0][-1]
    assert len(first) == 2
    assert all(history[-1] == second for history in flock.finished)
    assert second[1:] == (True, False), "the repeat is whole"
    assert any(history[0][2] for history in flock.finished)
    flock.run(20)
    assert all(history[-1] == second for history in flock.finished), "and there is only one"
    assert all(gap for seen in flock.seen for *_, gap, _ in seen) is False


def test_a_member_lost_in_a_burst_ends_it_for_all_and_the_rest_repeat(flock: Simulation) -> None:
    assert flock.run(5, lambda: flock.views() == [7] * 3)
    flock.needs[0] = 64
    assert flock.run(5, flock.burst_runs)
    flock.cut.add(2)
    flock.emitters[2] = None
    flock.needs[0] = 0
    survivors = (0, 1)
    assert flock.run(30, lambda: all(len(flock.finished[i]) >= 2 for i in survivors))
    for lane in survivors:
        (_, first_finished, _), *_, (_, last_finished, gap) = flock.finished[lane]
        assert not first_finished
        assert last_finished and not gap
    assert [flock.views()[i] for i in survivors] == [0b011] * 2


@pytest.mark.parametrize("pace", ["max", "grid"])
def test_a_pace_that_cannot_be_the_flocks_is_no_cell_of_it(pace: str) -> None:
    flock = Simulation(pace=pace)
    emitters = [emitter for emitter in flock.emitters if emitter is not None]
    liar = emitters[2]
    honest = liar._sustain.slowest_us
    liar._sustain._floor_us = honest + 1
    assert flock.run(10, lambda: flock.views()[:2] == [0b011] * 2)
    assert flock.run(10, lambda: "no sense" in flock.boxes[0].report().lanes[2].state)
    liar._sustain._floor_us = honest
    assert flock.run(10, lambda: flock.views() == [7] * NODES)
    flock.close()


def test_below_quorum_nothing_real_leaves(flock: Simulation) -> None:
    flock.cut.update({0, 1, 2})
    box = flock.boxes[0]
    slot = box.idle_slot()
    assert slot is not None
    slot[:6] = b"secret"
    slot.release()
    box.publish_idle()
    flock.needs[0] = 10
    flock.run(5)
    assert box.report().status == 102 and not box.report().real_allowed
    assert flock.wires[0].idle_out.filled == 1
    assert len(flock.network.sent[0]) > 50
    flock.cut.clear()
    assert flock.run(5, lambda: flock.wires[0].idle_out.filled == 0)


def test_a_wrong_clock_is_named_and_stays_out() -> None:
    flock = Simulation()
    assert flock.run(5, lambda: flock.views() == [7] * 3)
    flock.cut.add(2)
    flock.run(2)
    flock.start(2, clock_error_ns=20 * MS)
    emitter = flock.emitters[2]
    assert emitter is not None
    flock.run(1.5)
    flock.cut.clear()
    assert flock.run(20, lambda: "clock wrong" in flock.boxes[0].report().lanes[2].state)
    assert flock.views()[:2] == [0b011] * 2
    assert flock.run(20, lambda: flock.views() == [7] * 3), "it starts anew by itself"
    flock.close()


def test_who_is_far_away_begins_anew_once_with_the_time_that_was_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One way takes more than a quarter of a period: what is heard one way is wrong for ever."""
    flock = Simulation()
    flock.network.delay = lambda *_: flock.settings[0].period_ns * 2 // 5
    assert flock.run(20, lambda: flock.views() == [7] * 3)
    flock.start(2, clock_error_ns=700 * MS)
    assert flock.run(3, lambda: flock.views()[:2] == [0b011] * 2)
    begun: list[int] = []
    emitter = flock.emitters[2]
    assert emitter is not None
    begin = emitter._begin

    def noted(now_ns: int, clock: FlockClock) -> None:
        begun.append(now_ns)
        begin(now_ns, clock)

    monkeypatch.setattr(emitter, "_begin", noted)
    assert flock.run(40, lambda: flock.views() == [7] * 3)
    assert len(begun) == 1
    flock.close()


def test_what_waited_while_a_node_stood_still_says_nothing_of_time(
    flock: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert flock.run(5, lambda: flock.views() == [7] * 3)
    stopped, flock.emitters[2] = flock.emitters[2], None
    assert stopped is not None
    flock.run(3)
    heard: list[int] = []
    measure = stopped._clock.heard

    def measured(lane: int, times: Times, received_ns: int) -> None:
        heard.append(received_ns)
        measure(lane, times, received_ns)

    monkeypatch.setattr(stopped._clock, "heard", measured)
    flock.emitters[2] = stopped
    went_on_ns = flock.network.now_ns
    assert flock.network.ports[2].arrived[0], "it does wait"
    assert flock.run(5, lambda: flock.views() == [7] * 3)
    assert heard and min(heard) > went_on_ns


def test_who_leaves_says_so_and_ends(flock: Simulation) -> None:
    assert flock.run(5, lambda: flock.views() == [7] * 3)
    flock.boxes[1].state(BoxReport(leaving=True))
    emitter = flock.emitters[1]
    assert emitter is not None
    box, flock.boxes[1] = flock.boxes[1], flock.boxes[0]
    flock.run(5, lambda: emitter.ended)
    assert emitter.ended
    assert box.report().status == 500
    flock.run(1)
    assert flock.views()[0] == 0b101
    flock.boxes[1] = box


def test_a_box_that_is_gone_ends_its_wire(flock: Simulation) -> None:
    assert flock.run(5, lambda: flock.views() == [7] * 3)
    emitter = flock.emitters[1]
    assert emitter is not None
    box = flock.boxes[1]
    flock.boxes[1] = flock.boxes[0]
    box.close()
    flock.run(5, lambda: emitter.ended)
    assert emitter.ended
    flock.boxes[1] = box


def test_heartbeats_never_fall_into_a_burst_and_resume_on_the_grid(flock: Simulation) -> None:
    assert flock.run(5, lambda: flock.views() == [7] * 3)
    flock.needs[0] = 64
    assert flock.run(5, flock.burst_runs)
    flock.needs[0] = 0
    assert flock.run(5, lambda: all(flock.finished))
    flock.run(1)
    settings = flock.settings[0]
    for sent in flock.network.sent:
        bursts = [at for at, length in sent if length == 4096]
        idle = [at for at, length in sent if length == 1024]
        assert len(bursts) == 64
        assert not any(bursts[0] <= at <= bursts[-1] for at in idle)
        resumed = min(at for at in idle if at > bursts[-1])
        assert resumed >= bursts[-1] + settings.settle_ms * MS
        assert resumed - bursts[-1] <= (settings.settle_ms + settings.period_ms) * MS + MS
        assert (WALL_NS + bursts[0] + MS) % settings.period_ns < 2 * MS


@pytest.mark.parametrize(
    "timing", [BurstTiming("timetable", 40, 64), BurstTiming("constant", 1, 64)]
)
def test_on_a_public_timing_nothing_shows_what_is_wanted(timing: BurstTiming) -> None:
    sent = []
    for need in (0, 5000):
        flock = Simulation(timing=timing, rest_mean_ms=0)
        assert flock.run(5, lambda flock=flock: flock.views() == [7] * 3)  # type: ignore[misc]
        flock.needs[1] = need
        flock.run(20)
        bursts = [len({burst for burst, _, _ in history}) for history in flock.finished]
        assert min(bursts) >= (4 if timing.kind == "timetable" else 20)
        sent.append(flock.network.sent)
        flock.close()
    assert sent[0] == sent[1]


def test_each_instant_of_a_timetable_has_one_burst() -> None:
    """Also where it is over before the need for it has gone."""
    every, lead = 40, 4
    flock = Simulation(timing=BurstTiming("timetable", every, 64), rest_mean_ms=0, period_ms=250)
    period_ns = flock.settings[0].period_ns
    assert flock.settings[0].parameters.lead_rounds == lead
    assert flock.run(10, lambda: flock.views() == [7] * 3)
    flock.run(42)
    for sent in flock.network.sent:
        starts = [at for at, length in sent if length == 4096][::64]
        slots = [((WALL_NS + at + 5 * MS) // period_ns - lead) // every for at in starts]
        assert slots == list(range(slots[0], slots[0] + len(slots))) and len(slots) >= 3
    flock.close()


def test_a_timetable_is_known_to_everybody() -> None:
    timing = BurstTiming("timetable", 240, 64)
    assert [r for r in range(1000) if timing.need(r, 0)] == [
        r for r in range(1000) if r % 240 < SLOT_ROUNDS
    ]


@pytest.mark.parametrize("pace", ["max", "grid"])
def test_no_clock_is_moved_from_the_agreement_on_a_burst_to_its_end(
    pace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = Simulation(pace=pace)
    assert flock.run(5, lambda: flock.views() == [7] * 3)
    emitter = flock.emitters[0]
    assert emitter is not None
    slew, moved = emitter._clock.slew, []

    def noted(now_ns: int, elapsed_ns: int) -> None:
        assert now_ns >= emitter._instant_ns(emitter.round), "the cell of that instant is out"
        moved.append((emitter._plan is not None, elapsed_ns))
        slew(now_ns, elapsed_ns)

    monkeypatch.setattr(emitter._clock, "slew", noted)
    began_ns = flock.network.now_ns
    flock.needs[1] = 200
    assert flock.run(10, lambda: all(flock.finished))
    flock.needs[1] = 0
    before, burst_ns = len(moved), flock.network.now_ns - began_ns
    flock.run(1)
    assert len(moved) > before > 0 and not any(is_agreed for is_agreed, _ in moved)
    passed_ns = sum(elapsed_ns for _, elapsed_ns in moved)
    assert passed_ns > burst_ns, "what passed in a burst is made up for"
    flock.close()


class Drifting:
    """An emitter on a host whose clock runs at its own speed."""

    def __init__(self, emitter: Emitter, ppm: int) -> None:
        self._emitter = emitter
        self._clock = LocalClock(0, ppm)

    @property
    def ended(self) -> bool:
        return self._emitter.ended

    def turn(self, now_ns: int) -> int:
        return self._clock.virtual(self._emitter.turn(self._clock.local(now_ns)))

    def flock_ns(self, now_ns: int) -> int:
        return self._emitter._clock.flock_ns(self._clock.local(now_ns))


def test_clocks_stay_together_where_one_long_burst_follows_the_other() -> None:
    """Of a minute only two seconds are no burst: what has passed in it has to be made up for."""
    burst_s, apart_ppm, minutes = 60, 50, 12
    flock = Simulation(
        timing=BurstTiming("constant", 1, 64),
        rest_mean_ms=0,
        period_ms=250,
        pace="grid",
        max_rate=64 * 4096 // burst_s,
    )
    nodes = [
        Drifting(emitter, ppm)
        for emitter, ppm in zip(flock.emitters, (0, 25, -25), strict=True)
        if emitter is not None
    ]
    flock.emitters[:] = nodes  # type: ignore[assignment]
    of_a_burst_ns = burst_s * apart_ppm * 1000
    for _ in range(minutes):
        flock.run(60)
        assert flock.views() == [7] * 3
        shown_ns = [node.flock_ns(flock.network.now_ns) for node in nodes]
        # That of the burst, and of the one before it, after which it could not be measured yet.
        assert max(shown_ns) - min(shown_ns) < 2.5 * of_a_burst_ns
    assert min(map(len, flock.finished)) >= minutes - 3
    flock.close()
