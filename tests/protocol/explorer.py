"""Every run of three nodes within bounds on faults, with the real `step`.

The model is round-synchronous: a cell arrives `latency` rounds later or is lost. In every round
the environment may lose cells, crash a node, start it again with nothing remembered, or let a need
appear or grow. A burst is two cells long with a window of one: cell 0 leaves at the start, cell 1
when cell 0 of all lanes is in, or a later one, which is a gap.

States are made canonical so that there are finitely many: rounds are relative to the present,
epoch numbers keep their order and whether they are neighbours, ids are the values they stand for,
whatever no later step reads is blanked, and flocks that differ only in which node is which are one
(their ties between views fall differently, which is explored for one of them only).

*Safety*, in every reached state: locked nodes of one epoch have the same plan, so that all send
equally many cells from the same start; real bytes leave only with a fresh two-way echo of all
members of a large enough view, each of whom shows that it has such echoes as well; a need is
released only by a burst at least as long. *Liveness*: from every reached state, if nothing more
goes wrong, all needs are served and all live nodes share a view (those who are enough for one)
within 40 rounds; and whoever has seen somebody join its view, or has left a repeat or seen a gap in
one, has been in as many bursts since as a programme has.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from unittest import mock

from flocksy.protocol import aftermath, agreement, needs, parameters, programme, proposals
from flocksy.protocol.aftermath import Aftermath
from flocksy.protocol.agreement import State, initial
from flocksy.protocol.fsm_table import Mode
from flocksy.protocol.needs import Latch, Needs, Owed
from flocksy.protocol.parameters import Parameters
from flocksy.protocol.programme import Programme
from flocksy.protocol.proposals import History
from flocksy.protocol.shown import (
    NO_EPOCH,
    Epoch,
    Inputs,
    Kind,
    Outcome,
    Proposal,
    Shown,
    StartBurst,
    ViewChanged,
)

NODES = 3
NOW = 1000
LIVE_ROUNDS = 40
BURST_CELLS = 2
SMALL, LARGE = 10, 100
ALL = (1 << NODES) - 1
OTHERS = tuple(tuple(lane for lane in range(NODES) if lane != own) for own in range(NODES))


class BrokenPromiseError(Exception):
    """A reached state breaks a promise; the text is the run that leads there."""


@dataclass(frozen=True)
class Bounds:
    """How much may go wrong in one run."""

    losses: int
    crashes: int
    rejoins: int
    needs: int
    latency: int = 1
    sizes: tuple[int, ...] = (SMALL, LARGE)
    programme: int = 0
    """Bursts after a join; 0: there is no programme (as on a timetable)."""
    min_view: int = 2
    live_rounds: int = LIVE_ROUNDS


@dataclass(frozen=True, slots=True)
class Run:
    """The emitter's side of a burst: what the model needs of it."""

    sent: int = 0
    taken: tuple[int, ...] = (0,) * NODES
    gap: bool = False
    waited: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """One node between two rounds. `state` None: crashed.

    `flying`: the cells under way to the others, the next to arrive first, each with its place in
    the burst or -1. None where nothing was sent.
    """

    own: int
    state: State | None
    flying: tuple[tuple[Shown | None, int], ...]
    need: int
    plan: tuple[int, int] | None
    run: Run | None
    known: int = 0
    """Members of the last view it was in, by the explorer's own books."""
    owes: int = 0
    """Bursts it has to be in since somebody joined its view, or it left a repeat or saw a gap in
    one, likewise."""


# Canonical form.


