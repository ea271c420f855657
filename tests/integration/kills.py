"""Real nodes that are killed again and again while people work on all of them.

    python -m tests.integration.kills --kills 300

A run is made from its seed, but for what the machine makes of the time. What must hold at every
rest is said in `hands.py`.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

from flocksy.testing.rig import Rig
from tests.integration.flock import not_of_the_interpreter, rig_of_three
from tests.integration.hands import Hands

REST_EVERY = 25
"""Kills between two rests, at which everything is compared."""

MAX_PAUSE_SECONDS = 1.0
"""A node lives at least this long less the luck of the draw before the next is killed."""


class Killing:
    """One run on a rig that flies."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.rig = rig
        self.hands = Hands(rig, seed)
        self.draw = self.hands.draw
        self.kills = 0

    def run(self, kills: int) -> None:
        """So many kills, with rests in between and one in the end."""
        self.hands.rest()
        for number in range(1, kills + 1):
            self.kill()
            if number % REST_EVERY == 0 or number == kills:
                self.hands.rest()

    def kill(self) -> None:
        """Kill a node at a random instant; people go on working on all disks, also on its own."""
        node = self.draw.choice(self.rig.nodes)
        until = time.monotonic() + self.draw.uniform(0.0, MAX_PAUSE_SECONDS)
        while time.monotonic() < until:
            self.hands.change()
            time.sleep(self.draw.uniform(0.0, 0.1))
        self.rig.kill(node, alone=self.draw.random() < 0.5)
        self.kills += 1
        for _ in range(self.draw.randrange(4)):
            self.hands.change(away=node)
        self.rig.start(node)


def run(kills: int, seed: int) -> Killing:
    """A rig, so many kills, and a look at its logs."""
    with rig_of_three() as rig:
        rig.start_all()
        killing = Killing(rig, seed)
        try:
            killing.run(kills)
        except Exception as error:
            raise AssertionError(
                f"seed {seed}, after {killing.kills} kills: {error}\n{rig.log_tails()}"
            ) from error
        for node in rig.nodes:
            assert rig.stop(node) == 0, rig.log_tails()
        broken = not_of_the_interpreter(rig.complaints())
        assert not broken, broken
        return killing


def main() -> int:
    """Many kills, and what was done meanwhile."""
    parser = argparse.ArgumentParser(description="real nodes, killed again and again")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()
    killing = run(options.kills, options.seed)
    hands = killing.hands
    print(
        f"{killing.kills} kills in {time.monotonic() - began:.0f} s, {len(hands.written)} contents"
        f" written, {len(hands.precious)} never touched again, {hands.deletions} deletions,"
        f" {hands.answers} answers given: all boxes equal, nothing lost"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
