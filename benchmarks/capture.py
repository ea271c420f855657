"""What tcpdump on the loopback interface sees of three nodes while files move.

    python -m benchmarks.capture [--cell 65536]

Needs tcpdump and the right to use it. Prints, for every directed link, how many message frames of
each length went over it, and ends with an error where two links differ in the frames of their
bursts or a frame has a length of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks.pcap import Stream, segments
from flocksy.testing.over_tcp import write_flock
from flocksy.testing.recorder import Frames
from flocksy.testing.rig import Rig, wait_until

PORTS = (23511, 23512, 23513)
IDLE_CELL = 1024
CURVE_BYTES = 33
"""What CURVE puts around a message: "\\x07MESSAGE", a short nonce, the box's head, its flags."""
KEEPALIVE = {38, 40}
"""PONG and PING of ZMTP."""
START_SECONDS = 20.0


@contextlib.contextmanager
def capturing(path: Path) -> Iterator[None]:
    """Have tcpdump write what moves between the nodes to `path`."""
    tcpdump = shutil.which("tcpdump") or "/usr/sbin/tcpdump"
    ports = f"tcp portrange {min(PORTS)}-{max(PORTS)}"
    command = [tcpdump, "-i", "lo", "-B", "65536", "-s", "0", "-w", str(path), "-U"]
    with subprocess.Popen(
        [*command, "--time-stamp-precision", "nano", ports], stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_until(lambda: path.exists() and path.stat().st_size > 0, "tcpdump", START_SECONDS)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate()
            print(" · ".join(line for line in said.splitlines() if "packets" in line))


def play(rig: Rig) -> None:
    """Something of everything, from every node."""
    for number, node in enumerate(rig.nodes):
        (node.box / f"small {number}").write_text("little")
        rig.wait_equal()
        (node.box / f"large {number}").write_bytes(os.urandom(3 << 20))
        (node.box / f"hollow {number}").write_bytes(bytes(1 << 20))
        rig.wait_equal()
        (node.box / f"large {number}").rename(node.box / f"moved {number}")
        rig.wait_equal()
        (node.box / f"moved {number}").unlink()
        rig.wait_equal()


def frames_by_link(path: Path) -> dict[tuple[int, int], Counter[int]]:
    """Lengths of the message frames from the port of one node to the connection of another."""
    streams: dict[tuple[int, int], tuple[Stream, Frames]] = defaultdict(
        lambda: (Stream(), Frames(Counter(), Counter()))
    )
    for segment in segments(path):
        stream, frames = streams[segment.source[1], segment.target[1]]
        frames.take(stream.take(segment))
    return {ports: frames.lengths for ports, (_, frames) in streams.items() if ports[0] in PORTS}


def main() -> None:
    """Capture, count, compare."""
    parser = argparse.ArgumentParser(description="frames on the loopback interface")
    parser.add_argument("--cell", type=int, default=65536)
    cell = parser.parse_args().cell
    with tempfile.TemporaryDirectory(prefix="flocksy-capture-") as directory:
        place = Path(directory)
        path = place / "capture.pcap"
        configs = write_flock(
            place,
            [f"127.0.0.1:{port}" for port in PORTS],
            ["profile = fast", f"idle_cell = {IDLE_CELL}", f"burst_cell = {cell}"],
        )
        with capturing(path), Rig(configs, place) as rig:
            rig.start_all()
            rig.wait_for_view()
            rig.wait_in_sync()
            rig.wait_for_calm()
            began = time.monotonic()
            play(rig)
            print(f"played for {time.monotonic() - began:.1f} s")
            for node in rig.nodes:
                rig.stop(node)
        links = frames_by_link(path)
    idle, burst = IDLE_CELL + CURVE_BYTES, cell + CURVE_BYTES
    for (port, other), lengths in sorted(links.items()):
        odd = {length: n for length, n in lengths.items() if length not in {idle, burst}}
        print(f"{port} → {other}: {lengths[idle]} of {idle}, {lengths[burst]} of {burst}, {odd}")
    told = [lengths for lengths in links.values() if lengths[idle]]
    spread = max(n[idle] for n in told) - min(n[idle] for n in told)
    # The nodes start and stop one after the other: as many heartbeats more a node may have.
    print(f"links {len(told)}, bursts {sorted({n[burst] for n in told})}, heartbeats ± {spread}")
    if len(told) != len(PORTS) * (len(PORTS) - 1) or len({n[burst] for n in told}) != 1:
        sys.exit("the links differ")
    if any(set(n) - {idle, burst} - KEEPALIVE for n in told):
        sys.exit("a frame has a length of its own")


if __name__ == "__main__":
    main()