def _id(
    kind: Kind,
    round_: int,
    number: int,
    members: int,
    length: int,
    delta_us: int,
    repeat: bool,
    joins: bool,
) -> bytes:
    """Stands in for the hash: the fields themselves, so that they can be shifted."""
    del delta_us
    what = repeat + 2 * joins
    return bytes((*round_.to_bytes(2, "big"), kind, number, members, length // 64, what))


class _Canon:
    """Moves rounds by `by`, maps epoch numbers, and makes lane i lane `lanes[i]`."""

    def __init__(
        self,
        by: int = 0,
        numbers: dict[int, int] | None = None,
        lanes: tuple[int, ...] | None = None,
    ) -> None:
        self.by = by
        self.numbers = numbers
        self.lanes = lanes
        self.cells: dict[tuple[Shown, int], Shown] = {}
        if lanes is not None:
            self.source = tuple(lanes.index(lane) for lane in range(NODES))
            self.bits = tuple(
                sum(1 << lanes[lane] for lane in range(NODES) if bitmap >> lane & 1)
                for bitmap in range(ALL + 1)
            )

    def lane(self, lane: int) -> int:
        return lane if self.lanes is None else self.lanes[lane]

    def bitmap(self, bitmap: int) -> int:
        return bitmap if self.lanes is None else self.bits[bitmap]

    def by_lane(self, values: tuple[int, ...]) -> tuple[int, ...]:
        return values if self.lanes is None else tuple(values[lane] for lane in self.source)

    def number(self, number: int) -> int:
        return number if self.numbers is None else self.numbers[number]

    def round(self, round_: int, oldest: int) -> int:
        """0 stands for everything before `oldest`."""
        return round_ + self.by if round_ + self.by >= oldest else 0

    def burst_round(self, round_: int) -> int:
        """A burst is remembered until all who were in it are heard; how old it is then is one."""
        return max(round_ + self.by, NOW - 20)

    def identity(self, id_: bytes | None) -> bytes | None:
        if id_ is None:
            return None
        round_ = self.burst_round(int.from_bytes(id_[:2], "big"))
        members = self.bitmap(id_[4])
        return bytes((*round_.to_bytes(2, "big"), id_[2], self.number(id_[3]), members, *id_[5:]))

    def epoch(self, epoch: Epoch) -> Epoch:
        return Epoch(self.number(epoch.number), self.bitmap(epoch.members))

    def proposal(self, p: Proposal | None) -> Proposal | None:
        if p is None:
            return None
        id_ = self.identity(p.id)
        assert id_ is not None
        return Proposal(
            id_,
            p.kind,
            self.burst_round(p.round),
            self.number(p.number),
            self.bitmap(p.members),
            p.length,
            p.delta_us,
            p.repeat,
            p.joins,
        )

    def cell(self, c: Shown, echo: tuple[int, ...], row: int) -> Shown:
        return Shown(
            c.round + self.by,
            c.status,
            self.epoch(c.epoch),
            self.number(c.highest),
            self.bitmap(row),
            self.bitmap(c.candidate),
            self.by_lane(echo),
            c.need,
            b"" if c.repeat_of is not None else None,
            self.proposal(c.proposal),
            c.confirmed,
            None,
            self.identity(c.gap_of),
            self.identity(c.left),
            c.sustain_us,
            c.leaving,
            c.joins,
        )

    def flying(self, c: Shown) -> Shown:
        """A cell under way: any of the others may read it."""
        found = self.cells.get((c, -1))
        if found is None:
            echo = tuple(self.round(r, NOW - 9) for r in c.echo)
            found = self.cells[c, -1] = self.cell(c, echo, c.row)
        return found

    def newest(self, c: Shown, own: int) -> Shown:
        """The newest cell of another: it is asked for its row and its echo of us."""
        found = self.cells.get((c, own))
        if found is None:
            echo = [0] * NODES
            echo[own] = self.round(c.echo[own], NOW - 9)
            found = self.cells[c, own] = self.cell(c, tuple(echo), c.row)
        return found

    def older(self, c: Shown) -> Shown:
        """An older cell, or one of our own: never asked for either."""
        found = self.cells.get((c, -2))
        if found is None:
            found = self.cells[c, -2] = self.cell(c, (0,) * NODES, 0)
        return found

    def history(self, own: int, history: History) -> History:
        found: list[tuple[Shown, ...]] = [()] * NODES
        for lane, cells in enumerate(history):
            if cells:
                first = self.older(cells[0]) if lane == own else self.newest(cells[0], own)
                found[self.lane(lane)] = (first, *(self.older(c) for c in cells[1:]))
        return tuple(found)

    def state(self, own: int, s: State) -> State:
        last = self.aftermath(s.last)
        return State(
            s.mode,
            self.epoch(s.epoch),
            self.number(s.highest),
            self.history(own, s.history),
            self.proposal(s.proposal),
            self.round(s.floor, NOW - 9),
            self.bitmap(s.known),
            last,
            self.needs(s.needs, s.last.burst, last.burst),
        )

    def aftermath(self, a: Aftermath) -> Aftermath:
        return Aftermath(
            self.proposal(a.burst),
            self.identity(a.gap_of),
            self.identity(a.left),
            # Older than it takes to settle, or to forget it where all are heard.
            max(a.ended + self.by, NOW - 6) if a.ended else 0,
            self.round(a.noted, NOW - 5),
            self.round(a.newest, NOW - 30),
        )

    def needs(self, n: Needs, last: Proposal | None, renamed: Proposal | None) -> Needs:
        owed = None
        if n.owed is not None:
            ours = last is not None and n.owed.burst == last.id
            burst = renamed.id if ours and renamed is not None else b""
            owed = Owed(burst, n.owed.length, max(n.owed.due + self.by, NOW))
        latch = None
        if n.latch is not None:
            repeat_of = b"" if n.latch.repeat_of is not None else None
            latch = Latch(
                n.latch.need,
                max(n.latch.round + self.by, NOW - 20),
                repeat_of,
                n.latch.of_programme,
            )
        owing = n.programme
        if owing is not None:
            begins = max(owing.begins + self.by, NOW - 20)
            owing = Programme(owing.left, begins, max(owing.since + self.by, NOW - 20))
        return Needs(latch, owed, self.round(n.quiet_until, NOW + 1), owing)

    def node(self, n: Node) -> Node:
        state = None if n.state is None else self.state(n.own, n.state)
        flying = tuple((None if c is None else self.flying(c), k) for c, k in n.flying)
        run = n.run
        if run is not None and self.lanes is not None:
            run = replace(run, taken=self.by_lane(run.taken))
        known = self.bitmap(n.known)
        return Node(self.lane(n.own), state, flying, n.need, n.plan, run, known, n.owes)


def _numbers(n: Node) -> frozenset[int]:
    """All epoch numbers in a node's state."""
    found = {0}

    def see(c: Shown) -> None:
        found.update((c.epoch.number, c.highest))
        if c.proposal is not None:
            found.add(c.proposal.number)
        for id_ in (c.gap_of, c.left):
            if id_ is not None:
                found.add(id_[3])

    for c, _ in n.flying:
        if c is not None:
            see(c)
    if (s := n.state) is not None:
        found.update((s.epoch.number, s.highest))
        for p in (s.proposal, s.last.burst):
            if p is not None:
                found.add(p.number)
        for id_ in (s.last.gap_of, s.last.left):
            if id_ is not None:
                found.add(id_[3])
        for cells in s.history:
            for c in cells:
                see(c)
    return frozenset(found)


def _rank(n: Node) -> tuple[int, ...]:
    """Tells nodes apart by what has nothing to do with lanes: twins are explored once."""
    if (s := n.state) is None:
        return (0, n.need)
    return (
        s.mode.value,
        n.need,
        s.needs.latch.need if s.needs.latch else 0,
        n.run.sent if n.run else 0,
        s.epoch.number,
        sum(len(cells) for cells in s.history),
        s.proposal.round if s.proposal else 0,
    )


@contextmanager
def modelled(bursts: int = 1) -> Iterator[None]:
    """Short waits and transparent ids, so that the space is finite and small."""
    with ExitStack() as stack:
        for module, name, value in (
            (proposals, "proposal_id", _id),
            (needs, "rest_rounds", lambda *_: 1),
            (needs, "pause_rounds", lambda *_: 2),
            (aftermath, "SETTLE_ROUNDS", 4),
            (aftermath, "MEMORY_ROUNDS", 5),
            (needs, "STEP_ROUNDS", 1),
            (programme, "PROGRAMME_BURSTS", bursts),
            (programme, "JOIN_ROUNDS", 2),
            (programme, "MOST_JOIN_ROUNDS", 4),
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        yield


class Explorer:
    """Breadth first through all runs within `bounds`."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        period_ms = parameters.LONGEST_WAY_MS // bounds.latency
        cells = SMALL if bounds.programme else 0
        self.parameters = tuple(
            Parameters(NODES, own, bounds.min_view, period_ms, 100, cells) for own in range(NODES)
        )
        self.silence: tuple[tuple[Shown | None, int], ...] = ((None, -1),) * bounds.latency
        self.nodes: list[Node] = []
        self.numbers: list[frozenset[int]] = []
        self.node_ids: dict[Node, int] = {}
        self.cells: list[Shown] = []
        self.cell_ids: dict[Shown, int] = {}
        self.wire: list[int] = []
        self.moves: dict[tuple[int, int, int], int] = {}
        self.renamed: dict[tuple[int, tuple[tuple[int, int], ...]], int] = {}
        self.states: list[tuple[int, ...]] = []
        self.state_ids: dict[tuple[int, ...], int] = {}
        self.parents: list[int] = []
        self.quiet: list[int] = []
        self.later = _Canon(by=-1)
        self.ranks: list[tuple[int, ...]] = []
        self.turns = {lanes: _Canon(lanes=lanes) for lanes in itertools.permutations(range(NODES))}
        self.turned: dict[tuple[int, tuple[int, ...]], int] = {}

    def intern(self, node: Node) -> int:
        found = self.node_ids.get(node)
        if found is None:
            found = self.node_ids[node] = len(self.nodes)
            self.nodes.append(node)
            self.numbers.append(_numbers(node))
            self.ranks.append(_rank(node))
            cell, k = node.flying[0]
            if cell is None:
                self.wire.append(-1)
            else:
                key = self.cell_ids.setdefault(cell, len(self.cells))
                if key == len(self.cells):
                    self.cells.append(cell)
                # The place in the burst travels in the same number.
                self.wire.append(key * 4 + k + 1)
        return found

    # One node, one round.

    def move(self, node_id: int, first: int, second: int) -> int:
        """The node after one round in which these cells (-1: none) came from the two others."""
        key = (node_id, first, second)
        found = self.moves.get(key)
        if found is None:
            found = self.moves[key] = self.intern(self._move(self.nodes[node_id], first, second))
        return found

    def _move(self, node: Node, first: int, second: int) -> Node:
        if node.state is None:
            # What it sent before still arrives.
            return self.later.node(replace(node, flying=(*node.flying[1:], (None, -1))))
        cells: list[tuple[int, Shown]] = []
        positions = [0] * NODES
        for lane, wire in zip(OTHERS[node.own], (first, second), strict=True):
            if wire >= 0:
                positions[lane] = wire % 4
                cells.append((lane, self.cells[wire // 4]))
        run, outcome = self._progress(node, positions)
        before = node.state
        inputs = Inputs(NOW, tuple(cells), ALL, node.need, 1000, False, outcome)
        state, output = agreement.step(self.parameters[node.own], before, inputs)
        plan, need, known, owes = node.plan, node.need, node.known, node.owes
        for command in output.commands:
            if isinstance(command, StartBurst):
                assert state.proposal is not None
                start = command.plan.start_round - state.proposal.round
                plan = (start, command.plan.length)
                owes -= owes > 0 and not command.plan.repeat
            elif isinstance(command, ViewChanged) and command.epoch != NO_EPOCH:
                if command.epoch.members & ~known:
                    owes = self.bounds.programme
                known = command.epoch.members
        if output.real_allowed:
            self._check_real(node.own, state)
        if before.mode in agreement.LOCKED and state.mode not in agreement.LOCKED:
            burst = before.proposal
            assert burst is not None
            if burst.repeat and (state.mode is Mode.LEFT or outcome is Outcome.FINISHED_WITH_GAP):
                owes = self.bounds.programme
            if state.mode is not Mode.LEFT and before.needs.latch and not state.needs.latch:
                promised = max(before.needs.latch.need, output.shown.need)
                if promised > burst.length:
                    raise BrokenPromiseError(f"need {promised} released by {burst.length} cells")
            if outcome is Outcome.FINISHED and need <= burst.length:
                need = 0
        if state.mode not in agreement.LOCKED:
            plan = run = None
        sends_k = -1
        cell: Shown | None = output.shown
        if state.mode is Mode.BURSTING:
            assert state.proposal is not None
            run = run or self._begun(node.own, state.proposal)
            if run.sent == 0 or (run.sent < BURST_CELLS and min(run.taken) >= run.sent):
                sends_k = run.sent
                run = replace(run, sent=run.sent + 1, waited=0)
            else:
                run = replace(run, waited=run.waited + 1)
                # A window covers the way there and back; beyond, who waits is silent.
                if run.waited >= self.bounds.latency:
                    cell = None
        flying = (*node.flying[1:], (cell, sends_k))
        after = Node(node.own, state, flying, need, plan, run, known, owes)
        return self.later.node(after)

    @staticmethod
    def _begun(own: int, burst: Proposal) -> Run:
        """Nothing is expected from lanes outside the burst."""
        return Run(
            taken=tuple(
                0 if lane != own and burst.members >> lane & 1 else BURST_CELLS
                for lane in range(NODES)
            )
        )

    def _progress(self, node: Node, positions: list[int]) -> tuple[Run | None, Outcome | None]:
        """What came in lanes: position 0 is no burst cell, k + 1 is burst cell k."""
        assert node.state is not None
        run = node.run
        if node.state.mode not in agreement.LOCKED:
            return None, None
        burst = node.state.proposal
        assert burst is not None
        run = run or self._begun(node.own, burst)
        gap = run.gap or any(came > had + 1 for came, had in zip(positions, run.taken, strict=True))
        taken = tuple(max(c, h) for c, h in zip(positions, run.taken, strict=True))
        run = replace(run, taken=taken, gap=gap)
        if node.state.mode is not Mode.BURSTING:
            return run, None
        if run.sent == BURST_CELLS and min(run.taken) == BURST_CELLS:
            return run, Outcome.FINISHED_WITH_GAP if gap else Outcome.FINISHED
        if run.waited > self.bounds.latency:
            return run, Outcome.STALLED
        return run, None

    def _check_real(self, own: int, state: State) -> None:
        """Rule 12, in other words than the code under test."""
        members = [lane for lane in range(NODES) if state.epoch.members >> lane & 1]
        if own not in members or len(members) < self.bounds.min_view:
            raise BrokenPromiseError("real bytes without a quorum")
        for lane in members:
            if lane == own:
                continue
            newest = state.history[lane][0] if state.history[lane] else None
            if newest is None or newest.round < NOW - 3 or newest.echo[own] < NOW - 6:
                raise BrokenPromiseError("real bytes without a fresh two-way echo of a member")
            if not all(newest.row >> other & 1 for other in members):
                raise BrokenPromiseError("real bytes while a member shows that it misses another")

    # The flock.

    def _add(self, ids: list[int], rest: tuple[int, ...], parent: int) -> int:
        """The state made of these nodes, renumbered; its place in `states`."""
        numbers = self.numbers[ids[0]] | self.numbers[ids[1]] | self.numbers[ids[2]]
        if max(numbers) >= 2 * len(numbers) - 1 or max(numbers) > len(numbers) - 1:
            mapping: dict[int, int] = {}
            last, to = 0, 0
            for number in sorted(numbers):
                to += min(number - last, 2)
                mapping[number] = to
                last = number
            if any(a != b for a, b in mapping.items()):
                pairs = tuple(mapping.items())
                ids = [self._rename(node_id, pairs) for node_id in ids]
        ids = self._sorted(ids)
        key = (*ids, *rest)
        found = self.state_ids.get(key)
        if found is None:
            found = self.state_ids[key] = len(self.states)
            self.states.append(key)
            self.parents.append(parent)
            self._check_plans(ids, found)
        return found

    def _rename(self, node_id: int, pairs: tuple[tuple[int, int], ...]) -> int:
        own = self.numbers[node_id]
        key = (node_id, tuple(pair for pair in pairs if pair[0] in own))
        found = self.renamed.get(key)
        if found is None:
            node = _Canon(numbers=dict(pairs)).node(self.nodes[node_id])
            found = self.renamed[key] = self.intern(node)
        return found

    def _sorted(self, ids: list[int]) -> list[int]:
        """The same flock with the lanes in the order of the nodes' ranks."""
        one, two, three = (self.ranks[i] for i in ids)
        if one <= two <= three:
            return ids
        order = sorted(range(NODES), key=lambda lane: self.ranks[ids[lane]])
        lanes = tuple(order.index(lane) for lane in range(NODES))
        found = []
        for lane in order:
            key = (ids[lane], lanes)
            turned = self.turned.get(key)
            if turned is None:
                node = self.turns[lanes].node(self.nodes[ids[lane]])
                turned = self.turned[key] = self.intern(node)
            found.append(turned)
        return found

    def _check_plans(self, ids: list[int], found: int) -> None:
        locked = [
            node
            for node in (self.nodes[i] for i in ids)
            if node.state is not None and node.state.mode in agreement.LOCKED
        ]
        for one, other in itertools.combinations(locked, 2):
            assert one.state is not None and other.state is not None
            if one.state.epoch == other.state.epoch and (
                (one.plan, one.state.proposal) != (other.plan, other.state.proposal)
            ):
                raise BrokenPromiseError(f"two plans in one epoch\n{self.trace(found)}")

    def explore(self) -> None:
        """Reach every state.

        Raises:
            BrokenPromiseError: a promise of safety is broken.
        """
        b = self.bounds
        blank = [
            self.intern(Node(own, initial(self.parameters[own]), self.silence, 0, None, None))
            for own in range(NODES)
        ]
        self._add(blank, (b.losses, b.crashes, b.rejoins, b.needs), -1)
        at = 0
        while at < len(self.states):
            try:
                self._expand(at)
            except BrokenPromiseError as broken:
                raise BrokenPromiseError(f"{broken}\n{self.trace(at)}") from broken
            at += 1

    def _expand(self, at: int) -> None:
        b = self.bounds
        *ids, losses, crashes, rejoins, needs = self.states[at]
        self.quiet.append(self._round(ids, (losses, crashes, rejoins, needs), (), at))
        flying = [
            (source, target)
            for source in range(NODES)
            if self.wire[ids[source]] >= 0
            for target in OTHERS[source]
            if self.nodes[ids[target]].state is not None
        ]
        for count in range(1, losses + 1):
            rest = (losses - count, crashes, rejoins, needs)
            for lost in itertools.combinations(flying, count):
                self._round(ids, rest, lost, at)
        for own in range(NODES):
            node = self.nodes[ids[own]]
            if node.state is None:
                if rejoins:
                    # Its sockets are new: what was under way to it is gone.
                    fresh = replace(node, state=initial(self.parameters[own]), known=0, owes=0)
                    deaf = tuple((other, own) for other in OTHERS[own])
                    rest = (losses, crashes, rejoins - 1, needs)
                    self._round(self._with(ids, own, fresh), rest, deaf, at)
                continue
            if crashes:
                dead = Node(own, None, node.flying, node.need, None, None)
                self._round(
                    self._with(ids, own, dead), (losses, crashes - 1, rejoins, needs), (), at
                )
            if needs:
                for need in b.sizes:
                    if need > node.need:
                        grown = replace(node, need=need)
                        rest = (losses, crashes, rejoins, needs - 1)
                        self._round(self._with(ids, own, grown), rest, (), at)

    def _with(self, ids: list[int], own: int, node: Node) -> list[int]:
        changed = list(ids)
        changed[own] = self.intern(node)
        return changed

    def _round(
        self, ids: list[int], rest: tuple[int, ...], lost: tuple[tuple[int, int], ...], at: int
    ) -> int:
        wire = [self.wire[i] for i in ids]
        a, b, c = wire
        if not lost:
            moved = [
                self.move(ids[0], b, c),
                self.move(ids[1], a, c),
                self.move(ids[2], a, b),
            ]
        else:
            moved = []
            for own in range(NODES):
                got = [-1 if (lane, own) in lost else wire[lane] for lane in OTHERS[own]]
                moved.append(self.move(ids[own], got[0], got[1]))
        return self._add(moved, rest, at)

    # What was found.

    def is_served(self, at: int) -> bool:
        """All live nodes in one view of just them, nothing waiting. Too few wait for ever."""
        live = [n for n in (self.nodes[i] for i in self.states[at][:NODES]) if n.state is not None]
        if len(live) < self.bounds.min_view:
            return True
        members = sum(1 << n.own for n in live)
        epochs = {n.state.epoch for n in live if n.state is not None}
        return (
            len(epochs) == 1
            and next(iter(epochs)).members == members
            and all(
                n.state is not None
                and n.state.mode is Mode.READY
                and n.state.needs.owed is None
                and n.state.needs.latch is None
                and n.state.needs.programme is None
                and n.need == 0
                and n.owes == 0
                for n in live
            )
        )

    def slowest(self) -> int:
        """Rounds that the slowest state needs until all is served, if nothing more goes wrong.

        Raises:
            BrokenPromiseError: some state is not served within `live_rounds`.
        """
        limit = self.bounds.live_rounds
        away = [0 if self.is_served(at) else -1 for at in range(len(self.states))]
        for at in range(len(self.states)):
            path: list[int] = []
            while away[at] < 0 and len(path) <= limit:
                path.append(at)
                at = self.quiet[at]
            if away[at] < 0 or away[at] + len(path) > limit:
                raise BrokenPromiseError(
                    f"not served within {limit} rounds\n{self.trace(path[0])}"
                    "\n--- and then, without faults:\n"
                    + "\n".join(self.line(state) for state in path)
                )
            for steps, passed in enumerate(reversed(path), 1):
                away[passed] = away[at] + steps
        return max(away)

    def trace(self, at: int) -> str:
        """The run that first reached a state, a line per round."""
        path = []
        while at >= 0:
            path.append(at)
            at = self.parents[at]
        return "\n".join(self.line(state) for state in reversed(path))

    def line(self, at: int) -> str:
        """One state, to be read by people who look for a fault."""
        parts = []
        for i in self.states[at][:NODES]:
            node = self.nodes[i]
            if (s := node.state) is None:
                parts.append("crashed")
                continue
            p, n = s.proposal, s.needs
            shows = f" {p.kind.name}({p.round - NOW},{p.number},{p.members})" if p else ""
            latch = f" latch {n.latch.need}" if n.latch else ""
            owes = f" owes {n.owed.due - NOW}" if n.owed else ""
            if node.owes or n.programme:
                owes += f" programme {node.owes} {n.programme}"
            held = [[c.round - NOW for c in cells] for cells in s.history]
            parts.append(
                f"{s.mode.name} e{s.epoch.number}:{s.epoch.members} need {node.need}"
                f"{latch}{owes}{shows} held {held}"
            )
        return f"{at} {self.states[at][NODES:]}: " + " | ".join(parts)
