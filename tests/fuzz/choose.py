"""Choose from what the fuzzer has gathered the few inputs that reach all it has reached:
`python -m tests.fuzz.choose [NAME ...]` writes them into the committed corpus.

What an input reaches is the pairs of lines one after the other that it runs in flocksy.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

from tests.fuzz import corpus
from tests.fuzz.__main__ import PLACE
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Target

MOST = 40
"""Inputs of one target."""

MOST_BYTES = 1500
"""Of one input: a corpus is read by people too, now and then."""

_OURS = str(Path(__file__).parents[2] / "flocksy")

Step = tuple[str, int, int]


def reached(target: Target, one: bytes) -> set[Step]:
    """The steps that the input takes."""
    steps: set[Step] = set()

    def watch(frame: FrameType, _event: str, _: object) -> object:
        code = frame.f_code
        if not code.co_filename.startswith(_OURS):
            return None
        before = 0

        def line(frame: FrameType, event: str, _: object) -> object:
            nonlocal before
            if event == "line":
                steps.add((code.co_filename, before, frame.f_lineno))
                before = frame.f_lineno
            return line

        return line

    sys.settrace(watch)  # type: ignore[arg-type]  # the stub knows no tracer that returns another
    try:
        target.check(one)
    finally:
        sys.settrace(None)
    return steps


def choose(target: Target, inputs: list[bytes]) -> list[bytes]:
    """The smallest that together reach all steps, those that reach most first."""
    there: set[Step] = set()
    for seed in target.seeds():
        there |= reached(target, seed)
    left = {one: reached(target, one) - there for one in sorted(inputs, key=len)}
    chosen: list[bytes] = []
    while len(chosen) < MOST:
        best = max(left, key=lambda one: (len(left[one]), -len(one)), default=b"")
        if not left.get(best):
            break
        chosen.append(best)
        new = left.pop(best)
        left = {one: rest for one, steps in left.items() if (rest := steps - new)}
    return chosen


def main() -> None:
    """Of the named targets, or of all."""
    for name in sys.argv[1:] or TARGETS:
        gathered = [path.read_bytes() for path in (PLACE / name / "corpus").glob("*")]
        chosen = choose(TARGETS[name], [one for one in gathered if len(one) <= MOST_BYTES])
        corpus.commit(name, chosen)
        print(f"{name:<14}{len(gathered):>6} gathered {len(chosen):>4} chosen")


if __name__ == "__main__":
    main()
