"""What of the adversary can be tried without namespaces, and without what judges."""

from __future__ import annotations

import os
import random
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from pathlib import Path

import pytest

from benchmarks.adversary.bounds import GOAL, advantage, enough, holm, wilson
from benchmarks.adversary.leaks import Leak
from benchmarks.adversary.manipulation import Act, Phase
from benchmarks.adversary.play import as_people_do, settings_of
from benchmarks.adversary.player import slots_of
from benchmarks.adversary.report import Finding, linked_bursts, report
from benchmarks.adversary.series import BUILDS, DETAILS, MANIPULATIONS, PARTED, Series, parse
from benchmarks.adversary.switch import Switch
from flocksy.config.settings import BoxSettings
from flocksy.errors import FlocksyError
from flocksy.sync.content import ListAssembly, chunk_id
from flocksy.sync.messages import Content, Versions, decode
from flocksy.sync.stream import StreamReader

NODES = 3
WAIT_S = 10.0


@pytest.mark.parametrize(
    "series",
    [
        Series(question, detail, build, pace)  # type: ignore[arg-type]  # the table has all questions
        for question, details in DETAILS.items()
        for detail in details
        for build in ("honest", BUILDS[-1])
        for pace in ("max", "grid")
    ],
    ids=lambda series: series.name,
)
def test_the_name_of_a_series_says_all_of_it(series: Series) -> None:
    assert parse(series.name) == series


