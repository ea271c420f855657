"""Random batches that die at any call on disks that fold names. Somebody may do something then, the
recovery may die as well; and all is as it was or as it was to be, and nothing is lost.

Without pytest, at every call: `python -m tests.boxes.test_recovery_sweep --seeds 100`.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from flocksy.boxes.apply import flushing, recovery
from flocksy.boxes.apply.cut import Cut
from flocksy.boxes.apply.placing import OWN_PREFIX
from flocksy.sync.capabilities import Capabilities
from tests.boxes.bench import Bench, finish, root_of
from tests.boxes.disks import Died, DyingAndFolding
from tests.boxes.random_batch import (
    THEIRS,
    Act,
    Change,
    Drawing,
    Tree,
    batch_of,
    comes_along,
    do,
    drawn_act,
    is_in,
    is_known,
    may_die_again,
    parted,
    renamed_folders,
    tree_of,
)
from tests.boxes.test_power_cut import IN_MEMORY, in_turn
from tests.boxes.test_recovery_folding import (
    FOLDING,
    InTwoSteps,
    Kind,
    WithoutLinks,
    die,
    made_bench,
)

WITHOUT_INODES = Capabilities(case_folding=True, stable_inodes=False)
DISKS: dict[str, tuple[type[Kind], Capabilities]] = {
    "links": (DyingAndFolding, FOLDING),
    "no-links": (WithoutLinks, FOLDING),
    "no-links-no-inodes": (WithoutLinks, WITHOUT_INODES),
    "two-steps": (InTwoSteps, FOLDING),
    "two-steps-no-inodes": (InTwoSteps, WITHOUT_INODES),
}
SEEDS = (0, 3, 11, 35, 105)
STEP = 11
"""Every so many calls of the disk one death; the command has one at each."""
AGAIN = (None, 4, 6, 7, 11, 20)
"""After so many calls the recovery dies as well; four make the folders."""
CALLS = 400
"""More than any of these batches has."""


# -- what is to be so afterwards -------------------------------------------------------------------


def check(bench: Bench, change: Change, act: Act | None, hand: Tree, looked: set[str]) -> None:
    """`hand` is the tree that somebody has left, `looked` what the recovery wants to have read."""
    assert not bench.index.journal.open_rows()
    assert not [name for name in bench.temporaries() if name.startswith(OWN_PREFIX)]
    shown = tree_of(bench)
    touched = touched_by(change, act)
    check_names(bench, shown, act)
    check_kept(bench, change, act, hand)
    check_states(bench, change, touched)
    check_index(bench, change, looked, touched)
    if act is None:
        check_planned_again(bench, change, looked)
    elif act.what in ("case", "rename"):
        check_rename(change, act, hand, shown)


def touched_by(change: Change, act: Act | None) -> set[str]:
    """The paths at which more is right than what the batch makes: those of the act, and where the
    same file comes from or goes to."""
    touched = {act.path, act.target} if act else set()
    for pair in change.sources.items():
        if any(is_in(path, touched) for path in pair):
            touched.update(pair)
    return touched


def check_names(bench: Bench, shown: Tree, act: Act | None) -> None:
    """No name is another's by case only, and no file has two. (B40: after an edit the history may
    have another name of it.)"""
    assert len({path.casefold() for path in shown}) == len(shown), "two names of one entry"
    found = [(bench.root / path).stat() for path, data in shown.items() if data is not None]
    assert len({one.st_ino for one in found}) == len(found), "two names of one file"
    assert act or all(one.st_nlink == 1 for one in found), "a second name that is ours"


def check_kept(bench: Bench, change: Change, act: Act | None, hand: Tree) -> None:
    """What was there before, and what somebody has left, is live or in the history; what somebody
    has made is live, and so is what the batch only moves."""
    live = set(tree_of(bench).values())
    owed = {*change.before.values(), *hand.values()}
    if act and act.what in ("edit", "save", "delete"):
        owed &= set(hand.values())  # the rest is what they have written over or deleted themselves
    assert owed <= live | {*bench.kept().values(), None}, "lost"
    assert bench.rows().keys() <= bench.kept().keys(), "a row of what is not in the history"
    assert THEIRS not in hand.values() or THEIRS in live, "only in the history"
    for new, old in change.sources.items() if act is None else ():
        # B39: over a file, from a directory that gets another case.
        if new not in change.before or not comes_along(change, old):
            assert change.before[old] in live, f"{old} is only in the history"


def check_states(bench: Bench, change: Change, touched: set[str]) -> None:
    """Each path is as it was or as it was to be."""
    trees = change.before, change.after, tree_of(bench)
    was, shall, now = (by_folded_path(tree, touched) for tree in trees)
    for path in was.keys() | shall.keys() | now.keys():
        is_between = path not in now and path in was and path in shall
        if is_between and was[path][1] is None and bench.index.local(shall[path][0]) is None:
            continue  # an empty directory has made way for a file, which comes once more
        right = was.get(path), shall.get(path)
        assert now.get(path) in right, f"{path}: {now.get(path)}, and none of {right}"


def by_folded_path(tree: Tree, touched: set[str]) -> dict[str, tuple[str, bytes | None]]:
    """Name and content of what nobody has touched."""
    untouched = [path for path in tree if not is_in(path, touched)]
    return {path.casefold(): (parted(path)[1], tree[path]) for path in untouched}


def check_index(bench: Bench, change: Change, looked: set[str], touched: set[str]) -> None:
    """It says of what nobody has touched, and is not to be read once more, what the disk shows."""
    shown = tree_of(bench)
    for path in change.before.keys() | change.after.keys() | shown.keys():
        if path in looked or is_in(path, touched) or any(is_in(one, [path]) for one in touched):
            continue
        entry, data = bench.index.local(path), shown.get(path)
        assert (entry is not None) == (path in shown), f"the index is wrong about {path}"
        assert entry is None or data is None or entry.root == root_of(data), f"it is not {path}"


def check_rename(change: Change, act: Act, hand: Tree, shown: Tree) -> None:
    """What somebody has renamed has that name, or the one that the batch gives to the same."""
    data, name = hand[act.target], parted(act.target)[1]
    if data is None:
        same = {parted(path)[1] for path in shown if path.casefold() == act.target.casefold()}
        assert name in same or act.path.casefold() in renamed_folders(change), f"undone: {same}"
        return
    moved = [new for new, old in change.sources.items() if change.before[old] == data]
    if any(shown.get(new) == data for new in moved if not is_in(new, [act.path])):
        return
    names = {parted(path)[1] for path in shown if shown[path] == data}
    assert name in names, f"undone: {names}"


def check_planned_again(bench: Bench, change: Change, looked: set[str]) -> None:
    """What was not done is done with the next batch, after a scan."""
    shown = tree_of(bench)
    for path in looked | shown.keys():
        found, root = bench.disk.stat(path), root_of(shown.get(path) or b"")
        bench.index.set_local(path, found.entry(root) if found and path in shown else None)
    bench.apply(*batch_of(bench, Change(shown, change.after, {})))
    assert tree_of(bench) == change.after, "planned again, and not done"


# -- the sweep -------------------------------------------------------------------------------------


@contextmanager
def command_told(seed: int, disk: str, call: int) -> Iterator[None]:
    """Whatever goes wrong says how to do it once more."""
    try:
        yield
    except Exception as error:
        again = f"--first {seed} --seeds 1 --disk {disk} --call {call}"
        command = f"python -m tests.boxes.test_recovery_sweep {again}"
        raise AssertionError(f"{error!r}\n  {command}") from error


def survive(seed: int, disk: str, call: int) -> bool:
    """Whether the batch of that seed has so many calls. What is there after it died is right."""
    change = Drawing(random.Random(seed)).change()
    chance = random.Random(f"{seed} {disk} {call}")
    with command_told(seed, disk, call), tempfile.TemporaryDirectory(dir=IN_MEMORY) as place:
        bench, faulty = made_bench(Path(place), *DISKS[disk])
        with closing(bench):
            bench.apply(*batch_of(bench, Change({}, change.before, {})))
            if not die(bench, faulty, call, batch_of(bench, change)):
                assert tree_of(bench) == change.after, "nobody died, and it is not done"
                return False
            act = done(bench, change, chance)
            hand = tree_of(bench)
            again = chance.choice(AGAIN) if may_die_again(change, act) else None
            looked = recovered(bench, faulty, again)
            try:
                check(bench, change, act, hand, looked)
            except AssertionError as error:
                raise AssertionError(f"{error}, after {act}, {change}") from error
    return True


def done(bench: Bench, change: Change, chance: random.Random) -> Act | None:
    """What somebody has done before the start, every other time."""
    tree = tree_of(bench)
    if not tree or chance.random() < 0.5:
        return None
    act = drawn_act(chance, tree)
    if is_known(bench, change, act):
        return None
    do(bench, act)
    return act


def recovered(bench: Bench, faulty: Kind, calls: int | None) -> set[str]:
    """Recover, dying in it after so many calls, and once more. What is to be read."""
    looked: set[str] = set()
    faulty.calls_left = calls
    with suppress(Died):
        looked.update(finish(bench.applier.recover()).rescan)
    faulty.calls_left = None
    return looked.union(finish(bench.applier.recover()).rescan)


def sweep(seed: int, disk: str, step: int) -> int:
    """The deaths of one batch."""
    for deaths, call in enumerate(range(seed % step, CALLS, step)):
        if not survive(seed, disk, call):
            return deaths
    raise AssertionError("there is no end to it")


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run of a seed has the same calls, and none waits for a flush."""
    monkeypatch.setattr(flushing, "in_thread", in_turn)


