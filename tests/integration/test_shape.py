"""What somebody on the network sees of three nodes over TCP while one has something real."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flocksy.keys.files import generate_pair
from flocksy.testing.cells import GEAR_CHANGE_CELLS, cells_since, check_cells, count_cells
from flocksy.testing.over_tcp import free_ports
from flocksy.testing.recorder import Recorder
from flocksy.testing.rig import CONFIGURED_ROOT, Rig
from tests.integration.flock import KIB, MIB, flying, random_bytes

IDLE_CELL = 1024
BURST_CELL = 16384
CURVE_BYTES = 33
"""What CURVE puts around a message: "\\x07MESSAGE", a short nonce, the box's head, its flags."""

IDLE_FRAME = IDLE_CELL + CURVE_BYTES
BURST_FRAME = BURST_CELL + CURVE_BYTES
KEEPALIVE_FRAMES = {38, 40}
"""PONG and PING of ZMTP, on a timer of their own on every link."""

NODES = 3


@dataclass
class Watched:
    """A rig whose links all go through a recorder."""

    rig: Rig
    recorder: Recorder


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    recorder = Recorder()
    ports = free_ports(NODES)
    pairs = [generate_pair() for _ in ports]
    keystore: dict[str, str] = {}
    configs = []
    for number, port in enumerate(ports):
        keystore[f"tcp://127.0.0.1:{port}"] = pairs[number].public_key
        lines = [f"hostname = 127.0.0.1:{port}", f"box = shared@{CONFIGURED_ROOT}/box{number + 1}"]
        for other, target in enumerate(ports):
            if other != number:
                link = recorder.link(target)
                keystore[f"tcp://127.0.0.1:{link.port}"] = pairs[other].public_key
                lines.append(f"node = 127.0.0.1:{link.port}")
        config = tmp_path / f"node{number + 1}"
        config.write_text("\n".join([*lines, *SETTINGS]))
        configs.append(config)
    (tmp_path / "flocksy_keystore").write_text(json.dumps(keystore))
    private = {
        f"tcp://127.0.0.1:{port}": {"public_key": pair.public_key, "private_key": pair.private_key}
        for port, pair in zip(ports, pairs, strict=True)
    }
    (tmp_path / "flocksy_privatekeys").write_text(json.dumps(private))
    recorder.start()
    try:
        with flying(Rig(configs, tmp_path)) as rig:
            yield Watched(rig, recorder)
    finally:
        recorder.close()


SETTINGS = (
    "keystore = ../keys-example/flocksy_keystore",
    "privatekey = ../keys-example/flocksy_privatekeys",
    "profile = fast",
    f"idle_cell = {IDLE_CELL}",
    f"burst_cell = {BURST_CELL}",
)


@pytest.mark.timeout(200)
def test_all_links_look_the_same_whoever_sends(watched: Watched) -> None:
    rig, recorder = watched.rig, watched.recorder
    before = count_cells(rig)
    frames_before = [Counter(link.lengths) for link in recorder.links]
    for number, node in enumerate(rig.nodes):
        (node.box / f"in heartbeats {number}").write_text("little")
        rig.wait_equal()
        (node.box / f"in bursts {number}").write_bytes(random_bytes(MIB, number))
        for size in range(20):
            (node.box / f"compressible {number} {size}").write_bytes(bytes(size * KIB))
        rig.wait_equal()
        (node.box / f"in bursts {number}").unlink()
        rig.wait_equal()
    sent = cells_since(before, count_cells(rig))
    check_cells(sent, NODES * (NODES - 1))

    frames = [
        Counter(link.lengths) - old for link, old in zip(recorder.links, frames_before, strict=True)
    ]
    bursts = {burst for _, burst in sent.values()}
    assert bursts != {0}
    for seen in frames:
        assert set(seen) <= {IDLE_FRAME, BURST_FRAME, *KEEPALIVE_FRAMES}, seen
        assert {seen[BURST_FRAME]} == bursts
    idle = [seen[IDLE_FRAME] for seen in frames]
    assert max(idle) - min(idle) <= GEAR_CHANGE_CELLS
    # What goes back (handshake, subscription, pings) is the same in kind on every link.
    assert len({frozenset(link.back) for link in recorder.links}) == 1
    handshakes = {frozenset(link.commands) for link in recorder.links}
    assert len(handshakes) == 1 and handshakes != {frozenset()}
