"""A person says that nobody has what is missing: an ordinary change, and never by mistake."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from flocksy.boxes.past.dismissing import dismiss
from flocksy.errors import FlocksyError
from flocksy.sync.attributes import encode_attributes
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.state import join, state_of
from flocksy.sync.trees import DiskEntry, PathState, SyncedEntry
from flocksy.sync.undo import dismissed
from flocksy.sync.version import NO_ROOT, Kind, Version, version_id
from tests.boxes.flock_of_boxes import spool
from tests.boxes.test_guard import Guarded
from tests.boxes.test_missing import MAKER, flock, no_copies, record_only, shows

__all__ = ["flock", "record_only", "spool"]

LAST = "the last that all had"


def say(flock: Guarded, lane: int, path: str, *, anyway: bool = False) -> list[str]:
    """As a node does what it is told."""
    box, exchange = flock.box(lane), flock.nodes[lane].exchange
    shared = exchange.peers.sharing(box.setup.tag, exchange.live())
    return dismiss(
        box,
        path,
        away=len(flock.nodes) - 1 - len(shared),
        denied=exchange.repair.denied(box, shared),
        anyway=anyway,
    )


def in_histories(flock: Guarded, content: bytes) -> set[int]:
    """Nodes whose history has the content."""
    lanes = range(len(flock.nodes))
    return {lane for lane in lanes if content in [one.read_bytes() for one in flock.history(lane)]}


@pytest.mark.parametrize("earlier", [LAST, None])
def test_nothing_is_dismissed_that_a_member_may_have(
    flock: Guarded, record_only: Callable[[str], bytes], earlier: str | None
) -> None:
    if earlier is not None:
        flock.write(0, "folder/a", earlier)
    flock.settle_equal()
    content = record_only("folder/a")
    stands = None if earlier is None else earlier.encode()
    shows(flock, "folder/a", stands, missing=True)
    with pytest.raises(FlocksyError, match="away"):
        say(flock, 0, "folder")
    shows(flock, "folder/a", stands, missing=True)
    assert say(flock, 0, "folder", anyway=True) == ["folder/a"]
    shows(flock, "folder/a", stands, missing=False)
    assert flock.box(1).staging.progress() == (0, 0)
    with pytest.raises(FlocksyError, match="no content is missing there"):
        say(flock, 1, "folder/a")
    # The maker had it, and has it still: where what was taken away goes.
    flock.restart(MAKER)
    flock.settle_equal()
    shows(flock, "folder/a", stands, missing=False)
    assert in_histories(flock, content) == {MAKER}


@pytest.mark.parametrize("_number", range(2))
def test_what_others_wrote_there_stays(
    flock: Guarded, record_only: Callable[[str], bytes], _number: int
) -> None:
    """Whichever would win, which is drawn."""
    flock.write(0, "a", LAST)
    flock.settle_equal()
    record_only("a")
    flock.write(0, "a", "written meanwhile")
    shows(flock, "a", b"written meanwhile", missing=True)
    assert say(flock, 1, "a", anyway=True) == ["a"]
    shows(flock, "a", b"written meanwhile", missing=False)
    no_copies(flock)


@pytest.mark.parametrize("earlier", [LAST, None])
@pytest.mark.parametrize("named", ["folder/a", "folder"])
def test_what_was_just_written_there_stays(
    flock: Guarded, record_only: Callable[[str], bytes], named: str, earlier: str | None
) -> None:
    """No scan has seen it yet, and what was there before would have gone out in its place."""
    flock.write(0, "folder/b", "b")
    if earlier is not None:
        flock.write(0, "folder/a", earlier)
    flock.settle_equal()
    record_only("folder/a")
    shows(flock, "folder/a", None if earlier is None else earlier.encode(), missing=True)
    flock.write(0, "folder/a", "written just now")
    line = r"^folder/a: was changed, and nobody has been told yet; try again in a moment$"
    with pytest.raises(FlocksyError, match=line):
        say(flock, 0, named, anyway=True)
    shows(flock, "folder/a", b"written just now", missing=True)
    assert say(flock, 0, named, anyway=True) == ["folder/a"]
    shows(flock, "folder/a", b"written just now", missing=False)
    no_copies(flock)


def test_who_has_come_since_is_asked_first(
    flock: Guarded, record_only: Callable[[str], bytes]
) -> None:
    """The maker is here again, and what it made is gone; it only has to be asked."""
    flock.write(0, "b", "b")
    flock.settle_equal()
    record_only("a")
    shows(flock, "a", None, missing=True)
    flock.path(MAKER, "a").unlink()
    flock.restart(MAKER)
    flock.run_until(lambda: bool(flock.box(MAKER).guard.waiting))
    flock.box(MAKER).reject()
    flock.run_until(lambda: "a" in flock.box(0).planning.missing.below(""))
    with pytest.raises(FlocksyError, match="asked once more"):
        say(flock, 0, "a")
    assert "a" not in flock.box(0).problems
    flock.run_until(lambda: "a" in flock.box(0).problems)
    assert say(flock, 0, "a") == ["a"]
    flock.settle_equal()
    assert flock.tree(1) == {"b"}


def test_what_only_others_show_is_not_deleted(
    flock: Guarded, record_only: Callable[[str], bytes]
) -> None:
    flock.write(0, "a", LAST)
    flock.settle_equal()
    record_only("a")
    shows(flock, "a", LAST.encode(), missing=True)
    flock.stop(1)
    shutil.rmtree(flock.path(1))
    for name in os.listdir(flock.root / "state1"):
        if name.startswith("box.sqlite"):
            (flock.root / "state1" / name).unlink()
    flock.restart(1)
    flock.run_until(lambda: not flock.box(1).adopting and "a" in flock.box(1).problems)
    assert not flock.path(1, "a").exists()
    box = flock.box(1)
    denied = {root for _, root in box.planning.missing}
    with pytest.raises(FlocksyError, match="on one that does"):
        dismiss(box, "a", away=0, denied=denied, anyway=False)
    say(flock, 0, "a", anyway=True)
    flock.settle_equal()
    assert flock.path(1, "a").read_text() == LAST


# -- the version -----------------------------------------------------------------------------------


class OnePath:
    """Trees of one path, with or without something below it."""

    def __init__(self, state: PathState, synced: SyncedEntry | None, *, below: bool) -> None:
        self._state, self._synced, self._below = state, synced, below

    def local(self, _: str) -> DiskEntry | None:
        return self._synced.disk if self._synced is not None else None

    def synced(self, _: str) -> SyncedEntry | None:
        return self._synced

    def flock(self, _: str) -> PathState | None:
        return self._state

    def local_children(self, _: str) -> list[str]:
        return []

    def flock_children(self, _: str) -> list[str]:
        return ["a/b"] if self._below else []

    def flock_below(self, _: str) -> bool:
        return self._below

    def copies_of(self, _: str) -> list[str]:
        return []

    def conflicted(self) -> list[str]:
        return []


def a_file(name: str, generation: int = 1, *parents: Version) -> Version:
    root = name.encode().ljust(32)
    names = tuple(sorted(map(version_id, parents)))
    return Version(Kind.FILE, 0o640, 1_000_000_000, len(name), root, generation, names)


BASE = a_file("base")
DEAD = replace(a_file("dead", 2, BASE), mode=0o750)
SHOWN = DiskEntry(Kind.FILE, 0o640, 1_000_000_000, 4, BASE.root)
FOLDER = DiskEntry(Kind.DIRECTORY, 0o700, 0, 0, NO_ROOT)


def after_dismissal(
    others: list[Version], shown: DiskEntry | None, capabilities: Capabilities, *, below: bool
) -> tuple[PathState, PathState, Version]:
    """State before and after, and what was made."""
    state = state_of(DEAD, {version_id(BASE): NO_ROOT})
    for other in others:
        state = join(state, state_of(other, {}))
    synced = SyncedEntry(frozenset({version_id(BASE)}), shown, generation=1)
    trees = OnePath(state, synced, below=below)
    record = dismissed(trees, "a", [version_id(DEAD)], capabilities)
    return state, join(state, state_of(record.version, record.superseded)), record.version


@pytest.mark.parametrize("on_disk", [None, b"", encode_attributes({b"tag": b"disk"})])
def test_attributes_stay(on_disk: bytes | None) -> None:
    """Where this disk does not show any, they are what the flock has said last."""
    said = encode_attributes({b"tag": b"said"})
    state = state_of(replace(DEAD, attributes=said), {version_id(BASE): NO_ROOT})
    shown = replace(SHOWN, attributes=on_disk)
    synced = SyncedEntry(frozenset({version_id(BASE)}), shown, generation=1)
    trees = OnePath(state, synced, below=False)
    made = dismissed(trees, "a", state.heads, Capabilities()).version
    assert made.attributes == (said if on_disk is None else on_disk)


@pytest.mark.parametrize("shown", [SHOWN, FOLDER, None])
@pytest.mark.parametrize("others", [[], [a_file("other", 2, BASE)], [a_file("new")]])
@pytest.mark.parametrize("below", [False, True])
@pytest.mark.parametrize("mode_bits", [False, True])
def test_only_the_dead_head_is_superseded(
    shown: DiskEntry | None, others: list[Version], below: bool, mode_bits: bool
) -> None:
    capabilities = Capabilities(mode_bits=mode_bits)
    before, after, made = after_dismissal(others, shown, capabilities, below=below)
    assert version_id(DEAD) not in after.heads
    assert after.heads.keys() - before.heads.keys() == {version_id(made)}
    assert before.heads.keys() - after.heads.keys() == {version_id(DEAD)}
    assert made.generation == DEAD.generation + 1
    assert DEAD.root not in after.superseded.values(), "nobody has said that it is not wanted"
    if others or below or shown is None:
        assert made.kind is Kind.TOMBSTONE
        return
    # Where this disk shows no mode: what the flock has said last of a file, or what is usual.
    unseen = DEAD.mode if shown is SHOWN else 0o755
    assert (made.kind, made.root, made.size) == (shown.kind, shown.root, shown.size)
    assert made.mode == (shown.mode if mode_bits else unseen)
    assert made.mtime_ns == shown.mtime_ns
