"""Lives in which nobody is in anybody's way: then everybody gets exactly what was done, whatever
the network does. A core that is wrong in the same way everywhere converges all the same; here it
shows."""

from __future__ import annotations

import random

from flocksy.sync.version import Kind
from tests.sync.flock_in_memory import Node
from tests.sync.lives import Flock


def one_at_a_time(seed: int) -> None:
    """People take turns. Who has the turn has heard and applied all there is; the others hear of
    it in any order, some of it twice, some of it late, and apply some of it."""
    draw = random.Random(seed)
    flock = Flock([Node() for _ in range(3)])
    for turn in range(6):
        number = draw.randrange(3)
        node = flock.nodes[number]
        flock.hear(number)
        _done(node)
        for change in range(draw.randrange(1, 5)):
            flock.edit(node, draw, f"text {turn} {change}")
            if draw.random() < 0.3:
                node.step()
        left = node.shown()
        _done(node)
        assert node.shown() == left, "flocksy changed what somebody had just done"
        for other in range(3):
            if other != number:
                flock.deliver(other, draw, draw.randrange(6))
                _work(flock.nodes[other], draw)
    flock.settle()
    assert flock.nodes[0].shown() == left, "not what the last one left"
    flock.check()


def own_corners(seed: int) -> None:
    """Everybody has a directory of their own, and all work at once."""
    draw = random.Random(seed)
    flock = Flock([Node() for _ in range(3)])
    corners = [f"of {number}" for number in range(3)]
    for step in range(25):
        number = draw.randrange(3)
        node = flock.nodes[number]
        dice = draw.random()
        if dice < 0.4:
            flock.edit(node, draw, f"text {step}", corners[number])
        elif dice < 0.7:
            flock.deliver(number, draw, draw.randrange(1, 8))
        else:
            _work(node, draw)
    meant: Shown = {}
    for node, corner in zip(flock.nodes, corners, strict=True):
        before = _below(node, corner)
        _done(node)
        after = _below(node, corner)
        # While only part of a change is recorded a directory may come back for a moment, and
        # what became a directory may show beside it.
        assert _files(before) == _files(after), "flocksy changed what somebody had just done"
        meant |= after
    flock.settle()
    assert flock.nodes[0].shown() == meant, "not what everybody did"
    flock.check()


Shown = dict[str, tuple[Kind, int, int, bytes]]


def _below(node: Node, corner: str) -> Shown:
    """What stands in a corner."""
    return {
        path: entry
        for path, entry in node.shown().items()
        if path == corner or path.startswith(f"{corner}/")
    }


def _files(shown: Shown) -> Shown:
    """Without directories, and without the conflict copies of the moment."""
    return {
        path: entry
        for path, entry in shown.items()
        if entry[0] is not Kind.DIRECTORY and ".conflict-" not in path
    }


def _work(node: Node, draw: random.Random) -> None:
    dice = draw.random()
    if dice < 0.3:
        node.step()
    elif dice < 0.5:
        node.step(draw)
    else:
        node.fumble(draw, lambda: None)


def _done(node: Node) -> None:
    """Do all that is due."""
    for _ in range(5):
        if not node.step():
            return
    raise AssertionError("it does not settle")
