"""A node that is woken late: what of it shows, and what must not.

An operating system may wake a process some milliseconds after the instant that it has asked for,
and oftener where the processor has other work: on the node that looks at its files.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flocksy.wire.emitter import Emitter
from tests.wire.test_emitter import MS, WALL_NS, Simulation


@pytest.fixture
def flock() -> Iterator[Simulation]:
    simulation = Simulation()
    yield simulation
    simulation.close()


class Late(Emitter):
    """Is called so much later than it has asked for, once in so long a time, if it has asked for so
    long a sleep; but at once when something comes in before."""

    late_ns: int
    every_ns: int
    sleep_ns: int
    late_from_ns: int
    due_ns: int
    until_ns: int

    @classmethod
    def instead_of(
        cls, emitter: Emitter | None, late_ns: int, *, every_ns: int = 0, sleep_ns: int = 0
    ) -> None:
        assert emitter is not None
        emitter.__class__ = cls
        assert isinstance(emitter, cls)
        emitter.late_ns, emitter.every_ns, emitter.sleep_ns = late_ns, every_ns, sleep_ns
        emitter.late_from_ns = emitter.due_ns = emitter.until_ns = 0

    def turn(self, now_ns: int) -> int:
        if self.due_ns <= now_ns < self.until_ns:
            return self.until_ns
        if now_ns >= self.until_ns > self.due_ns:
            self.late_from_ns = now_ns + self.every_ns
        self.due_ns = self.until_ns = super().turn(now_ns)
        if now_ns >= self.late_from_ns and self.due_ns - now_ns >= self.sleep_ns:
            self.until_ns += self.late_ns
        return self.due_ns


def test_a_heartbeat_leaves_late_and_is_not_left_out(flock: Simulation) -> None:
    assert flock.run(5, lambda: flock.views() == [7] * 3)
    Late.instead_of(flock.emitters[2], 12 * MS, every_ns=90 * MS, sleep_ns=20 * MS)
    before = [len(sent) for sent in flock.network.sent]
    flock.run(5)
    assert flock.views() == [7] * 3
    beats = [len(sent) - had for sent, had in zip(flock.network.sent, before, strict=True)]
    assert min(beats) >= 98 and max(beats) - min(beats) <= 1


def test_who_is_halted_again_and_again_has_listened_long_enough_some_time() -> None:
    flock = Simulation(period_ms=20)
    for emitter in flock.emitters:
        Late.instead_of(emitter, 30 * MS, every_ns=500 * MS)
    flock.run(5)
    assert all(flock.network.sent)
    flock.close()


def test_what_has_come_delays_no_heartbeat(
    flock: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds cells back could let them go just then, and would see it on other links."""
    assert flock.run(5, lambda: flock.views() == [7] * 3)
    port, emitter = flock.network.ports[0], flock.emitters[0]
    assert emitter is not None
    done: list[str] = []
    turns: list[list[str]] = []
    send, receive, turn = port.send, port.receive, emitter.turn

    def sent(cell: memoryview) -> None:
        done.append("send")
        send(cell)

    def received(lane: int, buffer: memoryview) -> int:
        size = receive(lane, buffer)
        if size:
            done.append("receive")
        return size

    def turned(now_ns: int) -> int:
        done.clear()
        due_ns = turn(now_ns)
        turns.append(list(done))
        return due_ns

    monkeypatch.setattr(port, "send", sent)
    monkeypatch.setattr(port, "receive", received)
    monkeypatch.setattr(emitter, "turn", turned)

    def to_the_instant(_source: int, target: int, now_ns: int) -> int:
        if target:
            return 2 * MS
        return max(MS, emitter._instant_ns(emitter._round + 1) - now_ns)

    flock.network.delay = to_the_instant
    flock.run(3)
    beats = [done for done in turns if "send" in done]
    assert any("receive" in done for done in beats)
    assert all(done[0] == "send" for done in beats)


def test_the_box_is_woken_for_what_has_been_reported(
    flock: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert flock.run(5, lambda: flock.views() == [7] * 3)
    wire, box, network = flock.wires[0], flock.boxes[0], flock.network
    wake = wire.wake_box
    woken: list[tuple[int, int]] = []

    def noted() -> None:
        woken.append((network.now_ns, box.report().round))
        wake()

    monkeypatch.setattr(wire, "wake_box", noted)
    already = len(network.sent[0])
    flock.run(2)
    for instant_ns, _ in network.sent[0][already:]:
        rounds = [round_ for now_ns, round_ in woken if now_ns == instant_ns]
        assert rounds == [round((WALL_NS + instant_ns) / flock.settings[0].period_ns)]
