"""What the log of a node tells of bursts that it was in without some of the others.

Where links heal one after the other, views form meanwhile that hold one of two nodes to which
nothing was done, and not the other. What is sent in them only one of the two has sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass

_STARTED = re.compile(r"flocksy \S+ at (\S+)")
_AGREED = re.compile(r"burst of (\d+) cells agreed")
_ABORTED = "burst aborted"
_ENDED = "burst ended"
_FLYING = "flying "


@dataclass(frozen=True, slots=True)
class Apart:
    """Bursts in views without some of the others.

    Args:
        bursts: how many.
        least, most: cells sent in them. Of a burst that was aborted any number was.
    """

    bursts: int = 0
    least: int = 0
    most: int = 0

    def since(self, before: Apart) -> Apart:
        """Without what had been before."""
        return Apart(
            self.bursts - before.bursts, self.least - before.least, self.most - before.most
        )


def address_in(lines: Iterable[str]) -> str:
    """Of the node that wrote these lines, as the others name it."""
    return next(found[1] for line in lines if (found := _STARTED.search(line)))


def apart(lines: Iterable[str], others: Set[str]) -> Apart:
    """The bursts agreed on while not all the `others` (addresses) were in the node's view."""
    bursts = least = most = 0
    together = True
    running = 0  # cells of a burst apart
    for line in lines:
        if _FLYING in line:
            together = others <= {word.rstrip(",:") for word in line.split()}
        elif agreed := _AGREED.search(line):
            running = 0 if together else int(agreed[1])
            bursts += not together
            most += running
        elif _ENDED in line:
            least += running
            running = 0
        elif _ABORTED in line:
            running = 0
    return Apart(bursts, least, most)
