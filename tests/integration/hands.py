"""Hands that work on all boxes of a rig, and what must hold whenever they rest.

At every rest all boxes are equal and in sync, every file is one that somebody wrote as a whole,
what nobody touched after writing it is where it was written, and no content is gone that no hand
took away.

Hands write and rename, delete files and folders, and put a folder where a file was. What a hand
deletes while no node looks (it was killed, or it is still starting), or moves away and then
overwrites where it came to, is a deletion that the node may ask a person about. The hands are that
person's, too: whoever asks gets a yes or a no, and it is counted. After a no it may turn out that
nobody has what is to come back, since its maker was killed before it had told the content to
anybody: the nodes say so. Where some of them show what was there before, and others have nothing to
show, the hands dismiss it where it shows.
"""

from __future__ import annotations

import errno
import hashlib
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from flocksy.boxes.missing import WORDS
from flocksy.status.model import BoxState
from flocksy.testing.rig import POLL_SECONDS, Rig, RigError, RigNode
from tests.boxes.flock_of_boxes import digest_of, visible
from tests.integration.flock import COMMAND_SECONDS, KIB, box_status, command

STILL_SECONDS = 60.0
"""A flock in which so long nothing changes has stopped, however laden the machine is: what waits
longest by itself is a path that was refused a few times."""

MOST_SECONDS = 420.0
"""For a rest, whatever moves."""

BOX = "shared"

NAMES = ("a", "b.txt", "c.bin", "D ü", "e", "f", "g.md", "h")
SIZES = (10, 10, 1_000, 6_000, 40 * KIB, 250 * KIB, 2_000 * KIB)


