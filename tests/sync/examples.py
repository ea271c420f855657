"""One example of whole flocks in memory by its number, of every kind there is.

What `make test` runs by the thousand and `make soak-planner` by the hundred thousand, and what the
mutants of the core have to fail.
"""

from __future__ import annotations

from collections.abc import Callable

from flocksy.sync.capabilities import Capabilities
from tests.sync.archive_lives import archive_life
from tests.sync.canopy import canopy, wander
from tests.sync.flock_in_memory import FULL, Node
from tests.sync.laws import join_laws, view_laws
from tests.sync.lives import Flock
from tests.sync.quiet_lives import one_at_a_time, own_corners
from tests.sync.tagged_lives import tagged_life, tags_one_at_a_time

EXFAT = Capabilities(mode_bits=False, symlinks=True, mtime_grain_ns=2_000_000_000)

Example = Callable[[int], None]


def _live(seed: int, nodes: int, steps: int, *, disasters: bool) -> None:
    flock = Flock([Node() for _ in range(nodes)])
    flock.live(seed, steps, disasters=disasters)
    flock.settle()
    flock.check()


def short_life(seed: int) -> None:
    """Three people, little happens: every order of it."""
    _live(seed, 3, 14, disasters=False)


def long_life(seed: int) -> None:
    """Four people who keep on."""
    _live(seed, 4, 50, disasters=False)


def short_life_with_disasters(seed: int) -> None:
    """Two people, and their indexes, disks and power."""
    _live(seed, 2, 12, disasters=True)


def long_life_with_disasters(seed: int) -> None:
    """Four people, months away, old backups."""
    _live(seed, 4, 60, disasters=True)


def poor_disk(seed: int) -> None:
    """One of three disks has no mode bits and coarse times."""
    flock = Flock([Node(disk) for disk in (FULL, EXFAT, FULL)])
    flock.live(seed, 20)
    flock.settle()
    flock.check(equal_disks=False)


def correlated_trees(seed: int) -> None:
    """Two or three nodes in the middle of anything."""
    flock, draw = canopy(seed, 2 + seed % 2)
    wander(flock, draw, 8)
    flock.settle()
    flock.check()


EXAMPLES: tuple[Example, ...] = (
    join_laws,
    view_laws,
    short_life,
    long_life,
    short_life_with_disasters,
    long_life_with_disasters,
    poor_disk,
    correlated_trees,
    one_at_a_time,
    own_corners,
    tagged_life,
    tags_one_at_a_time,
    archive_life,
)
