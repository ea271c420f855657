"""Lives among which one member is an archive: it tells nobody anything, and deletes nothing.

What must hold: no operation takes a file from its disk but by putting something in its place, what
the others see is what they would see without it, and it comes to rest with them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from flocksy.sync.operations import Hold, Operation
from flocksy.sync.version import Kind
from tests.sync.flock_in_memory import Node
from tests.sync.lives import Flock


class Archive(Node):
    """See the head of this module."""

    def step(self, skip: random.Random | None = None) -> int:
        # What is set aside is looked at again: the flock may have made the same change by now.
        self.changed |= self.everything()
        return super().step(skip)

    def commit(self, paths: Iterable[str]) -> set[str]:
        operations = self.engine.commit_local(
            self.trees, paths, self.capabilities, held=self.held, receives_only=True
        )
        return self.learn(operations)

    def adopt(self, paths: Iterable[str] | None = None) -> set[str]:
        paths = self.everything() if paths is None else paths
        operations = self.engine.adopt(
            self.trees, paths, self.capabilities, held=self.held, receives_only=True
        )
        return self.learn(operations)

    def plan(self, paths: Iterable[str]) -> list[Operation]:
        return self.engine.plan(self.trees, paths, self.capabilities, held=self.held, keeps=True)

    def apply(self, operation: Operation, *, strict: bool = True) -> bool:
        before = self.files()
        done = super().apply(operation, strict=strict)
        assert before <= self.disk.keys(), f"an archive has deleted: {operation}"
        return done

    def files(self) -> set[str]:
        """Paths of what has content."""
        return {path for path, entry in self.disk.items() if entry.kind is not Kind.DIRECTORY}


class _FlockWithArchive(Flock):
    """The last node is the archive. `touched`: people edit there as well, which is set aside."""

    def __init__(self, nodes: list[Node], *, touched: bool) -> None:
        super().__init__(nodes)
        self._touched = touched

    def edit(
        self, node: Node, randomness: random.Random, text: str, corner: str | None = None
    ) -> None:
        if isinstance(node, Archive) and not self._touched:
            node = randomness.choice(self.nodes[:-1])
        sets = (self.destroyed, self.written, self.moved_away, self.only_kept)
        before = [set(one) for one in sets]
        super().edit(node, randomness, text, corner)
        if isinstance(node, Archive):  # nothing of that is for the others to see
            self.destroyed, self.written, self.moved_away, self.only_kept = before

    def check_archive(self, *, shows_all: bool) -> None:
        """`shows_all`: it has never lost its index or its disk, so it has all that the others have,
        but where a folder that it keeps is in the way."""
        *others, archive = self.nodes
        first = others[0]
        assert archive.trees.states == first.trees.states, "flock trees differ"
        assert not archive.outgoing, "an archive has told something"
        assert not archive.commit(archive.everything()), "something is left to commit"
        plan = archive.plan(archive.everything())
        held = {operation.path for operation in plan if isinstance(operation, Hold)}
        assert len(held) == len(plan), "planning again gives something"
        for path in first.contents().items() - archive.contents().items() if shows_all else ():
            assert path[0] in held, f"the archive lacks {path[0]}"
        self.nodes = others
        self.check()


def archive_life(seed: int) -> None:
    """Two people, and an archive."""
    draw = random.Random(seed)
    disasters, touched = draw.random() < 0.5, draw.random() < 0.5
    flock = _FlockWithArchive([Node(), Node(), Archive()], touched=touched)
    flock.live(seed, 24, disasters=disasters)
    flock.settle()
    flock.check_archive(shows_all=not (disasters or touched))
