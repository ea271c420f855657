"""A huge file with next to nothing in it, as images of disks are: does it take memory, or room?

    python -m benchmarks.sparse [--gigabytes 2 20]

Three real nodes, profile `fast`. Node 1's box gets the file, some words and holes between them; it
counts until both others hold it, and then until they hold a word that was changed in its middle.
Printed are seconds and processor seconds of nodes 1 and 2, the most memory that their processes
have had at a time, the bytes that all lanes carried, and the room that the file takes elsewhere.

Each size has nodes of its own, since a process has only one peak. It ends with an error where any
process of any node has had more than 150 MiB, and where a kind of process has had much more with
another size than with the first: memory is not to follow from the size of a file.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.crowd import timed
from benchmarks.delta import carried
from flocksy.testing import processes
from flocksy.testing.rig import Rig, RigError

HERE = Path(__file__).resolve().parent.parent
GB = 1_000_000_000
WORDS = 16
MIB = 1 << 20
MOST_MIB = 150
"""For each process."""
FLAT_MIB = 16
"""What a kind of process may have had more with another size: which work was in hand at a time is
not the same in any two runs."""

Peaks = dict[str, int]
"""The most MiB that any process of each kind has had."""


def write_at(path: Path, offset: int, word: bytes) -> None:
    """Write a word, and leave all else alone."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        os.pwrite(descriptor, word, offset)
    finally:
        os.close(descriptor)


def word_at(path: Path, offset: int, length: int) -> bytes:
    """What stands there; nothing where there is no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return b""
    try:
        return os.pread(descriptor, length, offset)
    finally:
        os.close(descriptor)


def measure(rig: Rig, size: int) -> None:
    """Raises `RigError`."""
    source, *others = (node.box / "disk.img" for node in rig.nodes)

    def written(word: bytes, offsets: list[int]) -> Callable[[], None]:
        def write() -> None:
            for offset in offsets:
                write_at(source, offset, word)

        return write

    def shows(word: bytes, offset: int) -> Callable[[], bool]:
        return lambda: all(word_at(path, offset, len(word)) == word for path in others)

    places = [number * (size // WORDS) for number in range(WORDS)] + [size - 4]
    before = carried(rig)
    timed(rig, f"{size // GB} GB, new", written(b"word", places), shows(b"word", size - 4))
    print(f"carried {(carried(rig) - before) / 1e6:.2f} MB", flush=True)
    before = carried(rig)
    middle = places[WORDS // 2]
    timed(rig, "one word in its middle", written(b"new!", [middle]), shows(b"new!", middle))
    print(f"carried {(carried(rig) - before) / 1e6:.2f} MB", flush=True)
    for path in others:
        found = path.stat()
        if found.st_size != size:
            raise RigError(f"{path} has {found.st_size} bytes")
        print(f"takes {found.st_blocks * 512 / 1e6:.1f} MB there", flush=True)


def peaks(rig: Rig) -> Peaks:
    """Of all nodes so far."""
    found: Peaks = {}
    for node in rig.nodes:
        assert node.process is not None
        for role, pid in processes.roles(node.process.pid).items():
            found[role] = max(found.get(role, 0), processes.taken(pid).peak_bytes // MIB)
    return found


def beyond(found: dict[int, Peaks]) -> list[str]:
    """What is too much, by gigabytes; the first ones are what the others are compared with."""
    first, *others = found
    too_much = [
        f"{size} GB: the {role} process has had {peak} MiB, more than {MOST_MIB}"
        for size, by_role in found.items()
        for role, peak in by_role.items()
        if peak > MOST_MIB
    ]
    for size in others:
        for role, peak in found[size].items():
            before = found[first].get(role, peak)
            if peak > before + FLAT_MIB:
                had = f"the {role} process has had {peak} MiB"
                too_much.append(f"{size} GB: {had}, and {before} with {first} GB")
    return too_much


def run(size: int) -> Peaks:
    """One flock, and a file of that many gigabytes. Raises `RigError`."""
    configs = [HERE / "test-configs" / f"node{number}" for number in (1, 2, 3)]
    with Rig(configs, HERE / "keys-example") as rig:
        try:
            rig.start_all()
            rig.wait_for_view()
            rig.wait_in_sync()
            measure(rig, size * GB)
            return peaks(rig)
        except RigError as error:
            raise RigError(f"{error}\n{rig.log_tails()}") from error


def main() -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--gigabytes", type=int, nargs="+", default=[2, 20])
    given = parser.parse_args()
    found: dict[int, Peaks] = {}
    try:
        for size in given.gigabytes:
            found[size] = run(size)
    except RigError as error:
        print(error, file=sys.stderr)
        return 1
    for size, by_role in found.items():
        said = ", ".join(f"{role} {peak}" for role, peak in by_role.items())
        print(f"{size} GB: peak MiB of any node's processes: {said}")
    too_much = beyond(found)
    for line in too_much:
        print(line, file=sys.stderr)
    return 1 if too_much else 0


if __name__ == "__main__":
    sys.exit(main())
