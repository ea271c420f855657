"""Drawn waits are bounded, follow from the id alone and are exponential."""

from __future__ import annotations

from statistics import mean

from flocksy.protocol.draws import MAX_WAIT_MS, pause_rounds, proposal_id, rest_rounds
from flocksy.protocol.shown import BURST_ID_BYTES, Kind


def test_id_depends_on_every_field() -> None:
    base = (Kind.BURST, 7, 3, 0b111, 64, 1000, False, False)
    variants = [
        base,
        (Kind.VIEW, *base[1:]),
        *((*base[:i], int(base[i]) + 1, *base[i + 1 :]) for i in range(1, 6)),
        (*base[:6], True, False),
        (*base[:6], False, True),
    ]
    ids = {proposal_id(*variant) for variant in variants}  # type: ignore[arg-type]  # a table
    assert len(ids) == len(variants)
    assert all(len(id_) == BURST_ID_BYTES for id_ in ids)


def test_rest_has_its_mean_and_its_cap() -> None:
    drawn = [rest_rounds(n.to_bytes(8, "little"), 2000, 1) for n in range(4000)]
    assert max(drawn) <= MAX_WAIT_MS
    # Mean of an exponential of mean 2 s cut at 10 s: 2 (1 - e^-5) s.
    assert abs(mean(drawn) - 1987) < 150


def test_no_rest_without_mean_but_always_a_pause() -> None:
    assert rest_rounds(bytes(8), 0, 250) == 0
    assert pause_rounds(bytes(8), 0, 250) == 1


def test_rest_and_pause_are_drawn_apart() -> None:
    ids = [n.to_bytes(8, "little") for n in range(50)]
    assert [rest_rounds(i, 2000, 1) for i in ids] != [pause_rounds(i, 2000, 1) for i in ids]
