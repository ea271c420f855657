"""After a change its source does what all others do with it (design 4.3, rule 5)."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Sequence

import pytest

from flocksy.boxes.apply.flushing import flush_places
from flocksy.boxes.apply.journal import IndexJournal, JournalEntry
from flocksy.boxes.apply.placing import Placer
from flocksy.boxes.box import Box
from flocksy.boxes.disk.port import Disk
from flocksy.boxes.once_more import PATHS_AT_ONCE
from flocksy.boxes.receiving import Again
from flocksy.boxes.scan.findings import Seen
from flocksy.boxes.scan.scanner import Scanner, ScanReport, ScanRequest
from flocksy.sync.content import INLINE_BYTES
from flocksy.sync.messages import Versions
from flocksy.sync.version import Kind
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

MANY = 40
FLUSH_PLACES = "flocksy.boxes.apply.applier.flush_places"


def begin(flock: Flock) -> None:
    flock.write(0, "file", "some text")
    flock.write(0, "large", bytes(3 * INLINE_BYTES))
    for number in range(MANY):
        flock.write(0, f"many {number}", "")
    flock.settle_equal()


def edit(flock: Flock) -> None:
    flock.write(0, "file", "edited")


def rename(flock: Flock) -> None:
    flock.path(0, "file").rename(flock.path(0, "elsewhere"))


def delete(flock: Flock) -> None:
    flock.path(0, "file").unlink()


def chmod(flock: Flock) -> None:
    flock.path(0, "file").chmod(0o600)


def make_directory(flock: Flock) -> None:
    flock.path(0, "new").mkdir()


def link(flock: Flock) -> None:
    os.symlink("nowhere", flock.path(0, "link"))


def delete_many(flock: Flock) -> None:
    for number in range(MANY):
        flock.path(0, f"many {number}").unlink()


def rename_large(flock: Flock) -> None:
    flock.path(0, "large").rename(flock.path(0, "elsewhere"))


def copy_large(flock: Flock) -> None:
    flock.write(0, "copy", flock.path(0, "large").read_bytes())


def make_large(flock: Flock) -> None:
    flock.write(0, "new", os.urandom(40 * INLINE_BYTES))


CHANGES = (
    *(edit, rename, delete, chmod, make_directory, link, delete_many, rename_large),
    copy_large,
)


@pytest.mark.parametrize("change", CHANGES)
def test_all_journal_it(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, change: Callable[[Flock], None]
) -> None:
    begin(flock)
    journalled: Counter[str] = Counter()
    opened = IndexJournal.open

    def counted(self: IndexJournal, entries: Sequence[JournalEntry]) -> None:
        journalled[self._index.path.parent.name] += len(entries)
        opened(self, entries)

    monkeypatch.setattr(IndexJournal, "open", counted)
    change(flock)
    flock.settle_equal()
    least, most = min(journalled.values()), max(journalled.values())
    assert len(journalled) == 3, "all but some"
    assert most <= 2 * least
    assert not [name for name in os.listdir(flock.path(0, ".flocksy/incoming")) if "own-" in name]


@pytest.mark.parametrize("change", [*CHANGES, make_large])
def test_a_repeat_is_no_more_work_for_its_source_than_for_others(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, change: Callable[[Flock], None]
) -> None:
    """One cell of another's cover is lost: so somebody can have any burst repeated."""
    begin(flock)
    written: Counter[str] = Counter()
    opened = IndexJournal.open

    def counted(self: IndexJournal, entries: Sequence[JournalEntry]) -> None:
        written[self._index.path.parent.name] += len(entries)
        opened(self, entries)

    monkeypatch.setattr(IndexJournal, "open", counted)
    before, losing = len(flock.bursts), iter((True,))
    flock.lost = lambda sender, taker, _: (
        len(flock.bursts) == before + 1 and (sender, taker) == (2, 1) and next(losing, False)
    )
    change(flock)
    flock.write(0, "so that it takes a burst", os.urandom(40 * INLINE_BYTES))
    flock.settle_equal()
    assert flock.bursts[before + 1].repeat
    assert max(written.values()) <= min(written.values()) + 1, written


@pytest.mark.parametrize("change", CHANGES)
def test_all_look_at_it_once_more(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, change: Callable[[Flock], None]
) -> None:
    """Where something was applied the file system tells of it; where it was made it does not."""
    begin(flock)
    looked_at: defaultdict[str, set[str]] = defaultdict(set)
    has_come_back = False
    request, receive = Scanner.request, Box.receive

    def requested(self: Scanner, asked: ScanRequest) -> None:
        if has_come_back:
            looked_at[asked.root].update(asked.paths or ())
        request(self, asked)

    def received(self: Box, message: Versions, *, own: bool, now: float, again: Again = ()) -> None:
        nonlocal has_come_back
        has_come_back = has_come_back or (own and bool(message.entries))
        receive(self, message, own=own, now=now, again=again)

    monkeypatch.setattr(Scanner, "request", requested)
    monkeypatch.setattr(Box, "receive", received)
    change(flock)
    # Not `settle`, which looks at all: what was changed is to be found by its events, before.
    flock.run_until(lambda: has_come_back)
    flock.run_until(lambda: len(looked_at) == 3)
    flock.settle_equal()
    # Not how often: who made it may not have done with its own event yet.
    least, most = min(map(len, looked_at.values())), max(map(len, looked_at.values()))
    assert most <= 2 * least, looked_at


