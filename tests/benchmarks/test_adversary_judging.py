"""What of the adversary judges, or is judged by: needs what `requirements-adversary.lock` names."""

from __future__ import annotations

import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("sklearn")

from benchmarks.adversary import active, collect, play, rows  # noqa: E402
from benchmarks.adversary.analyse import load, one_build  # noqa: E402
from benchmarks.adversary.changes import Files  # noqa: E402
from benchmarks.adversary.features import ROUNDS_BEFORE, SINGLE_WINDOW_S, Watch  # noqa: E402
from benchmarks.adversary.manipulation import Act  # noqa: E402
from benchmarks.adversary.play import Event, Session  # noqa: E402
from benchmarks.adversary.reactions import compare  # noqa: E402
from benchmarks.adversary.rows import Rows  # noqa: E402
from benchmarks.adversary.series import Series, parse  # noqa: E402
from benchmarks.adversary.traffic import Burst, Lane, Traffic  # noqa: E402
from flocksy.errors import FlocksyError  # noqa: E402
from flocksy.protocol.programme import PROGRAMME_BYTES  # noqa: E402

NODES = 3
SYSTEM = f"{platform.system()} {platform.release()}"


def saved(path: Path, build: str, names: list[str]) -> Path:
    columns = [{name: np.full(1, 2.0) for name in names}]
    event = Event(0, 1, 0, "new", 1)
    session = Session(Series("whether", "heartbeats"), ("a",), 1, (event,))
    collect.save(path, session, Rows(0, 0, columns=columns, raw=[np.zeros((1, 1))], event=[0]), 0.0)
    with np.load(path) as file:
        again = dict(file) | {"build": np.array(build)}
    np.savez(path, **again)
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/stat")
def test_only_what_other_programs_take_is_counted() -> None:
    def taken(run: Callable[[], object]) -> float:
        before = collect.others_seconds()
        run()
        return collect.others_seconds() - before

    spin = "import time\nwhile time.process_time() < 0.5: pass"
    elsewhere = subprocess.Popen([sys.executable, "-c", spin])
    others = taken(lambda: os.waitid(os.P_PID, elsewhere.pid, os.WEXITED | os.WNOWAIT))
    own = taken(elsewhere.wait)
    assert others >= 0.4
    assert own <= -0.4


def test_builds_are_not_mixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "build", lambda: "one")
    series = Series("whether", "heartbeats")
    paths = [saved(tmp_path / f"{series.name}-00{n}.npz", "one", ["a"]) for n in range(2)]
    assert one_build(paths) == "one"
    saved(paths[1], "two", ["a"])
    with pytest.raises(FlocksyError, match="different builds"):
        one_build(paths)
    with pytest.raises(FlocksyError, match=f"one on {SYSTEM} would fly now"):
        collect.collect(tmp_path, series, 1, 1, 0, 1)


def test_what_flies_is_looked_at_before_each_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flown: list[Path] = []
    monkeypatch.setattr(collect, "build", lambda: "one" if len(flown) < 2 else "two")

    def one(target: Path, *_: object) -> str:
        flown.append(target)
        saved(target, f"one on {SYSTEM}", ["a"])
        return "flown"

    monkeypatch.setattr(collect, "_one", one)
    with pytest.raises(FlocksyError, match=f"two on {SYSTEM} would fly now"):
        collect.collect(tmp_path, Series("whether", "heartbeats"), 1000, 1, 60, 1)
    assert len(flown) == 2


def test_a_build_has_one_name_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def git(*words: str) -> str:
        asked.append(words)
        return ""

    monkeypatch.setattr(collect, "_git", git)
    collect.build()
    assert "--abbrev=12" in asked[0], "git shows more digits once there is more in it"


def test_what_differs_and_is_not_in_the_name_is_noted() -> None:
    plain = Series("who", "bursts")
    changed = replace(plain, largest_mib=256, rights=True)
    assert (changed.name, parse(plain.name)) == (plain.name, plain)
    assert SYSTEM in collect.flew(plain)
    words = ", files of up to 256 MiB, with the right to raise its priority"
    assert collect.flew(changed) == collect.flew(plain) + words


def test_a_figure_that_only_some_sessions_have_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "build", lambda: "one")
    series = Series("whether", "heartbeats")
    paths = [
        saved(tmp_path / "0.npz", "one", ["a"]),
        saved(tmp_path / "1.npz", "one", ["a", "burst b"]),
    ]
    table = load(series, paths).table
    assert table is not None
    assert table.names == ("a", "burst b")
    assert table.rows[:, 0].tolist() == [[2.0, 0.0], [2.0, 2.0]]


