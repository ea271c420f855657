"""Random hands on three folders, a bad network, nodes that come and go: nothing may get lost.

A run is made from its seed: phases of changes, losses, stops and restarts; then the faults end.
What must hold:

* At no time does flocksy make content disappear: what was in any box or history before some rounds
  is in one after them. Only the hands of the run ever take the last of something away.
* In the end all boxes are equal, nothing is wrong, and nothing moves any more.
* A content that no hand has overwritten, moved or deleted since it was written is then to be seen
  in every box, as itself or as a conflict copy.

Without pytest: `python -m tests.boxes.test_chaos --seeds 500 --first 1000`.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

import pytest

from flocksy.testing.lockstep import SCAN_SECONDS
from tests.boxes.flock_of_boxes import Flock, digest_of, make_spool, spool, visible

__all__ = ["spool"]

SEEDS = 8
PHASES = 4
CHANGES = 6
"""Changes in a phase, at most."""

ROUNDS = 12
"""Rounds after the changes of a phase, at most: some are everywhere by then, some are not."""

NAMES = ("a", "b.txt", "c.bin", "D ü", "e")
"""Few names, and the same for files and directories: paths shall collide."""


def replay(seed: int) -> str:
    """The command that runs one seed again."""
    return f"python -m tests.boxes.test_chaos --seeds 1 --first {seed}"


class Chaos:
    """One run."""

    def __init__(self, flock: Flock, seed: int) -> None:
        self.flock = flock
        self.draw = random.Random(seed)
        self.loss = 0.0
        self.script: list[str] = []
        self.untouched: set[str] = set()
        """Digests of what was written and that no hand has touched since."""
        self.written = 0
        flock.lost = self._lost

    def run(self) -> None:
        """All phases, and the end."""
        for _ in range(PHASES):
            self.phase()
        self.loss, self.flock.scan_s = 0.0, SCAN_SECONDS
        self.note("the faults end")
        for node in self.flock.nodes:
            if not node.up:
                self.flock.restart(node.lane)
        before = self.flock.contents()
        self.flock.settle_equal()
        self.nothing_lost(before)
        gone = self.untouched - visible(self.flock.path(0))
        assert not gone, f"nobody touched {gone}, but nobody sees it"

    def phase(self) -> None:
        """Some changes, some rounds, maybe some faults."""
        draw, flock = self.draw, self.flock
        self.loss = draw.choice((0.0, 0.0, 0.02, 0.3))
        flock.scan_s = draw.choice((SCAN_SECONDS, SCAN_SECONDS, 0.0, 0.002))
        if draw.random() < 0.3:
            self.stop_or_start()
        for _ in range(draw.randint(1, CHANGES)):
            self.change(draw.randrange(len(flock.nodes)))
            if draw.random() < 0.3:
                self.rounds(draw.randint(1, 3))
        if draw.random() < 0.3:
            self.stop_or_start()
        self.rounds(draw.randint(0, ROUNDS))
        if draw.random() < 0.3 and self.loss == 0.0 and 2 * len(flock.up) > len(flock.nodes):
            flock.scan_s = SCAN_SECONDS
            before = flock.contents()
            flock.settle()
            self.nothing_lost(before)

    def rounds(self, count: int) -> None:
        """Let flocksy work."""
        before = self.flock.contents()
        self.note(f"{count} rounds, loss {self.loss}")
        for _ in range(count):
            self.flock.step()
        self.nothing_lost(before)

    def nothing_lost(self, before: set[str]) -> None:
        """Check that what people had is still there."""
        lost = before - self.flock.contents()
        assert not lost, f"content is gone from all boxes and histories: {lost}"

    def stop_or_start(self) -> None:
        """One node ends, or comes back."""
        lane = self.draw.randrange(len(self.flock.nodes))
        if not self.flock.nodes[lane].up:
            self.note(f"restart({lane})")
            self.flock.restart(lane)
        elif len(self.flock.up) > 1:
            end = self.draw.choice((self.flock.stop, self.flock.kill))
            self.note(f"{end.__name__}({lane})")
            before = self.flock.contents()
            end(lane)
            self.nothing_lost(before)

    # -- what hands do --------------------------------------------------------------------------

    def change(self, lane: int) -> None:
        """One thing that somebody does in the box of one node."""
        hands = (
            (self.write, 6),
            (self.rename, 4),
            (self.delete, 3),
            (self.copy, 1),
            (self.link, 1),
            (self.chmod, 1),
            (self.make_directory, 1),
        )
        (hand,) = self.draw.choices([one for one, _ in hands], [share for _, share in hands])
        hand(lane)

    def some_path(self, lane: int) -> Path:
        """Where something may be or not."""
        depth = self.draw.choice((1, 1, 2, 3))
        return self.flock.path(lane, "/".join(self.draw.choice(NAMES) for _ in range(depth)))

    def existing(self, lane: int) -> Path | None:
        """Something that is there."""
        root = self.flock.path(lane)
        every = sorted(
            one for one in root.rglob("*") if ".flocksy" not in one.relative_to(root).parts
        )
        return self.draw.choice(every) if every else None

    def target(self, lane: int) -> Path:
        """Something that is there, or may be."""
        there = self.existing(lane) if self.draw.random() < 0.5 else None
        return there or self.some_path(lane)

    def clear(self, path: Path) -> bool:
        """Make the path one that something can be put at. False: it cannot be."""
        for above in reversed(path.parents):
            if above.is_symlink() or (above.exists() and not above.is_dir()):
                return False
        path.parent.mkdir(parents=True, exist_ok=True)
        self.touch(path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        return True

    def touch(self, path: Path) -> None:
        """What is at the path, or below it, is not what somebody left untouched any more."""
        self.untouched -= {digest_of(path)} | (
            set() if path.is_symlink() or not path.is_dir() else visible(path)
        )

    def note(self, line: str) -> None:
        """Remember what was done, for who reads about a failure."""
        self.script.append(line)

    def say(self, words: str, *paths: Path) -> None:
        names = [str(path.relative_to(self.flock.root)) for path in paths]
        self.note(f"{words} {names}")

    def write(self, lane: int) -> None:
        path = self.target(lane)
        if not self.clear(path):
            return
        self.written += 1
        size = self.draw.choice((10, 10, 1_000, 6_000, 40_000, 250_000))
        words = f"content {self.written} ".encode()
        content = words + random.Random(self.written).randbytes(size)
        self.say(f"write {self.written} ({size})", path)
        if path.is_symlink() or self.draw.random() < 0.3:
            new = path.with_name(f"{path.name}.{self.written}.tmp")
            new.write_bytes(content)
            new.replace(path)
        else:
            path.write_bytes(content)
        self.untouched.add(digest_of(path))

    def rename(self, lane: int) -> None:
        path, target = self.existing(lane), self.target(lane)
        if path is None or path == target or path in target.parents or target in path.parents:
            return
        # First, since it may itself be at the target or below it.
        moved = path.is_dir() and not path.is_symlink()
        self.touch(path)
        if self.clear(target):
            self.say("rename", path, target)
            if moved and (target.is_symlink() or target.exists()):
                target.unlink()
            path.rename(target)

    def delete(self, lane: int) -> None:
        path = self.existing(lane)
        if path is None:
            return
        self.say("delete", path)
        self.touch(path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def copy(self, lane: int) -> None:
        path, target = self.existing(lane), self.target(lane)
        if path is None or path.is_symlink() or not path.is_file() or path == target:
            return
        if target in path.parents:
            return
        content = path.read_bytes()
        if self.clear(target):
            self.say("copy", path, target)
            if target.is_symlink():
                target.unlink()
            target.write_bytes(content)

    def link(self, lane: int) -> None:
        path = self.target(lane)
        if self.clear(path):
            self.say("link", path)
            path.unlink(missing_ok=True)
            self.written += 1
            os.symlink(f"nowhere/{self.written}", path)
            self.untouched.add(digest_of(path))

    def chmod(self, lane: int) -> None:
        path = self.existing(lane)
        if path is not None and not path.is_symlink():
            mode = 0o700 if path.is_dir() else self.draw.choice((0o600, 0o640, 0o755))
            self.say(f"chmod {mode:o}", path)
            path.chmod(mode)

    def make_directory(self, lane: int) -> None:
        path = self.some_path(lane)
        if not path.exists() and not path.is_symlink() and self.clear(path):
            self.say("mkdir", path)
            path.mkdir()

    def _lost(self, _sender: int, _receiver: int, _round: int) -> bool:
        return self.loss > 0 and self.draw.random() < self.loss


def run(root: Path, spool: Path, seed: int) -> None:
    """One seed. What fails carries the story and the command that tells it again."""
    with Flock(root, spool, seed=seed) as flock:
        chaos = Chaos(flock, seed)
        try:
            chaos.run()
        except Exception as error:
            story = "\n  ".join([f"seed {seed}: {replay(seed)}", *chaos.script])
            raise AssertionError(f"{error}\n  {story}") from error


@pytest.mark.parametrize("seed", range(SEEDS))
def test_chaos(tmp_path: Path, spool: Path, seed: int) -> None:
    run(tmp_path, spool, seed)


def main() -> int:
    """Run many seeds, and say which ones fail."""
    parser = argparse.ArgumentParser(description="random changes and faults, seed by seed")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--same", action="store_true", help="the first seed again and again")
    parser.add_argument("--keep", action="store_true", help="leave the folders of a failed run")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        spool = make_spool(Path(folder, "spool"))
        for number in range(options.seeds):
            seed = options.first + (0 if options.same else number)
            root = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
            try:
                run(root, spool, seed)
            except Exception:  # noqa: BLE001 - whatever it is, the other seeds are still to run
                failed += 1
                traceback.print_exc(file=sys.stdout)
                print(f"seed {seed} failed: {replay(seed)}", flush=True)
                if options.keep:
                    print(f"left in {root}")
                    continue
            else:
                print(f"seed {seed}: fine", flush=True)
            shutil.rmtree(root)
    print(f"{failed} of {options.seeds} seeds failed; the first was {options.first}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
