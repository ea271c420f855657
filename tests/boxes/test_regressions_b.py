"""Things that once went wrong with boxes, and must not again."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.apply import flushing
from flocksy.boxes.apply.journal import Applied, IndexJournal, JournalEntry
from flocksy.boxes.box import Box
from flocksy.boxes.content.reader import ChunkReader
from flocksy.boxes.content.staging import Staging
from flocksy.boxes.lanes.repair import Repair
from flocksy.boxes.offers import Offers
from flocksy.boxes.planning import Planning
from flocksy.boxes.scan.findings import Gone, Seen
from flocksy.boxes.scan.scanner import Scanner
from flocksy.errors import FlocksyError
from flocksy.index.journal import Kept
from flocksy.index.store import BoxIndex
from flocksy.testing.lockstep import PERIOD_S
from tests.boxes.flock_of_boxes import Flock, flock, spool, visible

__all__ = ["flock", "spool"]

FLUSH_ROUNDS = 3


def test_a_time_that_no_version_can_say(flock: Flock) -> None:
    far = flock.write(0, "far", "from the future")
    os.utime(far, (13_600_000_000, 13_600_000_000))  # 2400, where the file system goes so far
    flock.settle()
    assert flock.path(1, "far").read_text() == "from the future"
    flock.write(1, "far", "and back")
    flock.settle_equal()
    assert far.read_text() == "and back"


def test_one_box_that_rests_does_not_stop_the_others(flock: Flock) -> None:
    flock.write(0, "a", "one")
    flock.settle_equal()
    flock.nodes[2].keeper.pause("box")
    flock.write(0, "a", "two")
    flock.box(0).rescan(flock.now)
    others = (flock.box(0), flock.box(1))
    flock.run_until(
        lambda: all(
            box.settled and node.exchange.agrees(box)
            for box, node in zip(others, flock.nodes, strict=False)
        ),
        300,
    )
    assert flock.path(1, "a").read_text() == "two"
    adopted = flock.nodes[1].keeper.adopt("box", flock.now).box
    assert adopted is not None
    flock.run_until(lambda: not adopted.adopting, 300)
    flock.nodes[2].keeper.resume("box", flock.now)
    flock.settle_equal()
    assert flock.path(2, "a").read_text() == "two"


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: os.truncate(path, 1)])
def test_a_temporary_that_is_not_what_it_was_is_made_anew(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], object]
) -> None:
    plan = Planning._plan
    harmed: list[Path] = []

    def planned(self: Planning, now: float) -> None:
        for path in flock.path(1, ".flocksy/incoming").glob("in-*"):
            if not harmed:
                harmed.append(path)
                harm(path)
        plan(self, now)

    flock.settle_equal()
    monkeypatch.setattr(Planning, "_plan", planned)
    flock.write(0, "large", os.urandom(100_000))
    flock.settle_equal()
    assert harmed


def full_index(flock: Flock, lane: int) -> None:
    """As if the disk of the state directory had not a single page left."""
    flock.box(lane).index._database._connection.execute("PRAGMA max_page_count = 1")


@pytest.mark.parametrize("changed", [0, 1])
def test_a_full_disk_under_the_index_lets_the_box_rest(flock: Flock, changed: int) -> None:
    """Whether it is the scanner that has something to remember, or a lane."""
    flock.settle_equal()
    full_index(flock, 1)
    for number in range(300):
        flock.write(changed, f"{'x' * 100}{number}", str(number) * 300)
    flock.box(changed).rescan(flock.now)
    flock.run_until(lambda: flock.kept(1).box is None)
    assert "no space left for index" in flock.kept(1).reason
    # Opened anew it has room again.
    flock.run_until(lambda: flock.kept(1).box is not None)
    flock.settle_equal()
    assert len(flock.tree(2)) == 300


@pytest.mark.parametrize(
    ("where", "call"),
    [
        (Offers, "entries"),
        (Offers, "answer"),
        (ChunkReader, "read"),
        (Staging, "write"),
        (Repair, "ask"),
        (Repair, "heard"),
        (Box, "scanned"),
        (Box, "receive"),
    ],
)
def test_whatever_fails_lets_the_box_rest(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, where: type, call: str
) -> None:
    """Each call that the node makes of a box fails three times; then all is as ever."""
    real = getattr(where, call)
    failures: list[str] = []

    def failing(*arguments: object, **named: object) -> object:
        if len(failures) < 3:
            failures.append(call)
            raise FlocksyError("cannot use index box.sqlite")
        return real(*arguments, **named)

    flock.write(2, "old", os.urandom(200_000))
    flock.settle_equal()
    monkeypatch.setattr(where, call, failing)
    flock.nodes[2].keeper.pause("box")
    flock.write(0, "large", os.urandom(200_000))
    for number in range(20):
        flock.write(0, f"small {number}", str(number))
    flock.box(0).rescan(flock.now)
    for _ in range(100):
        flock.step()
    flock.nodes[2].keeper.resume("box", flock.now)
    flock.settle_equal()
    assert len(flock.tree(2)) == 22
    assert failures


def test_a_box_closes_everything_whatever_raises(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock.write(0, "a", "one")
    flock.settle_equal()
    box = flock.box(0)

    def fails(_: object) -> None:
        raise FlocksyError("no space left")

    monkeypatch.setattr(Planning, "finish", fails)
    monkeypatch.setattr(ChunkReader, "close", fails)
    with pytest.raises(FlocksyError):
        box.close()
    with pytest.raises(OSError):
        box.disk.stat("")
    assert not os.path.exists(box.setup.index_path + "-wal"), "the index is closed"
    monkeypatch.undo()
    flock.kept(0).box = None


def test_a_scanner_that_died_is_replaced(flock: Flock) -> None:
    flock.write(0, "a", "one")
    flock.settle_equal()
    node = flock.nodes[0]
    flock.write(0, "b", "two")
    flock.box(0).rescan(flock.now)
    assert node.scanner.pid is not None
    os.kill(node.scanner.pid, signal.SIGKILL)
    node.scanner.stop()
    node.scanner = Scanner()
    node.scanner.start()
    node.keeper.scan_with(node.scanner, flock.now)
    flock.settle_equal()
    assert flock.tree(2) == {"a", "b"}


def test_a_link_whose_text_comes_after_its_record(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock.settle_equal()
    plan = Planning._plan
    forgot: list[str] = []

    def planned(self: Planning, now: float) -> None:
        if "link" in self._arrived and self is flock.box(1).planning and not forgot:
            forgot.append("link")
            self._index.tidy(frozenset())
        plan(self, now)

    monkeypatch.setattr(Planning, "_plan", planned)
    os.symlink("nowhere", flock.path(0, "link"))
    flock.settle_equal()
    assert forgot
    assert os.readlink(flock.path(1, "link")) == "nowhere"


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], None]:
    """A node's index takes nothing of the end of a batch that has to do with a path. Everything is
    in its place then, and the box rests until `monkeypatch.undo`."""

    def make(lane: int, path: str) -> None:
        commit = IndexJournal.commit

        def full(self: IndexJournal, applied: Sequence[Applied], kept: Sequence[Kept]) -> None:
            index = self._index
            assert isinstance(index, BoxIndex)
            if index.path.parent.name == f"state{lane}" and index.journal.contains(path):
                raise FlocksyError("no space left for index box.sqlite")
            commit(self, applied, kept)

        monkeypatch.setattr(IndexJournal, "commit", full)

    return make


def test_what_became_of_a_folder_is_nothing_that_became_of_the_link_before_it(
    flock: Flock, forgetful: Callable[[int, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link makes way for a folder and shows as a copy. The folder is deleted before the index
    knows that it is there; the link has been deleted by nobody."""
    flock.write(0, "p/old", "old")
    flock.settle_equal()
    flock.stop(1)
    shutil.rmtree(flock.path(0, "p"))
    os.symlink("nowhere", flock.path(0, "p"))
    flock.settle()
    assert os.readlink(flock.path(2, "p")) == "nowhere"
    forgetful(2, "p")
    flock.write(1, "p/new", "put in meanwhile")
    flock.restart(1)
    flock.run_until(lambda: flock.kept(2).box is None)
    assert flock.path(2, "p").is_dir()
    assert not flock.path(2, "p").is_symlink()
    shutil.rmtree(flock.path(2, "p"))
    monkeypatch.undo()
    flock.run_until(lambda: flock.kept(2).box is not None)
    flock.settle_equal()
    assert "-> nowhere" in visible(flock.path(0))


