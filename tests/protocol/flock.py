"""A flock of agreements in lockstep: cells and bursts take whole numbers of rounds."""

from __future__ import annotations

from dataclasses import dataclass, field

from flocksy.protocol.agreement import State, initial, step
from flocksy.protocol.fsm_table import Status
from flocksy.protocol.machine import Machine
from flocksy.protocol.parameters import Parameters
from flocksy.protocol.shown import (
    Inputs,
    LeaveBurst,
    Outcome,
    Output,
    Plan,
    Shown,
    StartBurst,
)

FIRST_ROUND = 5000
BURST_ROUNDS = 2


@dataclass
class Member:
    """One node, its emitter reduced to what the agreement sees of it."""

    parameters: Parameters
    state: State
    machine: Machine = field(default_factory=Machine)
    need: int = 0
    leaving: bool = False
    alive: bool = True
    plans: list[Plan] = field(default_factory=list)
    running: Plan | None = None
    outcome: Outcome = Outcome.FINISHED
    burst_rounds: int = BURST_ROUNDS
    output: Output | None = None
    outputs: list[Output] = field(default_factory=list)

    @property
    def shown(self) -> Shown:
        """The cell of the last round."""
        assert self.output is not None
        return self.output.shown

    def flying(self, now: int, rounds: int) -> Shown | None:
        """The cell that arrives in round `now` after so many rounds under way."""
        for output in reversed(self.outputs[-3:]):
            if output.shown.round == now - rounds:
                return output.shown
        return None

    def history(self) -> list[Status]:
        """What its cells have shown, round by round."""
        return [output.shown.status for output in self.outputs]


class Flock:
    """`size` members that hear each other, but for what `lost` and `cut` say."""

    def __init__(
        self,
        size: int = 3,
        min_view: int = 2,
        rest_mean_ms: int = 0,
        period_ms: int = 250,
        programme_cells: int = 0,
        sustain_us: int = 1000,
    ) -> None:
        self.round = FIRST_ROUND
        self.rest_mean_ms = rest_mean_ms
        self.min_view = min_view
        self.period_ms = period_ms
        self.programme_cells = programme_cells
        self.sustain_us = sustain_us
        self.slow: set[tuple[int, int]] = set()
        """Links whose cells take two rounds."""
        self.eligible = (1 << size) - 1
        self.cut: set[tuple[int, int]] = set()
        self.members = [self._fresh(size, own) for own in range(size)]

    def _fresh(self, size: int, own: int) -> Member:
        parameters = Parameters(
            size, own, self.min_view, self.period_ms, self.rest_mean_ms, self.programme_cells
        )
        return Member(parameters, initial(parameters))

    def restart(self, own: int) -> None:
        """A member that remembers nothing."""
        self.members[own] = self._fresh(len(self.members), own)

    def tick(self, lost: set[tuple[int, int]] | None = None) -> None:
        """One round; `lost` has (source, target) of the cells of the round before."""
        gone = self.cut | (lost or set())
        for own, member in enumerate(self.members):
            if not member.alive:
                continue
            cells = tuple(
                (lane, shown)
                for lane, source in enumerate(self.members)
                if lane != own
                and (lane, own) not in gone
                and (shown := source.flying(self.round, 2 if (lane, own) in self.slow else 1))
            )
            self._step(member, cells)
        self.round += 1

    def _step(self, member: Member, cells: tuple[tuple[int, Shown], ...]) -> None:
        outcome = None
        plan = member.running
        if plan is not None and self.round >= max(plan.start_round, self._began(member)):
            outcome = member.outcome
            member.running = None
        inputs = Inputs(
            self.round,
            cells,
            self.eligible,
            member.need,
            self.sustain_us,
            member.leaving,
            outcome,
        )
        member.state, output = step(member.parameters, member.state, inputs, member.machine.decide)
        member.output = output
        member.outputs.append(output)
        for command in output.commands:
            if isinstance(command, StartBurst):
                member.plans.append(command.plan)
                member.running = command.plan
            elif isinstance(command, LeaveBurst):
                member.running = None

    @staticmethod
    def _began(member: Member) -> int:
        plan = member.running
        assert plan is not None
        return plan.start_round + member.burst_rounds

    def run(self, rounds: int) -> None:
        """Rounds without losses."""
        for _ in range(rounds):
            self.tick()

    def settle(self) -> None:
        """Rounds enough for a view to form."""
        self.run(8)

    def shown(self) -> list[Shown]:
        """What the live members showed last."""
        return [member.shown for member in self.members if member.alive]
