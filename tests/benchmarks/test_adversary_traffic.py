"""From segments to bursts, cells and heartbeats, and what follows of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("sklearn")

from benchmarks.adversary import active, traffic  # noqa: E402
from benchmarks.adversary.features import Watch  # noqa: E402
from benchmarks.adversary.manipulation import Act, Phase  # noqa: E402
from benchmarks.adversary.play import BURST_CELL, IDLE_CELL, Event  # noqa: E402
from benchmarks.adversary.rows import LEAD_S, PERIOD_S  # noqa: E402
from benchmarks.adversary.traffic import CURVE_BYTES, Burst, Traffic, read  # noqa: E402
from benchmarks.pcap import ACK, RST, SYN, Segment  # noqa: E402

ADDRESSES = ("10.77.0.1", "10.77.0.2", "10.77.0.3")
PORT = 23500
ORIGIN_NS = 1_700_000_000_000_000_000
FULL = 1448
CELLS, GAP_S = 64, 0.01
KEEPALIVE = 40
Seen = Callable[[], Traffic]


class Line:
    """What one node sends to one other, segment by segment."""

    def __init__(self, source: int, target: int) -> None:
        self.ends = (ADDRESSES[source], PORT), (ADDRESSES[target], 40_000 + source)
        self.sent: list[Segment] = []
        self._sequence = 0

    def send(self, at: float, length: int, flags: int = ACK, *, back: bool = False) -> None:
        """`back`: by the other end."""
        source, target = reversed(self.ends) if back else self.ends
        sequence, ns = self._sequence, ORIGIN_NS + round(at * 1e9)
        rest = (flags, 500, length, b"", 64, 0, 0, round(at * 1000))
        self.sent.append(Segment(ns, source, target, sequence, 7, *rest))
        if not back:
            self._sequence += length

    def cell(self, at: float, more: int = 0) -> None:
        """A burst cell in full segments and what is left, with so many bytes before it."""
        left = BURST_CELL + CURVE_BYTES + more
        while left:
            self.send(at, min(FULL, left))
            left -= min(FULL, left)
            at += 1e-5


def flown(lines: list[Line], late: dict[int, float], more: dict[int, int] | None = None) -> None:
    """Heartbeats, and from 2 s on a burst. `late`: by node; `more`: bytes before a cell."""
    for line in lines:
        lag = late.get(ADDRESSES.index(line.ends[0][0]), 0.0)
        for beat in [*np.arange(0.0, 2.0, PERIOD_S), *np.arange(2.8, 5.0, PERIOD_S)]:
            line.send(beat, IDLE_CELL + CURVE_BYTES)
        for cell in range(CELLS):
            line.cell(2.0 + lag + cell * GAP_S, (more or {}).get(cell, 0))


@pytest.fixture
def lines() -> list[Line]:
    return [Line(a, b) for a in range(3) for b in range(3) if a != b]


@pytest.fixture
def seen(lines: list[Line], monkeypatch: pytest.MonkeyPatch) -> Seen:
    """What is read of what `lines` have sent."""

    def segments(_: Path) -> list[Segment]:
        return sorted((one for line in lines for one in line.sent), key=lambda one: one.ns)

    monkeypatch.setattr(traffic, "segments", segments)
    return lambda: read(Path(), ADDRESSES, PORT, IDLE_CELL, BURST_CELL)


def test_bursts_cells_and_heartbeats_are_read(lines: list[Line], seen: Seen) -> None:
    flown(lines, {})
    found = seen()
    (burst,) = found.bursts
    assert burst.whole
    assert burst.start == pytest.approx(2.0)
    assert burst.end == pytest.approx(2.0 + (CELLS - 1) * GAP_S + 45e-5)
    assert set(burst.cells) == {(a, b) for a in range(3) for b in range(3) if a != b}
    for times in burst.cells.values():
        assert times == pytest.approx(2.0 + np.arange(CELLS) * GAP_S)
    for lane in found.lanes.values():
        assert len(lane.heartbeats) == 20 + 22
        assert not len(lane.again)
    assert found.seconds(ORIGIN_NS + 500_000_000) == 0.5


def test_what_is_sent_again_or_is_no_cell_is_told_apart(lines: list[Line], seen: Seen) -> None:
    flown(lines, {})
    one = lines[0]
    one.sent.append(one.sent[-1]._replace(ns=ORIGIN_NS + 4_990_000_000))
    one.send(1.01, KEEPALIVE)
    one.send(1.02, 0, SYN, back=True)
    one.send(1.03, 0, RST)
    one.send(1.04, 0, back=True)
    lane, *_ = seen().lanes.values()
    assert lane.again.tolist() == [pytest.approx(4.99)]
    assert lane.opened.tolist() == [pytest.approx(1.02)]
    assert lane.broken.tolist() == [pytest.approx(1.03)]
    assert lane.back[:, 0].tolist() == [pytest.approx(1.04)]
    assert len(seen().bursts) == 1


def test_a_keepalive_within_a_segment_moves_no_cell(lines: list[Line], seen: Seen) -> None:
    """All that comes later lies so many bytes further on in the stream."""
    flown(lines, {}, more={3: KEEPALIVE, 10: KEEPALIVE})
    for times in seen().bursts[0].cells.values():
        assert times == pytest.approx(2.0 + np.arange(CELLS) * GAP_S)


def test_a_late_node_shows_in_its_cells(lines: list[Line], seen: Seen) -> None:
    flown(lines, {1: 0.001})
    found, raw = Watch(seen(), 3, PERIOD_S, LEAD_S).row(seen().bursts[0])
    assert found["first cell"] == pytest.approx([0, 0.001, 0], abs=1e-6)
    assert found["lateness mean"] == pytest.approx([0, 0.001, 0], abs=1e-6)
    assert found["gap mean"] == pytest.approx([GAP_S] * 3)
    assert found["rank of first cell"][1] == 2
    assert found["cells last of all"].tolist() == [0, 1, 0]
    assert found["first cell from the grid"] == pytest.approx([0, 0.001, 0], abs=1e-6)
    apart = found["last cell from the grid"] - found["last cell from the grid"][0]
    assert apart == pytest.approx([0, 0.001, 0], abs=1e-6)
    assert found["cells"].tolist() == [CELLS] * 3
    assert (abs(raw[1] - raw[0]) > 0.9).sum() == CELLS


def burst(start: float, cells: int) -> Burst:
    lanes = {(a, b): np.full(cells, start) for a in range(3) for b in range(3) if a != b}
    return Burst(start, start + 1, lanes)


@pytest.mark.parametrize(
    ("source", "other", "told"), [(0, 1, (1, 0)), (2, 1, (0, 0)), (2, None, (0, 1))]
)
def test_what_follows_an_act_is_counted(
    source: int, other: int | None, told: tuple[int, int]
) -> None:
    act = Act("cut", Phase.BURST, 0, other, 1.0, 1)
    bursts = tuple(burst(start, 64 * start) for start in (1, 2, 4, 9))
    watch: Any = SimpleNamespace(traffic=Traffic(0, {}, bursts, 20.0))
    event = Event(500_000_000, 5_000_000_000, source, "new", 1, act, (2_500_000_000, 3_500_000_000))
    hindered, count, cells, whole = active.oracle(watch, event, 8_000_000_000)
    assert (hindered, whole) == told
    assert (count, cells) == (1, 64 * 4)  # not the one that ran, nor what is of the next event
