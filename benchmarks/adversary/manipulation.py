"""What an active adversary does: to which link or node, when, and for how long.

Whom it touches is drawn without looking at who the source is. What decides when it begins is what
anybody on the network sees.
"""

from __future__ import annotations

import enum
import random
from dataclasses import dataclass
from typing import ClassVar, Self

from benchmarks.adversary.series import MANIPULATIONS

SECONDS = (0.5, 3.0)
"""How long an act lasts."""
PACKETS = (1, 2500)
"""Of a burst that have passed when it begins: of six lanes of 64 cells of 64 KiB, some 2,900."""


class Phase(enum.Enum):
    """When it begins: as the change is made; in the burst; once its last packet has passed."""

    ANNOUNCEMENT = "announcement"
    BURST = "burst"
    SETTLING = "settling"


@dataclass(frozen=True, slots=True)
class Act:
    """One manipulation. `victim` and `other` are indexes of addresses; without `other` all links
    of the victim are touched."""

    kind: str
    phase: Phase
    victim: int
    other: int | None
    seconds: float
    packets: int

    NOTHING: ClassVar[Act]

    @property
    def is_nothing(self) -> bool:
        """Whether it takes back what waits."""
        return not self.kind

    def touches(self, source: int, target: int) -> bool:
        """Whether what goes from here to there is hindered. Who is muted still hears."""
        if self.kind == "mute":
            return source == self.victim
        if self.other is None:
            return self.victim in (source, target)
        return {source, target} == {self.victim, self.other}

    @classmethod
    def drawn(cls, kind: str, nodes: int, draw: random.Random) -> Self:
        """Any of that kind, whoever the source is."""
        victim, other = draw.sample(range(nodes), 2)
        whole = kind == "mute" or draw.random() < 0.5
        return cls(
            kind,
            draw.choice(list(Phase)),
            victim,
            None if whole else other,
            draw.uniform(*SECONDS),
            draw.randint(*PACKETS),
        )


Act.NOTHING = Act("", Phase.BURST, 0, None, 0.0, 0)


@dataclass(frozen=True, slots=True)
class Hindrance:
    """What happens to the packets."""

    loss: float = 0.0
    delay_ns: int = 0
    bytes_per_second: int = 0
    """0: as fast as they come."""

    @classmethod
    def of(cls, kind: str) -> Hindrance:
        """That of a kind of act."""
        return _HINDRANCES[kind]


_HINDRANCES = {
    "delay": Hindrance(delay_ns=150_000_000),
    "throttle": Hindrance(bytes_per_second=1_000_000),
    "drop": Hindrance(loss=0.3),
    "cut": Hindrance(loss=1.0),
    "mute": Hindrance(loss=1.0),
}
assert tuple(_HINDRANCES) == MANIPULATIONS
