"""What the wire process tells the box process, and the other way round: state, not events.

Each report is one block of shared memory with a sequence number before it (a seqlock): the writer
makes it odd, writes, makes it even; a reader copies and takes the copy only if the number was the
same even one before and after. Nobody waits, a value may be missed, never torn.

The wire's report has a hot part, written every round with one `struct` call, and a slow part (the
texts for people), written at most once a second and of constant size whatever it says.
"""

from __future__ import annotations

import json
import struct
import threading
from dataclasses import asdict, dataclass
from typing import Any

from flocksy.seam.limits import ADDRESS_BYTES, ERROR_TEXTS, READ_ATTEMPTS, TEXT_BYTES

LIVE = "live"
JOINING = "joining"
"""States of a lane whose member is heard: in our view, or not."""

NO_ID = bytes(8)
KNOWN_BYTES = 32
"""Size of the box side's digest of known state, opaque to the wire side."""

_SEQUENCE_BYTES = 64


@dataclass(frozen=True, slots=True)
class AgreedBurst:
    """A burst that is confirmed, from then until its outcome is known."""

    burst_id: bytes
    members: int
    start_elapsed_ns: int
    """Instant of cell 0 on the clock of `clocks.elapsed_ns`. May be past: this node joined late."""
    length: int
    """Cells each member emits."""
    repeat: bool


@dataclass(frozen=True, slots=True)
class LastBurst:
    """How the newest burst that is over went."""

    burst_id: bytes
    finished: bool
    """False: aborted."""
    gap: bool
    """Some member lost a cell of some lane; also set later, when another member shows it."""


@dataclass(frozen=True, slots=True)
class LaneReport:
    """One lane as this node sees it."""

    state: str
    """Text for people: "live", "down", "refuses our key", "clock wrong", ..."""
    cells_in_idle: int = 0
    cells_in_burst: int = 0
    gaps: int = 0
    """How often cells of this lane were found missing or had to be dropped."""
    offset_us: int = 0
    """Flock time of that member minus ours."""
    address: str = ""
    """The endpoint that is tried or used, as it was configured or told."""
    target: str = ""
    """The same with its name looked up."""
    unheard: int = 0
    """Members that this one has not heard for a while, as far as cells say, though somebody does; a
    bitmap over lanes. Words for people, no more."""


@dataclass(frozen=True, slots=True)
class WireReport:
    """Everything the box process may know about the wire."""

    status: int = 102
    """Status code that the newest own cell shows (design 5)."""
    state: str = "starting"
    """Name of the state of the machine."""
    round: int = 0
    epoch_number: int = 0
    view: int = 0
    """Members of the view, a bitmap over lanes."""
    eligible: int = 0
    """Lanes whose clock and settings are right, a bitmap."""
    own_lane: int = 0
    real_allowed: bool = False
    """Whether real bytes leave now (rule 12). While False, filled slots wait."""
    burst: AgreedBurst | None = None
    burst_cells: int = 0
    """Own cells of `burst` emitted so far."""
    last_burst: LastBurst | None = None
    cells_out_idle: int = 0
    """Heartbeats emitted on every link since the start."""
    cells_out_burst: int = 0
    """Burst cells emitted on every link since the start."""
    late_us: int = 0
    """How late the newest heartbeat left after its instant."""
    lanes: tuple[LaneReport, ...] = ()
    errors: tuple[str, ...] = ()
    """Recent errors, oldest first."""
    programme: int = 0
    """Bursts to come because somebody joined, whether or not anybody needs them; the one that is
    agreed is not among them."""
    away: int = 0
    """Members of the view that for a while nobody has heard who is heard here, a bitmap."""
    joins: int = 0
    """How often this node has come into a view that was a join (design 4.3, rule 9), its own or
    that of somebody else."""


@dataclass(frozen=True, slots=True)
class BoxReport:
    """Everything the wire process may know about the boxes."""

    need: int = 0
    """Cells per lane it would like to send; 0 is none."""
    known: bytes = bytes(KNOWN_BYTES)
    """Digest of what has been sent or received in lanes, for the cell header."""
    leaving: bool = False
    """The node stops: finish the burst, show 500, end."""


