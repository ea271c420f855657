"""What of a node's traffic around a burst might tell that it was the source.

One row per node. Every figure stands twice: as it is, and as its difference to the median of the
group, because what slows all nodes alike hides what slows one. Windows before and after a burst end
at the bursts next to it, and whatever grows with their length is given per second.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.adversary.series import MOMENT_S
from benchmarks.adversary.traffic import (
    ACKNOWLEDGED,
    BYTES,
    HOPS,
    IDENTIFICATION,
    SERVICE,
    STAMP,
    TIME,
    WINDOW,
    Array,
    Burst,
    Lane,
    Traffic,
)

RAW_CELLS = 64
"""Every burst has that many (docs/protocol.md): their lateness and gaps are kept as they are."""
FEWEST_CELLS = 8
"""With fewer on some lane a burst was broken off, and its cells say nothing of gaps."""
WINDOW_S = 10.0
"""Looked at before and after, at most."""
SINGLE_WINDOW_S = 2.0
"""In `single` the source is at it longer than a player is, so the time between two bursts must be
no figure: no window reaches from one to the other."""
NEAR_S = 1.0
"""Of heartbeats also just before and just after: what a source does there takes tenths of a second,
and means over a long window hide it."""
LOOKED_AT_S = 0.8
"""Before the first cell that shows a need its source has looked at what changed, cut, hashed and
committed it: within so long. That is a lead earlier than the burst."""
ROUNDS_BEFORE, ROUNDS_AFTER = 20, 12
"""Of a burst, whose heartbeats are kept as they are: a lead, and what comes before it."""
TOGETHER_S = 0.0003
"""Cells of a lane that are no further apart left in one go."""
SMALL_BYTES = (256, 1100)
"""Edges of the histogram of segments; the next is the largest that was seen."""
STAMPS_PER_SECOND = 1000
"""Of Linux's TCP time stamps."""
_SHORTEST_S = 0.05

Columns = dict[str, Array]
"""By name one figure for each node."""


