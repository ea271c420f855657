"""What of a node's traffic around an event might tell that it was the source.

One row per node and event. Every figure stands twice: as it is, and as its difference to the median
of the group, because what slows all nodes alike hides what slows one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.adversary.play import Event, Session
from benchmarks.adversary.traffic import Array, Lane, Traffic

RAW_CELLS = 64
"""Every burst has that many (docs/protocol.md): their lateness and gaps are kept as they are."""


def rows(
    session: Session, traffic: Traffic, event: Event, until_ns: int, window_s: float
) -> tuple[dict[str, Array], Array | None]:
    """Features by name, one value per node; and raw lateness and gaps, None without a burst.

    `until_ns`: when the next event begins. `window_s`: how long before and after is looked at.
    """
    began = (event.began_ns - traffic.origin_ns) / 1e9
    found = traffic.bursts(began, (until_ns - traffic.origin_ns) / 1e9)
    nodes = range(len(session.addresses))
    lanes = [[traffic.lanes[a, b] for b in nodes if (a, b) in traffic.lanes] for a in nodes]
    features: dict[str, Array] = {}
    raw = None
    # Without a burst the observer does not know when it was over: every event is as long.
    start, end = began, began + window_s
    if found:
        times = np.array([[lane.bursts[found[0]] for lane in own] for own in lanes])
        start, end = float(times.min()), float(times.max())
        features |= _burst(times)
        raw = _raw(times)
    for name, since, till in (
        ("before", start - window_s, start),
        ("during", start, end),
        ("after", end, end + window_s),
    ):
        features |= {
            f"{name} {key}": value for key, value in _window(lanes, session, since, till).items()
        }
    with_group = dict(features)
    for name, values in features.items():
        with_group[f"{name}, from the group"] = values - np.median(values)
    return with_group, raw


def _burst(times: Array) -> dict[str, Array]:
    """`times`: node, link, cell → instant."""
    own = times.mean(axis=1)
    middle = np.median(own, axis=0)
    late = own - middle
    gaps = np.diff(own, axis=1)
    eighth = max(1, own.shape[1] // 8)
    features = {
        "first cell": own[:, 0] - middle[0],
        "last cell": own[:, -1] - middle[-1],
        "rank of first cell": np.argsort(np.argsort(own[:, 0])).astype(np.float64),
        "lateness at the beginning": late[:, :eighth].mean(axis=1),
        "lateness at the end": late[:, -eighth:].mean(axis=1),
        "order of links": np.ptp(times, axis=1).mean(axis=1),
        "cells first of all": (own == own.min(axis=0)).mean(axis=1),
        "cells last of all": (own == own.max(axis=0)).mean(axis=1),
    }
    return features | _spread("lateness", late) | _spread("gap", gaps)


def _raw(times: Array) -> Array:
    own = times.mean(axis=1)
    late = (own - np.median(own, axis=0))[:, :RAW_CELLS]
    gaps = np.diff(own, axis=1)[:, : RAW_CELLS - 1]
    return np.concatenate([late, gaps], axis=1) * 1e3


def _spread(name: str, values: Array) -> dict[str, Array]:
    features = {
        f"{name} mean": values.mean(axis=1),
        f"{name} sd": values.std(axis=1),
        f"{name} least": values.min(axis=1),
        f"{name} most": values.max(axis=1),
    }
    for part in (5, 50, 95, 99):
        features[f"{name} p{part}"] = np.percentile(values, part, axis=1)
    centred = values - values.mean(axis=1, keepdims=True)
    power = (centred**2).sum(axis=1)
    next_to = (centred[:, 1:] * centred[:, :-1]).sum(axis=1)
    features[f"{name} autocorrelation"] = next_to / np.where(power > 0, power, 1)
    return features


def _window(
    lanes: list[list[Lane]], session: Session, since: float, till: float
) -> dict[str, Array]:
    """What every node sent and got in that time."""
    columns: dict[str, list[float]] = {}

    def add(name: str, value: float) -> None:
        columns.setdefault(name, []).append(value)

    for own in lanes:
        data = np.concatenate([_within(lane.data, since, till) for lane in own])
        back = np.concatenate([_within(lane.back, since, till) for lane in own])
        add("segments", len(data))
        add("bytes", float(data[:, 1].sum()))
        add("mean segment", float(data[:, 1].mean()) if len(data) else 0)
        add("acknowledgements back", len(back))
        add("window back", float(back[:, 1].mean()) if len(back) else 0)
        add("least window back", float(back[:, 1].min()) if len(back) else 0)
        add("again", sum(((lane.again >= since) & (lane.again < till)).sum() for lane in own))
        late = np.concatenate([_lateness(lane, session.period_ms, since, till) for lane in own])
        add("heartbeats", len(late))
        for name, value in _summary(late).items():
            add(f"heartbeat {name}", value)
    return {name: np.array(values, dtype=np.float64) for name, values in columns.items()}


def _summary(values: Array) -> dict[str, float]:
    if not len(values):
        return dict.fromkeys(("mean", "sd", "p95", "most"), 0.0)
    return {
        "mean": float(values.mean()),
        "sd": float(values.std()),
        "p95": float(np.percentile(values, 95)),
        "most": float(values.max()),
    }


def _within(values: Array, since: float, till: float) -> Array:
    times: np.ndarray[Any, Any] = values[:, 0]
    return values[(times >= since) & (times < till)]


def _lateness(lane: Lane, period_ms: int, since: float, till: float) -> Array:
    """Of heartbeats, against the median of their own lane over the whole session."""
    period = period_ms / 1000
    phase = np.mod(lane.heartbeats, period)
    # The grid may lie across the end of a period: turn it so that its middle is not there.
    angle = np.angle(np.exp(2j * np.pi * phase / period).mean()) / (2 * np.pi) * period
    off = np.mod(lane.heartbeats - angle + period / 2, period) - period / 2
    kept = (lane.heartbeats >= since) & (lane.heartbeats < till)
    return np.asarray(off[kept] - np.median(off), dtype=np.float64)
