"""The three-node rig: `make rig`.

Three real nodes on three temporary boxes; real files are put in, edited, renamed and deleted on
different nodes, and after every step the boxes must be equal. At the end every node must have sent
equally many cells on every link. Exits 0 when all is so, and otherwise with 1 and the logs' ends.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from flocksy.errors import FlocksyError
from flocksy.testing.cells import Cells, cells_since, check_cells, count_cells
from flocksy.testing.rig import Rig, RigError, RigNode

HERE = Path(__file__).resolve().parent.parent

SMALL_FILES = 200
BIG_FILE_BYTES = 8 * 1024 * 1024


def main() -> int:
    """Run the rig. Returns the exit status."""
    configs = [HERE / "test-configs" / f"node{number}" for number in (1, 2, 3)]
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - started:6.1f} s] {text}", flush=True)

    with Rig(configs, HERE / "keys-example") as rig:
        try:
            _run(rig, say)
        except (RigError, FlocksyError, OSError) as error:
            say(f"FAILED: {error}")
            print(rig.log_tails(), file=sys.stderr)
            return 1
    say("all three boxes were equal after every step, and all nodes looked the same")
    return 0


def _run(rig: Rig, say: Callable[[str], None]) -> None:
    say("starting three nodes, profile fast")
    rig.start_all()
    rig.wait_for_view()
    say("all three see each other")
    rig.wait_in_sync()
    before = count_cells(rig)
    for text, step in (
        (
            "node1: puts in small and large, empty and deep, files and links, names of all kinds",
            _fill,
        ),
        ("node2: edits in the middle, appends, replaces; changes modes", _edit),
        ("node3: renames a file and a directory, across directories and by case", _rename),
        ("node1, node2, node3: each adds files in the same moment", _add_everywhere),
        ("node2: deletes a file, a link, and a whole tree", _delete),
    ):
        say(text)
        step(rig.nodes)
        say(f"  equal on all three after {rig.wait_equal():.2f} s")
    _show_boxes(rig, say)
    _show_cells(before, count_cells(rig), rig, say)
    for node in rig.nodes:
        code = rig.stop(node)
        if code != 0:
            raise RigError(f"{node.name} ended with {code}")
    say("all three stopped cleanly")


def _fill(nodes: list[RigNode]) -> None:
    box = nodes[0].box
    source = random.Random(1)
    (box / "letter.txt").write_text("Dear all,\n" * 100)
    (box / "large.bin").write_bytes(source.randbytes(BIG_FILE_BYTES))
    (box / "empty file").touch()
    (box / "empty directory").mkdir()
    (box / "run.sh").write_text("#!/bin/sh\necho hello\n")
    (box / "run.sh").chmod(0o755)
    (box / "link to letter").symlink_to("letter.txt")
    (box / "dangling link").symlink_to("../nowhere/at all")
    for name in ("übergröße.txt", "日本語.txt", "🐑 flock.txt", "-rf *", 'quote " and \\.txt'):
        (box / name).write_text(f"The name is {name}\n")
    for number in range(SMALL_FILES):
        folder = box / "tree" / f"branch {number % 7}" / f"twig {number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        leaf = folder / f"leaf {number}"
        leaf.write_bytes(source.randbytes(source.randrange(1, 6000)))
        os.utime(leaf, (1_600_000_000 + number, 1_600_000_000 + number))


def _edit(nodes: list[RigNode]) -> None:
    box = nodes[1].box
    with (box / "large.bin").open("r+b") as file:
        file.seek(BIG_FILE_BYTES // 2)
        file.write(b"changed" * 500)
    with (box / "letter.txt").open("a") as file:
        file.write("Yours,\nthe second node\n")
    (box / "replacement").write_text("a new one, moved over the old one")
    (box / "replacement").replace(box / "empty file")
    (box / "run.sh").chmod(0o700)
    (box / "tree" / "branch 1").chmod(0o750)


def _rename(nodes: list[RigNode]) -> None:
    box = nodes[2].box
    (box / "large.bin").rename(box / "tree" / "large, moved.bin")
    (box / "tree" / "branch 2").rename(box / "branch 2, moved")
    (box / "letter.txt").rename(box / "Letter.txt")


def _add_everywhere(nodes: list[RigNode]) -> None:
    for node in nodes:
        (node.box / f"from {node.name}").write_text(f"{node.name} was here\n" * 50)
        (node.box / f"block of {node.name}").write_bytes(
            random.Random(node.name).randbytes(300_000)
        )


def _delete(nodes: list[RigNode]) -> None:
    box = nodes[1].box
    (box / "-rf *").unlink()
    (box / "dangling link").unlink()
    (box / "empty directory").rmdir()
    shutil.rmtree(box / "tree")


def _show_boxes(rig: Rig, say: Callable[[str], None]) -> None:
    for node in rig.nodes:
        names = [entry for entry in node.box.rglob("*") if ".flocksy" not in entry.parts]
        size = sum(entry.lstat().st_size for entry in names if entry.is_file())
        say(f"  {node.name}: {len(names)} entries, {size:,} bytes in {node.box}")


def _show_cells(before: Cells, after: Cells, rig: Rig, say: Callable[[str], None]) -> None:
    say("cells out since all saw each other (idle + burst):")
    sent = cells_since(before, after)
    for name, endpoint in sorted(sent):
        idle, burst = sent[name, endpoint]
        say(f"  {name} to {endpoint.rpartition('/')[2]}: {idle} + {burst}")
    check_cells(sent, len(rig.nodes) * (len(rig.nodes) - 1))


if __name__ == "__main__":
    sys.exit(main())
