"""Whole flocks in memory: people who edit, a network that delivers in any order, disasters.

A life is made from its seed and nothing else. What is checked stands outside the code under test:

* *Conservation.* What flocksy does on a node takes no content from that node's disk and history
  together (`Node.step`). In the end every content that no person has taken off a disk it was on is
  seen by everybody, at a path or as a conflict copy.
* *Convergence.* All disks and flock trees are equal, and every disk is what synced says of it.
* *Termination and idempotence.* It settles within a bound; commit and plan then give nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from flocksy.sync.names import ancestors, in_repository
from flocksy.sync.trees import DiskEntry, PathState
from flocksy.sync.version import Kind
from tests.sync.flock_in_memory import DIRECTORY, PATHS, MemoryTrees, Node, file, symlink

SETTLE_ROUNDS = 40
"""Rounds of everybody doing everything; three are enough for nearly all lives."""

UNHELD = ("a", "b")
"""Directories that somebody does not want on a disk for a while."""

Message = tuple[str, PathState]


@dataclass
class Backup:
    """A disk, an index, or both, as they were."""

    disk: dict[str, DiskEntry]
    history: list[DiskEntry]
    trees: MemoryTrees
    outgoing: list[Message]


class Flock:
    """Some nodes and the network between them, which delivers in any order, and more than once."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.queues: list[list[Message]] = [[] for _ in nodes]
        self.destroyed: set[bytes] = set()  # contents that a person overwrote or deleted
        self.written: set[bytes] = set()
        self.moved_away: set[tuple[str, bytes]] = set()
        # Contents that may lose without a conflict copy: the histories have them.
        self.only_kept: set[bytes] = set()
        self.adopting: set[int] = set()
        self.away: set[int] = set()
        self.unwanting: set[int] = set()  # nodes that do not want everything for now
        self.story: list[str] = []

    def destroy(self, gone: list[DiskEntry]) -> None:
        """A person has changed a disk; this went by it."""
        self.destroyed |= {entry.root for entry in gone if entry.root}

    def move_away(self, node: Node, source: str) -> None:
        """A person is about to move this: its content is not gone, but not wanted here."""
        for path, entry in node.disk.items():
            if path == source or source in ancestors(path):
                synced = node.trees.synced(path)
                copy_of = synced.copy_of if synced is not None else None
                self.moved_away.add((copy_of[0] if copy_of else path, entry.root))

    # -- the network ----------------------------------------------------------------------------

    def collect(self) -> None:
        for sender in self.nodes:
            for queue, node in zip(self.queues, self.nodes, strict=True):
                if node is not sender:
                    queue.extend(sender.outgoing)
            sender.outgoing.clear()

    def deliver(self, number: int, randomness: random.Random, count: int) -> None:
        """Some messages reach one node, in any order; some of them will come again, and some say
        what their sender knows, as far back as a bound allows."""
        self.collect()
        queue, node = self.queues[number], self.nodes[number]
        for _ in range(min(count, len(queue))):
            at = randomness.randrange(len(queue))
            dice = randomness.random()
            path, state = queue[at] if dice < 0.1 else queue.pop(at)
            if dice < 0.8:
                node.receive(path, state)
            else:
                sender = randomness.choice(self.nodes)
                for some in bounded(sender, path, randomness.randrange(4)):
                    node.receive(path, some)
                queue.append((path, state))

    def hear(self, number: int) -> None:
        """A node has heard all that was said; some of it will come again."""
        self.collect()
        for path, state in self.queues[number]:
            self.nodes[number].receive(path, state)

    def reconcile(self) -> bool:
        """Everybody hears all that the others know. Whether that was news to anybody."""
        news = False
        for node in self.nodes:
            for other in self.nodes:
                for path, state in list(other.trees.states.items()):
                    before = node.trees.states.get(path)
                    if state != before:
                        node.receive(path, state)
                        news = news or node.trees.states[path] != before
        return news

    # -- the end --------------------------------------------------------------------------------

    def settle(self) -> None:
        """Deliver and do everything, until nothing is left to do. Bounded: it must terminate."""
        self.away.clear()
        for number in sorted(self.unwanting):
            self.hold(number, None)
        for _ in range(SETTLE_ROUNDS):
            busy = 0
            for number, node in enumerate(self.nodes):
                self.collect()
                busy += len(self.queues[number])
                for path, state in self.queues[number]:
                    node.receive(path, state)
                self.queues[number].clear()
                if number in self.adopting:
                    self.adopt(number)
                busy += node.step() + len(node.outgoing)
            if not busy and not self.reconcile():
                return
        raise AssertionError("it does not settle")

    def check(self, *, equal_disks: bool = True) -> None:
        """Everything that must be true once it has settled. Disks that cannot hold the same are
        only equal in what stands where."""
        first = self.nodes[0]
        asking = [node for node in self.nodes if node.capabilities.attributes]
        for node in asking:
            assert node.attributes() == asking[0].attributes(), "attributes differ"
        for node in self.nodes:
            assert node.trees.states == first.trees.states, "flock trees differ"
            if equal_disks:
                assert node.shown() == first.shown(), "disks differ"
            assert node.contents() == first.contents(), "contents differ"
            assert not node.commit(node.everything()), "something is left to commit"
            assert node.plan(node.everything()) == [], "planning again gives something"
            for path, entry in node.disk.items():
                synced = node.trees.synced(path)
                assert synced is not None
                assert node.capabilities.same(synced.disk, entry), "synced is not the disk"
        shown = {entry.root for entry in first.disk.values()}
        in_histories = {entry.root for node in self.nodes for entry in node.history}
        for root in self.written - self.destroyed - shown:
            assert root in self.only_kept or any(
                (path, root) in self.moved_away
                and root in (head.root for head in state.heads.values())
                for path, state in first.trees.states.items()
            ), "a content that nobody replaced is not shown"
            assert root in in_histories, "a content is lost"
        for path, state in first.trees.states.items():
            for head in state.heads.values():
                assert (
                    not head.root
                    or head.root in shown
                    or head.root in state.superseded.values()
                    or in_repository(path)
                ), "a head is not shown"
        for path, synced in first.trees.synceds.items():
            assert synced.copy_of is None or not in_repository(path), "a copy in a repository"

    # -- a life ---------------------------------------------------------------------------------

    def live(self, seed: int, steps: int, *, disasters: bool = False) -> None:
        """A random life: people edit, messages come in any order, plans are done in part. With
        `disasters`, indexes are lost, backups put back, power cut, and people away for long."""
        randomness = random.Random(seed)
        backups = [backup(node) for node in self.nodes]
        durable = [backup(node) for node in self.nodes]
        for text in range(steps):
            number = randomness.randrange(len(self.nodes))
            node = self.nodes[number]
            dice = randomness.random()
            if disasters and dice < 0.12:
                self._disaster(number, randomness, backups, durable)
            elif dice < 0.48:
                self.edit(node, randomness, f"text {text}")
            elif number in self.away:
                self.work(number, randomness)
            elif dice < 0.77:
                self.deliver(number, randomness, randomness.randrange(1, 6))
                if randomness.random() < 0.6:
                    self.work(number, randomness)
                    durable[number] = backup(node)
            else:
                self.work(number, randomness)
                durable[number] = backup(node)
            if disasters and randomness.random() < 0.05:
                backups[number] = backup(node)

    def work(self, number: int, draw: random.Random) -> None:
        """A node does what is due, some of it, or some parts of some of it."""
        node = self.nodes[number]
        dice = draw.random()
        if number in self.adopting:
            return
        if dice < 0.4:
            node.step()
        elif dice < 0.6:
            node.step(draw)
        else:
            node.fumble(draw, lambda: self.edit(node, draw, f"meanwhile {draw.randrange(10**6)}"))

    def _disaster(
        self,
        number: int,
        randomness: random.Random,
        backups: list[Backup],
        durable: list[Backup],
    ) -> None:
        node = self.nodes[number]
        match randomness.randrange(8):
            case 0:
                self.story.append(f"{number} loses its index")
                self._put_back_index(node, Backup({}, [], MemoryTrees(), []))
                self.adopting.add(number)
            case 1:
                self.story.append(f"an old disk is put back on {number}")
                self._put_back_disk(node, backups[number])
                self.adopting.add(number)
            case 2:
                self.story.append(f"an old index is put back on {number}")
                self._put_back_index(node, backups[number])
                self.adopting.add(number)
            case 3:
                self.story.append(f"all of {number} is put back")
                if number not in self.adopting:
                    self._put_back_disk(node, backups[number])
                    self._put_back_index(node, backups[number])
            case 4:
                self.story.append(f"the power of {number} is cut")
                if number not in self.adopting:
                    self._put_back_index(node, durable[number])
            case 5:
                self.story.append(f"{number} comes or goes")
                self.away ^= {number}
            case 6:
                self.hold(number, randomness.choice((*UNHELD, None)))
            case _:
                if number in self.adopting:
                    others = randomness.sample(range(len(self.nodes)), len(self.nodes) - 1)
                    self.adopt(number, {*others[: 1 + randomness.randrange(len(others))]})

    def _put_back_disk(self, node: Node, old: Backup) -> None:
        before = node.everything_kept()
        node.disk, node.history = dict(old.disk), list(old.history)
        self.destroyed |= before - node.everything_kept()

    def _put_back_index(self, node: Node, old: Backup) -> None:
        # Versions that only this index knew are forgotten. Those that stood on the disk are found
        # there; those that had already lost, and whose copy did not stand there yet, are kept.
        self.only_kept |= heads_of(node.trees) - {entry.root for entry in node.disk.values()}
        node.trees, node.outgoing = old.trees.copy(), list(old.outgoing)
        node.pending |= node.everything()
        node.changed |= node.everything()

    def hold(self, number: int, top: str | None) -> None:
        """A node does not want what is in one directory, or wants everything again."""
        node = self.nodes[number]
        before = node.held
        if before is None and top is None:
            return
        node.held = None
        self.unwanting.discard(number)
        if top is not None:
            self.unwanting.add(number)
            node.held = lambda path: "not wanted" if path.split("/")[0] == top else None
        node.pending |= node.everything()
        node.changed |= node.everything()
        self.story.append(f"{number} does not want {top}")
        if before is not None and number not in self.adopting:
            # What is wanted again is of unknown past.
            node.scan()
            node.adopt(path for path in node.everything() if before(path) is not None)

    def adopt(self, number: int, others: set[int] | None = None) -> None:
        """A node looks at its disk of unknown past, knowing what the others know."""
        node = self.nodes[number]
        for other in range(len(self.nodes)) if others is None else sorted(others):
            for path, state in list(self.nodes[other].trees.states.items()):
                node.receive(path, state)
        node.scan()
        node.adopt()
        self.adopting.discard(number)

    def edit(
        self, node: Node, randomness: random.Random, text: str, corner: str | None = None
    ) -> None:
        """A person does one thing on one disk, anywhere or in a corner of theirs."""

        def somewhere() -> str:
            there = [
                path
                for path in sorted(node.disk)
                if corner is None or path == corner or corner in ancestors(path)
            ]
            if there and randomness.random() < 0.6:
                return randomness.choice(there)
            path = randomness.choice(PATHS)
            return path if corner is None else f"{corner}/{path}"

        path = somewhere()
        dice = randomness.random()
        if dice < 0.45:
            if path.count("/") > 4:
                return
            if randomness.random() < 0.1:
                text = "a text that several people write"
            entry = symlink(text)
            if randomness.random() < 0.85:
                entry = file(text, mtime_ns=(10**9 + randomness.randrange(3)) * 10**9)
            self.destroy(node.write(path, entry))
            self.written.add(entry.root)
        elif dice < 0.65:
            self.destroy(node.delete(path))
        elif dice < 0.75:
            self.destroy(node.write(path, DIRECTORY))
        elif dice < 0.88:
            self.move_away(node, path)
            self.destroy(node.move(path, somewhere()))
        elif path in node.disk and node.disk[path].kind is not Kind.SYMLINK:
            mode = randomness.choice((0o600, 0o755, 0o644))
            node.disk[path] = node.capable(replace(node.disk[path], mode=mode))
        self.only_kept |= {entry.root for path, entry in node.disk.items() if in_repository(path)}


def backup(node: Node) -> Backup:
    """What could be put back."""
    return Backup(dict(node.disk), list(node.history), node.trees.copy(), list(node.outgoing))


def heads_of(trees: MemoryTrees) -> set[bytes]:
    """The contents of all heads."""
    return {head.root for state in trees.states.values() for head in state.heads.values()}


def bounded(sender: Node, path: str, limit: int) -> Iterator[PathState]:
    """What a member says of a path in one message: each head, and so much of what it knows of the
    path's past."""
    state = sender.trees.states.get(path)
    if state is None:
        return
    for head in state.heads.values():
        some, _ = sender.engine.ancestry(state, head, limit)
        yield sender.engine.state_of(head, dict(some))
