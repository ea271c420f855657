"""`make soak-planner`: more than a hundred thousand whole flocks in memory, of every kind, other
than those of the tests. Says what failed and the call that plays it again.

`python -m tests.sync.soak_planner --examples 10000 --first 1000000`
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.sync.examples import EXAMPLES, long_life, long_life_with_disasters

FIRST = 1_000_000
"""The seeds below belong to the tests."""

PART = 500
"""Examples that one process plays before it is given more."""

LONG = (long_life, long_life_with_disasters)


def play(number: int, first: int, count: int) -> list[str]:
    """Some examples of one kind. Returns what failed, in words."""
    example = EXAMPLES[number]
    failed = []
    for seed in range(first, first + count):
        try:
            example(seed)
        except Exception as error:  # noqa: BLE001 - the others are still to be played
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            failed.append(f"tests.sync.examples.{example.__name__}({seed}): {what}")
    return failed


def parts(examples: int, first: int) -> Iterator[tuple[int, int, int]]:
    """What is to be played: (kind, first seed, how many). Of long lives half as many."""
    share = -(-examples // (len(EXAMPLES) - len(LONG) // 2))
    for number, example in enumerate(EXAMPLES):
        wanted = share // 2 if example in LONG else share
        for at in range(0, wanted, PART):
            yield number, first + at, min(PART, wanted - at)


def main() -> int:
    parser = argparse.ArgumentParser(description="whole flocks in memory, by the hundred thousand")
    parser.add_argument("--examples", type=int, default=120_000)
    parser.add_argument("--first", type=int, default=FIRST)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    work = list(parts(options.examples, options.first))
    played = {example.__name__: 0 for example in EXAMPLES}
    failed: list[str] = []
    began = time.monotonic()
    with ProcessPoolExecutor(options.processes) as pool:
        for (number, _, count), some in zip(
            work, pool.map(play, *zip(*work, strict=True)), strict=True
        ):
            played[EXAMPLES[number].__name__] += count
            failed += some
            for line in some:
                print(line, flush=True)
    for name, count in played.items():
        print(f"{count:>9,} {name}")
    seconds = time.monotonic() - began
    print(f"{sum(played.values()):>9,} examples in {seconds:.0f} s, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
