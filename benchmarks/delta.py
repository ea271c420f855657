"""What a change in a large file costs in lanes, beside what rsync sends for the same.

    python -m benchmarks.delta [--megabytes 512] [--files 1000]

Three real nodes, profile `fast`. One file of random bytes is put into node 1's box; then 4 KiB in
its middle are overwritten in place, 1 KiB is inserted at its front, it is renamed, and a directory
of many files is moved. Each time it prints the bytes of messages that all lanes together have
carried (cover is not counted; what a lane carries goes to both others at once), and the seconds
until both others hold the same, from the moment the change was made.

*rsync* is `rsync --no-whole-file` from the changed file to a copy of the earlier one, bytes sent
and received, for one receiver; printed is also what is carried beside both of them. It ends with an
error where the lanes carry more than twice what rsync does for one. A change costs a whole chunk,
which is small beside a large file: a file of a few MiB is no measure of it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from flocksy.testing.rig import Rig, RigError, RigNode
from flocksy.testing.trees import snapshot

HERE = Path(__file__).resolve().parent.parent
PATIENCE_S = 300.0
POLL_S = 0.01
MIB = 1 << 20
PIECE = 16 * MIB
INSERTED_BYTES = 1024
OVERWRITTEN_BYTES = 4096
RECEIVERS = 2
MOST_OF_RSYNC = 2.0
"""Of what rsync exchanges with one receiver."""
RSYNC_COUNTS = re.compile(r"Total bytes (?:sent|received): ([\d,]+)")


class TooMuch(RigError):
    """A change was everywhere, but cost more than it may."""


def carried(rig: Rig) -> int:
    """Bytes of messages in all lanes, as node 2 has seen them: what each of them has seen."""
    queue = rig.nodes[1].status()["queue"]
    assert isinstance(queue, dict)
    return int(queue["bytes_carried"])


def write_noise(path: Path, size: int, head: bytes = b"") -> None:
    """A file of random bytes, written beside its place first."""
    unfinished = path.parent / ".flocksy" / "unfinished"
    with unfinished.open("wb") as file:
        file.write(head)
        for at in range(0, size, PIECE):
            file.write(os.urandom(min(PIECE, size - at)))
    unfinished.rename(path)


def insert_at_front(path: Path) -> None:
    """As an editor saves: a new file takes the place of the old one."""
    unfinished = path.parent / ".flocksy" / "unfinished"
    with unfinished.open("wb") as file, path.open("rb") as old:
        file.write(os.urandom(INSERTED_BYTES))
        shutil.copyfileobj(old, file, PIECE)
    unfinished.rename(path)


def overwrite_in_middle(path: Path) -> None:
    """In place."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(os.urandom(OVERWRITTEN_BYTES))


def measure(rig: Rig, what: str, change: Callable[[], None], done: Callable[[Path], bool]) -> int:
    """Make a change on node 1 and print what it cost. Returns the bytes carried."""
    rig.wait_in_sync()
    before = carried(rig)
    change()
    started = time.monotonic()
    waiting = [node.box for node in rig.nodes[1:]]
    while waiting := [box for box in waiting if not done(box)]:
        if time.monotonic() - started > PATIENCE_S:
            raise RigError(f"{what}: not everywhere within {PATIENCE_S:g} s")
        time.sleep(POLL_S)
    seconds = time.monotonic() - started
    rig.wait_equal()
    cost = carried(rig) - before
    print(f"{what:42} {cost / MIB:9.3f} MiB in lanes {seconds:7.2f} s", flush=True)
    return cost


def rsync(old: Path, new: Path) -> float:
    """MiB that rsync exchanges with one receiver of `new` that has `old`. Keeps `old`."""
    with tempfile.TemporaryDirectory(dir=old.parent) as directory:
        target = Path(directory) / "target"
        shutil.copyfile(old, target)
        done = subprocess.run(
            ["rsync", "--no-whole-file", "--ignore-times", "--stats", str(new), str(target)],
            capture_output=True,
            text=True,
            check=True,
        )
    counts = [int(one.replace(",", "")) for one in RSYNC_COUNTS.findall(done.stdout)]
    return sum(counts) / MIB


