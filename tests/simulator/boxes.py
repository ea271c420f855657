"""Runs with boxes: hands on several folders, bad disks, and everything that wires do.

What must hold, beside what `checks` says of the wire:

* At no time does flocksy make content disappear: what was in the box or the history of a node is
  on that node's disk a moment later, and in box or history in the end. Only hands take it away.
* When the faults have ended: all boxes equal, nothing wrong, nobody has anything left to do, and
  nothing moves any more. A content that no hand has touched since it was written is to be seen.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flocksy.boxes.announcing import Timing
from flocksy.boxes.apply.batch import Report, Result
from flocksy.boxes.apply.history import FOLDER as HISTORY
from flocksy.boxes.apply.placing import INCOMING
from flocksy.boxes.content.reader import Outbound, prepared
from flocksy.boxes.disk.port import PRIVATE
from flocksy.boxes.keeper import Keeper
from flocksy.boxes.lanes.exchange import Exchange
from flocksy.boxes.scan.scanner import Job, ScanReport, ScanRequest
from flocksy.boxes.scan.settling import Dirty, Settling
from flocksy.boxes.scan.turns import Turns
from flocksy.boxes.setup import BoxSetup
from flocksy.errors import FlocksyError
from flocksy.seam.joint import BoxSeam
from flocksy.sync.attributes import encode_attributes
from flocksy.sync.content import chunk_id
from flocksy.sync.operations import PutFile, Remove
from flocksy.sync.version import Kind, Version
from tests.simulator.checks import BrokenPromiseError
from tests.simulator.disk import Inode, OpenDisk, PowerCutError, SimulatedDisk
from tests.simulator.faults import MS, Fault, Plan, S, box_plan
from tests.simulator.flock import Flock, rest_mean_ms
from tests.simulator.hands import Hands
from tests.simulator.node import BoxSide, Node
from tests.simulator.runs import Outcome, tell
from tests.simulator.world import HERE, one_process, simulated_boxes

TURNS_AT_ONCE = 24
"""Turns of a box process before the simulator looks elsewhere."""
LOOK_NS = S // 2
"""Between two looks whether content has gone."""
QUIET_NS = 6 * S
"""So long nothing may move in a flock that says it has settled; and until the next instant, where
bursts are on a timetable."""
COVER_BYTES = 16 << 10


class Spool:
    """Cover that costs nothing to read: what it costs is not what runs are about."""

    def __init__(self) -> None:
        data = random.Random(7).randbytes(COVER_BYTES)
        made = prepared(chunk_id(data), data)
        assert made is not None
        self._chunk: Outbound = made

    def read(self, _: int) -> Outbound:
        """The next piece of cover."""
        return self._chunk


class SimulatedWatcher:
    """Events of a simulated disk, some of which are swallowed."""

    swallows: Callable[[], bool] = staticmethod(lambda: False)

    def __init__(self, root: str, wake: Callable[[], None]) -> None:
        self.root = root
        self._wake = wake
        self._settling = Settling()
        self._disk = OpenDisk.mounted[root]

    def start(self) -> None:
        """From now on things are seen."""
        self._disk.watchers.append(self._happened)

    def _happened(self, path: str) -> None:
        if path.partition("/")[0] == PRIVATE:
            return
        if SimulatedWatcher.swallows():
            self._settling.overflow()
        else:
            self._settling.note(path, HERE.local_ns / 1e9)
        self._wake()

    def shortage(self) -> None:
        """There are always enough watches."""

    @property
    def sees_all(self) -> bool:
        """Whether nothing was swallowed that `take` has not told of."""
        return not self._settling.lost

    def take(self, now_s: float) -> Dirty:
        """What is due."""
        return self._settling.take(now_s)

    def deadline_s(self) -> float | None:
        """When something will be."""
        return self._settling.deadline_s()

    def unsettled(self) -> tuple[Sequence[str], bool]:
        """Where something has happened that is not due."""
        return tuple(self._settling.waiting), self._settling.everywhere

    @property
    def busy(self) -> bool:
        """Whether something waits."""
        return self._settling.busy

    def stop(self) -> None:
        """Nothing is seen any more."""
        with suppress(ValueError):
            self._disk.watchers.remove(self._happened)


class SimulatedScanner:
    """The scanner process's work, some of it in every turn of the box process."""

    def __init__(self, draw: random.Random) -> None:
        self._turns = Turns()
        self._draw = draw
        self._begins_s = 0.0

    def request(self, request: ScanRequest) -> None:
        """Queue a scan. It begins after what a message between processes takes, or longer."""
        self._begins_s = HERE.local_ns / 1e9 + self._draw.choice((0.0005, 0.002, 0.05))
        self._turns.add(Job(request))

    def forget(self, tickets: frozenset[int]) -> None:
        """At once: no report of theirs is on its way."""
        for job in self._turns.remove(lambda one: one.request.ticket in tickets):
            job.close()

    @property
    def due_s(self) -> float | None:
        """When there is something to do."""
        job = self._job
        if job is None:
            return None
        now_s = HERE.local_ns / 1e9
        return max(self._begins_s, now_s + job.brake.debt_s(now_s))

    @property
    def _job(self) -> Job | None:
        return self._turns.next()

    def turn(self) -> ScanReport | None:
        """Work for a few milliseconds."""
        job, due_s = self._job, self.due_s
        if job is None or due_s is None or due_s > HERE.local_ns / 1e9:
            return None
        report = job.step()
        self._turns.worked(job, ended=report is not None and report.last)
        return report