@dataclass(frozen=True)
class Watch:
    """Everything that is the same for all bursts of a session."""

    traffic: Traffic
    nodes: int
    period_s: float
    lead_s: float
    """From the first cell that shows a need to the start of its burst, at least."""
    window_s: float = WINDOW_S

    @cached_property
    def sent(self) -> list[list[Lane]]:
        """The lanes that each node sends."""
        return [
            [lane for (a, _), lane in self.traffic.lanes.items() if a == node]
            for node in range(self.nodes)
        ]

    @cached_property
    def taken(self) -> list[list[Lane]]:
        """The lanes that each node takes."""
        return [
            [lane for (_, b), lane in self.traffic.lanes.items() if b == node]
            for node in range(self.nodes)
        ]

    @cached_property
    def phase_s(self) -> float:
        """Where in a period the heartbeats of all leave: the grid of rounds as it shows."""
        beats = np.concatenate([lane.heartbeats for lane in self.traffic.lanes.values()])
        # The grid may lie across the end of a period: turn it so that its middle is not there.
        turned = np.exp(2j * np.pi * beats / self.period_s).mean()
        return float(np.angle(turned) / (2 * np.pi) * self.period_s)

    @cached_property
    def off_grid(self) -> dict[int, Array]:
        """By the identity of a lane: how late each heartbeat was, against the lane's median."""
        return {id(lane): self._off_grid(lane) for lane in self.traffic.lanes.values()}

    @cached_property
    def clocks(self) -> dict[int, Array]:
        """By the identity of a lane: how far ahead of the capture the time stamp of each segment
        is. Each connection counts from a base of its own, so only changes can be compared."""
        found = {}
        for lane in self.traffic.lanes.values():
            ahead = lane.data[:, STAMP] / STAMPS_PER_SECOND - lane.data[:, TIME]
            found[id(lane)] = ahead - np.median(ahead) if len(ahead) else ahead
        return found

    def grid_offset(self, times: Array) -> Array:
        """How far from the grid, in seconds."""
        half = self.period_s / 2
        return np.asarray(np.mod(times - self.phase_s + half, self.period_s) - half)

    def _off_grid(self, lane: Lane) -> Array:
        off = self.grid_offset(lane.heartbeats)
        return off - np.median(off) if len(off) else off

    @cached_property
    def by_round(self) -> Array:
        """Node, round → how much later than the median of the nodes its heartbeat was: what slows
        all alike is not in it. NaN where not all have sent one."""
        late = np.full((self.nodes, self._round(self.traffic.end) + 2), np.nan)
        for node, lanes in enumerate(self.sent):
            at = self._round(np.concatenate([lane.heartbeats for lane in lanes]))
            off = np.concatenate([self.off_grid[id(lane)] for lane in lanes])
            counts = np.bincount(at, minlength=late.shape[1])
            sums = np.bincount(at, off, late.shape[1])
            late[node, counts > 0] = sums[counts > 0] / counts[counts > 0]
        whole = ~np.isnan(late).any(axis=0)
        late[:, ~whole] = np.nan
        late[:, whole] -= np.median(late[:, whole], axis=0)
        return late

    def beats(self, since: float, count: int) -> Array:
        """`by_round`, of so many rounds from that time on, in ms; 0 where there is nothing."""
        first = self._round(since)
        inside = np.arange(first, first + count)
        known = (inside >= 0) & (inside < self.by_round.shape[1])
        found = np.zeros((self.nodes, count))
        found[:, known] = np.nan_to_num(self.by_round[:, inside[known]]) * 1e3
        return found

    def _round(self, at: Any) -> Any:
        """The round whose instant is next to that time, or to each of those times."""
        return np.rint((at - self.phase_s) / self.period_s).astype(int)

    def row(self, burst: Burst) -> tuple[Columns, Array]:
        """The features of a burst by name, and a row for each node of heartbeats before and after
        it, lateness and gaps, all raw. Of a burst that not all lanes carried alike, the cells that
        all did carry are compared."""
        lanes = [
            [times for (a, _), times in burst.cells.items() if a == node]
            for node in range(self.nodes)
        ]
        counts = np.array([[len(times) for times in each] for each in lanes])
        times = np.array([[times[: counts.min()] for times in each] for each in lanes])
        found = {
            "cells": counts.max(axis=1).astype(np.float64),
            "fewest cells": counts.min(axis=1).astype(np.float64),
        }
        if counts.min() >= FEWEST_CELLS:
            found |= self._cells(times)
        before = self.traffic.quiet_before(burst.start, self.window_s)
        after = self.traffic.quiet_after(burst.end, self.window_s)
        for name, since, till in (
            ("before", before, burst.start),
            ("during", burst.start, burst.end),
            ("after", burst.end, after),
        ):
            found |= {f"{name} {key}": value for key, value in self.window(since, till).items()}
        needed = burst.start - self.lead_s
        for name, since, till in (
            ("before its need", max(before, needed - LOOKED_AT_S), needed),
            ("just before", max(before, burst.start - NEAR_S), burst.start),
            ("just after", burst.end, min(after, burst.end + NEAR_S)),
        ):
            found |= self._near(name, since, till)
        beats = (
            self.beats(burst.start - ROUNDS_BEFORE * self.period_s, ROUNDS_BEFORE),
            self.beats(burst.end + self.period_s, ROUNDS_AFTER),
        )
        return with_group(found), np.concatenate([*beats, _raw(times)], axis=1)

    def moment(self, since: float) -> tuple[Columns, Array]:
        """A row for each node of the time from a change on that rides in heartbeats."""
        found = self.window(since, since + MOMENT_S)
        found |= self._near("at once", since, since + LOOKED_AT_S)
        return with_group(found), self.beats(since, round(MOMENT_S / self.period_s))

    def _near(self, name: str, since: float, till: float) -> Columns:
        rows = [self._heartbeats(node, since, till) for node in range(self.nodes)]
        return {f"{name} {key}": np.array([row[key] for row in rows]) for key in rows[0]}

    def _cells(self, times: Array) -> Columns:
        """`times`: node, link, cell → instant."""
        own = times.mean(axis=1)
        middle = np.median(own, axis=0)
        late = own - middle
        gaps = np.diff(own, axis=1)
        eighth = max(1, own.shape[1] // 8)
        together = (gaps < TOGETHER_S).mean(axis=1)
        found = {
            "first cell": late[:, 0],
            "first cell from the grid": self.grid_offset(own[:, 0]),
            "last cell": late[:, -1],
            "last cell from the grid": self.grid_offset(own[:, -1]),
            "rank of first cell": np.argsort(np.argsort(own[:, 0])).astype(np.float64),
            "rank of last cell": np.argsort(np.argsort(own[:, -1])).astype(np.float64),
            "lateness at the beginning": late[:, :eighth].mean(axis=1),
            "lateness at the end": late[:, -eighth:].mean(axis=1),
            "between links": np.ptp(times, axis=1).mean(axis=1),
            "most between links": np.ptp(times, axis=1).max(axis=1),
            "cells first of all": (own == own.min(axis=0)).mean(axis=1),
            "cells last of all": (own == own.max(axis=0)).mean(axis=1),
            "cells in one go": together,
            "longest gap at": gaps.argmax(axis=1) / gaps.shape[1],
        }
        return found | _spread("lateness", late) | _spread("gap", gaps)

    def window(self, since: float, till: float) -> Columns:
        """What every node sent and got in that time."""
        rows = [self._node(node, since, till) for node in range(self.nodes)]
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def _node(self, node: int, since: float, till: float) -> dict[str, float]:
        seconds = max(till - since, _SHORTEST_S)
        sent, taken = self.sent[node], self.taken[node]
        data = [_within(lane.data, since, till) for lane in sent]
        all_data = np.concatenate(data)
        found = {
            "segments": len(all_data) / seconds,
            "bytes": float(all_data[:, BYTES].sum()) / seconds,
            "bytes between links": float(np.ptp([each[:, BYTES].sum() for each in data])),
            "sent again": sum(_count(lane.again, since, till) for lane in sent) / seconds,
            "got again": sum(_count(lane.again, since, till) for lane in taken) / seconds,
            "connects": sum(_count(lane.opened, since, till) for lane in taken) / seconds,
            "resets": sum(_count(lane.broken, since, till) for lane in (*sent, *taken)) / seconds,
        }
        found |= _sizes(all_data[:, BYTES])
        clocks = [self.clocks[id(lane)][_between(lane.data[:, TIME], since, till)] for lane in sent]
        found |= _headers(data, np.concatenate(clocks))
        # Others acknowledge what the node sends; what it gives back for theirs shows when it reads.
        for whose, lanes in (("got", sent), ("given", taken)):
            found |= _acknowledgements(whose, lanes, since, till, seconds)
        return found | self._heartbeats(node, since, till)

    def _heartbeats(self, node: int, since: float, till: float) -> dict[str, float]:
        kept = [
            self.off_grid[id(lane)][(lane.heartbeats >= since) & (lane.heartbeats < till)]
            for lane in self.sent[node]
        ]
        beats = np.concatenate(kept)
        found = {"heartbeats": len(beats) / max(till - since, _SHORTEST_S)}
        found |= {f"heartbeat {name}": value for name, value in _summary(beats).items()}
        late = self.by_round[node, max(0, self._round(since)) : max(0, self._round(till))]
        against_others = _summary(late[~np.isnan(late)])
        found |= {f"heartbeat in its round {name}": v for name, v in against_others.items()}
        first = kept[0]
        found["heartbeat autocorrelation"] = (
            float(_autocorrelation(first[None, :])[0]) if len(first) > 2 else 0.0
        )
        return found


def with_group(found: Columns) -> Columns:
    """Every figure, and how far it is from the median of the group."""
    return found | {
        f"{name}, from the group": values - np.median(values) for name, values in found.items()
    }


def _raw(times: Array) -> Array:
    own = times.mean(axis=1)[:, :RAW_CELLS]
    found = np.zeros((len(own), 2, RAW_CELLS))
    found[:, 0, : own.shape[1]] = own - np.median(own, axis=0)
    found[:, 1, 1 : own.shape[1]] = np.diff(own, axis=1)
    return found.reshape(len(own), -1) * 1e3


def _spread(name: str, values: Array) -> Columns:
    found = {
        f"{name} mean": values.mean(axis=1),
        f"{name} sd": values.std(axis=1),
        f"{name} least": values.min(axis=1),
        f"{name} most": values.max(axis=1),
        f"{name} autocorrelation": _autocorrelation(values),
    }
    for part in (5, 25, 50, 75, 95, 99):
        found[f"{name} p{part}"] = np.percentile(values, part, axis=1)
    return found


def _autocorrelation(values: Array) -> Array:
    centred = values - values.mean(axis=1, keepdims=True)
    power = (centred**2).sum(axis=1)
    next_to = (centred[:, 1:] * centred[:, :-1]).sum(axis=1)
    return np.asarray(next_to / np.where(power > 0, power, 1))


def _sizes(sizes: Array) -> dict[str, float]:
    """The histogram of segments."""
    if not len(sizes):
        return dict.fromkeys(
            ("mean segment", "small segments", "middle segments", "full segments", "sizes"), 0.0
        )
    small, middle = SMALL_BYTES
    counts = np.unique(sizes, return_counts=True)[1] / len(sizes)
    return {
        "mean segment": float(sizes.mean()),
        "small segments": float((sizes < small).mean()),
        "middle segments": float(((sizes >= small) & (sizes < middle)).mean()),
        "full segments": float((sizes == sizes.max()).mean()),
        "sizes": float(-(counts * np.log2(counts)).sum()),  # entropy
    }


def _headers(links: list[Array], clock: Array) -> dict[str, float]:
    """Header fields that nobody needs to set by role."""
    data = np.concatenate(links)
    if not len(data):
        return dict.fromkeys(
            ("hops", "services", "identification step", "clock", "clock sd", "stamps"), 0.0
        )
    steps = [np.diff(each[:, IDENTIFICATION]) % 65536 for each in links]
    return {
        "hops": float(data[:, HOPS].mean()),
        "services": float(data[:, SERVICE].mean()),
        "identification step": float(np.concatenate([*steps, [0.0]]).mean()),
        "clock": float(clock.mean()),
        "clock sd": float(clock.std()),
        "stamps": len(np.unique(data[:, STAMP])) / len(data),
    }


def _acknowledgements(
    whose: str, lanes: list[Lane], since: float, till: float, seconds: float
) -> dict[str, float]:
    links = [_within(lane.back, since, till) for lane in lanes]
    sent = sum(_count(lane.data[:, TIME], since, till) for lane in lanes)
    rows = np.concatenate(links)
    gaps = np.concatenate([np.diff(each[:, TIME]) for each in links])
    steps = np.concatenate([np.diff(each[:, ACKNOWLEDGED]) % 2**32 for each in links])
    steps = steps[steps < 2**31]
    windows = rows[:, WINDOW]
    return {
        f"acknowledgements {whose}": len(rows) / seconds,
        f"acknowledgements {whose} per segment": len(rows) / max(sent, 1),
        f"acknowledgements {whose} between links": float(np.ptp([len(each) for each in links])),
        f"bytes per acknowledgement {whose}": float(steps.mean()) if len(steps) else 0.0,
        f"longest wait for an acknowledgement {whose}": float(gaps.max()) if len(gaps) else 0.0,
        f"window {whose}": float(windows.mean()) if len(windows) else 0.0,
        f"least window {whose}": float(windows.min()) if len(windows) else 0.0,
        f"window sd {whose}": float(windows.std()) if len(windows) else 0.0,
    }


def _summary(values: Array) -> dict[str, float]:
    if not len(values):
        return dict.fromkeys(("mean", "sd", "p95", "most", "least"), 0.0)
    return {
        "mean": float(values.mean()),
        "sd": float(values.std()),
        "p95": float(np.percentile(values, 95)),
        "most": float(values.max()),
        "least": float(values.min()),
    }


def _within(values: Array, since: float, till: float) -> Array:
    return values[_between(values[:, TIME], since, till)]


def _count(times: Array, since: float, till: float) -> int:
    return len(times[_between(times, since, till)])


def _between(times: Array, since: float, till: float) -> slice:
    first, last = np.searchsorted(times, (since, till))
    return slice(int(first), int(last))
