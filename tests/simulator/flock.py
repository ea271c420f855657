"""A whole flock under virtual time.

Theory of operation. One heap holds everything that is going to happen: a cell arrives, a node's
wire process or its box process is to be turned, a fault begins or ends. The nodes run the code they
always run (emitter, agreement, rings, and, where a run has boxes, exchange, index, planner and
applier); the simulator owns their clocks, their links, their disks and their random numbers. So a
run is a function of its seed. `checks` looks at every step; `faults` says what goes wrong; after
the last fault the flock has a bounded time to come to rest.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from flocksy.protocol.schedule import rate_delta_us
from flocksy.protocol.timing import BurstTiming
from flocksy.seam.joint import BoxSeam
from flocksy.testing.flock import with_hashes
from flocksy.wire.limits import EXACT_NS
from flocksy.wire.settings import Member, WireSettings
from tests.simulator.checks import BrokenPromiseError, Checks, is_ready
from tests.simulator.faults import BURST_CELL, MS, Fault, Plan, S
from tests.simulator.network import Network
from tests.simulator.node import BoxSide, Node
from tests.simulator.trivial import TrivialBox, Wish

CALM_ROUNDS = 128
"""Rounds the flock has, after the last fault, to be whole and at rest: 40 to agree and serve (the
explorer's bound), 48 of waiting after a spoilt repeat, and 40 in which a node may think that the
others' clocks are wrong."""
CALM_NS = 90 * S
"""... and time for what is counted in seconds: rests, pauses, stalls, bursts."""
CALM_BURSTS = 4
"""... and where bursts are slow because of `max_rate`, time for the longest there are: one that is
under way, its repeat, and what is wanted then, with a repeat where somebody has missed the end."""
LONGEST_CELLS = 512
"""What the largest wish of a node is padded to."""
PUBLIC_BURSTS = 2
"""Where bursts happen anyway: so many that begin after the last fault are finished by all."""
TURNS = 100_000
"""A node that wants to be turned so often in one instant turns for ever."""

_CELL, _WIRE, _BOX, _FAULT, _CALL = range(5)


def rest_mean_ms(plan: Plan) -> int:
    """Of all members: as a configuration has it, none where bursts never end."""
    return 0 if plan.timing == "constant" else plan.rest_mean_ms


def settings_of(plan: Plan) -> list[WireSettings]:
    """The wire settings of all nodes, by lane."""
    members = tuple(
        Member(
            hashlib.blake2b(f"member {number}".encode()).hexdigest(),
            (f"memory://{number}",),
            "k" * 40,
        )
        for number in range(plan.nodes)
    )
    members = tuple(sorted(members, key=lambda member: member.uid))
    base = WireSettings(
        own_uid=members[0].uid,
        public_key="k" * 40,
        secret_key="s" * 40,
        members=members,
        bind=("memory://",),
        flock_settings=(),
        period_ms=plan.period_ms,
        idle_cell=1024,
        burst_cell=BURST_CELL,
        pace=plan.pace,  # type: ignore[arg-type]
        min_view=plan.min_view,
        settle_ms=20,
        rest_mean_ms=rest_mean_ms(plan),
        stall_timeout_ms=2000,
        window=plan.window,
        max_rate=plan.max_rate,
        programme_bytes=64 * BURST_CELL * plan.programme,
        timing=BurstTiming(plan.timing, plan.every, plan.cells),  # type: ignore[arg-type]
    )
    return [with_hashes(replace(base, own_uid=member.uid)) for member in members]


class Flock:
    """One run. `trace` is told every line of what happens, or nothing."""

    def __init__(
        self, plan: Plan, trace: Callable[[str], None] | None = None, *, shift: int = 0
    ) -> None:
        """`shift`: whatever a node wishes to send, the one so many lanes further wishes."""
        self.plan = plan
        self.now_ns = S
        self.counts: Counter[str] = Counter()
        self.calm = False
        self._calm_ns = 0
        self.observed: list[tuple[int, int, int]] = []
        """(instant, lane, size) of every cell: what who watches the network has."""
        self.view_changes = 0
        self._trace = trace
        self._shift = shift
        self._heap: list[tuple[int, int, int, object]] = []
        self._serial = 0
        draw = random.Random(plan.seed * 7 + 1)
        self.draw = draw
        self.network = Network(
            plan.nodes, random.Random(draw.random()), self._deliver, plan.distance_ms * MS
        )
        self.wishes = [Wish() for _ in range(plan.nodes)]
        self.nodes = [
            Node(lane, settings, random.Random(draw.random()))
            for lane, settings in enumerate(settings_of(plan))
        ]
        self.checks = Checks(self.nodes, plan)
        self._shown: list[object] = [None] * plan.nodes
        self._digest = hashlib.blake2b(digest_size=8)

    # -- the run ---------------------------------------------------------------------------

    def run(self) -> None:
        """From the first start to rest. Raises `AssertionError` where a promise is broken."""
        for node in self.nodes:
            self._push(
                self.now_ns + self.draw.randrange(S), _FAULT, Fault(0, "begin", (node.lane,))
            )
        for fault in self.plan.faults:
            self._push(fault.at_ns, _FAULT, fault)
        self.pass_until(self.plan.calm_ns + 1)
        self.end_faults()
        if not self.plan.hostile:
            # A forged clock can split a flock into halves that never believe each other again.
            self.come_to_rest()

    def pass_until(self, until_ns: int, done: Callable[[], bool] | None = None) -> bool:
        """Let time pass. `done` is asked now and then; True ends it early."""
        heap = self._heap
        next_look_ns = self.now_ns
        while heap and heap[0][0] <= until_ns:
            at_ns, _, kind, what = heapq.heappop(heap)
            self.now_ns = at_ns
            if kind == _CELL:
                self._arrive(*what)  # type: ignore[misc]
            elif kind == _WIRE:
                node: Node = what  # type: ignore[assignment]
                if node.wire_due_ns == at_ns:
                    self._turn_wire(node)
            elif kind == _BOX:
                node = what  # type: ignore[assignment]
                if node.box_due_ns == at_ns:
                    self._turn_box(node)
            elif kind == _FAULT:
                self._happen(what)  # type: ignore[arg-type]
            else:
                what()  # type: ignore[operator]
            if done is not None and at_ns >= next_look_ns:
                if done():
                    return True
                next_look_ns = at_ns + self.plan.period_ms * MS
        self.now_ns = max(self.now_ns, until_ns)
        return False

    def end_faults(self) -> None:
        """From now on nothing goes wrong."""
        self.calm = True
        self._calm_ns = self.now_ns
        self.say("the faults end")
        self.network.calm()
        for node in self.nodes:
            node.box_latency_ns = 500_000
            while node.wire_hangs or node.box_hangs:
                self.go_on(
                    node.lane,
                    "both"
                    if node.wire_hangs and node.box_hangs
                    else "wire"
                    if node.wire_hangs
                    else "box",
                )
            if not node.up:
                self.begin(node.lane)
            elif node.box is not None and node.box.leaving:
                self._begin_once_gone(node)

    def _begin_once_gone(self, node: Node) -> None:
        """A node that leaves goes as soon as it can, and is then started as everybody is."""

        def look() -> None:
            if node.up:
                self._begin_once_gone(node)  # it finishes a slow burst first
            else:
                self.begin(node.lane)

        self._push(self.now_ns + 10 * S, _CALL, look)

    def come_to_rest(self) -> None:
        """All ready, nothing wanted, within the bound."""
        self.pass_until(self.now_ns + 11 * S if self._somebody_leaves() else self.now_ns)
        bound_ns = self.now_ns + CALM_NS + CALM_ROUNDS * self.plan.period_ms * MS
        rare_us = rate_delta_us(self.nodes[0].settings.burst_cell, self.plan.max_rate)
        bound_ns += CALM_BURSTS * LONGEST_CELLS * rare_us * 1000
        if not self.pass_until(bound_ns, self.at_rest):
            raise BrokenPromiseError(f"not at rest in time: {self.unrest()}")

    def _somebody_leaves(self) -> bool:
        return any(node.box is not None and node.box.leaving for node in self.nodes)

    def at_rest(self) -> bool:
        """Whether everybody has all that it could wish for."""
        return (
            self.are_ready()
            and not any(wish.cells for wish in self.wishes)
            and not any(self.checks.owes)
        )

    def are_ready(self) -> bool:
        """Whether every wire process has all that it could wish for."""
        everybody = (1 << self.plan.nodes) - 1
        public = self.plan.is_public
        if not all(is_ready(node, everybody, public=public) for node in self.nodes):
            return False
        # Where bursts happen anyway they have to.
        return not public or self.checks.bursts_of_all(self._calm_ns) >= PUBLIC_BURSTS

    def unrest(self) -> str:
        """Who is not at rest, in words for who mends it."""
        words = []
        for node in self.nodes:
            emitter = node.emitter
            if emitter is None:
                words.append(f"node {node.lane} is down")
                continue
            state = emitter._state
            lanes = [lane.difference for lane in emitter._intake.lanes if lane.difference]
            words.append(
                f"node {node.lane} {state.mode.name} {state.epoch} {state.needs} "
                f"wish {self.wishes[node.lane].cells} "
                f"eligible {emitter._eligible:b} {lanes}"
            )
        return "\n  ".join(words)

    def digest(self) -> str:
        """Of all that left any node and when: equal for equal runs."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Let go of everything."""
        for node in self.nodes:
            node.stop(killed=True)

    def say(self, line: str) -> None:
        """A line of the trace."""
        if self._trace is not None:
            self._trace(f"{self.now_ns / S:10.4f}  {line}")

    # -- events ----------------------------------------------------------------------------

    def _push(self, at_ns: int, kind: int, what: object) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (at_ns, self._serial, kind, what))

    def _deliver(self, at_ns: int, source: int, target: int, cell: bytes) -> None:
        self._push(at_ns, _CELL, (source, target, cell, self.now_ns))

    def _arrive(self, source: int, target: int, cell: bytes, sent_ns: int) -> None:
        node = self.nodes[target]
        if node.emitter is None:
            return
        node.port.arrive(source, cell, sent_ns)
        # As the loop of the wire process: shortly before an instant it sleeps and does not listen.
        if node.wire_due_ns is None or node.wire_due_ns - self.now_ns > EXACT_NS:
            self._turn_wire(node)

    def _sent(self, node: Node, cell: bytes) -> None:
        self.checks.sent(node, cell, self.now_ns)
        self._digest.update(b"%d %d %d;" % (self.now_ns, node.lane, len(cell)))
        if self.plan.has_twin:
            self.observed.append((self.now_ns, node.lane, len(cell)))
        emitter = node.emitter
        shown = emitter._output.shown if emitter is not None and emitter._output else None
        agreeing = shown is not None and (shown.need > 0 or shown.proposal is not None)
        self.network.carry(node.lane, cell, self.now_ns, agreeing=agreeing)

    def _turn_wire(self, node: Node) -> None:
        emitter = node.emitter
        if emitter is None or node.wire_hangs:
            return
        local_ns = node.clock.local(self.now_ns)
        for _ in range(TURNS):
            due_ns = emitter.turn(local_ns)
            if self.checks.turned(node, self.now_ns):
                self._follow(node)
            if emitter.ended:
                self.say(f"node {node.lane} has ended")
                node.stop(killed=False)
                return
            if due_ns > local_ns:
                break
        else:
            raise BrokenPromiseError(f"node {node.lane} turns for ever")
        at_ns = max(self.now_ns, node.clock.virtual(due_ns))
        if node.wire_due_ns != at_ns:
            node.wire_due_ns = at_ns
            self._push(at_ns, _WIRE, node)

    def _turn_box(self, node: Node) -> None:
        node.box_due_ns = None
        if node.box is None or node.box_hangs:
            return
        again_ns = node.box.turn(node.clock.local(self.now_ns))
        if again_ns is not None:
            self._box_due(node, max(self.now_ns + 1000, node.clock.virtual(again_ns)))

    def _box_due(self, node: Node, at_ns: int) -> None:
        if node.box_due_ns is None or at_ns < node.box_due_ns:
            node.box_due_ns = at_ns
            self._push(at_ns, _BOX, node)

    def _woken(self, node: Node) -> None:
        self._box_due(node, self.now_ns + node.box_latency_ns)

    def _follow(self, node: Node) -> None:
        """Tell the trace what a step has changed."""
        emitter = node.emitter
        assert emitter is not None
        state = emitter._state
        shown = (state.mode, state.epoch)
        if shown == self._shown[node.lane]:
            return
        self._shown[node.lane] = shown
        self.counts["changes of state"] += 1
        if self._trace is not None:
            output, run = emitter._output, emitter._run
            burst = f" burst {run.burst_id.hex()[:6]} of {run.length}" if run is not None else ""
            need = f" need {output.shown.need}" if output and output.shown.need else ""
            self.say(
                f"node {node.lane} round {emitter.round} {state.mode.name} in epoch "
                f"{state.epoch.number} of {state.epoch.members:b}{burst}{need}"
            )

    def _happen(self, fault: Fault) -> None:
        self.say(str(fault))
        self.counts[fault.name] += 1
        getattr(self, fault.name)(*fault.arguments)

    # -- what can happen -------------------------------------------------------------------

    def make_box(self, node: Node, seam: BoxSeam) -> BoxSide:
        """The box side of a node that starts."""
        return TrivialBox(
            seam,
            self.wishes[node.lane],
            trusting=not self.plan.hostile,
            in_parts=self.plan.is_public,
        )

    def begin(self, lane: int) -> None:
        """A node starts, if it is down."""
        node = self.nodes[lane]
        if node.up:
            return
        self.checks.started(node)
        node.start(
            self.now_ns,
            lambda cell: self._sent(node, cell),
            lambda source, sent_ns: self.checks.taken(source, lane, sent_ns, self.now_ns),
            lambda: self._woken(node),
            lambda seam: self.make_box(node, seam),
        )
        node.wire_due_ns = self.now_ns
        self._push(self.now_ns, _WIRE, node)
        self._box_due(node, self.now_ns)

    def kill(self, lane: int) -> None:
        """A node is killed: what it knew is gone."""
        self.counts["crash"] += self.nodes[lane].up
        self._stop(lane)

    def _stop(self, lane: int) -> None:
        self.nodes[lane].stop(killed=True)
        self.checks.fell(self.nodes[lane])

    def leave(self, lane: int) -> None:
        """Somebody stops a node."""
        box = self.nodes[lane].box
        if box is not None:
            box.leaving = True

    def wish(self, lane: int, cells: int) -> None:
        """A node would like to send so many cells."""
        lane = (lane + self._shift) % self.plan.nodes
        wish = self.wishes[lane]
        wish.cells = max(wish.cells, cells)
        if self.nodes[lane].up:
            self._woken(self.nodes[lane])

    def _links(self, which: tuple[int, int] | None) -> Sequence[tuple[int, int]]:
        return list(self.network.links) if which is None else [which]

    def lose(self, which: tuple[int, int] | None, share: float) -> None:
        """Links lose cells."""
        for pair in self._links(which):
            self.network.links[pair].loss = share

    def delay(self, which: tuple[int, int] | None, delay_ms: int, jitter_ms: int) -> None:
        """Links are slow."""
        for pair in self._links(which):
            link = self.network.links[pair]
            link.delay_ns, link.jitter_ns = delay_ms * MS, jitter_ms * MS

    def garble(self, share: float, delay_ms: int) -> None:
        """Cells that show a need or a proposal get lost, or are late by up to that much."""
        self.network.garbles, self.network.garbled_ns = share, delay_ms * MS

    def overtake(self, which: tuple[int, int] | None, share: float) -> None:
        """Links change the order of cells."""
        for pair in self._links(which):
            self.network.links[pair].overtake = share

    def twice(self, which: tuple[int, int] | None, share: float) -> None:
        """Links carry cells twice."""
        for pair in self._links(which):
            self.network.links[pair].twice = share

    def spoil(self, which: tuple[int, int] | None, share: float) -> None:
        """Links change bytes."""
        for pair in self._links(which):
            self.network.links[pair].spoil = share

    def flip_bits(self) -> None:
        """What spoils cells leaves them looking like cells."""
        self.network.bitflips = True

    def cut(self, links: Sequence[tuple[int, int]]) -> None:
        """Links are down."""
        for a, b in links:
            both = (b, a) in links
            if a < b or not both:
                self.counts["link cut both ways" if both else "link cut one way"] += 1
            self.network.links[a, b].up = False

    def mend(self, links: Sequence[tuple[int, int]]) -> None:
        """Links are up again."""
        for pair in links:
            self.network.links[pair].up = True

    def hang(self, lane: int, what: str) -> None:
        """A process, or both, is stopped and does not know it."""
        node = self.nodes[lane]
        if node.up:
            node.wire_hangs += what in ("wire", "both")
            node.box_hangs += what in ("box", "both")

    def go_on(self, lane: int, what: str) -> None:
        """It goes on."""
        node = self.nodes[lane]
        if not node.up:
            return
        if what in ("wire", "both") and node.wire_hangs:
            node.wire_hangs -= 1
            if not node.wire_hangs:
                node.wire_due_ns = node.went_on_ns = self.now_ns
                self._push(self.now_ns, _WIRE, node)
        if what in ("box", "both") and node.box_hangs:
            node.box_hangs -= 1
            if not node.box_hangs:
                self._box_due(node, self.now_ns)

    def drift(self, lane: int, ppm: int) -> None:
        """A clock runs at another speed."""
        node = self.nodes[lane]
        node.clock.drift(self.now_ns, ppm)
        if node.up and not node.wire_hangs:
            node.wire_due_ns = self.now_ns
            self._push(self.now_ns, _WIRE, node)

    def set_clock(self, lane: int, error_ms: int) -> None:
        """A wall clock is set wrong."""
        self.nodes[lane].clock.wall_error_ns = error_ms * MS

    def busy(self, lane: int, latency_ms: float) -> None:
        """A box process takes so long to come round."""
        self.nodes[lane].box_latency_ns = int(latency_ms * MS)