@pytest.mark.parametrize("disk", DISKS)
def test_a_batch_that_dies_is_as_it_was_or_as_it_was_to_be(disk: str) -> None:
    assert sum(sweep(seed, disk, STEP) for seed in SEEDS) > 2 * len(SEEDS)


@pytest.mark.parametrize(
    ("of", "method", "instead"),
    [
        (Cut, "came_along", False),
        (Cut, "is_otherwise_spelt", False),
        (Cut, "second_name", None),
        (Cut, "twin", None),
        (recovery, "_end_move", None),
    ],
)
def test_the_sweep_notices_what_is_broken_on_purpose(
    monkeypatch: pytest.MonkeyPatch, of: Any, method: str, instead: object
) -> None:
    monkeypatch.setattr(of, method, lambda *_: instead)
    with pytest.raises(AssertionError, match="--call"):
        for seed in range(20):
            sweep(seed, "two-steps", STEP)


def main() -> int:
    """Run many seeds, and say which ones fail, where and how to run them again."""
    parser = argparse.ArgumentParser(description="batches that die on disks that fold names")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--disk", choices=DISKS, help="on this kind of disk only")
    parser.add_argument("--call", type=int, help="at this call only")
    options = parser.parse_args()
    pytest.MonkeyPatch().setattr(flushing, "in_thread", in_turn)
    failed = deaths = 0
    for seed in range(options.first, options.first + options.seeds):
        for disk in [options.disk] if options.disk else DISKS:
            for call in range(CALLS) if options.call is None else [options.call]:
                deaths += 1
                try:
                    if not survive(seed, disk, call):
                        break
                except AssertionError as error:
                    failed += 1
                    print(f"seed {seed}, {disk}, call {call}: {error}", flush=True)
    print(f"{failed} of {deaths} deaths of {options.seeds} batches failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
