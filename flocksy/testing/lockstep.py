"""A flock of boxes without a wire: rings are moved by hand, round by round, in one process.

Everything above the seam is real (exchange, boxes, index, scanner process, disk); below it a few
lines stand for the wire process. A test decides what is lost. Time is the caller's.
"""

from __future__ import annotations

import hashlib
import random
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from flocksy.boxes.announcing import Timing
from flocksy.boxes.content.reader import SpoolReader
from flocksy.boxes.keeper import Keeper
from flocksy.boxes.lanes.exchange import Exchange
from flocksy.boxes.scan.scanner import Scanner
from flocksy.boxes.setup import BoxSetup
from flocksy.seam.joint import BoxSeam, Gear, SeamShape, WireSeam
from flocksy.seam.report import KNOWN_BYTES, AgreedBurst, LaneReport, LastBurst, WireReport
from flocksy.testing import scanners

HEADER_BYTES = 128
USED_AT = HEADER_BYTES + 1
"""Where a slot says how many of its bytes are real (`flocksy.sync.stream`)."""
IDLE_CELL = 1024
BURST_CELL = 16384
PERIOD_S = 0.1
LEAST_BURST = 64
PROGRAMME_BURSTS = 3
PROGRAMME_CELLS = (4 << 20) // BURST_CELL
LEAD_ROUNDS = 4
JOIN_ROUNDS = 16 + LEAD_ROUNDS
STEP_ROUNDS = 8 + LEAD_ROUNDS
SPOILT_ROUNDS = 48
"""Of what follows a join, as in `flocksy.protocol.programme`, which boxes know nothing of."""
MAX_ROUNDS = 3_000
SCAN_SECONDS = 1.0
"""Waited for a part of a scan; after that the round goes on without it."""

Lost = Callable[[int, int, int], bool]
"""(sending lane, receiving lane, round) -> whether the cell is lost."""


@dataclass(slots=True)
class LockstepNode:
    """One node: its box's directory, and both ends of its seam."""

    lane: int
    path: Path
    seam: BoxSeam
    wire: WireSeam
    exchange: Exchange
    keeper: Keeper
    scanner: Scanner
    spool: SpoolReader
    up: bool = True
    gap: dict[tuple[int, Gear], bool] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