class RealBoxes:
    """The real box side of one node: exchange, keeper, boxes, index."""

    def __init__(self, flock: BoxFlock, node: Node, seam: BoxSeam) -> None:
        self._flock = flock
        self._node = node
        self._seam = seam
        self.problems: list[str] = []
        plan = flock.plan
        self.exchange = Exchange(
            seam,
            [member.uid for member in node.settings.members],
            flock.spool,  # type: ignore[arg-type]
            Timing(
                0.05,
                rest_mean_ms(plan) / 1000,
                plan.period_ms / 1000,
                outside_mean_s=2.0 * (plan.programme and plan.seed % 4 == 1),
            ),
            random.Random(node.draw.random()),
            self.problems.append,
        )
        self.scanner = SimulatedScanner(random.Random(node.draw.random()))
        self.keeper = Keeper(
            self.exchange,
            self.scanner,  # type: ignore[arg-type]
            lambda: HERE.wall_ns // 1_000_000,
            lambda: flock.woken(node),
        )
        self._added = False

    @property
    def leaving(self) -> bool:
        """Whether somebody stops the node."""
        return self.exchange.leaving

    @leaving.setter
    def leaving(self, value: bool) -> None:
        self.exchange.leaving = value

    @property
    def box(self) -> Any:
        """The open box, or None while it rests."""
        return self.keeper.get("box").box if self._added else None

    def turn(self, now_ns: int) -> int | None:
        """As the loop of the box process."""
        now = now_ns / 1e9
        if not self._added:
            self._added = True
            self.keeper.add(self._flock.setup(self._node.lane), now)
        self._seam.poll()
        for _ in range(TURNS_AT_ONCE):
            report = self.scanner.turn()
            if report is not None:
                self.keeper.scanned(report, now)
            again = self.exchange.turn(now)
            quiet = self.exchange.quiet
            later = self.keeper.turn(now, quiet=quiet)
            times = [again, self.scanner.due_s]
            if quiet or later != 0.0:
                times.append(later)
            due = min((when for when in times if when is not None), default=now + 1.0)
            if due > now:
                return int(due * 1e9) + 1
        return now_ns + 300_000

    def close(self) -> None:
        """The process ends as it should."""
        if self._added:
            self.keeper.close()

    def die(self) -> None:
        """The process is killed: nothing is finished, flushed or closed."""


@dataclass(slots=True)
class Interference:
    """Somebody who will be at work at the very path that flocksy is at."""

    left: int
    """Changes that flocksy still makes before, and once `path` is known looks and changes."""
    times: int
    """0: nobody is, but the power goes there."""
    draw: random.Random
    path: str = ""


