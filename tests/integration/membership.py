"""Members that come and go while something else goes on: a burst runs, a node stands still.

One flock over TCP for each fault: four machines, each with key files of its own, and the last of
them is the one that comes or goes. The nodes of `world.rig` are the members at that time. Whose
members change joins anew, and counts its cells anew, so that all are touched.
"""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flocksy.testing.over_tcp import free_ports, write_flock
from flocksy.testing.rig import EQUAL_SECONDS, START_SECONDS, Rig, RigError, RigNode, wait_until
from tests.boxes.flock_of_boxes import digest_of, visible
from tests.integration.flock import command, wait_for_files
from tests.integration.world import SLOW, World, code_of, view_of, world_of

COUNT = 4
BURSTING = 200
ALONE = 102
ANEW = "joining the flock anew"


class Membership:
    """The four machines of one flock, and who knows whom."""

    def __init__(self, rig: Rig) -> None:
        """Give each node key files of its own, in which it knows all four."""
        self.rig = rig
        self.everybody = tuple(rig.nodes)
        self.coming_or_going = rig.nodes[-1]
        self._names = {node.name: number for number, node in enumerate(rig.nodes)}
        self._keystore: dict[str, str] = json.loads((rig.keys / "flocksy_keystore").read_text())
        self.endpoints = list(self._keystore)
        self._configs: dict[str, list[str]] = {}
        for node in rig.nodes:
            own = rig.root / f"own-{node.name}"
            own.mkdir(mode=0o700)
            (own / "private").touch(mode=0o600)
            (own / "private").write_text((rig.keys / "flocksy_privatekeys").read_text())
            keep = ("node = ", "keystore = ", "privatekey = ")
            lines = node.config.read_text().splitlines()
            self._configs[node.name] = [
                f"name = {node.name}",
                f"keystore = {own}/keystore",
                f"privatekey = {own}/private",
                *(line for line in lines if not line.startswith(keep)),
            ]
            self.write(node, *rig.nodes)

    def endpoint(self, node: RigNode) -> str:
        """As keystores name it."""
        return self.endpoints[self._names[node.name]]

    def write(self, node: RigNode, *known: RigNode) -> None:
        """Write into a node's files by hand that it knows these, itself among them."""
        keystore = {self.endpoint(one): self._keystore[self.endpoint(one)] for one in known}
        path = self.rig.root / f"own-{node.name}" / "keystore"
        path.touch(mode=0o600)
        path.write_text(json.dumps(keystore))
        others = [f"node = {self.endpoint(one)}" for one in known if one is not node]
        # Above the settings of one box, if they come to have any.
        node.config.write_text("\n".join([*others, *self._configs[node.name], ""]))


Change = Callable[[World, Membership], None]


def revoked_in_a_burst(world: World, flock: Membership) -> None:
    """A member is revoked on all others in a burst, which they finish first: on one by command, on
    the others in keystore and configuration, and by SIGHUP."""
    others, gone = tuple(world.rig.nodes[:-1]), flock.coming_or_going
    world.start_burst(world.draw.choice(world.rig.nodes))
    for node in others:
        world.catch(node, BURSTING)
    world.touch(*others)
    before = _contents(*others)
    left = {node.name: _said(node, ANEW) for node in others}
    world.rig.nodes.remove(gone)  # no hand works there any more
    *by_hand, by_command = world.draw.sample(others, len(others))
    for node in by_hand:
        flock.write(node, *others)
        _hang_up(node)
    assert "REVOKES" in command(by_command, "keys", "revoke", flock.endpoint(gone), "--yes")
    wait_until(
        lambda: (
            all(_said(node, ANEW) > left[node.name] for node in others)
            and all(view_of(node) == len(others) for node in others)
        ),
        "those who are left fly",
        START_SECONDS,
    )
    # What only the other one had it may have told them in that burst, or to nobody.
    forgotten = _contents(gone) - before - _contents(*others)
    world.hands.untouched -= forgotten
    for path in [path for path, digest in world.hands.precious.items() if digest in forgotten]:
        del world.hands.precious[path]
    (gone.box / "of who is gone").write_text("nobody's")  # if it showed, no hand has written it
    wait_until(lambda: code_of(gone) == ALONE, "who is gone is alone", START_SECONDS)
    world.start_burst(others[0])
    _last_comes(world, others)
    if (gone.box / _last(world)).exists():
        raise RigError("who is gone was sent what came afterwards")


