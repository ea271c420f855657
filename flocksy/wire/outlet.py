"""From the out rings to the sockets: exactly one slot out, real or cover, by the same code.

What an observer can see of the choice between real and cover here: nothing. Both are packed by the
same calls, have the same length, are sent from memory of the same kind and copied to the own lane.

Memory is of the same kind where it is as far from this processor. A heartbeat is copied in time
from its slot, or from zeros, into one buffer, and leaves from there. A burst cell is too large to
be copied once more: it leaves from its slot, which another process has filled, and cover from as
much memory as all slots have, in turn.
"""

from __future__ import annotations

from flocksy.protocol.cell import Codec, pack_burst, stamp
from flocksy.protocol.header import KNOWN_BYTES, NO_ID, Gear, Hot, Times
from flocksy.protocol.schedule import BurstRun
from flocksy.protocol.shown import Shown
from flocksy.seam.joint import WireSeam
from flocksy.wire.intake import Intake
from flocksy.wire.port import Port
from flocksy.wire.settings import WireSettings


class Outlet:
    """The own lane as it goes out."""

    def __init__(self, settings: WireSettings, seam: WireSeam, port: Port, intake: Intake) -> None:
        self._seam = seam
        self._port = port
        self._intake = intake
        self._idle = memoryview(bytearray(settings.idle_cell))
        self._idle_cover = bytes(settings.idle_cell)
        self._idle_real = False
        size, slots = settings.burst_cell, seam.burst_out.slots
        covers = memoryview(bytearray(size * slots))
        self._burst_covers = [covers[i * size : (i + 1) * size] for i in range(slots)]
        self._base = bytearray(seam.shape.header)
        self._prepared: tuple[Codec, Shown, Times] | None = None
        self.sent = [0, 0]
        """Cells emitted on every link in this session, per gear."""

    def prepare(
        self, codec: Codec, shown: Shown, known: bytes, times: Times, real_allowed: bool
    ) -> None:
        """Make the heartbeat of a round, and the header for its burst cells."""
        self._prepared = (codec, shown, times)
        known = known if real_allowed else bytes(KNOWN_BYTES)
        cell = self._seam.idle_cell(shown.epoch.members) if real_allowed else None
        self._idle_real = cell is not None
        self._idle[:] = cell if cell is not None else self._idle_cover
        codec.pack(self._idle, Gear.IDLE, self.sent[Gear.IDLE], shown, known, times)
        codec.pack(self._base, Gear.BURST, 0, shown, known, times)

    def withhold(self) -> None:
        """Nothing real after all: the heartbeat that was prepared last becomes cover."""
        if self._prepared is not None:
            codec, shown, times = self._prepared
            self.prepare(codec, shown, bytes(KNOWN_BYTES), times, False)

    def beat(self, now_us: int) -> None:
        """Emit the heartbeat that was prepared."""
        stamp(self._idle, now_us)
        self._intake.stamps.made(now_us)
        self._port.send(self._idle)
        self.sent[Gear.IDLE] += 1
        self._intake.own(self._idle, Gear.IDLE, NO_ID, 0)
        if self._idle_real:
            self._seam.idle_out.release()
            self._idle_real = False

    def emit(self, run: BurstRun, credit: int, real_allowed: bool, now_us: int) -> None:
        """Emit the next cell of a burst. The caller tells `run`."""
        filled = self._seam.burst_cell(run.burst_id) if real_allowed else None
        k = run.sent
        cell = filled if filled is not None else self._burst_covers[k % len(self._burst_covers)]
        hot = Hot(run.burst_id, k, run.length, credit)
        pack_burst(cell, self._base, self.sent[Gear.BURST], hot, now_us)
        self._port.send(cell)
        self.sent[Gear.BURST] += 1
        if not self._intake.own(cell, Gear.BURST, run.burst_id, k):
            run.gap = True
        if filled is not None:
            self._seam.burst_out.release()