class FakeWatch:
    """Two seconds, a burst in the middle."""

    period_s = 0.1

    def __init__(self) -> None:
        cells = {(a, b): np.ones(64) for a in range(NODES) for b in range(NODES) if a != b}
        burst = SimpleNamespace(start=0.8, end=1.2, cells=cells, whole=True)
        self.traffic: Any = SimpleNamespace(bursts=(burst,), seconds=lambda ns: ns / 1e9)

    def window(self, _since: float, _till: float) -> dict[str, Any]:
        return {"bytes": np.ones(NODES)}

    def row(self, _burst: Burst) -> tuple[dict[str, Any], Any]:
        return {"gap": np.ones(NODES)}, np.ones(NODES)

    def beats(self, _since: float, count: int) -> Any:
        return np.zeros((NODES, count))


def test_a_burst_that_a_small_change_needed_is_looked_at() -> None:
    event = Event(0, 2_000_000_000, 0, "new", 1)
    found, _ = rows._unit(FakeWatch(), event)  # type: ignore[arg-type]
    assert found["bursts"][0] == 1
    assert "burst gap, mean" in found


def test_a_late_change_keeps_its_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    monkeypatch.setattr(play, "_sleep_until", lambda until: clock.__setitem__(0, until))
    monkeypatch.setattr(play, "arrived", lambda *_: False)

    def late(*_: object) -> None:
        clock[0] += 60

    monkeypatch.setattr(play, "await_change", late)
    monkeypatch.setattr(play, "sham", lambda _: None)
    change = SimpleNamespace(kind="new", size=1, make=lambda _: None)
    node = SimpleNamespace(box=Path("box"))
    flight: Any = SimpleNamespace(
        draw=random.Random(1),
        files=SimpleNamespace(prepare=lambda: change, sizes=None, kinds=None),
        rig=SimpleNamespace(nodes=[node], log_tails=None),
        shuffled=[0],
        told=lambda _: None,
    )
    events = list(play._units(flight, Series("whether", "heartbeats"), 40))
    assert len(events) == 40
    assert {event.kind for event in events} == {"new", "nobody"}
    assert all(a.ended_ns < b.began_ns for a, b in pairwise(events))


def test_an_act_that_met_no_burst_parts_its_change_from_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(active, "await_change", lambda *_: None)
    monkeypatch.setattr(active, "come_to_rest", lambda _: None)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    change = SimpleNamespace(kind="new", size=1, make=lambda _: None)
    rig = SimpleNamespace(
        nodes=[SimpleNamespace(box=Path("box"))] * NODES, log_tails=None, wait_for_view=lambda: None
    )
    flight: Any = SimpleNamespace(
        draw=random.Random(1),
        files=SimpleNamespace(prepare=lambda: change, sizes=None, kinds=None),
        rig=rig,
        shuffled=list(range(NODES)),
        told=lambda _: None,
    )
    answers: Iterator[tuple[int, int] | None] = iter([(1, 2), None])
    stage: Any = SimpleNamespace(hinder=lambda _: None, hindered=lambda _: next(answers))
    acted, not_acted = active._events(flight, stage, "cut", 2)
    assert acted.act is not None and not_acted.act is None
    assert not_acted.began_ns >= acted.ended_ns


def test_files_of_an_active_adversary_do_not_all_fit_the_shortest_burst() -> None:
    """Nor a burst of the programme: who comes back with one asks for more."""
    assert active.SIZES[1] > PROGRAMME_BYTES


def lane_of(heartbeats: Any) -> Lane:
    data = np.zeros((len(heartbeats), 6))
    data[:, 0] = heartbeats
    nothing = np.zeros(0)
    return Lane(heartbeats, data, np.zeros((0, 3)), nothing, nothing, nothing, ())


def traffic_with(late: Callable[[Any], Any]) -> Traffic:
    """A burst from 12 to 13.9 s; heartbeats of node 0 are 5 ms late where `late` says so."""
    beats = np.concatenate([np.arange(0.0, 12.0, rows.PERIOD_S), np.arange(14.0, 30.0, 0.1)])
    pairs = [(a, b) for a in range(NODES) for b in range(NODES) if a != b]
    lanes = {(a, b): lane_of(beats + 0.005 * late(beats) * (a == 0)) for a, b in pairs}
    cells = {pair: np.linspace(12.0, 13.9, 64) for pair in pairs}
    return Traffic(0, lanes, (Burst(12.0, 13.9, cells),), 30.0)