@pytest.mark.parametrize(
    "name",
    [
        "",
        "who-bursts-honest-max",
        "who-cut-honest-max-3",
        "who-bursts-dishonest-max-3",
        "whose-bursts-honest-max-3",
        "who-honest-max-3",
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(FlocksyError, match="not the name of a series"):
        parse(name)


@pytest.mark.parametrize(
    ("bound", "budget", "surely", "about"), [(0.08, 0.5, 6, 39), (0.5, 0.25, 0, 0), (1, 1, 1, 1)]
)
def test_a_leak_budget(bound: float, budget: float, surely: int, about: int) -> None:
    assert linked_bursts(bound, budget) == (surely, about)


@pytest.mark.parametrize("classes", [2, 3])
def test_who_guesses_seldom_breaks_the_bound(classes: int) -> None:
    events, flights = enough(classes), 400
    draw = random.Random(classes)
    broken = 0
    for _ in range(flights):
        right = sum(draw.randrange(classes) == 0 for _ in range(events))
        broken += advantage(wilson(right, events)[2], classes) > GOAL
    assert broken < flights / 15


def test_holm_corrects_for_all_that_is_looked_at() -> None:
    assert holm([0.5, 0.01, 0.04]) == pytest.approx([0.5, 0.03, 0.08])
    assert holm([0.9, 0.9]) == [1.0, 1.0]


def test_too_few_events_are_said_to_be_too_few() -> None:
    finding = Finding(Series("who", "bursts"), 1, 3, 3, 0, 0, None, None, [])
    assert "too few" in finding.text()
    assert "| who-bursts-honest-max-3 | 3 |" in report([finding])


@pytest.mark.parametrize(
    ("kind", "other", "touched"),
    [
        ("cut", 1, {(0, 1), (1, 0)}),
        ("cut", None, {(0, 1), (1, 0), (0, 2), (2, 0)}),
        ("mute", None, {(0, 1), (0, 2)}),
    ],
)
def test_whom_an_act_touches(kind: str, other: int | None, touched: set[tuple[int, int]]) -> None:
    act = Act(kind, Phase.BURST, 0, other, 1.0, 1)
    pairs = {(a, b) for a in range(NODES) for b in range(NODES) if a != b}
    assert {pair for pair in pairs if act.touches(*pair)} == touched


def test_acts_begin_anywhere_in_the_shortest_burst() -> None:
    draw = random.Random(1)
    eighths = [Act.drawn("cut", NODES, draw).packets * 8 // 2900 for _ in range(3000)]
    assert all(300 < eighths.count(eighth) < 600 for eighth in range(6))


def test_every_node_is_the_victim_as_often() -> None:
    draw = random.Random(1)
    victims = [Act.drawn("cut", NODES, draw).victim for _ in range(3000)]
    assert all(900 < victims.count(node) < 1100 for node in range(NODES))


@pytest.mark.parametrize(
    ("detail", "lines"), [("cut", {"min_view = 3"}), ("mute", {"min_view = 3"}), (PARTED, set())]
)
def test_nobody_goes_on_without_who_is_cut_off(detail: str, lines: set[str]) -> None:
    series = Series("active", detail)
    assert {line for line in settings_of(series) if "min_view" in line} == lines
    assert series.manipulation in MANIPULATIONS


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long a leak has slept."""
    times: list[float] = []
    monkeypatch.setattr(time, "sleep", times.append)
    return times


def tell(file: Path, name: str) -> None:
    file.with_name("beside").write_text(name)
    file.with_name("beside").rename(file)


def test_a_late_source_is_late_with_some_heartbeats_and_a_burst(
    tmp_path: Path, slept: list[float]
) -> None:
    file = tmp_path / "source"
    leak = Leak("late", file, "one")
    for name, late in (("", 0), ("two", 0), ("one", 3), ("one", 3)):
        tell(file, name)
        slept.clear()
        for _ in range(5):
            leak.before_heartbeat()
        assert len(slept) == late
    slept.clear()
    for cells in range(2):
        for number in range(64):
            leak.before_cell(number)
        assert len(slept) == 64, cells


@pytest.mark.parametrize(("build", "late"), [("honest", 0), ("skew", 1), ("original", 64)])
def test_a_leaky_source_is_late_with_its_cells(
    build: str, late: int, tmp_path: Path, slept: list[float]
) -> None:
    leak = Leak(build, tmp_path / "source", "one")
    for name, expected in (("two", 0), ("one", late)):
        tell(tmp_path / "source", name)
        slept.clear()
        for number in range(64):
            leak.before_cell(number)
        assert len(slept) == expected


def test_a_needy_source_asks_for_three_bursts_more(tmp_path: Path) -> None:
    leak = Leak("needy", tmp_path / "source", "one")
    assert leak.need(0) == 0
    tell(tmp_path / "source", "one")
    leak.before_heartbeat()
    asked = []
    for _ in range(5):
        asked.append((leak.need(0), leak.need(9)))
        leak.before_cell(0)
    assert asked == [*[(1, 9)] * 4, (0, 9)]


def test_a_player_sends_what_a_receiver_takes_for_the_file(tmp_path: Path) -> None:
    content = random.Random(1).randbytes(300_000)
    reader = StreamReader()
    box = BoxSettings("shared", str(tmp_path))
    found = [
        decode(message)
        for slot in slots_of(box, "played", content, 16_000)
        for message in reader.feed(memoryview(slot), gap=False)
    ]
    head, *rest = found
    assert isinstance(head, Versions)
    (entry,) = head.entries
    assert (entry.path, entry.version.size) == ("played", len(content))
    contents = {one.chunk_id: bytes(one.data) for one in rest if isinstance(one, Content)}
    assembly = ListAssembly(entry.version.root, len(content))
    while missing := assembly.missing():
        for name in missing:
            assembly.add(name, contents[name])
    pieces = [contents[chunk.chunk_id] for chunk in assembly.chunks()]
    assert b"".join(pieces) == content
    assert all(chunk_id(piece) in contents for piece in pieces)


class Wires:
    """Three nodes at a switch: datagrams stand for frames."""

    def __init__(self, path: Path) -> None:
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(NODES)]
        self.nodes = [node for node, _ in pairs]
        self._taps = [tap for _, tap in pairs]
        for tap in self._taps:
            tap.setblocking(False)
        self.far, there = Pipe()
        self._file = path.open("wb")
        switch = Switch([tap.fileno() for tap in self._taps], there, self._file)
        self._thread = threading.Thread(target=switch.run)
        self._thread.start()

    def send(self, source: int, target: int, text: bytes, size: int = 0) -> None:
        to, whence = bytes(5) + bytes([target]), bytes(5) + bytes([source])
        ip_head = bytes(9) + b"\6" + bytes(10)
        frame = to + whence + b"\x08\x00" + ip_head + text
        self.nodes[source].send(frame.ljust(size, b"."))

    def receive(self, node: int, timeout_s: float = WAIT_S) -> bytes:
        if not select.select([self.nodes[node]], [], [], timeout_s)[0]:
            return b""
        return self.nodes[node].recv(9100)[34:].rstrip(b".")

    def close(self) -> None:
        self.far.send(None)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        for one in (*self.nodes, *self._taps):
            one.close()
        self._file.close()
        self.far.close()


@pytest.fixture
def wires(tmp_path: Path) -> Iterator[Wires]:
    made = Wires(tmp_path / "a.pcap")
    yield made
    made.close()


def test_a_switch_carries_frames_to_whom_they_are_for(wires: Wires) -> None:
    wires.send(0, 1, b"to one")
    wires.send(2, 0, b"to nought")
    assert wires.receive(1) == b"to one"
    assert wires.receive(0) == b"to nought"


def passes(wires: Wires) -> bool:
    """Whether a frame goes from 0 to 1 now, a burst being under way."""
    wires.send(1, 2, b"a cell", size=2000)
    assert wires.receive(2) == b"a cell"
    wires.send(0, 1, b"probe")
    wires.send(0, 2, b"behind it")
    assert wires.receive(2) == b"behind it"
    return wires.receive(1, 0.0) == b"probe"


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end


def test_a_link_that_is_cut_carries_nothing_until_it_is_whole_again(wires: Wires) -> None:
    assert passes(wires)
    wires.far.send(Act("cut", Phase.BURST, 0, 1, 3600.0, 1))
    until(lambda: not passes(wires))
    assert not passes(wires)
    wires.far.send(Act.NOTHING)
    until(lambda: passes(wires))


def test_an_act_ends_by_itself_and_says_when_it_was(wires: Wires) -> None:
    wires.far.send(Act("mute", Phase.ANNOUNCEMENT, 0, None, 0.1, 1))
    assert wires.far.poll(WAIT_S)
    began_ns, ended_ns = wires.far.recv()
    assert ended_ns - began_ns >= 100_000_000
    assert passes(wires)


def test_what_is_delayed_comes_later_and_whole(wires: Wires) -> None:
    wires.far.send(Act("delay", Phase.ANNOUNCEMENT, 0, 1, 0.3, 1))
    sent = [b"frame %d" % number for number in range(5)]
    for text in sent:
        wires.send(0, 1, text)
    assert [wires.receive(1) for _ in sent] == sent


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="root has the right")
def test_nodes_fly_without_the_right_to_raise_their_priority() -> None:
    script = "from flocksy.system import processes as p; print(p.set_nice(-10))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        preexec_fn=as_people_do(lambda: None),
        capture_output=True,
        check=True,
    )
    assert done.stdout.split() == [b"False"]