@pytest.mark.parametrize("name", ("new", "new folder/new"))
def test_nobody_reads_what_has_come_however_slow_its_disk(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The index knows of it only when its directory is flushed, long after its events."""
    flock.settle_equal()
    boxes = [flock.box(lane) for lane in range(3)]
    read: Counter[int] = Counter()
    open_batches = 0
    scanned = Box.scanned

    def counted(self: Box, report: ScanReport, now: float) -> None:
        for finding in report.findings:
            if isinstance(finding, Seen) and finding.entry.kind is Kind.FILE:
                read[boxes.index(self)] += 1
        scanned(self, report, now)

    def slow(disk: Disk, placer: Placer) -> Generator[float, None, None]:
        nonlocal open_batches
        open_batches += 1
        yield from flush_places(disk, placer)
        until = flock.now + 1.0
        while flock.now < until:
            yield 0.05
        open_batches -= 1

    monkeypatch.setattr(Box, "scanned", counted)
    monkeypatch.setattr(FLUSH_PLACES, slow)
    flock.write(0, name, bytes(3 * INLINE_BYTES))
    flock.run_until(lambda: all(box.index.local(name) for box in boxes) and not open_batches)
    flock.settle_equal()
    assert read.keys() == {0}, "but for its maker, before telling"


def test_an_edit_of_what_has_just_come_waits_for_its_disk_and_no_longer(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock.settle_equal()
    is_open, may_end = False, False

    def slow(disk: Disk, placer: Placer) -> Generator[float, None, None]:
        nonlocal is_open
        yield from flush_places(disk, placer)
        is_open = is_open or flock.path(1, "new").exists()
        while is_open and not may_end:
            yield 0.05

    monkeypatch.setattr(FLUSH_PLACES, slow)
    flock.write(0, "new", "new")
    flock.run_until(lambda: is_open)
    flock.write(1, "new", "edited")
    for _ in range(10):
        flock.step()
    may_end = True
    flock.settle_equal()
    assert flock.path(0, "new").read_text() == "edited"


def test_what_has_changed_meanwhile_is_left_to_its_own_look(flock: Flock) -> None:
    """A file that keeps changing rests between two looks; that one comes back must not wake it."""
    path = flock.write(0, "file", bytes(3 * INLINE_BYTES))
    flock.settle_equal()
    box = flock.box(0)
    box.intake.pacing.busy("file", flock.now, 100.0)
    deadline = box.intake.deadline()
    path.write_bytes(bytes(4 * INLINE_BYTES))
    box._once_more.add(["file"])
    assert box._once_more.turn(flock.now) is None
    assert box.intake.deadline() == deadline


def test_as_many_are_looked_at_once_more_as_a_turn_bears(flock: Flock) -> None:
    flock.settle_equal()
    box = flock.box(0)
    box._once_more.add([str(number) for number in range(PATHS_AT_ONCE + 1)])
    assert box._once_more.turn(flock.now) == 0.0
    assert len(box.intake.due(flock.now + 1)) == PATHS_AT_ONCE
    assert box._once_more.turn(flock.now) is None
    assert len(box.intake.due(flock.now + 1)) == 1


def test_nothing_is_looked_for_in_a_burst(flock: Flock, monkeypatch: pytest.MonkeyPatch) -> None:
    flock.settle_equal()
    asked: list[ScanRequest] = []
    box = flock.box(0)
    monkeypatch.setattr(Scanner, "request", lambda _, one: asked.append(one))
    box.intake.look_again("file", flock.now)
    later = flock.now + 1
    assert box.turn(later, quiet=False) is None
    assert not asked
    box.turn(later, quiet=True)
    assert [one.paths for one in asked] == [("file",)]


def test_no_slot_takes_much_longer_than_cover(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    receive = Box.receive

    def received(self: Box, message: Versions, *, own: bool, now: float, again: Again = ()) -> None:
        sizes.append(len(message.entries))
        receive(self, message, own=own, now=now, again=again)

    monkeypatch.setattr(Box, "receive", received)
    for number in range(5 * MANY):
        flock.write(0, f"many {number}", str(number))
    flock.settle_equal()
    assert 1 < max(sizes) <= 32
