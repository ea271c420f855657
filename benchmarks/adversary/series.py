"""What is asked of a row of sessions, and how its files are called.

who-bursts-honest-max-3         which of the nodes was the source of a burst?
who-heartbeats-honest-max-3     which of the nodes was the source of what rode in heartbeats?
single-bursts-hashing-max-3     was this one node it, alone on its core among players?
whether-timetable-honest-max-3  was there a change at all?
active-cut-honest-max-3         who was it, when one link or node is hindered?
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Literal

from flocksy.errors import FlocksyError

Question = Literal["who", "single", "whether", "active"]
BUILDS = ("honest", "original", "skew", "hashing", "late", "needy")
"""The honest one, and those with a leak put in: see `leaks`."""
GROSS = ("original", "hashing")
"""Those that have to be found at nearly every burst."""
CHANNELS = ("heartbeats", "timetable", "constant")
"""Where nobody is to see that there was a change."""
MANIPULATIONS = ("delay", "throttle", "drop", "cut", "mute")
"""What is done to a link or to a node: see `manipulation`."""
PARTED = "parted"
"""As `cut`, where a majority goes on without who is cut off, as it does by default: a burst that it
has then was not of who is gone. In all the other series nobody goes on alone (`min_view`)."""
GAP_SECONDS, HURRIED_SECONDS = (1.0, 3.0), (0.5, 1.0)
SINGLE_GAP_SECONDS = (0.8, 1.6)
"""In `single` a change has its own seconds, and no more than two before a burst are looked at."""
MOMENT_S = 2.0
"""After a change that rides in heartbeats, which is looked at."""
DETAILS: dict[str, dict[str, tuple[str, ...]]] = {
    "who": {"bursts": ("original", "skew"), "heartbeats": ("late",)},
    "single": {"bursts": ("hashing",)},
    "whether": dict.fromkeys(CHANNELS, ("late",)),
    "active": dict.fromkeys((*MANIPULATIONS, PARTED), ("needy",)),
}
"""By question: what is flown, and the builds that have to be found before it is believed."""


@dataclass(frozen=True, slots=True)
class Series:
    """All sessions of one kind. `detail`: one of those of its question."""

    question: Question
    detail: str
    build: str = "honest"
    """Which program flies."""
    pace: str = "max"
    nodes: int = 3
    hurried: bool = field(default=False, compare=False)
    """With short times between events: for a trial, whose figures are worth nothing."""
    largest_mib: int = field(default=0, compare=False)
    """Of files made in `who` of bursts; 0: as in all other series, 8."""
    rights: bool = field(default=False, compare=False)
    """Nodes may raise their priority, as hardly anybody's may."""

    @property
    def name(self) -> str:
        """How its files begin."""
        return f"{self.question}-{self.detail}-{self.build}-{self.pace}-{self.nodes}"

    @property
    def conditions(self) -> str:
        """What is not in its name, in words; sessions that differ in it are not mixed."""
        words = f", files of up to {self.largest_mib} MiB" if self.largest_mib else ""
        return words + (", with the right to raise its priority" if self.rights else "")

    @property
    def is_honest(self) -> bool:
        """Whether it is flocksy itself that flies, and no control."""
        return self.build == "honest"

    @property
    def manipulation(self) -> str:
        """What an active adversary does."""
        return "cut" if self.detail == PARTED else self.detail

    @property
    def controls(self) -> tuple[Series, ...]:
        """Those of an honest one: flown alike, and the leak has to be found. One for all that an
        active adversary does at a pace."""
        if not self.is_honest:
            return ()
        detail = "cut" if self.question == "active" else self.detail
        leaky = DETAILS[self.question][self.detail]
        return tuple(replace(self, detail=detail, build=build) for build in leaky)

    @property
    def gap_seconds(self) -> tuple[float, float]:
        """From the arrival of a change to the next one, at least and at most."""
        if self.hurried:
            return HURRIED_SECONDS
        if (self.question, self.detail) == ("who", "heartbeats"):
            return MOMENT_S, MOMENT_S + 1.0
        return SINGLE_GAP_SECONDS if self.question == "single" else GAP_SECONDS


def parse(name: str) -> Series:
    """The series of that name. Raises `FlocksyError`."""
    parts = name.split("-")
    if len(parts) == sum(one.compare for one in fields(Series)):
        question, detail, build, pace, nodes = parts
        if detail in DETAILS.get(question, ()) and build in BUILDS and nodes.isdecimal():
            return Series(question, detail, build, pace, int(nodes))  # type: ignore[arg-type]
    told = Series("who", "bursts").name
    raise FlocksyError(f"{name}: not the name of a series, such as {told}: move such files away")