class Hands:
    """Everybody who works on the boxes of a rig that flies."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.rig = rig
        self.draw = random.Random(seed)
        self.written: set[str] = set()
        """Digests of everything that a hand has ever begun to write."""
        self.untouched: set[str] = set()
        """Those that were finished, and that no hand has overwritten or deleted since."""
        self.precious: dict[str, str] = {}
        """Path and digest of what is written once and never touched again."""
        self.answers = 0
        """How often a node was given a person's word."""
        self.deletions = 0
        """How often something was taken away, a file or a folder with all that is in it."""
        self._count = 0
        self.known(b"")  # seen between the opening and the writing of a file

    def rest(self) -> None:
        """Let the flock finish, and check what it has made of everything."""
        self.rig.wait_for_view()
        self.finish()
        self.dismiss()
        self.rig.wait_equal()
        for node in self.rig.nodes:
            here = visible(node.box)
            half = here - self.written
            assert not half, f"{node.name} shows what nobody wrote: {half}"
            for path, digest in self.precious.items():
                assert digest_of(node.box / path) == digest, f"{node.name} has lost {path}"
        lost = self.untouched - self.contents()
        assert not lost, f"gone from all boxes and histories: {lost}"

    def finish(self) -> None:
        """Until every node says that it is in sync. Bounded by what moves, not by the clock."""
        began = moved = time.monotonic()
        before: list[str] = []
        while True:
            states = [box_status(node, BOX)["state"] for node in self.rig.nodes]
            if all(state == BoxState.IN_SYNC for state in states):
                return
            for node, state in zip(self.rig.nodes, states, strict=True):
                if state == BoxState.ASKING:
                    self.answer(node)
            now, said = time.monotonic(), [told(node) for node in self.rig.nodes]
            if said != before:
                before, moved = said, now
            if now - moved > STILL_SECONDS or now - began > MOST_SECONDS:
                still = f"{now - began:.0f} s, nothing has changed for the last {now - moved:.0f}"
                raise RigError("\n  ".join([f"not in sync after {still}:", *said]))
            time.sleep(POLL_SECONDS)

    def answer(self, node: RigNode) -> None:
        """A person's word, for what hands have deleted while nobody looked."""
        command(node, self.draw.choice(("approve", "reject")), BOX)
        self.answers += 1

    def dismiss(self) -> None:
        """A person's word, where nobody has what is missing and some show what was there before it:
        then that is what all are to show. Who was started since asks everybody once more first."""
        began = time.monotonic()
        while self.rig.unequal() and time.monotonic() - began < STILL_SECONDS:
            for node in self.rig.nodes:
                for path in missing(node):
                    if (node.box / path).exists():
                        there = str(node.box / path)
                        done = node.run("dismiss", there, timeout_seconds=COMMAND_SECONDS)
                        self.answers += done.returncode == 0
            self.finish()

    def contents(self) -> set[str]:
        """Digests of every content in any box or history."""
        found: set[str] = set()
        for node in self.rig.nodes:
            found |= visible(node.box)
            for path in (node.box / ".flocksy" / "history").rglob("*"):
                found.add(digest_of(path))
        return found

    def change(self, away: RigNode | None = None) -> None:
        """One thing that somebody does in one box, which may be that of a node that is away."""
        node = away or self.draw.choice(self.rig.nodes)
        every = (self.write, self.keep, self.rename, self.delete, self.clear, self.replace)
        hand = self.draw.choices(every, (12, 4, 4, 2, 1, 1))[0]
        # flocksy works on the same paths: what a hand wanted may just have gone, and something may
        # just have come into what it empties.
        with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError):
            hand(node.box)

    def content(self, size: int | None = None) -> bytes:
        """Bytes that nobody has written before."""
        self._count += 1
        size = self.draw.choice(SIZES) if size is None else size
        return b"content %d " % self._count + random.Random(self._count).randbytes(size)

    def write(self, box: Path) -> None:
        """Write a file, in place or as editors do."""
        path = box / self.draw.choice(NAMES)
        if self.draw.random() < 0.5:
            path = path / self.draw.choice(NAMES)
        path.parent.mkdir(exist_ok=True)
        content = self.content()
        if self.draw.random() < 0.5:
            self.untouched.discard(digest_of(path))
            digest = self.known(content)
            path.write_bytes(content)
        else:
            # Outside the box, so that nothing but the whole file is ever seen.
            new = self.rig.root / "being written"
            new.write_bytes(content)
            self.untouched.discard(digest_of(path))
            digest = self.known(content)
            new.rename(path)
        self.untouched.add(digest)

    def keep(self, box: Path, size: int | None = None) -> None:
        """Write something that nobody touches again."""
        content = self.content(size)
        path = f"kept/{self._count % 7}/{self._count}"
        (box / path).parent.mkdir(parents=True, exist_ok=True)
        new = self.rig.root / "being written"
        new.write_bytes(content)
        digest = self.known(content)
        new.rename(box / path)
        self.precious[path] = digest

    def rename(self, box: Path) -> None:
        """Move one file over another, or to a new name."""
        if (path := self.some_file(box)) is None:
            return
        target = path.with_name(self.draw.choice(NAMES))
        if path != target and not target.is_dir():
            self.untouched.discard(digest_of(target))
            path.rename(target)

    def delete(self, box: Path) -> None:
        """Delete one file."""
        if path := self.some_file(box):
            self.untouched.discard(digest_of(path))
            path.unlink()
            self.deletions += 1

    def clear(self, box: Path) -> None:
        """Delete a folder with all that is in it. Raises `FileExistsError` where something came
        into it meanwhile."""
        every = [path for path in sorted(box.iterdir()) if path.is_dir() and not is_kept(path, box)]
        if not every:
            return
        folder = self.draw.choice(every)
        self.untouched -= visible(folder)
        self.deletions += 1
        try:
            shutil.rmtree(folder)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            raise FileExistsError(folder) from error

    def replace(self, box: Path) -> None:
        """A folder of the same name takes the place of a file."""
        path = self.some_file(box)
        if path is None:
            return
        content = self.content()
        digest = self.known(content)
        self.untouched.discard(digest_of(path))
        path.unlink()
        self.deletions += 1
        path.mkdir()
        (path / self.draw.choice(NAMES)).write_bytes(content)
        self.untouched.add(digest)

    def some_file(self, box: Path) -> Path | None:
        """One that may be touched again."""
        every = [path for path in self.files(box) if not is_kept(path, box)]
        return self.draw.choice(every) if every else None

    def files(self, box: Path) -> Iterator[Path]:
        for path in sorted(box.rglob("*")):
            if ".flocksy" not in path.relative_to(box).parts and path.is_file():
                yield path

    def known(self, content: bytes) -> str:
        """Somebody is about to write this; returns its digest."""
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        self.written.add(digest)
        return digest


def is_kept(path: Path, box: Path) -> bool:
    """Whether no hand may touch it: what is written once, and what is flocksy's."""
    return path.relative_to(box).parts[0] in ("kept", ".flocksy")


def missing(node: RigNode) -> list[str]:
    """The paths of which a node says that nobody has their content."""
    problems = box_status(node, BOX)["problems"]
    assert isinstance(problems, list)
    parts = [str(problem).partition(f": {WORDS}") for problem in problems]
    return [path for path, words, _ in parts if words]


def told(node: RigNode) -> str:
    """What a node says of its box and its queues, but for what only counts up."""
    box, queue = box_status(node, BOX), node.status()["queue"]
    assert isinstance(queue, dict)
    names = ("state", "files", "bytes", "pending", "problems", "waiting")
    said = {name: box[name] for name in names} | queue
    del said["bytes_carried"]
    return f"{node.name}: {said}"