def test_what_a_batch_has_in_hands_is_gone_by_nobodys_hand(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that listed the box before a copy was brought says that it is not there. It is not
    when that is decided about either: a batch takes the copy away, for it to stand at its own name.
    """
    flock.write(0, "p/old", "old")
    flock.settle_equal()
    flock.stop(1)
    shutil.rmtree(flock.path(0, "p"))
    os.symlink("nowhere", flock.path(0, "p"))
    flock.settle()
    flock.write(1, "p/new", "put in meanwhile")
    flock.restart(1)
    flock.settle_equal()
    (copy,) = [name for name in flock.tree(2) if ".conflict-" in name]
    box, opened = flock.box(2), IndexJournal.open
    late: list[str] = []

    def said_late(self: IndexJournal, entries: Sequence[JournalEntry]) -> None:
        if self._index is box.index and copy in [entry.path for entry in entries]:
            late.append(copy)
            box.intake.take([Gone(copy)], flock.now)
        opened(self, entries)

    def slowly(do: Callable[[], object]) -> Iterator[float]:
        for _ in range(FLUSH_ROUNDS):
            yield PERIOD_S
        do()

    monkeypatch.setattr(IndexJournal, "open", said_late)
    monkeypatch.setattr(flushing, "in_thread", slowly)
    flock.path(0, "p/new").unlink()
    flock.settle_equal()
    assert late
    assert os.readlink(flock.path(0, "p")) == "nowhere"


def test_an_edit_of_what_won_replaces_nothing_of_what_lost(
    flock: Flock, forgetful: Callable[[int, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    flock.write(0, "p", "base")
    flock.settle_equal()
    for lane in (0, 2):
        flock.stop(lane)
    for generation, content in enumerate(("theirs, first", "theirs"), 2):
        flock.write(1, "p", content)
        flock.run_until(lambda made=generation: generations(flock, 1, "p") == {made})
    flock.stop(1)
    for lane in (0, 2):
        flock.restart(lane)
    flock.write(0, "p", "ours")
    flock.settle()
    assert flock.path(2, "p").read_text() == "ours"
    forgetful(2, "p")
    flock.restart(1)
    flock.run_until(lambda: flock.path(2, "p").read_text() == "theirs")
    flock.run_until(lambda: flock.kept(2).box is None)
    flock.write(2, "p", "theirs, edited")
    monkeypatch.undo()
    flock.run_until(lambda: flock.kept(2).box is not None)
    flock.settle_equal()
    seen = {flock.path(0, name).read_text() for name in flock.tree(0)}
    assert seen == {"theirs, edited", "ours"}


def generations(flock: Flock, lane: int, path: str) -> set[int]:
    """Of the heads that one node knows of."""
    state = flock.box(lane).index.flock(path)
    return set() if state is None else {head.generation for head in state.heads.values()}


def test_the_text_of_a_copy_is_asked_for_at_its_owner(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy has no record of its own that anybody could send."""
    flock.write(0, "p/old", "old")
    flock.settle_equal()
    flock.stop(2)
    flock.lost = lambda _sender, _receiver, _round: True
    shutil.rmtree(flock.path(0, "p"))
    os.symlink("nowhere", flock.path(0, "p"))
    flock.write(1, "p/new", "put in meanwhile")
    flock.run_until(lambda: bool(generations(flock, 1, "p/new")))
    flock.run_until(lambda: generations(flock, 0, "p") == {2})
    flock.lost = lambda _sender, _receiver, _round: False
    flock.settle()
    (copy,) = [name for name in flock.tree(0) if ".conflict-" in name]
    plan = Planning._plan
    forgot: list[str] = []

    def planned(self: Planning, now: float) -> None:
        if self is flock.box(2).planning and not forgot:
            self._index.tidy(frozenset())
        plan(self, now)
        forgot.extend({copy} & self._waiting.roots.keys())

    monkeypatch.setattr(Planning, "_plan", planned)
    flock.restart(2)
    flock.settle_equal()
    assert forgot
    assert os.readlink(flock.path(2, copy)) == "nowhere"


def test_a_folder_that_is_not_as_known_does_not_go_out_with_what_was_in_it(flock: Flock) -> None:
    """Its mode was seen to change, and then that something in it has gone. That the folder has
    gone, too, is still to be seen."""
    flock.write(0, "folder/a", "a")
    flock.settle_equal()
    box, path = flock.box(0), flock.path(0, "folder")
    known = box.index.local("folder")
    state = box.index.flock("folder")
    assert known is not None and state is not None
    before = dict(state.heads)
    shutil.rmtree(path)
    box.intake.take([Seen("folder", replace(known, mode=0o700)), Gone("folder/a")], flock.now)
    box._commit(flock.now)
    state = box.index.flock("folder")
    assert state is not None
    assert dict(state.heads) == before, "a mode that no folder has"
    assert not box._commit(flock.now), "until the folder has been looked at"
    flock.settle_equal()
    assert flock.tree(1) == set()


def test_a_mode_that_a_folder_had_for_an_instant_is_no_change(flock: Flock) -> None:
    """What is closed to ourselves is opened where something comes into it, and seen so."""
    flock.write(0, "folder/a", "a")
    flock.settle_equal()
    box = flock.box(1)
    known, state = box.index.local("folder"), box.index.flock("folder")
    assert known is not None and state is not None
    before = set(state.heads)
    box.intake.take([Seen("folder", replace(known, mode=known.mode ^ 0o022))], flock.now)
    box._commit(flock.now)
    state = box.index.flock("folder")
    assert state is not None and set(state.heads) == before
    flock.settle_equal()
    assert box.index.local("folder") == known
    flock.path(1, "folder").chmod(0o700)
    flock.settle_equal()
    assert flock.path(0, "folder").stat().st_mode & 0o777 == 0o700, "a change that stays is one"
