"""Rule 2 of design 4.3: no instant depends on garbage collection."""

from __future__ import annotations

import gc
from unittest.mock import Mock

import pytest

from flocksy.wire import process


class Rounds:
    """An emitter that is in a burst in every other round in which garbage is due."""

    round = 0
    ended = False

    @property
    def in_burst(self) -> bool:
        """Whether it is now."""
        return self.round // process.COLLECT_ROUNDS % 2 == 0

    def turn(self, now_ns: int) -> int:
        """One round further. There is time then, and the sockets, which are none, wait."""
        assert not gc.isenabled()
        self.round += process.COLLECT_ROUNDS // 4
        self.ended = self.round > 8 * process.COLLECT_ROUNDS
        return now_ns + 1_000_000_000


def test_garbage_is_collected_by_the_round_and_never_in_a_burst(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rounds = Rounds()
    collected: list[int] = []
    monkeypatch.setattr(process, "Emitter", lambda *_: rounds)
    monkeypatch.setattr(gc, "collect", lambda: collected.append(rounds.round))
    try:
        process._loop(Mock(), Mock(), Mock(), Mock())
    finally:
        gc.enable()
        gc.unfreeze()
    assert collected == [0, *(turn * process.COLLECT_ROUNDS for turn in (1, 3, 5, 7))]
