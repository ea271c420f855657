"""From which memory cells leave: the same kind for real ones and cover, as warm and as cold."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.wire.test_emitter import Simulation

BURST_CELL = 65536
SECRET = b"secret"


class Sent(NamedTuple):
    """One cell that lane 0 has emitted."""

    size: int
    place: tuple[int, int]
    """Its memory: which buffer, and where in it."""
    is_real: bool


@pytest.fixture
def flock() -> Iterator[Simulation]:
    """Three nodes that see each other; nothing is to be sent yet."""
    simulation = Simulation(burst_cell=BURST_CELL)
    assert simulation.run(5, lambda: simulation.views() == [7] * 3)
    yield simulation
    simulation.close()


def watched(flock: Simulation, monkeypatch: pytest.MonkeyPatch) -> list[Sent]:
    """What lane 0 emits from now on."""
    port, sent = flock.network.ports[0], []
    send = port.send

    def seen(cell: memoryview) -> None:
        whole = cell.obj
        at = _address(cell) - _address(memoryview(whole))
        sent.append(Sent(len(cell), (id(whole), at), SECRET in bytes(cell)))
        send(cell)

    monkeypatch.setattr(port, "send", seen)
    return sent


def test_a_heartbeat_leaves_from_one_place_real_or_not(
    flock: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = watched(flock, monkeypatch)
    flock.run(1)
    box = flock.boxes[0]
    slot = box.idle_slot()
    assert slot is not None
    slot[: len(SECRET)] = SECRET
    slot.release()
    box.publish_idle()
    flock.run(1)
    assert [one.is_real for one in sent].count(True) == 1, "once, and in no cover after it"
    assert len({one.place for one in sent}) == 1
    assert flock.wires[0].idle_out.filled == 0


def test_what_is_withheld_leaves_later(flock: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = watched(flock, monkeypatch)
    box, emitter = flock.boxes[0], flock.emitters[0]
    assert emitter is not None
    slot = box.idle_slot()
    assert slot is not None
    slot[: len(SECRET)] = SECRET
    slot.release()
    box.publish_idle()
    assert flock.run(1, lambda: emitter._prepared and emitter._outlet._idle_real)
    emitter._outlet.withhold()
    assert flock.run(1, lambda: bool(sent))
    assert not sent[0].is_real and flock.wires[0].idle_out.filled == 1
    flock.run(1)
    assert [one.is_real for one in sent].count(True) == 1


def test_cover_of_a_burst_is_as_cold_as_slots(
    flock: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No memory is sent again before as many cells have left as the ring has slots."""
    sent = watched(flock, monkeypatch)
    slots = flock.wires[0].burst_out.slots
    monkeypatch.setattr(flock.wires[0], "burst_cell", lambda _: None)
    flock.needs[1] = 64
    assert flock.run(10, lambda: all(flock.finished))
    places = [one.place for one in sent if one.size == BURST_CELL]
    assert len(places) == 64 > slots
    for first in range(len(places) - slots + 1):
        assert len(set(places[first : first + slots])) == slots


def _address(view: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(view))
