"""Bounds of the memory shared by the box process and the wire process, with their reasons."""

from __future__ import annotations

IDLE_OUT_SLOTS = 4
"""Heartbeat payloads filled ahead. A second in profile `balanced`; more would only be staler."""

BURST_OUT_BYTES = 2 << 20
"""Burst slots filled ahead, in bytes: 20 ms at 100 MB/s, more than a box process is away."""

IN_AWAY_BYTES = 2 << 20
"""Room in the in ring beyond what the windows of all lanes need, for the time in which the box
process reads, hashes and flushes instead of taking slots. The credit covers longer absences, so
this buys smoothness only, and memory per node is bounded at 150 MB."""

WINDOWS_IN = 2
"""Windows per lane that the in ring holds at least: a peer runs at most one window ahead of us
and its cells may have been under way for another."""

BURST_OUT_WINDOWS = 3
"""Windows filled ahead at least, however large a cell is: what allows a cell without waiting for
the one before was shown a window ago, and up to a window leaves at once."""

MAX_LANES = 32
"""Members of a flock, the only place where that is said. Sets of them are bitmaps of 32 bits in
every cell, whose header grows by a fixed amount per lane; the search for cliques among them stays
small; and about 20 is the plan."""

MAX_SEAM_BYTES = 256 << 20
"""All shared memory of a node. A cell size or a flock that needs more is refused at start. Not in
it: cover, for which the wire process has as many bytes of its own as the burst slots filled ahead
(`wire/outlet.py`)."""

ERROR_TEXTS = 8
"""Recent error texts a report keeps; older ones are in the log."""

TEXT_BYTES = 160
"""One text in a report (a link's state, an error): one line on a terminal."""

ADDRESS_BYTES = 128
"""One endpoint that a member is said to be reached at."""

READ_ATTEMPTS = 64
"""Tries to read a report undisturbed. The writer is in it for microseconds; after this many the
last good value is returned, which is never more than a round old unless the writer died."""

HOLD_ROUNDS = 9
"""Rounds that the in ring keeps room for when credit is short. With holds that double from 4 ms
they last a second or two: so long a box process may be away without a loss."""
