"""The explorer with wider bounds than in every test run; for a night.

    python -m tests.protocol.explore_deep                     all of `DEEP`
    python -m tests.protocol.explore_deep 4 2 2 0 [LATENCY [PROGRAMME]]

The numbers are losses, crashes, rejoins, needs, rounds that a cell takes, bursts after a join.

Prints the size of the space and the time; ends with the run that breaks a promise, if one does.
A million states take about ten minutes and 2 GB.
"""

from __future__ import annotations

import sys
import time

from tests.protocol.explorer import SMALL, Bounds, BrokenPromiseError
from tests.protocol.test_explorer import explore

DEEP: tuple[Bounds, ...] = (
    Bounds(losses=1, crashes=1, rejoins=1, needs=0, programme=3),
    Bounds(losses=1, crashes=1, rejoins=1, needs=0, latency=2, programme=1),
    Bounds(losses=2, crashes=0, rejoins=0, needs=2, programme=1),
    Bounds(losses=4, crashes=0, rejoins=0, needs=2),
    Bounds(losses=2, crashes=1, rejoins=1, needs=1),
    Bounds(losses=1, crashes=1, rejoins=1, needs=1, programme=1),
    # No smaller view takes the place of one in which two have lost each other.
    Bounds(losses=1, crashes=1, rejoins=1, needs=1, programme=1, min_view=3),
    Bounds(losses=4, crashes=0, rejoins=0, needs=1, programme=1, min_view=3),
    Bounds(losses=1, crashes=1, rejoins=1, needs=1, latency=2, programme=1),
    Bounds(losses=2, crashes=0, rejoins=0, needs=2, latency=2, programme=1),
    # At the edge: a cell that is lost leaves the next one too old to count as alive.
    Bounds(losses=1, crashes=1, rejoins=0, needs=1, latency=3, programme=1, live_rounds=80),
    Bounds(losses=4, crashes=2, rejoins=2, needs=0),
    Bounds(losses=1, crashes=2, rejoins=2, needs=1, sizes=(SMALL,)),
    Bounds(losses=4, crashes=2, rejoins=2, needs=1, sizes=(SMALL,)),
)
"""From the cheapest to the one that takes the night; what the last one adds is their meeting."""


def main(arguments: list[str]) -> int:
    """Explore; 1 if a promise is broken."""
    wanted = DEEP
    if arguments:
        losses, crashes, rejoins, needs, *more = (int(argument) for argument in arguments)
        latency, programme = (*more, *(1, 0)[len(more) :])
        wanted = (Bounds(losses, crashes, rejoins, needs, latency, programme=programme),)
    for bounds in wanted:
        began = time.monotonic()
        try:
            explore(bounds)
        except BrokenPromiseError as broken:
            print(f"{bounds}: {broken}")
            return 1
        print(f"{time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