class BoxFlock(Flock):
    """A flock whose nodes share one box."""

    def __init__(self, plan: Plan, root: Path, trace: Callable[[str], None] | None) -> None:
        super().__init__(plan, trace)
        self._root = root
        self.spool = Spool()
        self.hands = random.Random(plan.seed * 11 + 3)
        self.refusals = random.Random(plan.seed * 17 + 5)
        self.written = 0
        self.tagging = plan.seed % 4 == 1
        """Whether people set extended attributes, which all members want but one."""
        self.untouched: set[bytes] = set()
        self.checked_bytes = 0
        self._had: list[set[bytes]] = [set() for _ in range(plan.nodes)]
        """Contents that were in box or history of a node for good, and that no hand has taken away.
        (What a batch brings is not promised before it is flushed.)"""
        self._left: list[set[bytes]] = [set() for _ in range(plan.nodes)]
        """Those that came there while the node was down: a crash has left what a batch had brought,
        and the recovery may take it from there again."""
        self._digests: dict[tuple[int, int, int], bytes] = {}
        self._handled: list[set[tuple[str, tuple[object, ...] | None]]] = [
            set() for _ in range(plan.nodes)
        ]
        """(path, what stood there then) of all that hands have done, by node."""
        self._sick = [False] * plan.nodes
        self._disturbed = [True] * plan.nodes
        """Whether something has happened to the disk since the box was last settled."""
        self._acted_ns = 0
        self._wrote_there: dict[tuple[int, str], set[bytes]] = {}
        """What those wrote who interfered in the last instant in which somebody did, by node and
        path."""
        self._interfering: dict[int, list[Interference]] = {}
        self._swallowing = 0.0
        self._dead: list[object] = []
        self._connections: dict[int, list[sqlite3.Connection]] = {}
        self._flushed: dict[int, tuple[bytes, int]] = {}
        self.disks = [
            SimulatedDisk(
                str(root / f"box{lane}"),
                root / f"store{lane}",
                random.Random(self.draw.random()),
                lambda lane=lane: self.nodes[lane].clock.wall(self.now_ns),
            )
            for lane in range(plan.nodes)
        ]
        for lane, disk in enumerate(self.disks):
            Path(disk.root).mkdir()
            disk.on_cut = lambda lane=lane: self._freeze(lane)  # type: ignore[misc]
            OpenDisk.mounted[disk.root] = disk
            (root / f"state{lane}").mkdir()
        SimulatedWatcher.swallows = staticmethod(  # type: ignore[assignment]
            lambda: self._swallowing > 0 and self.draw.random() < self._swallowing
        )
        HERE.draw = random.Random(self.draw.random())
        HERE.flushed = self._index_flushed
        HERE.recorded = self.recorded
        HERE.applied = self.applied
        HERE.connections = []
        self._lane = 0

    # -- whose turn it is ------------------------------------------------------------------

    def setup(self, lane: int) -> BoxSetup:
        """How the box of a node is configured."""
        return BoxSetup(
            "box",
            self.disks[lane].root,
            hashlib.blake2b(b"box").digest(),
            str(self._root / f"state{lane}" / "box.sqlite"),
            attributes=self._wants_attributes(lane),
        )

    def _wants_attributes(self, lane: int) -> bool:
        return self.tagging and lane != 1

    def _enter(self, node: Node) -> None:
        HERE.enter(node.clock.local(self.now_ns), node.clock.wall(self.now_ns))
        HERE.connections = self._connections.setdefault(node.lane, [])
        self._lane = node.lane

    def woken(self, node: Node) -> None:
        """Something has happened on the node's disk."""
        if node.up:
            self._box_due(node, self.now_ns + node.box_latency_ns)

    def make_box(self, node: Node, seam: BoxSeam) -> BoxSide:
        """The real box side."""
        self._enter(node)
        return RealBoxes(self, node, seam)

    def _turn_box(self, node: Node) -> None:
        self._enter(node)
        try:
            super()._turn_box(node)
        except PowerCutError:
            self.say(f"node {node.lane} loses its power in the middle of its work")
            self.counts["power cut in an operation"] += 1
            self._fall(node.lane, power=True)
            self._push_begin(node.lane)

    def _push_begin(self, lane: int) -> None:
        self._push(self.now_ns + self.draw.randrange(4 * S), 3, Fault(0, "begin", (lane,)))

    # -- ends of nodes ---------------------------------------------------------------------

    def _index(self, lane: int) -> Path:
        return self._root / f"state{lane}" / "box.sqlite"

    def _index_flushed(self, _: str) -> None:
        self._flushed[self._lane] = self._log(self._lane)

    def _log(self, lane: int) -> tuple[bytes, int]:
        """(salts, length) of the write-ahead log: whether it has begun anew, and how long it is."""
        try:
            data = self._index(lane).with_name("box.sqlite-wal").read_bytes()
        except FileNotFoundError:
            return b"", 0
        return data[16:24], len(data)

    def _freeze(self, lane: int) -> None:
        """Keep the index as it is in this instant."""
        for name in ("box.sqlite", "box.sqlite-wal"):
            path = self._index(lane).with_name(name)
            with suppress(FileNotFoundError):
                shutil.copyfile(path, path.with_name(name + ".frozen"))

    def _fall(self, lane: int, *, power: bool) -> None:
        """A node is no more; its disk and its index are as they were, or as a power cut leaves
        them."""
        node, disk = self.nodes[lane], self.disks[lane]
        if not node.up:
            return
        self._disturbed[lane] = True
        self.counts["power cut"] += power
        self._enter(node)
        if not disk.dead:
            self._freeze(lane)
            disk.dead = True
        self._dead.append(node.box)
        box = node.box.box if isinstance(node.box, RealBoxes) else None
        self._stop(lane)
        if box is not None:
            with suppress(PowerCutError, sqlite3.Error, FlocksyError, OSError):
                box._opened.reader.close()
                box._opened.staging.close()
                box._opened.scratch.close()
            box._opened.watcher.stop()
        for connection in self._connections.pop(lane, []):
            connection.close()
        disk.watchers.clear()
        for name in ("box.sqlite", "box.sqlite-wal", "box.sqlite-shm"):
            path = self._index(lane).with_name(name)
            path.unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                path.with_name(name + ".frozen").rename(path)
        if power:
            self._cut_log(lane)
            disk.by_hand = True
            disk.power_cut()
            disk.by_hand = False
        disk.cut_in = None
        disk.dead = False

    def _cut_log(self, lane: int) -> None:
        """What of the log was not flushed may be gone."""
        log = self._index(lane).with_name("box.sqlite-wal")
        salts, length = self._log(lane)
        if not length:
            return
        known, flushed = self._flushed.get(lane, (b"", 0))
        least = flushed if known == salts else 32
        with log.open("r+b") as file:
            file.truncate(self.draw.randrange(min(least, length), length + 1))

    def kill(self, lane: int) -> None:
        """A node is killed: its disk stays as it is."""
        self.counts["crash"] += self.nodes[lane].up
        self._fall(lane, power=False)

    def cut_power(self, lane: int) -> None:
        """A node's power goes."""
        if self.nodes[lane].up:
            self._fall(lane, power=True)

    def cut_power_within(self, lane: int, operations: int) -> None:
        """A node's power goes so many operations on its disk later."""
        if self.nodes[lane].up:
            self.disks[lane].cut_in = operations

    def begin(self, lane: int) -> None:
        """A node starts."""
        self._connections.setdefault(lane, [])
        super().begin(lane)

    # -- disks -----------------------------------------------------------------------------

    def fill_disk(self, lane: int, left: int) -> None:
        """Only so many bytes are free."""
        self._sick[lane] = True
        disk = self.disks[lane]
        disk.others = disk.capacity - disk.used - left
        self._disturbed[lane] = True

    def empty_disk(self, lane: int) -> None:
        """There is room again."""
        self._sick[lane] = False
        self.disks[lane].others = 0

    def sick_disk(self, lane: int, share: float) -> None:
        """Some of what is written fails."""
        draw = self.draw
        self._sick[lane] = share > 0
        self._disturbed[lane] = True
        self.disks[lane].refuses = lambda: share > 0 and draw.random() < share

    def unreadable(self, lane: int, share: float) -> None:
        """Some of what is read or looked at fails."""
        draw = random.Random(self.refusals.random())
        self._disturbed[lane] = True
        self.disks[lane].unreadable = lambda: share > 0 and draw.random() < share

    def swallow(self, share: float) -> None:
        """The watchers miss events, and say so."""
        self._swallowing = share

    def jump_clock(self, lane: int, by_ms: int) -> None:
        """Somebody sets the wall clock of a running node."""
        self.nodes[lane].clock.wall_error_ns += by_ms * MS

    # -- hands -----------------------------------------------------------------------------

    def edit(self, lane: int, number: int) -> None:
        """Somebody does something in the box of a node."""
        self._enter(self.nodes[lane])
        self._by_hand(lane, random.Random(self.plan.seed * 1009 + number), Hands.do)

    def interfere(self, lane: int, changes: int, times: int, number: int) -> None:
        """Before flocksy's next change but so many, somebody does something at that very path, and
        perhaps again a step or two later."""
        draw = random.Random(self.plan.seed * 1013 + number)
        self._interfering.setdefault(lane, []).append(Interference(changes, times, draw))
        self.disks[lane].visited = lambda path, changing: self._visited(lane, path, changing)

    def _taken_out(self, lane: int, at: str) -> set[bytes]:
        """What flocksy has just taken from its path, and nobody else has: should somebody write
        there in this very instant, then that is what is to be seen, and this in the history."""
        taken: set[bytes] = set()
        for path, inode in self.disks[lane].walk():
            kept = path.startswith(HISTORY) and path.endswith("-" + at.rpartition("/")[2])
            if inode.kind is not Kind.DIRECTORY and (kept or path.startswith(INCOMING)):
                taken.add(self.digest_of(lane, inode))
        for other in range(self.plan.nodes):
            taken -= self._seen_at(other) if taken else set()
        return taken

    def _held_back(self, lane: int, at: str) -> set[bytes]:
        """What an exchange took from the path, or from above it, and the disk has not let flocksy
        bring back since, and nobody else has: it goes to the history when somebody puts something
        there."""
        held: set[bytes] = set()
        for path, inode in self.disks[lane].walk():
            taken_from = inode.taken_from
            if path.startswith(INCOMING) and taken_from and f"{at}/".startswith(f"{taken_from}/"):
                held |= self._below(lane, path)
        for other in range(self.plan.nodes):
            held -= self._seen_at(other) if held else set()
        return held

    def _below(self, lane: int, at: str) -> set[bytes]:
        """The contents at the path and below it."""
        return {
            self.digest_of(lane, inode)
            for path, inode in self.disks[lane].walk()
            if inode.kind is not Kind.DIRECTORY and f"{path}/".startswith(f"{at}/")
        }

    def _seen_at(self, lane: int) -> set[bytes]:
        return {
            self.digest_of(lane, inode)
            for path, inode in self.disks[lane].walk()
            if inode.kind is not Kind.DIRECTORY and path.partition("/")[0] != PRIVATE
        }

    def cut_power_placing(self, lane: int, changes: int, number: int) -> None:
        """A node's power goes while it brings things to their paths."""
        if self.nodes[lane].up:
            self.interfere(lane, changes, 0, number)

    def _visited(self, lane: int, path: str, changing: bool) -> None:
        waiting = self._interfering[lane]
        for one in list(waiting):
            if not one.path:
                if not changing or not path or path.partition("/")[0] == PRIVATE:
                    continue
                one.left -= 1
                if one.left > 0:
                    continue
                one.path = path
            else:
                one.left -= 1
                if one.left > 0:
                    continue
            if not one.times:
                waiting.remove(one)
                self.disks[lane].cut_in = one.draw.choice((1, 2, 2, 3))
                continue
            one.times -= 1
            one.left = one.draw.choice((1, 1, 2, 3, 5))
            if one.times <= 0:
                waiting.remove(one)
            self.counts["acts between two steps"] += 1
            self.untouched -= self._taken_out(lane, one.path)
            before = set(self.untouched)
            self._by_hand(lane, one.draw, partial(Hands.interfere, path=one.path))
            wrote = self.untouched - before
            if self._acted_ns != self.now_ns:
                self._acted_ns = self.now_ns
                self._wrote_there = {}
            if (lane, one.path) in self._wrote_there:
                # More than once within one step: of that only the history is promised.
                wrote |= self._wrote_there[lane, one.path]
                self.untouched -= wrote
            self._wrote_there[lane, one.path] = wrote
        if not waiting:
            self.disks[lane].visited = None

    def _by_hand(self, lane: int, draw: random.Random, do: Callable[[Hands], None]) -> None:
        self._look()
        disk = self.disks[lane]
        self._disturbed[lane] = True
        before, shown = self._contents(lane, everywhere=False), self._shows(lane)
        with disk.hand():
            do(Hands(self, disk, draw))
        self._had[lane] -= before - self._contents(lane, everywhere=False)
        after = self._shows(lane)
        for path in shown.keys() | after.keys():
            if shown.get(path) != after.get(path):
                self._handled[lane].add((path, after.get(path)))
                self.untouched -= self._held_back(lane, path)

    def _shows(self, lane: int) -> dict[str, tuple[object, ...]]:
        """What versions say of what stands in the box of a node, and what it holds."""
        shows: dict[str, tuple[object, ...]] = {}
        for path, inode in self.disks[lane].walk():
            if path.partition("/")[0] != PRIVATE:
                is_file = inode.kind is Kind.FILE
                holds = b"" if inode.kind is Kind.DIRECTORY else self.digest_of(lane, inode)
                shows[path] = (
                    inode.kind,
                    (inode.mode, encode_attributes(inode.attributes)),
                    is_file and inode.mtime_ns,
                    inode.size,
                    holds,
                )
        return shows

    def applied(self, report: Report) -> None:
        """A node has brought a batch to its disk: where nobody else was, no rename is half done."""
        if self._disturbed[self._lane]:
            return
        removals = {
            one.operation.path: one for one in report.outcomes if isinstance(one.operation, Remove)
        }
        for one in report.outcomes:
            put = one.operation
            if not isinstance(put, PutFile) or put.source is None:
                continue
            source = removals.get(put.source)
            if one.result is Result.DONE and source and source.result is Result.CHANGED:
                raise BrokenPromiseError(
                    f"node {self._lane}: {put.path!r} is there, and {put.source!r} as well"
                )

    def recorded(self, path: str, version: Version) -> None:
        """A node has made a version: of what a hand has done there, or it has no right to."""
        lane = self._lane
        side = self.nodes[lane].box
        if isinstance(side, RealBoxes) and side.box is not None and side.box.adopting:
            return  # nobody knows what a disk of unknown past has seen
        handled = self._handled[lane]
        if version.kind is Kind.DIRECTORY:
            # It stood for what is in it, and is somebody's now that somebody did something there.
            fine = any(one == path or one.startswith(path + "/") for one, _ in handled)
        elif version.kind is Kind.TOMBSTONE:
            # Or of a conflict copy that somebody has removed: they lie beside what they are of.
            folder = path.rpartition("/")[0]
            fine = (path, None) in handled or any(
                ".conflict-" in one and one.rpartition("/")[0] == folder for one, _ in handled
            )
        elif version.kind is Kind.SYMLINK:
            fine = any(one == path and what and what[0] is Kind.SYMLINK for one, what in handled)
        else:
            # Not the mode: flocksy's change of it may hit what has just been put there.
            what = (version.kind, version.mtime_ns, version.size)
            fine = any(
                one == path and there is not None and (there[0], there[2], there[3]) == what
                for one, there in handled
            )
        if not fine:
            raise BrokenPromiseError(
                f"node {lane} makes a version of {path!r} that is nobody's: {version}"
            )

    # -- what must hold --------------------------------------------------------------------

    def digest_of(self, lane: int, inode: Inode) -> bytes:
        """Of what a file holds, or of a link's text."""
        if inode.kind is Kind.SYMLINK:
            return b"-> " + inode.text.encode()
        key = (lane, inode.number, inode.changes)
        found = self._digests.get(key)
        if found is None:
            data = self.disks[lane].bytes_of(inode)
            self.checked_bytes += len(data)
            found = self._digests[key] = hashlib.blake2b(data, digest_size=12).digest()
        return found

    def visible(self, lane: int) -> dict[str, tuple[object, ...]]:
        """What a person sees in a box."""
        seen: dict[str, tuple[object, ...]] = {}
        for path, inode in self.disks[lane].walk():
            if path.partition("/")[0] == PRIVATE:
                continue
            if inode.kind is Kind.DIRECTORY:
                seen[path] = ("directory", inode.mode)
            elif inode.kind is Kind.SYMLINK:
                seen[path] = ("link", inode.text)
            else:
                digest = self.digest_of(lane, inode)
                seen[path] = ("file", inode.mode, inode.mtime_ns // S, inode.size, digest.hex())
        return seen

    def _contents(self, lane: int, *, everywhere: bool) -> set[bytes]:
        """All contents in box and history of a node, or anywhere on its disk."""
        return {
            self.digest_of(lane, inode)
            for path, inode in self.disks[lane].walk()
            if inode.kind is not Kind.DIRECTORY and (everywhere or self._is_kept(lane, path, inode))
        }

    def _durable_contents(self, lane: int) -> set[bytes]:
        """Contents in box and history of a node, and in no power cut's reach."""
        return {
            self.digest_of(lane, inode)
            for path, inode in self.disks[lane].walk_durable()
            if self._is_kept(lane, path, inode)
        }

    def _is_kept(self, lane: int, path: str, inode: Inode) -> bool:
        """Whether a path is in the box or its history, and not among what flocksy works with.

        Nor the second name of a renamed file in the very call that drops it for having the new one:
        no call drops a name only if there is another, so who takes that one then takes the last.
        """
        top, _, rest = path.partition("/")
        dropped = self.disks[lane].dropped
        return top != PRIVATE or (rest.startswith("history/") and inode is not dropped)

    def _look(self, *, everywhere: bool = True) -> None:
        for lane, had in enumerate(self._had):
            node = self.nodes[lane]
            is_open = isinstance(node.box, RealBoxes) and node.box.box is not None
            kept = self._contents(lane, everywhere=False)
            gone = had - self._contents(lane, everywhere=everywhere)
            if taken := gone & self._left[lane]:
                # It was the flock's, and others have replaced it since.
                others = (one for one in range(self.plan.nodes) if one != lane)
                taken &= set().union(*(self._contents(one, everywhere=False) for one in others))
                had -= taken
                gone -= taken
            if gone:
                raise BrokenPromiseError(
                    f"node {lane} has lost content: {[one.hex() for one in gone]}"
                )
            found = self._durable_contents(lane) & kept
            self._left[lane] -= kept if is_open else set()
            self._left[lane] |= set() if node.up else found - had
            had |= found

    def _watch_contents(self) -> None:
        self._look()
        for node in self.nodes:
            box = node.box.box if isinstance(node.box, RealBoxes) else None
            if box is not None and self._disturbed[node.lane] and not self._sick[node.lane]:
                self._disturbed[node.lane] = not box.settled
        self._push(self.now_ns + LOOK_NS, 4, self._watch_contents)

    def run(self) -> None:
        """As a run of the wire, and then the boxes."""
        self._push(self.now_ns + LOOK_NS, 4, self._watch_contents)
        super().run()

    def end_faults(self) -> None:
        """The disks are well again, too."""
        self._swallowing = 0.0
        self._interfering.clear()
        self._sick = [False] * self.plan.nodes
        for disk in self.disks:
            disk.others, disk.cut_in, disk.visited = 0, None, None
            disk.refuses = disk.unreadable = lambda: False
            self.counts.update({f"{what} refused": count for what, count in disk.refused.items()})
        super().end_faults()
        # Watchers say what they have missed, and boxes do by themselves what they owe.
        if not self.plan.seed & 4:
            for node in self.nodes:
                self._rescan(node)

    def _rescan(self, node: Node) -> None:
        box = node.box.box if isinstance(node.box, RealBoxes) else None
        if box is not None:
            self._enter(node)
            box.rescan(HERE.local_ns / 1e9)

    def come_to_rest(self) -> None:
        """All ready, all boxes equal and settled; and then nothing moves any more."""
        super().come_to_rest()
        self._look(everywhere=False)
        self._same()
        said = self._said()
        # What was still to be said waits for its burst, where that does not wait for it.
        quiet_ns = QUIET_NS + self.plan.every_ns
        self.pass_until(self.now_ns + quiet_ns * (3 if self.plan.is_public else 1))
        before = self._said()
        self.pass_until(self.now_ns + quiet_ns)
        # What nobody has is asked for once a minute, for good.
        if self._said() != before and not any(map(self._missing, self.nodes)):
            raise BrokenPromiseError(f"still talking: {said} {before} {self._said()}")
        self._look(everywhere=False)
        self._same()
        visible = {one[-1] for one in self.visible(0).values()}
        gone = {
            one
            for one in self.untouched
            if (one[3:].decode() if one.startswith(b"-> ") else one.hex()) not in visible
        }
        if gone:
            raise BrokenPromiseError(f"nobody touched {gone}, but nobody sees it")

    def _said(self) -> tuple[int, int]:
        carried = sum(
            node.box.exchange.carried_bytes
            for node in self.nodes
            if isinstance(node.box, RealBoxes)
        )
        return carried, 0 if self.plan.is_public else len(self.checks.bursts)

    def _same(self) -> None:
        first = self.visible(0)
        for lane in range(1, self.plan.nodes):
            other = self.visible(lane)
            if other != first:
                differing = sorted(
                    path
                    for path in first.keys() | other.keys()
                    if first.get(path) != other.get(path)
                )
                lines = [f"{path!r}: {first.get(path)} / {other.get(path)}" for path in differing]
                raise BrokenPromiseError(f"boxes 0 and {lane} differ: " + "; ".join(lines[:6]))
        self._same_attributes()
        for node in self.nodes:
            assert isinstance(node.box, RealBoxes)
            if self._missing(node) != self._missing(self.nodes[0]):
                raise BrokenPromiseError(f"node {node.lane} has given up other contents than 0")
            problems = dict(node.box.box.problems)
            for path, _ in self._missing(node):
                # Whoever made it has died, or taken it away, before anybody else had it. A content
                # that no hand has touched is to be seen all the same.
                problems.pop(path, None)
            if problems:
                raise BrokenPromiseError(f"node {node.lane} has problems: {problems}")
            if not self.plan.hostile and any(node.box.exchange._inbox.bad):
                raise BrokenPromiseError("an honest node said something invalid")

    def _same_attributes(self) -> None:
        tags = [
            {
                path: inode.attributes
                for path, inode in disk.walk()
                if path.partition("/")[0] != PRIVATE
            }
            for lane, disk in enumerate(self.disks)
            if self._wants_attributes(lane)
        ]
        for other in tags[1:]:
            if other != tags[0]:
                differing = sorted(path for path in other if other[path] != tags[0].get(path))
                lines = [f"{path!r}: {tags[0].get(path)} / {other[path]}" for path in differing]
                raise BrokenPromiseError("attributes differ: " + "; ".join(lines[:6]))

    def _missing(self, node: Node) -> set[tuple[str, bytes]]:
        """What a node has given up, by path and root."""
        box = node.box.box if isinstance(node.box, RealBoxes) else None
        return set() if box is None else set(box.planning.missing)

    def at_rest(self) -> bool:
        """Whether the wire is at rest, and every box has nothing to do and agrees."""
        if not self.are_ready():
            return False
        for node in self.nodes:
            side = node.box
            assert isinstance(side, RealBoxes)
            box = side.box
            if box is None or not box.settled or not side.exchange.agrees(box):
                return False
            if box.unknown or side.exchange.repair._boxes[box.setup.tag].wanted:
                return False  # asked for: the answer may come at any time
            if self._missing(node) != self._missing(self.nodes[0]):
                return False  # somebody has it by now, and is asked once more
        return True

    def unrest(self) -> str:
        """As for the wire, and what the boxes wait for."""
        words = [super().unrest()]
        for node in self.nodes:
            side = node.box
            if not isinstance(side, RealBoxes):
                continue
            box = side.box
            if box is None:
                words.append(f"node {node.lane} rests: {side.keeper.get('box').reason}")
                continue
            planning = box.planning
            states = {
                "adopting": box.adopting,
                "not scanned": not box.scanned_once or box.scanning,
                "changed": dict(box.intake.changed),
                "to be seen again": box.intake.waiting,
                "to be pushed": len(box.offers.pushes),
                "outgoing": box.index.outgoing_count(),
                "planning": planning.pending,
                "planning busy": not planning.idle,
                "wanted": [name.hex()[:8] for name in box.staging.wants(6)],
                "problems": box.problems,
                "differs": not side.exchange.agrees(box),
                "problem texts": side.problems[-2:],
                "records wanted": len(side.exchange.repair._boxes[box.setup.tag].wanted),
            }
            words.append(f"node {node.lane} { ({k: v for k, v in states.items() if v}) }")
        return "\n  ".join(words)

    def close(self) -> None:
        """Let go of everything."""
        for node in self.nodes:
            if node.up:
                self._fall(node.lane, power=False)
        for disk in self.disks:
            OpenDisk.mounted.pop(disk.root, None)


@contextmanager
def made(plan: Plan, trace: Callable[[str], None] | None = None) -> Iterator[BoxFlock]:
    """A flock to which nothing has happened yet, and the world around it."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    root = Path(tempfile.mkdtemp(prefix="flocksy-simulator-", dir=memory))
    kind: type[BoxFlock] = BoxFlock
    if plan.floor:
        from tests.simulator.crowds import CrowdFlock as kind  # noqa: N813 - one kind or the other
    try:
        disks: list[SimulatedDisk] = []
        with one_process(), simulated_boxes(lambda: disks, SimulatedWatcher):
            flock = kind(plan, root, trace)
            disks += flock.disks
            try:
                yield flock
            finally:
                flock.close()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def run_boxes(seed: int, trace: Callable[[str], None] | None, outcome: Outcome) -> None:
    """One run with boxes."""
    run_box_plan(box_plan(seed), trace, outcome)


def run_box_plan(plan: Plan, trace: Callable[[str], None] | None, outcome: Outcome) -> None:
    """Run a plan with boxes."""
    with made(plan, trace) as flock:
        try:
            flock.run()
        finally:
            outcome.counts["bytes of contents checked"] += flock.checked_bytes
            outcome.counts["runs with boxes"] += 1
            outcome.counts["operations on disks"] += sum(d.operations for d in flock.disks)
            tell(flock, outcome)


__all__ = ["BoxFlock", "made", "run_box_plan", "run_boxes"]