def test_heartbeats_just_before_a_burst_are_looked_at_by_themselves() -> None:
    traffic = traffic_with(lambda beats: (beats > 11.2) & (beats < 12.0))
    found, _ = Watch(traffic, NODES, rows.PERIOD_S, rows.LEAD_S).row(traffic.bursts[0])
    name = "heartbeat mean, from the group"
    assert found[f"just before {name}"][0] == pytest.approx(0.004, abs=0.001)
    assert found[f"before {name}"][0] < 0.0006
    assert found[f"just after {name}"][0] == pytest.approx(0, abs=1e-6)


def test_heartbeats_are_looked_at_while_a_source_looks_at_its_file() -> None:
    """A burst starts nine rounds after the first need: what a source does is over by then."""
    traffic = traffic_with(lambda beats: (beats > 10.65) & (beats < 10.95))
    found, raw = Watch(traffic, NODES, rows.PERIOD_S, rows.LEAD_S).row(traffic.bursts[0])
    assert found["just before heartbeat mean, from the group"][0] == pytest.approx(0, abs=1e-6)
    assert found["before its need heartbeat mean, from the group"][0] > 0.001
    assert found["before its need heartbeat in its round most"] == pytest.approx([0.005, 0, 0])
    late = [column for column in range(ROUNDS_BEFORE) if raw[0, column] > 4]
    assert late == [ROUNDS_BEFORE - rounds for rounds in (13, 12, 11)]
    assert abs(raw[1:, :ROUNDS_BEFORE]).max() < 1e-6


def test_a_unit_of_time_has_its_heartbeats_round_by_round() -> None:
    traffic = traffic_with(lambda beats: (beats > 5.95) & (beats < 6.05))
    watch = Watch(traffic, NODES, rows.PERIOD_S, rows.LEAD_S)
    found, raw = rows._unit(watch, Event(4_000_000_000, 7_700_000_000, 0, "new", 1))
    assert found["heartbeat in its round most, most"][0] == pytest.approx(0.005)
    assert raw.shape == (1, 2 * 37)
    assert np.flatnonzero(raw[0] > 4).tolist() == [20]


def test_a_round_in_which_somebody_is_silent_says_nothing() -> None:
    traffic = traffic_with(lambda beats: np.where((beats > 5.95) & (beats < 6.05), 1000, 0))
    watch = Watch(traffic, NODES, rows.PERIOD_S, rows.LEAD_S)
    assert watch.beats(6.0, 1)[:, 0].tolist() == [0.0] * NODES


def burst_at(start: float, cells: int = 64, fewest: int = 64) -> Burst:
    """One that lasts half a second; node 0 carries fewer cells of it, maybe."""
    counts = {(a, b): cells if a else fewest for a in range(NODES) for b in range(NODES) if a != b}
    times = {pair: np.linspace(start, start + 0.5, count) for pair, count in counts.items()}
    return Burst(start, start + 0.5, times)


def test_a_burst_within_a_lead_of_a_change_is_of_the_change_before() -> None:
    bursts = tuple(burst_at(start) for start in (1.2, 3.6, 4.3))
    traffic = Traffic(0, {}, bursts, 9.0)
    first, second = (
        Event(int(began * 1e9), int((began + 2) * 1e9), 0, "new", 1) for began in (0.0, 3.0)
    )
    assert rows.bursts_of(traffic, first, second.began_ns) == [*bursts[:2]]
    assert rows.bursts_of(traffic, second, 9_000_000_000) == [bursts[2]]


def test_a_change_that_rode_in_heartbeats_has_no_burst() -> None:
    traffic = Traffic(0, {}, (burst_at(3.0),), 9.0)
    event = Event(0, 500_000_000, 0, "rename", 0)
    assert rows.bursts_of(traffic, event, 9_000_000_000) == []


