"""Flocks of three real nodes for the tests here: started, checked while they run, and ended."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flocksy.testing.rig import Rig, RigNode, wait_until

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CONFIGS = tuple(ROOT / "test-configs" / f"node{number}" for number in (1, 2, 3))
KEYS = ROOT / "keys-example"
ORIGINAL = HERE / "original"

KIB = 1024
MIB = 1024 * KIB
COMMAND_SECONDS = 20.0


@contextmanager
def flying(rig: Rig) -> Iterator[Rig]:
    """Start all nodes of `rig`; afterwards stop them, and no log may tell of anything broken."""
    with rig:
        rig.start_all()
        rig.wait_for_view()
        rig.wait_in_sync()
        yield rig
        for node in rig.nodes:
            if node.running:
                assert rig.stop(node) == 0, rig.log_tails()
        assert rig.complaints() == []


def rig_of_three(settings: Sequence[str] = ()) -> Rig:
    """The rig of `make rig`, profile fast, with more lines of configuration."""
    return Rig(CONFIGS, KEYS, settings)


def random_bytes(size: int, seed: int) -> bytes:
    """The same bytes for the same seed, which no compression makes smaller."""
    return random.Random(seed).randbytes(size)


def wait_for_files(nodes: Sequence[RigNode], names: Sequence[str], timeout_seconds: float) -> None:
    """Wait until all `nodes` have all of `names` in their boxes."""
    wait_until(
        lambda: all((node.box / name).exists() for node in nodes for name in names),
        f"{', '.join(names)} on {', '.join(node.name for node in nodes)}",
        timeout_seconds,
    )


def command(node: RigNode, *words: str, status: int = 0) -> str:
    """Run a command of the node and return what it printed. It must end with `status`."""
    done = node.run(*words, timeout_seconds=COMMAND_SECONDS)
    assert done.returncode == status, (words, done.returncode, done.stdout, done.stderr)
    if status == 0:
        assert done.stderr == "", done.stderr
        return done.stdout
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("flocksy: "), done.stderr
    return done.stderr


def box_status(node: RigNode, name: str = "shared") -> dict[str, object]:
    """What the node's status says of one of its boxes."""
    boxes = node.status()["boxes"]
    assert isinstance(boxes, list)
    return next(box for box in boxes if box["name"] == name)


def not_of_the_interpreter(complaints: list[str]) -> list[str]:
    """Without what the interpreter itself says of a process that was killed: its helper cleans up,
    and a process that was just being started finds nothing to read."""
    broken = [line for line in complaints if "resource_tracker" not in line]
    for end in [line for line in broken if line.endswith(": EOFError: Ran out of input")]:
        broken.remove(end)
        broken.remove(
            end.replace("EOFError: Ran out of input", "Traceback (most recent call last):")
        )
    return broken
