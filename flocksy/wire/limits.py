"""Bounds and fixed options of the wire process, with their reasons.

Whatever shows on the network is a constant here, equal on all nodes whatever their role.
"""

from __future__ import annotations

WINDOWS_HIGH_WATER = 6
"""High-water marks in windows. What a peer shows proves only that it had taken our cells two
windows back, so two may be under way; and libzmq learns of room in a pipe in steps of half its
mark. A mark of two windows drops cells that are in order (seen with W = 8), four is just enough
when nothing else is under way, six leaves room."""

FRAME_SLACK_BYTES = 64
"""CURVE's overhead (33 bytes and the flags) on top of a cell, for the largest frame accepted."""

HANDSHAKE_MS = 5_000
"""A connection that has not finished its handshake by then is closed."""

CONNECT_TIMEOUT_MS = 5_000
"""For a connection attempt; the system's own can be minutes."""

RECONNECT_MS = 250
"""Between two attempts to connect, never growing (libzmq adds a random part as large again)."""

ZMTP_HEARTBEAT_MS = 5_000
ZMTP_TIMEOUT_MS = 15_000
"""A link whose far end vanished without a word (a pulled cable) is closed and tried anew."""

BACKLOG = 64
"""Connections waiting to be accepted."""

TYPE_OF_SERVICE = 0
"""Written out so that all nodes have the same."""

LINGER_MS = 500
"""At the end, for the last cell (status 500) to leave."""

ZAP_PER_ROUND = 16
"""Handshakes answered per round: what an outsider's attempts can cost."""

MONITOR_EVENTS_PER_ROUND = 2048
"""Socket events looked at per round: all that libzmq keeps. Its only thread, which moves every cell
of every link, waits for room once 2,000 have not been looked at."""

TRY_ADDRESS_NS = 10_000_000_000
"""While a link is down each endpoint of the member is tried for so long in turn, for ever at the
same pace: time for a connection and a handshake, also through a proxy."""

LOOK_UP_NS = 60_000_000_000
"""Between two look-ups of a name that was not found, for ever at the same pace."""

TOLD_ADDRESSES = 3
"""Of each member so many told endpoints are kept, the newest: one that is wrong, by mistake or on
purpose, must not push out one that is right."""

REFUSED_RETRY_NS = 5_000_000_000
"""After a refusal, for which libzmq would never try again. Fixed, like `RECONNECT_MS`, and longer:
a person has to do something first."""

OTHER_KEY_NS = 1_000_000_000
"""After another of a member's keys was taken up. libzmq lets a connection that it was told to
forget live on for `LINGER_MS`, and what fails of it says nothing of the new one."""

REFUSALS = 16
"""Refused links kept until the next round."""

REFUSAL_NS = 30_000_000_000
"""For so long a refusal tells of the peer's state. It tries again every few seconds."""

STRANGERS_NS = 10_000_000_000
"""Between two complaints about strangers."""

OWN_STAMPS = 1024
"""Own heartbeats remembered: at the shortest periods still more than what a link can delay."""

TWIN_STAMPS = 4
"""So many different foreign stamps from one member, in a row, are no rest of our last session: of
that there is the newest cell it had, and perhaps one or two more that were under way."""

TWIN_MET_NS = 600_000_000_000
"""For so long after a meeting somebody else counts as live under our key: people have to see it."""

KNOCK_NS = 10_000_000_000
"""How long a knock waits for an answer. Two tries of a handshake fit."""

TWIN_NS = 60_000_000_000
"""For so long after a foreign stamp somebody else counts as live under our key."""

PENDING_HEADERS = 8
"""Headers of one lane kept for the next round. One is usual, two after a delay."""

DRAIN_CELLS = 16
"""Cells taken from one lane before the others get their turn."""

LATE_DRAINS = 16
"""Times that so many are taken after the process has stood still: more than can be waiting."""

PREPARE_NS = 5_000_000
"""A round is decided and its cell made so long before its instant, so that at the instant only
the sending is left to do."""

PREPARE_SHARE = 8
"""... but at most this fraction of the period before."""

EXACT_NS = 1_500_000
"""The last stretch before an instant is slept, not polled: a poll wakes at whole milliseconds."""

TICK_NS = 1_000_000
"""At pace max the sockets and the rings are looked at once in this time, however much came in:
what has come in meanwhile is taken and what may leave leaves, without a wake-up per cell (which
cost half the time of the wire process: docs/performance.md), and no instant of a cell tells more
finely when another one came in."""

TICK_BYTES_PER_SECOND = 512 << 20
"""The tick is shorter for small cells: a window may move in each at up to this rate."""

LEAST_TICK_NS = 100_000
"""About what a sleep can be exact to."""

BOX_WAKE_NS = 2_000_000
"""Least time between two wake-ups of the box process in a burst. A wake-up per cell costs more
than the cell (two changes of process); the rings hold many times what moves in this time."""

LISTEN_NS = 1_000_000_000
"""Before the first cell: how long to listen what time the others show."""

LISTEN_PERIODS = 3
"""... and at least so many rounds."""

LOST_ROUNDS = 40
"""Rounds outside any view with a clock that most members find wrong, before starting anew."""

SILENT_ROUNDS = 8
"""Rounds without a cell after which a connected member is called silent."""

UNHEARD_ROUNDS = 12
"""So long somebody must not have heard somebody before people are told: longer than it takes to
meet who has just started, and to agree on a view without who is lost."""

TEXTS_NS = 1_000_000_000
"""Between two updates of the report's texts."""

LEAVE_NS = 90_000_000_000
"""When the box process is gone: longest wait for the burst to end before the process ends."""

ERRORS = 8
"""Recent errors kept for the report."""

WINDOW = 8
"""W, unless set: half a MiB per lane under way with cells of 64 KiB."""