def added_while_one_is_stopped(world: World, flock: Membership) -> None:
    """A new member is taken in by two of three while the third is stopped (SIGSTOP), whose own
    files do not have it: continued, that one waits outside until it takes it in, too."""
    newcomer = flock.coming_or_going
    late, *others = world.draw.sample(world.rig.nodes, 3)
    world.touch(*flock.everybody)
    bundle = world.rig.root / "bundle"
    bundle.write_text(command(newcomer, "keys", "export"))
    world.hands.keep(newcomer.box)
    world.start_burst(world.draw.choice((late, *others)))
    world.catch(late, BURSTING)
    three = (newcomer, *others)
    with world.standing_still(late):
        for node in others:
            assert "imported" in command(node, "keys", "import", str(bundle), "--yes")
        world.rig.start(newcomer)
        world.rig.nodes.append(newcomer)
        wait_until(lambda: all(view_of(node) == 3 for node in three), "three fly", START_SECONDS)
        world.start_burst(newcomer)
        world.hands.keep(late.box, 100)
    wait_until(lambda: code_of(late) == ALONE, "the third waits outside", START_SECONDS)
    world.start_burst(late, world.draw.choice(others))
    _last_comes(world, three)
    if view_of(late) > 1 or (late.box / _last(world)).exists():
        raise RigError("who has another flock in its files was in this one")
    assert "imported" in command(late, "keys", "import", str(bundle), "--yes")


CHANGES: dict[Change, int] = {revoked_in_a_burst: COUNT, added_while_one_is_stopped: COUNT - 1}
"""And how many are in the flock before."""


@contextmanager
def flock_before(change: Change, seed: int) -> Iterator[tuple[World, Membership]]:
    """A flock for one change, which flies."""
    members = CHANGES[change]
    with tempfile.TemporaryDirectory() as directory:
        endpoints = [f"127.0.0.1:{port}" for port in free_ports(COUNT)]
        configs = write_flock(Path(directory), endpoints, ["profile = fast", *SLOW])
        rig = Rig(configs, Path(directory))
    flock = Membership(rig)
    for node in rig.nodes[:members]:
        flock.write(node, *rig.nodes[:members])
    del rig.nodes[members:]
    with world_of(rig, seed) as world:
        try:
            yield world, flock
        finally:
            # All that run must end well, members or not, and none may be left.
            rig.nodes[:] = [node for node in flock.everybody if node.process is not None]


def _last(world: World) -> str:
    """The path of what was written last to be kept."""
    return next(reversed(world.hands.precious))


def _last_comes(world: World, nodes: Sequence[RigNode]) -> None:
    """It comes to these. Nobody pauses a box meanwhile, to which nothing would come."""
    world.asking.calm()
    wait_for_files(nodes, [_last(world)], EQUAL_SECONDS)
    world.asking.go_on()


def _contents(*nodes: RigNode) -> set[str]:
    """Digests of all in their boxes and histories."""
    found: set[str] = set()
    for node in nodes:
        found |= visible(node.box)
        found |= {digest_of(path) for path in (node.box / ".flocksy" / "history").rglob("*")}
    return found


def _said(node: RigNode, words: str) -> int:
    return node.log.read_text().count(words)


def _hang_up(node: RigNode) -> None:
    assert node.process is not None
    node.process.send_signal(signal.SIGHUP)