class SharedBlock:
    """A block of bytes under a seqlock, for one writer and any number of readers."""

    __slots__ = ("_body", "_fence", "_last", "_sequence")

    def __init__(self, memory: memoryview) -> None:
        self._sequence = memory[:8].cast("Q")
        self._body = memory[_SEQUENCE_BYTES:]
        self._fence = threading.Lock()
        self._last = bytes(len(self._body))

    @staticmethod
    def bytes_for(body_bytes: int) -> int:
        """Memory for a body of this size, in whole cache lines."""
        return _SEQUENCE_BYTES + -(-body_bytes // 64) * 64

    @property
    def version(self) -> int:
        """Changes with every write; 0 before the first."""
        with self._fence:
            return self._sequence[0]

    def write(self, data: bytes) -> None:
        """Replace the block. `data` is at most as long as the block."""
        with self._fence:
            self._sequence[0] += 1
        with self._fence:
            self._body[: len(data)] = data
        with self._fence:
            self._sequence[0] += 1

    def read(self) -> bytes:
        """A whole value, the newest if the writer is not in the middle of one."""
        for _ in range(READ_ATTEMPTS):
            with self._fence:
                before = self._sequence[0]
            if before % 2:
                continue
            with self._fence:
                copy = bytes(self._body)
            with self._fence:
                after = self._sequence[0]
            if before == after:
                self._last = copy
                break
        return self._last

    def close(self) -> None:
        """Let go of the shared memory."""
        self._sequence.release()
        self._body.release()


_HOT = struct.Struct("<H?QQII?" + "8sIqI?" + "I" + "8s??" + "QQi" + "BII")
_LANE = struct.Struct("<QQQiI")
_BOX = struct.Struct("<I32s?")


class WireReportBlock:
    """Codec of `WireReport` over two shared blocks (hot and slow)."""

    def __init__(self, memory: memoryview, lanes: int, own_lane: int) -> None:
        hot = SharedBlock.bytes_for(_HOT.size + lanes * _LANE.size)
        self._hot = SharedBlock(memory[:hot])
        self._slow = SharedBlock(memory[hot:])
        self._lanes = lanes
        self._own_lane = own_lane
        self._slow_bytes = self._slow_size(lanes)
        self._slow_version = 0
        self._hot_version = -1
        self._last = WireReport(own_lane=own_lane, lanes=(LaneReport("starting"),) * lanes)
        self._texts: dict[str, Any] = {"state": "starting", "lanes": [], "errors": []}

    @staticmethod
    def _slow_size(lanes: int) -> int:
        # Six bytes for each byte of text: JSON escapes.
        return 6 * TEXT_BYTES * (3 * lanes + ERROR_TEXTS + 1) + 256

    @classmethod
    def bytes_for(cls, lanes: int) -> int:
        """Memory the report of a flock of `lanes` members takes."""
        return SharedBlock.bytes_for(_HOT.size + lanes * _LANE.size) + SharedBlock.bytes_for(
            cls._slow_size(lanes)
        )

    def write_hot(self, report: WireReport) -> None:
        """Publish the numbers of `report`. Called once per round."""
        burst, last = report.burst, report.last_burst
        data = _HOT.pack(
            report.status,
            burst is not None,
            report.round,
            report.epoch_number,
            report.view,
            report.eligible,
            report.real_allowed,
            burst.burst_id if burst else NO_ID,
            burst.members if burst else 0,
            burst.start_elapsed_ns if burst else 0,
            burst.length if burst else 0,
            burst.repeat if burst else False,
            report.burst_cells,
            last.burst_id if last else NO_ID,
            last.finished if last else False,
            last.gap if last else False,
            report.cells_out_idle,
            report.cells_out_burst,
            min(report.late_us, 2**31 - 1),
            report.programme,
            report.away,
            report.joins,
        )
        for lane in report.lanes:
            offset_us = max(-(2**31), min(lane.offset_us, 2**31 - 1))
            data += _LANE.pack(
                lane.cells_in_idle, lane.cells_in_burst, lane.gaps, offset_us, lane.unheard
            )
        self._hot.write(data)

    def write_slow(self, report: WireReport) -> None:
        """Publish the texts of `report`. Called at most once a second; constant size."""
        texts = {
            "state": report.state[:TEXT_BYTES],
            "lanes": [
                [text[:TEXT_BYTES] for text in (lane.state, lane.address, lane.target)]
                for lane in report.lanes
            ],
            "errors": [text[:TEXT_BYTES] for text in report.errors[-ERROR_TEXTS:]],
        }
        self._slow.write(json.dumps(texts).encode().ljust(self._slow_bytes))

    def read(self) -> WireReport:
        """The newest report; the same object while nothing changed."""
        version = self._hot.version
        if version == self._hot_version:
            return self._last
        self._hot_version = version
        self._last = self._decode()
        return self._last

    def _decode(self) -> WireReport:
        if self._slow.version != self._slow_version:
            self._slow_version = self._slow.version
            raw = self._slow.read().rstrip(b"\0 ")
            if raw:
                self._texts = json.loads(raw)
        data = self._hot.read()
        (
            status,
            agreed,
            round_,
            epoch_number,
            view,
            eligible,
            real_allowed,
            burst_id,
            members,
            start_elapsed_ns,
            length,
            repeat,
            burst_cells,
            last_id,
            last_finished,
            last_gap,
            cells_out_idle,
            cells_out_burst,
            late_us,
            programme,
            away,
            joins,
        ) = _HOT.unpack_from(data)
        texts = self._texts["lanes"]
        lanes = []
        for lane in range(self._lanes):
            numbers = _LANE.unpack_from(data, _HOT.size + lane * _LANE.size)
            idle, in_burst, gaps, offset_us, unheard = numbers
            state, address, target = texts[lane] if lane < len(texts) else ("starting", "", "")
            lanes.append(
                LaneReport(state, idle, in_burst, gaps, offset_us, address, target, unheard)
            )
        return WireReport(
            status=status or 102,
            state=self._texts["state"],
            round=round_,
            epoch_number=epoch_number,
            view=view,
            eligible=eligible,
            own_lane=self._own_lane,
            real_allowed=real_allowed,
            burst=AgreedBurst(burst_id, members, start_elapsed_ns, length, repeat)
            if agreed
            else None,
            burst_cells=burst_cells,
            last_burst=LastBurst(last_id, last_finished, last_gap) if last_id != NO_ID else None,
            cells_out_idle=cells_out_idle,
            cells_out_burst=cells_out_burst,
            late_us=late_us,
            lanes=tuple(lanes),
            errors=tuple(self._texts["errors"]),
            programme=programme,
            away=away,
            joins=joins,
        )

    def close(self) -> None:
        """Let go of the shared memory."""
        self._hot.close()
        self._slow.close()


class BoxReportBlock:
    """Codec of `BoxReport` over one shared block."""

    def __init__(self, memory: memoryview) -> None:
        self._block = SharedBlock(memory)

    @staticmethod
    def bytes_for() -> int:
        """Memory the report takes."""
        return SharedBlock.bytes_for(_BOX.size)

    def write(self, report: BoxReport) -> None:
        """Publish `report`."""
        assert len(report.known) == KNOWN_BYTES
        fields = asdict(report)
        self._block.write(_BOX.pack(*fields.values()))

    def read(self) -> BoxReport:
        """The newest report; the defaults before the first."""
        return BoxReport(*_BOX.unpack_from(self._block.read()))

    def close(self) -> None:
        """Let go of the shared memory."""
        self._block.close()


class AddressBlock:
    """Where members are said to be reached, for the wire process to try: the newest endpoint that
    was told of each lane."""

    def __init__(self, memory: memoryview, lanes: int) -> None:
        self._block = SharedBlock(memory)
        self._told = [""] * lanes
        self._version = 0

    @staticmethod
    def bytes_for(lanes: int) -> int:
        """Memory that this takes."""
        return SharedBlock.bytes_for(AddressBlock._size(lanes))

    @staticmethod
    def _size(lanes: int) -> int:
        return lanes * (ADDRESS_BYTES + 4) + 2  # quotes, a comma and a space; no escapes

    def write(self, lane: int, endpoint: str) -> None:
        """Tell of one. `endpoint` is printable ASCII of at most `ADDRESS_BYTES`."""
        assert len(endpoint) <= ADDRESS_BYTES and endpoint.isascii()
        self._told[lane] = endpoint
        self._block.write(json.dumps(self._told).encode().ljust(self._size(len(self._told))))

    def fresh(self) -> list[tuple[int, str]]:
        """Lanes of which something else is told than at the last call."""
        if self._block.version == self._version:
            return []
        self._version = self._block.version
        raw = self._block.read().rstrip(b"\0 ")
        before, self._told = self._told, json.loads(raw) if raw else self._told
        return [(lane, told) for lane, told in enumerate(self._told) if told != before[lane]]

    def close(self) -> None:
        """Let go of the shared memory."""
        self._block.close()
