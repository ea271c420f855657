"""A lockstep flock, dressed for tests: made quickly, compared in words, looked into."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flocksy.boxes.box import Box
from flocksy.boxes.content.reader import SpoolReader
from flocksy.boxes.keeper import Kept
from flocksy.testing import scanners
from flocksy.testing.lockstep import MAX_ROUNDS, Lockstep, LockstepNode
from flocksy.testing.trees import differences, snapshot

QUIET_ROUNDS = 12
"""So long nothing may move in a flock that says it has settled."""


@pytest.fixture(scope="session")
def spool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One spool file for all nodes of all tests: making one takes longer than most tests."""
    return make_spool(tmp_path_factory.mktemp("spool") / "spool")


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Flock]:
    """Three nodes with empty boxes."""
    with Flock(tmp_path, spool) as made:
        yield made


def make_spool(path: Path) -> Path:
    """Make a spool file."""
    SpoolReader(path).close()
    return path


class Flock(Lockstep):
    """See the head of this module."""

    def __init__(
        self,
        root: Path,
        spool: Path,
        size: int = 3,
        seed: int = 0,
        *,
        programme: bool = False,
        outside_mean_s: float = 0.0,
    ) -> None:
        self.root = root
        self._dead: list[LockstepNode] = []
        for lane in range(size):
            state = root / f"state{lane}"
            state.mkdir(exist_ok=True)
            if not (state / "spool").exists():
                os.symlink(spool, state / "spool")
        super().__init__(root, size, seed, programme=programme, outside_mean_s=outside_mean_s)

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for node in self._dead:
            for kept in node.keeper.boxes:
                if kept.box is not None:
                    kept.box._opened.close()

    def path(self, lane: int, name: str = "") -> Path:
        """A path in the box of one node."""
        return self.root / f"box{lane}" / name

    def write(self, lane: int, name: str, content: str | bytes) -> Path:
        """Somebody writes a file on one node, making the directories above it."""
        path = self.path(lane, name)
        scanner = self.nodes[lane].scanner
        if isinstance(scanner, scanners.LastingScanner) and self.nodes[lane].up:
            scanner.come_to_rest()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def kept(self, lane: int) -> Kept:
        """The box of one node, resting or not."""
        return self.nodes[lane].keeper.get("box")

    def box(self, lane: int) -> Box:
        """The open box of one node."""
        box = self.kept(lane).box
        assert box is not None, self.kept(lane).reason
        return box

    def tree(self, lane: int) -> set[str]:
        """All names in the box of one node."""
        return set(snapshot(self.path(lane)))

    def kill(self, lane: int) -> None:
        """The box process of a node dies between two instructions: nothing is finished, flushed or
        closed but what would keep the next one from starting."""
        node = self.nodes[lane]
        box = self.kept(lane).box
        if box is not None:
            box._opened.watcher.stop()
        scanners.give_back(node.scanner)
        node.spool.close()
        node.wire.close()
        node.seam.close()
        # Kept, since a generator that goes away would still tidy up after itself.
        self._dead.append(node)
        node.up = False
        self._epoch += 1

    def unequal(self) -> list[str]:
        """How the boxes of the running nodes differ."""
        trees = [(node.lane, snapshot(node.path)) for node in self.up]
        return [
            f"nodes {trees[0][0]} and {lane}: {line}"
            for lane, tree in trees[1:]
            for line in differences(trees[0][1], tree)
        ]

    def run_until(self, condition: Callable[[], bool], rounds: int = MAX_ROUNDS) -> None:
        """As the lockstep flock does, but a failure says who waits for what."""
        try:
            super().run_until(condition, rounds)
        except AssertionError as error:
            waits = [f"node {node.lane} {self.waits_for(node.lane)}" for node in self.up]
            raise AssertionError("\n  ".join([str(error), *waits])) from error

    def waits_for(self, lane: int) -> str:
        """What keeps one node from having settled, in words for who mends it."""
        box = self.kept(lane).box
        if box is None:
            return f"rests: {self.kept(lane).reason}"
        planning = box.planning
        states = {
            "adopting": box.adopting,
            "not scanned": not box.scanned_once or box.scanning,
            "changed": dict(box.intake.changed),
            "to be seen again": box.intake.waiting,
            "unsure": dict(box._receiving.unsure),
            "to be pushed": [
                (push.path, push.told, len(push.chunks)) for push in box.offers.pushes
            ],
            "outgoing": box.index.outgoing_count(),
            "arrived": list(planning._arrived),
            "waits for": {path: root.hex()[:8] for path, root in planning._waiting.roots.items()},
            "batches": planning._batches,
            "retry": dict(planning._retry),
            "deferred": list(planning._deferred.paths),
            "applying": planning._applying,
            "wanted": [name.hex()[:8] for name in box.staging.wants(10)],
            "copying": [root.hex()[:8] for root in box.staging.copying()],
            "differs": not self.nodes[lane].exchange.agrees(box),
        }
        return str({name: state for name, state in states.items() if state})

    def settle_equal(self) -> None:
        """Settle, and check what settled means: equal boxes, no trouble, and nothing moves on."""
        self.settle()
        unequal = self.unequal()
        assert not unequal, unequal
        for node in self.up:
            problems = self.box(node.lane).problems
            assert not problems, problems
            assert not any(node.exchange._inbox.bad), "an honest node said something invalid"
            assert not node.problems
        self.stay_settled()
        unequal = self.unequal()
        assert not unequal, f"settled, and then not: {unequal}"

    def stay_settled(self) -> None:
        """Of a flock that has settled: see that nothing moves on."""
        # Somebody may still answer a question that is one no more. After that there is silence.
        for _ in range(QUIET_ROUNDS):
            self.step()
        said, bursts = self.said_bytes, len(self.bursts)
        for _ in range(QUIET_ROUNDS):
            self.step()
        self.settle()
        assert (self.said_bytes, len(self.bursts)) == (said, bursts), "still talking"

    def history(self, lane: int) -> list[Path]:
        """What the history of one node holds, below its days."""
        days = self.path(lane, ".flocksy/history").glob("*/")
        return [one for day in days for one in day.rglob("*") if not one.is_dir()]

    def contents(self) -> set[str]:
        """Digests of every content in any box or history, running or not: what people have."""
        found: set[str] = set()
        for lane in range(len(self.nodes)):
            found |= visible(self.path(lane))
            found |= {digest for one in self.history(lane) if (digest := digest_of(one))}
        return found


def visible(box: Path) -> set[str]:
    """Digests of the contents that a person sees in a box."""
    found: set[str] = set()
    for folder, folders, files in os.walk(box):
        if folder == str(box):
            folders[:] = [name for name in folders if name != ".flocksy"]
        for name in (*files, *folders):
            digest = digest_of(Path(folder, name))
            if digest:
                found.add(digest)
    return found


def files(box: Path) -> dict[str, bytes]:
    """Contents by path, as the disk lists them."""
    found: dict[str, bytes] = {}
    for folder, folders, names in os.walk(box):
        if folder == str(box):
            folders[:] = [name for name in folders if name != ".flocksy"]
        for name in names:
            path = Path(folder, name)
            found[str(path.relative_to(box))] = path.read_bytes()
    return found


def digest_of(path: Path) -> str:
    """The digest of a file's bytes or a symlink's text; empty for anything else."""
    if path.is_symlink():
        return "-> " + os.readlink(path)
    if not path.is_file():
        return ""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