class Lockstep:
    """`size` nodes that share one box. Use as a context manager."""

    def __init__(
        self,
        root: Path,
        size: int = 3,
        seed: int = 0,
        *,
        programme: bool = False,
        outside_mean_s: float = 0.0,
    ) -> None:
        """`programme`: bursts follow a node that comes back, and a repeat with losses, needed or
        not. `outside_mean_s`: of the delay of what was changed before it has come back."""
        self.now = time.monotonic()
        self.round = 10_000
        self.lost: Lost = lambda _sender, _receiver, _round: False
        self.bursts: list[AgreedBurst] = []
        self.quorum = True
        """False: members hear each other, and yet not all of them all."""
        self.scan_s = SCAN_SECONDS
        self.said_bytes = 0
        """Stream bytes that lanes have carried, cover not counted."""
        self.said_in_bursts = [0] * size
        """Likewise by lane, in bursts only."""
        self.outside_mean_s = outside_mean_s
        self._joins = programme
        self.joins = 0
        self._programme = 0
        self._burst_from = 0
        self._root = root
        self._size = size
        self._random = random.Random(seed)
        self._epoch = 1
        self._last: LastBurst | None = None
        self._repeat: AgreedBurst | None = None
        self.nodes = [self._start(lane) for lane in range(size)]

    def __enter__(self) -> Lockstep:
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            if node.up:
                self.stop(node.lane)

    def _start(self, lane: int) -> LockstepNode:
        path = self._root / f"box{lane}"
        path.mkdir(exist_ok=True)
        state = self._root / f"state{lane}"
        state.mkdir(exist_ok=True)
        seam = BoxSeam(SeamShape(self._size, lane, IDLE_CELL, BURST_CELL, HEADER_BYTES, window=8))
        wire = WireSeam(seam.handle())
        seam.launched()
        seam.poll()
        scanner = scanners.take()
        spool = SpoolReader(state / "spool")
        problems: list[str] = []
        exchange = Exchange(
            seam,
            [f"{number:0128x}" for number in range(self._size)],
            spool,
            Timing(
                announce_mean_s=0.05,
                rest_mean_s=0.1,
                period_s=PERIOD_S,
                outside_mean_s=self.outside_mean_s,
            ),
            random.Random(self._random.random()),
            problems.append,
        )
        keeper = Keeper(exchange, scanner, lambda: self.wall_ms(lane), lambda: None)
        keeper.add(self.setup(lane), self.now)
        return LockstepNode(
            lane, path, seam, wire, exchange, keeper, scanner, spool, problems=problems
        )

    def wall_ms(self, _lane: int) -> int:
        """What the wall clock of one node shows."""
        return int(self.now * 1000)

    def setup(self, lane: int) -> BoxSetup:
        """How the box of one node is configured."""
        return BoxSetup(
            "box",
            str(self._root / f"box{lane}"),
            hashlib.blake2b(b"box").digest(),
            str(self._root / f"state{lane}" / "box.sqlite"),
        )

    def stop(self, lane: int) -> None:
        """The node ends cleanly and is not in the view any more."""
        node = self.nodes[lane]
        node.up = False
        node.keeper.close()
        scanners.give_back(node.scanner)
        node.spool.close()
        node.wire.close()
        node.seam.close()
        self._epoch += 1

    def restart(self, lane: int) -> None:
        """The node comes back with what it left on its disk."""
        self.nodes[lane] = self._start(lane)
        self.join()
        # Other sessions: the wire says so by a gap, and what was half said is forgotten.
        for peer in self.up:
            peer.gap[lane, Gear.IDLE] = True
            self.nodes[lane].gap[peer.lane, Gear.IDLE] = True

    def join(self) -> None:
        """The next view has somebody who was not in the last one."""
        self._epoch += 1
        if self._joins:
            self.joins += 1
            self._programme, self._burst_from = PROGRAMME_BURSTS, self.round + JOIN_ROUNDS

    @property
    def up(self) -> list[LockstepNode]:
        """The nodes that run."""
        return [node for node in self.nodes if node.up]

    # -- time -----------------------------------------------------------------------------------

    def step(self) -> None:
        """One round: heartbeats, and a burst if somebody needs one."""
        self.now += PERIOD_S
        self.round += 1
        self._tell(None, 0)
        self._turns()
        for node in self.up:
            self._emit(node, Gear.IDLE, bytes(8), 0)
        self._turns()
        need = max(node.wire.box().need for node in self.up)
        if self._programme:
            need = PROGRAMME_CELLS if self.round >= self._burst_from else 0
        if need or self._repeat is not None:
            self._burst(need)

    def run_until(self, condition: Callable[[], bool], rounds: int = MAX_ROUNDS) -> None:
        """Step until `condition` holds. Raises `AssertionError` after so many rounds."""
        for _ in range(rounds):
            if condition():
                return
            self.step()
        states = [
            (box.pending, box.problems, box.settled, node.exchange.agrees(box))
            for node in self.up
            for box in [kept.box for kept in node.keeper.boxes]
            if box is not None
        ]
        raise AssertionError(f"not within {rounds} rounds: {states}")

    def settle(self) -> None:
        """Until every node that runs has nothing to do, and all say the same."""
        for node in self.up:
            for kept in node.keeper.boxes:
                if kept.box is not None:
                    kept.box.rescan(self.now)
        self.run_until(self.settled)

    def settled(self) -> bool:
        """Whether every node that runs has nothing to do, and all say the same."""
        return all(
            kept.box is not None and kept.box.settled and node.exchange.agrees(kept.box)
            for node in self.up
            for kept in node.keeper.boxes
        )

    def _turns(self) -> None:
        """Every node works until it has nothing more to do at this instant."""
        for node in self.up:
            for _ in range(200):
                # The scanner is a process of its own. It is waited for, so that how long it takes
                # changes nothing: to the flock its answer comes in the same round.
                boxes = [kept.box for kept in node.keeper.boxes]
                scanning = any(box is not None and box.scanning for box in boxes)
                wait_s = self.scan_s if scanning else 0
                spoke = select.select([node.scanner.fileno()], [], [], wait_s)[0]
                again = node.exchange.turn(self.now)
                if spoke and node.exchange.quiet:
                    for report in node.scanner.reports():
                        node.keeper.scanned(report, self.now)
                later = node.keeper.turn(self.now, quiet=node.exchange.quiet)
                if again != 0.0 and later != 0.0:
                    break

    # -- what stands for the wire ---------------------------------------------------------------

    def _view(self) -> int:
        return sum(1 << node.lane for node in self.up)

    def _allowed(self) -> bool:
        return self.quorum and 2 * len(self.up) > self._size

    def _tell(self, burst: AgreedBurst | None, cells: int) -> None:
        allowed = self._allowed()
        for node in self.up:
            node.wire.tell(
                WireReport(
                    status=200 if burst else 100,
                    state="idle",
                    round=self.round,
                    epoch_number=self._epoch,
                    view=self._view(),
                    eligible=(1 << self._size) - 1,
                    own_lane=node.lane,
                    real_allowed=allowed,
                    burst=burst if allowed else None,
                    burst_cells=cells,
                    last_burst=self._last,
                    lanes=tuple(LaneReport("live") for _ in range(self._size)),
                    programme=self._programme,
                    joins=self.joins,
                ),
                texts=True,
            )

    def _emit(self, node: LockstepNode, gear: Gear, burst_id: bytes, k: int) -> None:
        if gear is Gear.IDLE:
            cell = node.wire.idle_cell(self._view()) if self._allowed() else None
            ring, size = node.wire.idle_out, IDLE_CELL
        else:
            cell = node.wire.burst_cell(burst_id)
            ring, size = node.wire.burst_out, BURST_CELL
        data = bytes(size)
        if cell is not None:
            data = bytes(cell)
            cell.release()
            ring.release()
            used = int.from_bytes(data[USED_AT : USED_AT + 4], "little")
            self.said_bytes += used
            self.said_in_bursts[node.lane] += used if gear is Gear.BURST else 0
        else:
            # As the wire does it: cover, a slot whose stream flags say so.
            data = bytes(HEADER_BYTES) + b"\1" + bytes(4) + b"\xff" * 4
            data += bytes(size - len(data))
        known = node.wire.box().known if self._allowed() else bytes(KNOWN_BYTES)
        for peer in self.up:
            key = (node.lane, gear)
            room = peer.wire.room()
            if room is None or (
                peer.lane != node.lane and self.lost(node.lane, peer.lane, self.round)
            ):
                peer.gap[key] = True
                continue
            room[:size] = data
            room.release()
            gap = peer.gap.pop(key, False)
            peer.wire.received(node.lane, gear, self.round, burst_id, k, gap, known)

    def _burst(self, need: int) -> None:
        again, self._repeat = self._repeat, None
        length = again.length if again else max(LEAST_BURST, 1 << (need - 1).bit_length())
        burst = AgreedBurst(
            self._random.randbytes(8), self._view(), time.monotonic_ns(), length, bool(again)
        )
        self.bursts.append(burst)
        if self._programme and not burst.repeat:
            self._programme -= 1
            self._burst_from = self.round + STEP_ROUNDS
        gapped = False
        for node in self.up:
            # Each burst is a stream of its own. A heartbeat that was lost before it is still lost.
            for key in [key for key in node.gap if key[1] is Gear.BURST]:
                del node.gap[key]
        for k in range(length):
            self._tell(burst, k)
            self._turns_in_burst()
            for node in self.up:
                self._emit(node, Gear.BURST, burst.burst_id, k)
            gapped = gapped or any(gear is Gear.BURST for node in self.up for _, gear in node.gap)
        self._turns_in_burst()
        self._last = LastBurst(burst.burst_id, True, gapped)
        if gapped and not burst.repeat:
            self._repeat = burst
        elif gapped and self._joins:
            # Counted from r0 of the repeat, `LEAD_ROUNDS` ago, as the start is from the need.
            self._programme, self._burst_from = PROGRAMME_BURSTS, self.round + SPOILT_ROUNDS
        self.now += PERIOD_S
        self.round += 1
        self._tell(None, length)

    def _turns_in_burst(self) -> None:
        for node in self.up:
            while node.exchange.turn(self.now) == 0.0:
                pass