@pytest.mark.parametrize("fewest", [40, 3, 0])
def test_a_burst_that_not_all_lanes_carried_alike_is_looked_at(fewest: int) -> None:
    traffic = traffic_with(lambda beats: beats < 0)
    broken = replace(traffic, bursts=(burst_at(12.0, fewest=fewest),))
    full, full_raw = Watch(traffic, NODES, rows.PERIOD_S, rows.LEAD_S).row(traffic.bursts[0])
    found, raw = Watch(broken, NODES, rows.PERIOD_S, rows.LEAD_S).row(broken.bursts[0])
    assert found["cells"].tolist() == [fewest, 64, 64]
    assert found["cells, from the group"].tolist() == [fewest - 64, 0, 0]
    assert ("gap mean" in found) == (fewest == 40)
    assert set(found) <= set(full)
    assert raw.shape == full_raw.shape


def test_a_change_that_rides_in_heartbeats_is_judged_by_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic = traffic_with(lambda beats: (beats > 6.15) & (beats < 6.25))
    monkeypatch.setattr(rows, "read", lambda *_: traffic)
    monkeypatch.setattr(collect, "build", lambda: "one")
    series = Series("who", "heartbeats")
    events = (Event(6_000_000_000, 6_500_000_000, 0, "rename", 0),)
    session = Session(series, ("a", "b", "c"), play.BURST_CELL, events)
    found = rows.rows_of(session, tmp_path)
    assert found.judged == 1
    collect.save(tmp_path / "0.npz", session, found, 0.0)
    table = load(series, [tmp_path / "0.npz"]).table
    assert table is not None
    assert table.truth.tolist() == [[True, False, False]]
    late = table.rows[0, :, table.names.index("at once heartbeat in its round most")]
    assert late == pytest.approx([0.005, 0, 0])
    assert np.flatnonzero(table.raw[0, 0] > 4).tolist() == [2]


@pytest.mark.parametrize(
    ("detail", "sources"), [("bursts", {None, 0, 1, 2}), ("heartbeats", {0, 1, 2})]
)
def test_what_is_changed_fits_what_is_asked(
    detail: str, sources: set[int | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(play, "await_change", lambda *_: None)
    monkeypatch.setattr(play, "come_to_rest", lambda _: None)
    boxes = [tmp_path / name for name in "abc"]
    for box in (*boxes, tmp_path / "making"):
        box.mkdir()
    nodes: Any = [SimpleNamespace(box=boxes[0], name=box.name) for box in boxes]
    rig: Any = SimpleNamespace(nodes=nodes, root=tmp_path, log_tails=str)
    draw = random.Random(1)
    flight = play.Flight(rig, [0, 1, 2], draw, Files(tmp_path / "making", draw))
    events = list(play._changes(flight, Series("who", detail), 60))
    assert {event.source for event in events} == sources
    sizes = [event.size for event in events if event.kind in ("new", "edit", "overwrite")]
    assert (max(sizes) <= 2 << 10) if detail == "heartbeats" else (min(sizes) >= 8 << 10)


def test_no_figure_of_a_single_node_says_how_long_its_source_took() -> None:
    pairs = [(a, b) for a in range(NODES) for b in range(NODES) if a != b]
    beats = np.arange(0.0, 20.0, rows.PERIOD_S)

    def told(apart_s: float) -> tuple[dict[str, Any], Any]:
        bursts = tuple(burst_at(start) for start in (8.0 - apart_s, 8.0, 8.0 + apart_s))
        traffic = Traffic(0, {pair: lane_of(beats) for pair in pairs}, bursts, 20.0)
        watch = Watch(traffic, NODES, rows.PERIOD_S, rows.LEAD_S, SINGLE_WINDOW_S)
        return watch.row(bursts[1])

    (found, raw), (later, later_raw) = told(3.1), told(3.4)
    for name, values in found.items():
        assert later[name] == pytest.approx(values, abs=1e-9), name
    assert later_raw == pytest.approx(raw, abs=1e-6)


@pytest.mark.parametrize(("telling", "found"), [(False, False), (True, True)])
def test_who_is_hindered_whole_is_compared_with_the_like(telling: bool, found: bool) -> None:
    """Hindering a whole node meets the source one time in three, a link two in three."""
    surprises = 0
    for seed in range(10):
        draw = random.Random(seed)
        acts = [Act.drawn("cut", NODES, draw) for _ in range(240)]
        hindered = np.array([draw.randrange(NODES) in (act.victim, act.other) for act in acts])
        whole = np.array([act.other is None for act in acts])
        bursts = np.where(whole, 4, 2) + (hindered & telling)
        surprises += compare(hindered, bursts, whole, np.arange(240) // 20, seed) < 0.05
    assert surprises == 10 if found else surprises <= 2
