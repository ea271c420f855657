"""What CURVE links carry here, bare, and how much of it the wire side keeps.

    python -m benchmarks.pump [--cells 65536 16384] [--megabytes 256] [--rounds 3]

*Bare pump*: three processes, each with a PUB to two SUBs over ipc, CURVE, all lanes full, lockstep
within the same window. *Wire*: three wire processes in a burst, their boxes filling slots from
memory and discarding what comes, one process each. Both run in turns, because a machine's speed
drifts; what counts is the ratio. Figures are MB/s of frames per lane.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.connection import Connection

import zmq

from flocksy.system import clocks
from flocksy.testing.flock import TrivialBox, drive, full_view, make_settings
from flocksy.wire.limits import WINDOW, WINDOWS_HIGH_WATER

NODES = 3
TIMEOUT_S = 60.0
PERIOD_MS = 100


def pump_node(
    index: int,
    endpoints: list[str],
    keys: list[tuple[bytes, bytes]],
    cell_bytes: int,
    count: int,
    result: Connection,
) -> None:
    """One process of the bare pump: as little as lockstep over CURVE can be."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    high_water = WINDOWS_HIGH_WATER * WINDOW
    pub = context.socket(zmq.PUB)
    pub.setsockopt(zmq.SNDHWM, high_water)
    pub.curve_server = True
    pub.curve_publickey, pub.curve_secretkey = keys[index]
    pub.bind(endpoints[index])
    subs = []
    for peer in range(NODES):
        if peer == index:
            continue
        sub = context.socket(zmq.SUB)
        sub.setsockopt(zmq.RCVHWM, high_water)
        sub.curve_serverkey = keys[peer][0]
        sub.curve_publickey, sub.curve_secretkey = keys[index]
        sub.setsockopt(zmq.SUBSCRIBE, b"")
        sub.connect(endpoints[peer])
        subs.append(sub)
    out, room = bytearray(cell_bytes), bytearray(cell_bytes)
    # Greet until everybody has greeted back twice; the second letter says "I hear all".
    heard = dict.fromkeys(range(len(subs)), b"")
    taken = [0] * len(subs)
    end = time.monotonic() + TIMEOUT_S
    said_all = 0
    while said_all < 3 and time.monotonic() < end:
        ready = all(heard.values())
        pub.send(b"b" if ready else b"a")
        said_all += ready and all(word == b"b" for word in heard.values())
        time.sleep(0.02)
        for number, sub in enumerate(subs):
            while sub.poll(0):
                word = sub.recv()
                if len(word) == cell_bytes:  # It has begun already.
                    taken[number] += 1
                    word = b"b"
                heard[number] = max(heard[number], word)
    poller = zmq.Poller()
    for sub in subs:
        poller.register(sub, zmq.POLLIN)
    sent = 0
    started = time.monotonic()
    while (sent < count or min(taken) < count) and time.monotonic() < end:
        moved = False
        for number, sub in enumerate(subs):
            while True:
                try:
                    size = sub.recv_into(room, flags=zmq.NOBLOCK)
                except zmq.Again:
                    break
                taken[number] += size == cell_bytes
                moved = True
        if sent < count and min(taken) > sent - WINDOW:
            pub.send(out, zmq.NOBLOCK)
            sent += 1
            moved = True
        if not moved:
            poller.poll(100)
    seconds = time.monotonic() - started
    result.send(seconds if min(taken) == count else None)
    context.destroy(linger=1000)


def pump(cell_bytes: int, count: int, directory: str) -> float:
    """Seconds the slowest of three bare processes takes for `count` cells per lane."""
    endpoints = [f"ipc://{directory}/pump{i}" for i in range(NODES)]
    keys = [zmq.curve_keypair() for _ in range(NODES)]
    spawn = multiprocessing.get_context("spawn")
    results, processes = [], []
    for index in range(NODES):
        ours, theirs = spawn.Pipe(duplex=False)
        process = spawn.Process(
            target=pump_node, args=(index, endpoints, keys, cell_bytes, count, theirs)
        )
        process.start()
        theirs.close()
        results.append(ours)
        processes.append(process)
    seconds = [result.recv() for result in results]
    for process in processes:
        process.join()
    if None in seconds:
        raise RuntimeError("the pump lost cells")
    return float(max(seconds))


def box_node(box: TrivialBox, need: int, result: Connection) -> None:
    """One process with a trivial box and its wire process. Sends the seconds of one burst."""

    def fill(payload: memoryview, burst_id: bytes, index: int) -> bool:
        return bool(payload) and len(burst_id) == 8 and index >= 0

    box.fill = fill
    box.start()
    try:
        if not drive([box], lambda: full_view([box]), TIMEOUT_S):
            raise RuntimeError("no view")
        box.need = need
        if not drive([box], lambda: box.report.burst is not None, TIMEOUT_S):
            raise RuntimeError("no burst was agreed on")
        burst = box.report.burst
        assert burst is not None
        box.need = 0

        def complete() -> bool:
            last = box.report.last_burst
            return box_seen[0] == NODES * burst.length or (last is not None and last.gap)

        box_seen = [0]

        def look(inbound: object) -> None:
            box_seen[0] += getattr(inbound, "burst_id", b"") == burst.burst_id

        box.look = look
        drive([box], complete, TIMEOUT_S)
        seconds = (clocks.elapsed_ns() - burst.start_elapsed_ns) / 1e9
        result.send((seconds, burst.length, box_seen[0]))
        drive([box], lambda: False, 1.0)
    finally:
        box.stop()


def wire(cell_bytes: int, count: int, directory: str) -> float:
    """Seconds per cell of a lane that the slowest of three nodes takes in a burst."""
    endpoints = [f"ipc://{directory}/wire{i}" for i in range(NODES)]
    settings = make_settings(
        endpoints, period_ms=PERIOD_MS, burst_cell=cell_bytes, stall_timeout_ms=5000
    )
    spawn = multiprocessing.get_context("spawn")
    results, processes = [], []
    for each in settings:
        ours, theirs = spawn.Pipe(duplex=False)
        process = spawn.Process(target=box_node, args=(TrivialBox(each), count, theirs))
        process.start()
        theirs.close()
        results.append(ours)
        processes.append(process)
    answers: list[tuple[float, int, int]] = [result.recv() for result in results]
    for process in processes:
        process.join()
    if any(seen != NODES * length for _, length, seen in answers):
        raise RuntimeError(f"the burst was not whole: {answers}")
    return max(seconds / length for seconds, length, _ in answers)


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description="bare CURVE pump beside the wire side")
    parser.add_argument("--cells", type=int, nargs="+", default=[65536])
    parser.add_argument("--megabytes", type=int, default=256, help="per lane")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{'cell':>8} {'pump MB/s':>10} {'wire MB/s':>10} {'ratio':>6}")
    with tempfile.TemporaryDirectory(prefix="flocksy-pump-") as directory:
        for cell_bytes in options.cells:
            count = max(64, options.megabytes * 1_000_000 // cell_bytes)
            bare, ours = [], []
            for _ in range(options.rounds):
                bare.append(count * cell_bytes / pump(cell_bytes, count, directory) / 1e6)
                ours.append(cell_bytes / wire(cell_bytes, count, directory) / 1e6)
            rates = statistics.median(bare), statistics.median(ours)
            print(
                f"{cell_bytes:>8} {rates[0]:>10.1f} {rates[1]:>10.1f} {rates[1] / rates[0]:>6.2f}"
            )


if __name__ == "__main__":
    main()
