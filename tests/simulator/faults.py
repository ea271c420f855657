"""What goes wrong in a run, drawn from its seed before it begins.

A fault is an instant, the name of a method of the flock, and its arguments: so a run can be told
as a list, and the same list gives the same run.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

MS = 1_000_000
S = 1_000 * MS

RARE = 4096 * 1000 // 150
"""A `max_rate` at which burst cells leave every 150 ms: rarer than the rounds of most runs."""

SPOILT = (0.003, 0.03, 0.2)
"""Shares of cells that are spoilt in hostile runs."""

HOSTILE_WISHES = 5

BLIND = 1 / 8
"""Share of the runs of the wire that have a twin though things go wrong in them."""

LARGE = 1 / 20
"""Share of the long runs with boxes that have as many nodes as the large ones of the wire."""
LARGE_NODES = (6, 7, 8, 9)

FAR = 1 / 12
"""Share of runs whose nodes are far apart."""
DISTANCES = (30, 60, 95)
"""What one way takes longer then, in percent of a period: from a quarter on nobody is told the
time by what is heard one way."""
FAR_ROUNDS = 120
"""So much later all of them are there: whose first clock was wrong finds out, and starts anew."""

PUBLIC = 1 / 6
"""Share of runs whose bursts are on a timetable, or follow each other all the time."""
EVERY = (12, 24, 40)
"""Rounds from one instant of a timetable to the next; the least that may be set is 9."""
PUBLIC_CELLS = (64, 64, 100)
"""Cells asked for by a burst of these: the last is padded."""
PUBLIC_GAPS_MS = (10, 20, 40)
"""Between two cells of a burst there: a `max_rate` is required."""
BURST_CELL = 4096

BRIEF = 1_000_000
"""From this seed on runs are brief: few nodes, few faults, for where there is little time."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens at an instant of virtual time."""

    at_ns: int
    name: str
    arguments: tuple[object, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(repr, self.arguments))})"


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: how the flock is set up, and what happens to it until it is left in peace."""

    seed: int
    nodes: int
    period_ms: int
    pace: str
    window: int
    rest_mean_ms: int
    min_view: int
    hostile: bool
    gentle: bool
    """Nothing that a member could tell from another, so that a twin run must look the same."""
    faults: tuple[Fault, ...]
    calm_ns: int
    """From here on nothing goes wrong any more."""
    programme: bool = False
    """Bursts follow a join, as on demand. Without, there is more time for all that has none."""
    max_rate: int = 0
    """Bytes per second and link; 0: as many as go through."""
    floor: int = 0
    """The `possinymity_floor` of every node; 0: none."""
    timing: str = "on-demand"
    """When bursts happen: or on a "timetable", or all the time ("constant")."""
    every: int = 1
    """Rounds from one instant of a timetable to the next."""
    cells: int = 0
    """That every member asks for where bursts are not on demand."""

    distance_ms: int = 0
    """What one way takes longer, from everybody to everybody, also when all is calm."""

    blind: bool = False
    """What goes wrong hits cells, whoever sent them and whatever is in them, and those who lack
    anybody wait: so a twin run must look the same as well."""

    @property
    def has_twin(self) -> bool:
        """Whether the run is to be the same whoever wishes to send."""
        return self.gentle or self.blind

    @property
    def is_public(self) -> bool:
        """Whether bursts happen anyway, and are as long whatever anybody wishes to send."""
        return self.timing != "on-demand"

    @property
    def every_ns(self) -> int:
        """From one instant of the timetable to the next; one round where there is none."""
        return self.every * self.period_ms * MS


class _Drawing:
    """Draws the faults of one run."""

    def __init__(self, draw: random.Random, nodes: int, until_ns: int) -> None:
        self.draw = draw
        self.nodes = nodes
        self.until_ns = until_ns
        self.faults: list[Fault] = []

    def add(self, at_ns: int, name: str, *arguments: object) -> None:
        self.faults.append(Fault(at_ns, name, arguments))

    def instant(self) -> int:
        return self.draw.randrange(2 * S, self.until_ns)

    def lane(self) -> int:
        return self.draw.randrange(self.nodes)

    def pair(self) -> tuple[int, int]:
        a, b = self.draw.sample(range(self.nodes), 2)
        return a, b

    def length(self) -> int:
        """How long a fault lasts: mostly short, sometimes long."""
        return int(min(self.draw.expovariate(1.0) * 2.5 + 0.05, 15.0) * S)

    # -- kinds of fault --------------------------------------------------------------------

    def need(self) -> None:
        draw = self.draw
        for _ in range(draw.choice((1, 2, 3, 12))):
            cells = draw.choice((1, 20, 64, 65, 130, 300))
            self.add(self.instant(), "wish", self.lane(), cells)

    def lossy(self) -> None:
        at_ns, loss = self.instant(), self.draw.choice((0.005, 0.02, 0.1, 0.3))
        if self.draw.random() < 0.5:
            self.add(at_ns, "lose", None, loss)
            self.add(at_ns + self.length(), "lose", None, 0.0)
        else:
            pair = self.pair()
            self.add(at_ns, "lose", pair, loss)
            self.add(at_ns + self.length(), "lose", pair, 0.0)

    def always_lossy(self) -> None:
        """A network that is never good."""
        self.add(S, "lose", None, self.draw.choice((0.003, 0.01, 0.03, 0.06)))

    def rough_talk(self) -> None:
        """Of all cells those get lost and late by which the flock agrees on something."""
        draw, at_ns = self.draw, self.instant()
        self.add(at_ns, "garble", draw.choice((0.05, 0.2, 0.4)), draw.choice((0, 60, 150, 300)))
        for _ in range(draw.choice((1, 2, 4))):
            self.add(at_ns + draw.randrange(2 * S), "wish", self.lane(), draw.choice((20, 65, 300)))
        self.add(at_ns + self.length(), "garble", 0.0, 0)

    def slow_link(self) -> None:
        draw, at_ns = self.draw, self.instant()
        which = None if draw.random() < 0.3 else self.pair()
        delay_ms = draw.choice((10, 40, 90, 200, 400))
        self.add(at_ns, "delay", which, delay_ms, draw.choice((1, 10, 60)))
        self.add(at_ns + self.length(), "delay", which, 2, 1)

    def disorder(self) -> None:
        draw, at_ns = self.draw, self.instant()
        name = draw.choice(("overtake", "twice", "spoil"))
        which = None if draw.random() < 0.5 else self.pair()
        self.add(at_ns, name, which, draw.choice((0.01, 0.1, 0.4)))
        self.add(at_ns + self.length(), name, which, 0.0)

    def cut_one_way(self) -> None:
        at_ns, pair = self.instant(), self.pair()
        self.add(at_ns, "cut", (pair,))
        self.add(at_ns + self.length(), "mend", (pair,))

    def cut(self) -> None:
        at_ns, (a, b) = self.instant(), self.pair()
        self.add(at_ns, "cut", ((a, b), (b, a)))
        self.add(at_ns + self.length(), "mend", ((a, b), (b, a)))

    def halves(self) -> None:
        at_ns = self.instant()
        ours = set(self.draw.sample(range(self.nodes), self.draw.randrange(1, self.nodes)))
        links = tuple(
            (a, b)
            for a in range(self.nodes)
            for b in range(self.nodes)
            if a != b and (a in ours) != (b in ours)
        )
        self.add(at_ns, "cut", links)
        self.add(at_ns + self.length(), "mend", links)

    def crash(self) -> None:
        at_ns, lane = self.instant(), self.lane()
        self.add(at_ns, "kill", lane)
        self.add(at_ns + self.length(), "begin", lane)

    def leave(self) -> None:
        at_ns, lane = self.instant(), self.lane()
        self.add(at_ns, "leave", lane)
        self.add(at_ns + S + self.length(), "begin", lane)

    def all_at_once(self) -> None:
        at_ns = self.instant()
        for lane in range(self.nodes):
            self.add(at_ns, "kill", lane)
            self.add(at_ns + self.draw.randrange(3 * S), "begin", lane)

    def hang(self) -> None:
        draw, at_ns, lane = self.draw, self.instant(), self.lane()
        what = draw.choice(("wire", "box", "both"))
        self.add(at_ns, "hang", lane, what)
        self.add(at_ns + self.length(), "go_on", lane, what)

    def stop(self) -> None:
        """A machine, or the wire process alone, stands still."""
        at_ns, lane, what = self.instant(), self.lane(), self.draw.choice(("wire", "both"))
        self.add(at_ns, "hang", lane, what)
        self.add(at_ns + self.length(), "go_on", lane, what)

    def sleep(self) -> None:
        """A machine is suspended; what it counts time with goes on (`clocks.elapsed_ns`)."""
        at_ns, lane = self.instant(), self.lane()
        self.add(at_ns, "hang", lane, "both")
        self.add(at_ns + 2 * self.length(), "go_on", lane, "both")

    def drift(self) -> None:
        self.add(self.instant(), "drift", self.lane(), self.draw.randrange(-100, 101))

    def wrong_clock(self) -> None:
        at_ns, lane = self.instant(), self.lane()
        error_ms = self.draw.choice((-100_000_000, -3_000, -80, 30, 700, 3_600_000))
        self.add(at_ns, "kill", lane)
        self.add(at_ns, "set_clock", lane, error_ms)
        self.add(at_ns + self.length(), "begin", lane)

    def laden(self) -> None:
        at_ns, lane = self.instant(), self.lane()
        self.add(at_ns, "busy", lane, self.draw.choice((5, 30, 150)))
        self.add(at_ns + self.length(), "busy", lane, 0.5)


HARSH: tuple[tuple[Callable[[_Drawing], None], int], ...] = (
    (_Drawing.need, 8),
    (_Drawing.lossy, 5),
    (_Drawing.slow_link, 3),
    (_Drawing.rough_talk, 4),
    (_Drawing.disorder, 3),
    (_Drawing.cut_one_way, 4),
    (_Drawing.cut, 4),
    (_Drawing.halves, 2),
    (_Drawing.crash, 4),
    (_Drawing.leave, 2),
    (_Drawing.all_at_once, 1),
    (_Drawing.hang, 3),
    (_Drawing.sleep, 2),
    (_Drawing.drift, 2),
    (_Drawing.wrong_clock, 1),
    (_Drawing.laden, 2),
)

ROLE_BLIND: tuple[tuple[Callable[[_Drawing], None], int], ...] = (
    (_Drawing.lossy, 5),
    (_Drawing.slow_link, 3),
    (_Drawing.disorder, 3),
    (_Drawing.cut_one_way, 3),
    (_Drawing.cut, 3),
    (_Drawing.halves, 2),
    (_Drawing.crash, 3),
    (_Drawing.stop, 3),
    (_Drawing.sleep, 1),
)
"""Not `rough_talk`, which picks cells by what they show, nor what slows or stops the boxes of one
node alone: where that one has something to say it says it later."""

GENTLE: tuple[tuple[Callable[[_Drawing], None], int], ...] = ((_Drawing.need, 1),)


def _edits(self: _Drawing) -> None:
    """Somebody, or several, at work for a while."""
    at_ns, draw = self.instant(), self.draw
    lanes = [self.lane() for _ in range(draw.choice((1, 1, 2, 3)))]
    for _ in range(draw.randrange(1, 8)):
        self.add(at_ns, "edit", draw.choice(lanes), draw.randrange(1 << 30))
        at_ns += draw.choice((0, 1, 20, 200, 2_000)) * MS


def _interference(self: _Drawing) -> None:
    """Somebody at work just where flocksy is."""
    at_ns, draw = self.instant(), self.draw
    for _ in range(draw.choice((1, 2, 4))):
        lane, number = self.lane(), draw.randrange(1 << 30)
        times = draw.choice((1, 1, 2, 3))
        self.add(at_ns, "interfere", lane, draw.choice((1, 1, 2, 4, 9)), times, number)


def _power_cut(self: _Drawing) -> None:
    at_ns, lane = self.instant(), self.lane()
    chance = self.draw.random()
    if chance < 0.3:
        self.add(at_ns, "cut_power", lane)
        self.add(at_ns + self.length(), "begin", lane)
    elif chance < 0.6:
        number = self.draw.randrange(1 << 30)
        self.add(at_ns, "cut_power_placing", lane, self.draw.choice((1, 2, 2, 3, 5)), number)
    else:
        # In the middle of what it does to its disk; it is started again a moment later.
        self.add(at_ns, "cut_power_within", lane, self.draw.randrange(1, 120))


def _full_disk(self: _Drawing) -> None:
    at_ns, lane = self.instant(), self.lane()
    self.add(at_ns, "fill_disk", lane, self.draw.choice((0, 3_000, 60_000)))
    self.add(at_ns + self.length(), "empty_disk", lane)


def _sick_disk(self: _Drawing) -> None:
    at_ns, lane = self.instant(), self.lane()
    share, end_ns = self.draw.choice((0.02, 0.3, 1.0)), at_ns + self.length()
    for what in ("sick_disk", "unreadable"):
        self.add(at_ns, what, lane, share)
        self.add(end_ns, what, lane, 0.0)


def _deaf_watcher(self: _Drawing) -> None:
    at_ns = self.instant()
    self.add(at_ns, "swallow", self.draw.choice((0.02, 0.3)))
    self.add(at_ns + self.length(), "swallow", 0.0)


def _clock_jump(self: _Drawing) -> None:
    by_ms = self.draw.choice((-7_200_000, -1_000, 50, 4_000, 5 * 86_400_000))
    self.add(self.instant(), "jump_clock", self.lane(), by_ms)


BOXES: tuple[tuple[Callable[[_Drawing], None], int], ...] = (
    (_edits, 20),
    (_interference, 8),
    *((kind, share) for kind, share in HARSH if kind is not _Drawing.need),
    (_power_cut, 8),
    (_full_disk, 3),
    (_sick_disk, 2),
    (_deaf_watcher, 2),
    (_clock_jump, 2),
)


CROWDED: tuple[tuple[Callable[[_Drawing], None], int], ...] = (
    (_edits, 3),
    (_interference, 3),
    (_power_cut, 4),
)


def settled(plan: Plan) -> Plan:
    """Perhaps with bursts that are not on demand, or far apart. What else is drawn does not hang
    on it."""
    draw = random.Random(plan.seed * 29 + 3)
    if draw.random() < FAR:
        plan = replace(plan, distance_ms=plan.period_ms * draw.choice(DISTANCES) // 100)
        if plan.gentle:
            plan = _later(plan, FAR_ROUNDS * plan.period_ms * MS)
    draw = random.Random(plan.seed * 13 + 7)
    if draw.random() >= PUBLIC:
        return plan
    return replace(
        plan,
        timing=draw.choice(("timetable", "constant")),
        every=draw.choice(EVERY),
        cells=draw.choice(PUBLIC_CELLS),
        max_rate=BURST_CELL * 1000 // draw.choice(PUBLIC_GAPS_MS),
    )


def box_plan(seed: int) -> Plan:
    """The plan of a run with boxes."""
    return settled(_box_plan(seed))


def _box_plan(seed: int) -> Plan:
    draw = random.Random(seed)
    nodes = draw.choice((3, 3, 3, 4, 5))
    brief = seed >= BRIEF
    aside = random.Random(seed * 23 + 9)
    if aside.random() < LARGE:
        nodes = aside.choice(LARGE_NODES)
    if brief:
        nodes = 3
    until_ns = draw.randrange(4, 10 if brief else 25) * S
    drawing = _Drawing(draw, nodes, until_ns)
    for _ in range(draw.randrange(3, 5 if brief else 9)):
        _edits(drawing)
    if draw.random() < 0.2:
        drawing.always_lossy()
    kinds = BOXES
    if draw.random() < 0.3:
        # Hands and power only, and so many that they meet in the middle of batches.
        kinds = CROWDED
        for _ in range(4):
            _edits(drawing)
            _interference(drawing)
    for _ in range(draw.randrange(2, 6 if brief else 14)):
        (kind,) = draw.choices([one for one, _ in kinds], [share for _, share in kinds])
        kind(drawing)
    faults = tuple(sorted(drawing.faults, key=lambda fault: fault.at_ns))
    return Plan(
        seed=seed,
        nodes=nodes,
        period_ms=draw.choice((100, 250)),
        pace=draw.choice(("max", "max", "grid")),
        window=draw.choice((4, 8)),
        rest_mean_ms=draw.choice((50, 500)),
        min_view=nodes // 2 + 1,
        hostile=False,
        gentle=False,
        faults=faults,
        calm_ns=max([until_ns, *(fault.at_ns for fault in faults)]),
        programme=seed % 2 == 1,
        floor=nodes if seed % 8 == 3 and not brief else 0,
    )


def wire_plan(seed: int) -> Plan:
    """The plan of a run without boxes."""
    if random.Random(seed * 19 + 5).random() < BLIND:
        return settled(_blind_plan(seed))
    return settled(_wire_plan(seed))


def _blind_plan(seed: int) -> Plan:
    """Everything happens to a link or to a machine, and would happen whoever wishes to send."""
    draw = random.Random(seed)
    nodes = draw.choice((3, 3, 4))
    until_ns = draw.randrange(8, 16) * S
    drawing = _Drawing(draw, nodes, until_ns)
    for _ in range(draw.choice((1, 2, 3, 5))):
        # No more than a burst of a programme takes: what is over is needed afterwards.
        drawing.add(drawing.instant(), "wish", drawing.lane(), draw.choice((1, 20, 64)))
    for _ in range(draw.randrange(2, 6)):
        (kind,) = draw.choices([one for one, _ in ROLE_BLIND], [share for _, share in ROLE_BLIND])
        kind(drawing)
    period_ms = draw.choice((50, 100, 250))
    faults = sorted(
        (_in_mid_round(fault, period_ms) for fault in drawing.faults),
        key=lambda fault: fault.at_ns,
    )
    return Plan(
        seed=seed,
        nodes=nodes,
        period_ms=period_ms,
        pace=draw.choice(("max", "max", "grid")),
        window=draw.choice((2, 4, 8)),
        rest_mean_ms=draw.choice((50, 500, 2000)),
        min_view=nodes,
        hostile=False,
        gentle=False,
        faults=tuple(faults),
        calm_ns=max([until_ns, *(fault.at_ns for fault in faults)]),
        programme=True,
        blind=True,
    )


def _later(plan: Plan, by_ns: int) -> Plan:
    faults = tuple(replace(fault, at_ns=fault.at_ns + by_ns) for fault in plan.faults)
    return replace(plan, faults=faults, calm_ns=plan.calm_ns + by_ns)


def _in_mid_round(fault: Fault, period_ms: int) -> Fault:
    """Not all clocks are quite equal: at the instant of a round one might be in time and another
    one late."""
    period_ns = period_ms * MS
    at_ns = fault.at_ns // period_ns * period_ns + period_ns // 2
    return replace(fault, at_ns=at_ns) if fault.name == "wish" else fault


def _wire_plan(seed: int) -> Plan:
    draw = random.Random(seed)
    brief = seed >= BRIEF
    nodes = draw.choice((3, 3, 4) if brief else (3, 3, 3, 4, 4, 5, 6, 9))
    if nodes == 6:
        nodes += seed % 3
    gentle = draw.random() < 0.1
    hostile = not gentle and draw.random() < 0.05
    period_ms = draw.choice((50, 100, 250, 250))
    until_ns = draw.randrange(4, 8 if brief else 30) * S
    drawing = _Drawing(draw, nodes, until_ns)
    drawing.need()
    kinds = GENTLE if gentle else HARSH
    if not gentle and draw.random() < 0.4:
        drawing.always_lossy()
    if not gentle and draw.random() < 0.15:
        kinds = ((_Drawing.rough_talk, 1),)
        for _ in range(4):
            drawing.rough_talk()
    for _ in range(draw.randrange(2, 5 if gentle or brief else 14)):
        (kind,) = draw.choices([one for one, _ in kinds], [share for _, share in kinds])
        kind(drawing)
    faults = drawing.faults
    if gentle:
        # Once all are there: before, it matters who is.
        faults = [
            _in_mid_round(replace(fault, at_ns=fault.at_ns + 8 * S), period_ms) for fault in faults
        ]
    if hostile:
        faults.append(Fault(S, "flip_bits"))
        faults.append(Fault(S, "spoil", (None, SPOILT[seed % len(SPOILT)])))
        # They are not waited for until they come to rest: some time to talk is theirs all the same.
        for turn in range(HOSTILE_WISHES):
            wish = Fault(until_ns + turn * 2 * S, "wish", ((seed + turn) % nodes, 40 << turn))
            faults.append(wish)
        until_ns += 2 * HOSTILE_WISHES * S
    pace = draw.choice(("max", "max", "grid"))
    return Plan(
        seed,
        nodes,
        period_ms,
        pace,
        draw.choice((2, 4, 8)),
        draw.choice((50, 500, 2000)),
        nodes // 2 + 1,
        hostile,
        gentle,
        tuple(sorted(faults, key=lambda fault: fault.at_ns)),
        max([until_ns, *(fault.at_ns for fault in faults)]),
        programme=seed % 2 == 1,
        max_rate=RARE if pace == "grid" and seed % 5 == 1 else 0,
    )