def judged(what: str, ours: float, one: float) -> tuple[str, str]:
    """What we carried, beside what rsync exchanges with one receiver: a line that says so, and one
    that says that it is too much, else nothing."""
    every = RECEIVERS * one
    said = (
        f"{one:9.3f} MiB by rsync; ours is {ours / one:.2f} of it,"
        f" and {ours / every:.2f} of what it is for both receivers"
    )
    if ours <= MOST_OF_RSYNC * one:
        return said, ""
    most = f"{MOST_OF_RSYNC:g} times the {one:.3f} MiB of rsync"
    return said, f"{what}: {ours:.3f} MiB in lanes, more than {most}"


def compare(rig: Rig, what: str, path: Path, change: Callable[[Path], None]) -> str:
    """A change in the large file, with rsync beside it. Returns what is too much of it."""
    old = rig.root / "old"
    shutil.copyfile(path, old)

    def done(box: Path) -> bool:
        found, wanted = (box / path.name).stat(), path.stat()
        return (found.st_size, found.st_mtime_ns) == (wanted.st_size, wanted.st_mtime_ns)

    cost = measure(rig, what, lambda: change(path), done) / MIB
    said, too_much = judged(what, cost, rsync(old, path))
    old.unlink()
    print(f"{'':42} {said}", flush=True)
    return too_much


def rename(node: RigNode, old: str, new: str) -> Callable[[], None]:
    """Renames something in a node's box when it is called."""
    return lambda: os.rename(node.box / old, node.box / new)


def run(rig: Rig, megabytes: int, files: int) -> None:
    """All changes, one after the other. Raises `TooMuch` after all of them, in one line."""
    node = rig.nodes[0]
    big = node.box / "big.bin"
    size = megabytes * MIB
    measure(
        rig,
        f"{megabytes} MiB of random bytes",
        lambda: write_noise(big, size),
        lambda box: (box / "big.bin").exists() and (box / "big.bin").stat().st_size == size,
    )
    too_much = [
        compare(rig, "4 KiB overwritten in its middle", big, overwrite_in_middle),
        compare(rig, "1 KiB inserted at its front", big, insert_at_front),
    ]
    measure(
        rig,
        "renamed",
        rename(node, "big.bin", "renamed.bin"),
        lambda box: (box / "renamed.bin").exists() and not (box / "big.bin").exists(),
    )

    def fill() -> None:
        folder = node.box / ".flocksy" / "folder"
        folder.mkdir()
        for number in range(files):
            (folder / f"f{number}").write_bytes(os.urandom(16_384))
        folder.rename(node.box / "folder")

    def count(folder: Path) -> int:
        return len(snapshot(folder, contents=False)) if folder.exists() else -1

    measure(rig, f"{files} files of 16 KiB", fill, lambda box: count(box / "folder") == files)
    measure(
        rig,
        f"their directory moved ({files} records)",
        rename(node, "folder", "moved"),
        lambda box: count(box / "moved") == files and not (box / "folder").exists(),
    )
    if found := "; ".join(filter(None, too_much)):
        raise TooMuch(found)


def main() -> int:
    """Run the benchmark. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--megabytes", type=int, default=512)
    parser.add_argument("--files", type=int, default=1000)
    given = parser.parse_args()
    if shutil.which("rsync") is None:
        print("rsync is not installed: apt-get install rsync", file=sys.stderr)
        return 1
    configs = [HERE / "test-configs" / f"node{number}" for number in (1, 2, 3)]
    with Rig(configs, HERE / "keys-example") as rig:
        try:
            rig.start_all()
            rig.wait_for_view()
            rig.wait_for_calm()
            run(rig, given.megabytes, given.files)
        except TooMuch as error:
            print(error, file=sys.stderr)
            return 1
        except RigError as error:
            print(f"{error}\n{rig.log_tails()}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
