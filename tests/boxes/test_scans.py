"""What a box asks of its scanner, and when."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from flocksy.boxes.box import Box
from flocksy.boxes.guard import Source
from flocksy.boxes.intake import AGAIN_SECONDS
from flocksy.boxes.scan.findings import (
    Busy,
    Differs,
    Finding,
    Gone,
    Remark,
    Seen,
    Skipped,
    Unfollowed,
    Unreadable,
)
from flocksy.boxes.scan.scanner import Scanner, ScanReport, ScanRequest
from flocksy.boxes.scan.settling import QUIET_S, Settling
from flocksy.boxes.scan.watcher import Watcher
from flocksy.boxes.scans import (
    FAILED_SECONDS,
    GATHER_SECONDS,
    RESCAN_SECONDS,
    RESCAN_SHARE,
    SCAN_SHARE,
    TOGETHER_SECONDS,
)
from flocksy.boxes.unread import MAX_UNREAD, Unread
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind
from flocksy.testing.lockstep import Lockstep
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

DIRECTORY = DiskEntry(Kind.DIRECTORY, 0o755, 1, 0, b"")

FILES = 50
BETWEEN_S = 0.002


def test_paths_that_change_one_after_the_other_are_asked_for_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Lockstep(tmp_path, size=1) as flock:
        flock.settle()
        box = flock.nodes[0].keeper.boxes[0].box
        assert box is not None
        settling = Settling()
        monkeypatch.setattr(box._opened.watcher, "_settling", settling)
        asked: list[tuple[float, tuple[str, ...] | None]] = []

        def request(request: ScanRequest) -> None:
            asked.append((now, request.paths))

        monkeypatch.setattr(box.scans._scanner, "request", request)
        began = flock.now + 1.0
        for number in range(FILES):
            settling.note(f"f{number:02}", began + number * BETWEEN_S)
        while settling.busy:
            when = box.scans.next()
            assert when is not None
            now = when
            box.scans.turn(now)
        monkeypatch.undo()

    paths = [path for _, some in asked for path in some or ()]
    assert paths == [f"f{number:02}" for number in range(FILES)]
    assert asked[0] == (began + QUIET_S, ("f00",)), "the first waits for nobody"
    times = [when for when, _ in asked]
    last = began + (FILES - 1) * BETWEEN_S + QUIET_S
    assert times[-1] <= last + GATHER_SECONDS
    assert len(asked) <= (last - times[0]) / GATHER_SECONDS + 2


def test_why_a_scan_failed_is_said_until_one_of_the_whole_box_has_not(tmp_path: Path) -> None:
    with Lockstep(tmp_path, size=1) as flock:
        flock.settle()
        box = flock.nodes[0].keeper.boxes[0].box
        assert box is not None and "" not in box.problems
        box.rescan(flock.now)
        box.scans.turn(flock.now)
        (ticket,) = box.scans.tickets
        why = "cannot be read: Input/output error"
        box.scanned(ScanReport(ticket, box.setup.tag, (), True, 0, why), flock.now)
        assert box.problems[""] == why
        flock.run_until(lambda: not box.problems)


# -- the hourly look -------------------------------------------------------------------------------


class Held:
    """A scanner whose hourly looks are under way for as long as the test likes."""

    def __init__(self, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hourly: list[ScanRequest] = []
        self.others: list[ScanRequest] = []
        self._request = box.scans._scanner.request
        monkeypatch.setattr(box.scans._scanner, "request", self.request)

    def request(self, request: ScanRequest) -> None:
        if request.share == RESCAN_SHARE:
            self.hourly.append(request)
        else:
            self.others.append(request)
            self._request(request)


@pytest.fixture
def held(flock: Flock, monkeypatch: pytest.MonkeyPatch) -> Held:
    """The hourly look of node 0 is under way. There are `a` and `b` in the box."""
    flock.write(0, "a", "one")
    flock.write(0, "b", "other")
    flock.settle_equal()
    held = Held(flock.box(0), monkeypatch)
    flock.scan_s = 0.1
    flock.now += RESCAN_SECONDS
    flock.step()
    assert [(one.paths, one.share) for one in held.hourly] == [(None, 0.005)], "of one core"
    return held


def test_nothing_waits_for_the_hourly_look(flock: Flock, held: Held) -> None:
    """At 0.5 % of a core it takes minutes in a large box, and hours in a very large one."""
    flock.write(0, "a", "two")
    flock.run_until(lambda: flock.path(1, "a").read_text() == "two", 100)
    flock.path(0, "b").unlink()
    flock.run_until(lambda: not flock.path(1, "b").exists(), 100)
    flock.settle()
    assert flock.box(0).scans.tickets == {held.hourly[0].ticket}
    for _ in range(3):
        flock.now += RESCAN_SECONDS
        flock.step()
    assert len(held.hourly) == 1, "one is enough, however long it takes"
    flock.box(0).scanned(ScanReport(held.hourly[0].ticket, "box", (), True, 2), flock.now)
    flock.now += RESCAN_SECONDS
    flock.step()
    assert len(held.hourly) == 2


def test_what_the_hourly_look_finds_is_looked_at_when_it_has_ended(
    flock: Flock, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that was moved: it is seen to go before it is seen to come."""
    monkeypatch.setattr(Watcher, "happened", lambda *_, **__: None)
    box, ticket = flock.box(0), held.hourly[0].ticket
    flock.path(0, "a").rename(flock.path(0, "z"))
    held.others.clear()
    box.scanned(ScanReport(ticket, "box", (Gone("a"), Skipped("p", "a pipe")), False, 1), flock.now)
    assert box.problems == {"p": "a pipe"}
    for _ in range(5):
        flock.step()
    assert not held.others and box.index.local("a") is not None
    assert flock.path(1, "a").exists()
    box.scanned(ScanReport(ticket, "box", (Differs("z"),), True, 2), flock.now)
    assert [(one.paths, one.share) for one in held.others] == [(("a", "z"), SCAN_SHARE)]
    flock.run_until(lambda: flock.tree(1) == {"b", "z"})
    moves = [push for push in flock.history(1) if push.name.endswith("-a")]
    assert not moves, "renamed, and nothing was taken away"


def test_what_an_hourly_look_that_failed_has_found_is_not_concluded_from(
    flock: Flock, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Watcher, "happened", lambda *_, **__: None)
    box, ticket = flock.box(0), held.hourly[0].ticket
    held.others.clear()
    box.scanned(ScanReport(ticket, "box", (Gone("a"),), False, 1), flock.now)
    box.scanned(ScanReport(ticket, "box", (), True, 1, "the disk said no"), flock.now)
    assert not held.others
    flock.now += FAILED_SECONDS
    flock.step()
    assert [(one.paths, one.share) for one in held.others] == [(None, SCAN_SHARE)], "in a hurry"
    flock.settle_equal()
    assert flock.tree(1) == {"a", "b"}


def test_what_changed_outside_a_view_waits_though_the_hourly_look_ends_in_one(
    flock: Flock, held: Held
) -> None:
    box, ticket = flock.box(0), held.hourly[0].ticket
    box.scans.earlier.add([ticket])
    held.others.clear()
    box.scanned(ScanReport(ticket, "box", (Differs("a"),), True, 2), flock.now)
    assert set(box.scans.earlier._tickets) == {held.others[0].ticket}


# -- a look that takes long ------------------------------------------------------------------------


def under_way(flock: Flock, *paths: str) -> int:
    """A look at these paths of node 0, which takes for as long as the test likes. Its ticket."""
    scans = flock.box(0).scans
    real, scans._scanner = scans._scanner, cast(Scanner, SimpleNamespace(request=lambda _: None))
    ticket = scans._request(paths, SCAN_SHARE)
    scans._scanner = real
    flock.scan_s = 0.02
    return ticket


def look(flock: Flock, path: str) -> None:
    """A look at the path of node 0 is due."""
    flock.box(0).intake.look_again(path, flock.now)


def test_where_a_batch_is_open_nothing_is_looked_at(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be read, and not believed: of what the batch has put the index knows nothing."""
    flock.write(0, "known/file", "one")
    flock.settle_equal()
    monkeypatch.setattr(Watcher, "happened", lambda *_, **__: None)
    box = flock.box(0)
    asked: list[tuple[str, ...] | None] = []
    monkeypatch.setattr(box.scans._scanner, "request", lambda one: asked.append(one.paths))
    journal = box.index.journal
    with box.index.transaction():
        journal.open([("known/came", b""), ("folder", b"")])
    waits = ("folder", "folder/file", "known", "known/came")
    for path in (*waits, "known/file", "other"):
        look(flock, path)
    box.intake.put_off("known/came", flock.now)
    now = flock.now + AGAIN_SECONDS
    box.scans.turn(now)
    assert asked == [("known/file", "other")], "but all the rest is"
    assert box.intake.waits("known/came"), "what was put off still is"
    for _ in range(3):
        later = box.scans.next()
        assert later is not None and later > now, "not again and again at once"
        now = later
        box.scans.turn(now)
    assert len(asked) == 1
    with box.index.transaction():
        journal.close()
    now = box.scans.next() or 0.0
    box.scans.turn(now)
    assert asked[1:] == [waits]


def test_others_do_not_wait_for_the_look_at_a_large_file(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock.write(0, "a", "one")
    flock.settle_equal()
    monkeypatch.setattr(Watcher, "happened", lambda *_, **__: None)
    ticket = under_way(flock, "large")
    flock.write(0, "a", "two")
    look(flock, "a")
    began = flock.now
    flock.run_until(lambda: flock.path(1, "a").read_text() == "two", 200)
    assert flock.now - began > TOGETHER_SECONDS, "what belongs to it is told with it"
    flock.path(0, "a").unlink()
    look(flock, "a")
    began = flock.now
    flock.run_until(lambda: not flock.path(1, "a").exists(), 200)
    assert flock.now - began < TOGETHER_SECONDS, "but nobody waits for it twice"
    assert not flock.box(0).settled
    flock.box(0).scanned(ScanReport(ticket, "box", (), True, 1), flock.now)
    flock.settle_equal()


def test_what_one_look_finds_is_told_together_however_long_it_takes(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        flock.write(0, name, name)
    flock.settle_equal()
    monkeypatch.setattr(Watcher, "happened", lambda *_, **__: None)
    box, ticket = flock.box(0), under_way(flock, "a", "b", "z")
    flock.path(0, "a").rename(flock.path(0, "z"))
    flock.path(0, "b").unlink()
    box.scanned(ScanReport(ticket, "box", (Gone("a"), Gone("b")), False, 1), flock.now)
    flock.path(0, "c").unlink()
    look(flock, "c")
    flock.run_until(lambda: not flock.path(1, "c").exists(), 200)
    assert flock.tree(1) == {"a", "b"}
    # Who is at one of them meanwhile does not wait for the rest.
    flock.write(0, "b", "anew")
    look(flock, "b")
    flock.run_until(lambda: flock.path(1, "b").read_text() == "anew", 200)
    assert "a" in flock.tree(1)
    box.scanned(ScanReport(ticket, "box", (), True, 2), flock.now)
    flock.settle_equal()
    assert flock.tree(1) == {"b", "z"}


def test_the_end_of_the_scanner_is_the_end_of_what_was_waited_for(flock: Flock) -> None:
    flock.settle_equal()
    under_way(flock, "large")
    box = flock.box(0)
    box.scan_with(flock.nodes[0].scanner, flock.now)
    assert not box.settled
    flock.settle_equal()


# -- a file that is written all the time -----------------------------------------------------------


class Asked:
    """The box of one node whose scanner only takes note, and writes to `big` in it."""

    def __init__(self, box: Box, now: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.box = box
        self.now = now
        self.requests: list[ScanRequest] = []
        self._settling = Settling()
        monkeypatch.setattr(Watcher, "happened", lambda *_, **__: None)  # by another clock
        self.path = Path(box.setup.path, "big")
        self.path.write_bytes(b"x")
        monkeypatch.setattr(box._opened.watcher, "_settling", self._settling)
        monkeypatch.setattr(box.scans._scanner, "request", self.requests.append)
        self.said: dict[str, Source] = {}
        """What was said of each deletion."""
        monkeypatch.setattr(box.guard, "found", self._found)

    def _found(self, findings: Sequence[Finding], source: Source) -> None:
        self.said.update((one.path, source) for one in findings if isinstance(one, Gone))

    def write_for(self, seconds: float) -> int:
        """Somebody writes five times a second, and each time it is quiet for long enough. How often
        a look at it was asked for."""
        before, until = len(self.requests), self.now + seconds
        while self.now < until:
            self._settling.note("big", self.now)
            self.box.scans.turn(self.now + 2 * QUIET_S)
            self.now += 0.2
        assert {one.paths for one in self.requests} == {("big",)}
        return len(self.requests) - before

    def answer(self, *findings: Finding) -> None:
        """What the last look has found, which ends with that."""
        self.answer_to(self.requests[-1], *findings)

    def answer_to(
        self, look: ScanRequest, *findings: Finding, last: bool = True, failed: str | None = None
    ) -> None:
        """What a look has found, which ends with that if it is the `last`."""
        self.box.scanned(ScanReport(look.ticket, "box", findings, last, 1, failed), self.now)

    def look_at(self, path: str) -> ScanRequest:
        """The look that is asked for when something happens at the path."""
        self._settling.note(path, self.now)
        self.now += 2 * QUIET_S
        self.box.scans.turn(self.now)
        return next(one for one in reversed(self.requests) if one.paths and path in one.paths)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    with Lockstep(tmp_path, size=1) as flock:
        flock.settle()
        box = flock.nodes[0].keeper.boxes[0].box
        assert box is not None
        with monkeypatch.context() as patch:
            yield Asked(box, flock.now + 1.0, patch)


def test_a_file_that_is_written_while_it_is_read_is_asked_for_once(asked: Asked) -> None:
    assert asked.write_for(30) == 1, "150 writes"
    asked.answer(Busy("big", 30.0))
    assert asked.write_for(299) == 0, "ten times as long as reading it takes"
    assert not asked.box.settled
    assert asked.write_for(2) == 1


def test_a_file_that_is_never_at_rest_is_asked_for_once_a_minute(asked: Asked) -> None:
    entry = DiskEntry(Kind.FILE, 0o644, 1, 20_000_000, bytes(32))
    counts = []
    for number in range(11):
        count = 0
        for _ in range(60):
            count += asked.write_for(1)
            if asked.box.scanning:
                asked.answer(Seen("big", replace(entry, mtime_ns=number), hashing_s=0.02))
                entry = replace(entry, size=entry.size + 1)
        counts.append(count)
    assert counts[0] <= 8 and sum(counts) <= 20, "of 3,300 writes"


def test_that_it_went_is_news(asked: Asked) -> None:
    asked.write_for(1)
    asked.answer(Busy("big", 30.0))
    asked.path.unlink()
    assert asked.write_for(0.2) == 1


def test_that_it_went_while_it_was_read_is_news(asked: Asked) -> None:
    """A large one that is moved on as soon as it is there."""
    asked.write_for(1)
    asked.path.unlink()
    asked.write_for(0.2)
    asked.answer(Busy("big", 30.0))
    asked.now += 1.0
    asked.box.scans.turn(asked.now)
    assert asked.requests[-1].paths == ("big",) and len(asked.requests) == 2
    asked.answer(Gone("big"))
    assert not asked.box.intake.waiting


def test_a_look_at_the_whole_box_finds_what_rests(asked: Asked) -> None:
    asked.write_for(1)
    asked.answer(Busy("big", 30.0))
    asked.box.rescan(asked.now)
    assert asked.requests[-1].paths is None
    asked.answer()
    assert not asked.box.intake.waiting


# -- what could not be read ------------------------------------------------------------------------

EIO = "cannot be read: Input/output error"


def looks_at(asked: Asked, finding: Finding, until_s: float) -> list[float]:
    """When it was looked at, each look having found this, and nobody having asked for one but the
    first."""
    times: list[float] = []
    asked.write_for(0.2)
    began = asked.now
    while asked.now - began < until_s:
        if asked.box.scanning:
            times.append(asked.now - began)
            asked.answer(finding)
            assert asked.box.settled, "who waits would wait for good"
        when = asked.box.scans.next()
        assert when is not None
        asked.now = max(when, asked.now)
        asked.box.scans.turn(asked.now)
    return times


def test_what_could_not_be_read_is_looked_at_again(asked: Asked) -> None:
    times = looks_at(asked, Unreadable("big", EIO), 600)
    assert times[:8] == pytest.approx([0, 1, 3, 7, 15, 31, 63, 123])
    gaps = [later - before for before, later in itertools.pairwise(times[6:])]
    assert gaps == pytest.approx([60.0] * len(gaps))
    assert asked.box.problems == {"big": EIO}
    asked.now += 60
    asked.box.scans.turn(asked.now)
    asked.answer()
    assert not asked.box.problems, "it is what it was"
    assert asked.box.scans.next() == pytest.approx(asked.box.scans._whole_at)


def test_what_is_read_long_before_it_fails_is_looked_at_rarely(asked: Asked) -> None:
    times = looks_at(asked, Unreadable("big", EIO, hashing_s=30.0), 890)
    assert times == pytest.approx([0, 300, 600])


def test_what_cannot_be_read_better_later_is_not_looked_at_again(asked: Asked) -> None:
    assert len(looks_at(asked, Unreadable("big", "too large", again=False), 3_500)) == 1
    assert asked.box.problems == {"big": "too large"}


def test_attributes_that_could_not_be_read_are_looked_at_again(asked: Asked) -> None:
    assert looks_at(asked, Remark("big", EIO, again=True), 10) == pytest.approx([0, 1, 3, 7])


def test_what_happens_there_meanwhile_brings_no_other_pause(asked: Asked) -> None:
    began = asked.now
    for _ in range(4):
        assert asked.write_for(0.2) == 1
        asked.answer(Unreadable("big", EIO))
    assert asked.box.intake.unread.deadline() == pytest.approx(began + 0.2 + 1.0)


def test_what_was_hidden_from_all_and_is_gone_was_seen_to_go_by_nobody(asked: Asked) -> None:
    """A directory that a disk did not let us read, or a person, and that is empty when it does."""
    for path in ("big", "big/below", "other"):
        asked.box.index.set_local(path, DIRECTORY)
    asked.write_for(0.2)
    asked.answer(Unreadable("big", EIO))
    asked.now += 1.0
    asked.box.scans.turn(asked.now)
    assert asked.requests[-1].paths == ("big",)
    assert asked.requests[-1].below, "nothing that is known below was looked at meanwhile"
    asked.answer_to(asked.look_at("other"), Gone("big/below"), Gone("other"))
    assert asked.said == {"big/below": Source.RESCAN, "other": Source.LIVE}


@pytest.fixture
def closed(asked: Asked) -> Asked:
    """Somebody was at work in `dir` while the node was down, and it could not be listed since."""
    box = asked.box
    for path in ("dir", "dir/sub"):
        box.index.set_local(path, DIRECTORY)
    box.index.set_local("dir/sub/file", DiskEntry(Kind.FILE, 0o644, 1, 1, bytes(32)))
    box.scans.anew()
    asked.answer(Unreadable("dir", EIO))
    return asked


OPENED = replace(DIRECTORY, mode=0o700)


@pytest.mark.parametrize("first", [False, True])
def test_a_directory_that_was_closed_at_the_start_is_as_if_it_were_looked_at_then(
    closed: Asked, first: bool
) -> None:
    """Whichever look finds what is missing: `chmod -R` gives the directory back before what is in
    it, which is then looked at for itself."""
    look = closed.look_at("dir")
    assert look.below
    closed.answer_to(look, Seen("dir", OPENED), last=False)
    other = closed.look_at("dir/sub")
    closed.answer_to(other if first else look, Gone("dir/sub/file"))
    assert closed.said == {"dir/sub/file": Source.START}
    closed.answer_to(look if first else other)
    closed.answer_to(closed.look_at("dir/sub"), Gone("dir/sub"))
    assert closed.said["dir/sub"] is Source.LIVE, "it has been looked at"


def test_a_look_at_the_whole_box_sees_nothing_go_in_what_was_closed(closed: Asked) -> None:
    closed.box.rescan(closed.now)
    closed.answer(Gone("dir/sub/file"))
    assert closed.said == {"dir/sub/file": Source.START}


def test_what_a_look_says_that_began_before_opens_nothing(closed: Asked) -> None:
    """It may have listed the directory before that was closed."""
    earlier = closed.look_at("dir")
    closed.box.rescan(closed.now)
    closed.answer(Unreadable("dir", EIO))
    closed.answer_to(earlier)
    closed.answer_to(closed.look_at("dir/sub"), Gone("dir/sub/file"))
    assert closed.said == {"dir/sub/file": Source.START}


def test_what_is_closed_in_what_was_closed_is_as_if_it_were_looked_at_then(closed: Asked) -> None:
    closed.answer_to(closed.look_at("dir"), Seen("dir", OPENED), Unreadable("dir/sub", EIO))
    closed.answer_to(closed.look_at("dir/sub"), Seen("dir/sub", OPENED), Gone("dir/sub/file"))
    assert closed.said == {"dir/sub/file": Source.START}


def test_what_was_opened_is_looked_at_though_the_look_for_that_came_too_early(
    closed: Asked,
) -> None:
    """What another one has seen before is told after it."""
    closed.box.rescan(closed.now)
    before = closed.requests[-1]
    look = closed.look_at("dir")
    closed.answer_to(before, Unreadable("dir", EIO), last=False)
    closed.answer_to(look, Seen("dir", OPENED))
    closed.answer_to(before)
    assert "dir" in closed.box.scans._closed
    closed.now += 1.0
    closed.box.scans.turn(closed.now)
    assert closed.requests[-1].paths == ("dir",) and closed.requests[-1].below
    closed.answer()
    assert "dir" not in closed.box.scans._closed


def test_what_only_the_hourly_look_finds_open_is_looked_at(closed: Asked) -> None:
    """There are too many for each to be looked at now and then."""
    many = [Unreadable(f"a{number:04}", EIO) for number in range(MAX_UNREAD + 1)]
    closed.box.rescan(closed.now)
    closed.answer(*many, Unreadable("dir", EIO))
    closed.box.intake.unread.forget("dir")
    closed.now = closed.box.scans._whole_at
    closed.box.scans.turn(closed.now)
    hourly = next(one for one in closed.requests if one.compares)
    for request in closed.requests:
        if request.ticket > hourly.ticket:
            closed.answer_to(request, *many)
    closed.answer_to(hourly, *many)
    closed.now += 1.0
    closed.box.scans.turn(closed.now)
    assert closed.requests[-1].paths == ("dir",) and closed.requests[-1].below
    closed.answer(Gone("dir/sub/file"))
    assert closed.said == {"dir/sub/file": Source.START}
    assert "dir" not in closed.box.scans._closed


def test_what_is_not_there_any_more_is_not_closed(closed: Asked) -> None:
    closed.answer_to(closed.look_at("above"), Gone("dir/sub/file"), Gone("dir/sub"), Gone("dir"))
    closed.now += 1.0
    closed.box.scans.turn(closed.now)
    closed.answer()
    assert "dir" not in closed.box.scans._closed


def test_what_looks_not_below_opens_nothing(closed: Asked) -> None:
    """The one for what the hourly look has found, and one that comes to the folder above it."""
    closed.box.scans._request(("dir",), SCAN_SHARE)
    closed.answer(Seen("dir", OPENED))
    assert "dir" in closed.box.scans._closed
    closed.box.index.set_local("dir", DIRECTORY)
    closed.answer_to(closed.look_at("dir/sub"), Unreadable("dir", EIO))
    closed.box.index.set_local("dir/sub", DIRECTORY)
    closed.answer_to(closed.look_at("dir"), Unreadable("dir/sub", EIO))
    closed.answer_to(closed.look_at("dir/sub"), Unreadable("dir", EIO), Gone("dir/sub/file"))
    assert closed.said == {"dir/sub/file": Source.START}
    assert "dir" in closed.box.scans._closed and "dir/sub" in closed.box.scans._closed


@pytest.mark.parametrize(
    "finding", [Busy("dir", 0.1), Skipped("dir", "a pipe"), Unfollowed("dir", b"text", "why")]
)
def test_what_was_not_listed_for_another_reason_is_not_open(
    closed: Asked, finding: Finding
) -> None:
    closed.answer_to(closed.look_at("dir"), finding)
    assert "dir" in closed.box.scans._closed
    assert len(closed.requests) < 5
    for _ in range(20):
        closed.now += 0.2
        closed.box.scans.turn(closed.now)
        if closed.box.scanning:
            closed.answer(finding)
    assert len(closed.requests) < 20, "nor looked at again and again"


def test_a_look_that_failed_opens_nothing(closed: Asked) -> None:
    closed.answer_to(closed.look_at("dir"), failed="the disk said no")
    closed.answer_to(closed.look_at("dir/sub"), Gone("dir/sub/file"))
    assert closed.said == {"dir/sub/file": Source.START}


def test_it_is_not_forgotten_among_many_that_cannot_be_read(closed: Asked) -> None:
    closed.box.rescan(closed.now)
    many = (Unreadable(f"a{number:04}", EIO) for number in range(MAX_UNREAD + 1))
    closed.answer(*many, Unreadable("dir", EIO))
    closed.answer_to(closed.look_at("dir/sub"), Gone("dir/sub/file"))
    assert closed.said == {"dir/sub/file": Source.START}


def test_an_edit_that_a_disk_did_not_let_us_read_is_told_once_it_does(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock.write(0, "a", "one")
    flock.settle_equal()
    box, take, sick = flock.box(0), flock.box(0).scanned, True

    def scanned(report: ScanReport, now: float) -> None:
        findings = [
            Unreadable(one.path, EIO) if sick and isinstance(one, Seen) else one
            for one in report.findings
        ]
        take(replace(report, findings=findings), now)

    monkeypatch.setattr(box, "scanned", scanned)
    flock.write(0, "a", "two")
    flock.run_until(lambda: box.problems == {"a": EIO})
    began, sick = flock.now, False
    flock.run_until(lambda: flock.path(1, "a").read_text() == "two")
    assert flock.now - began < 60
    assert not box.problems
    flock.settle_equal()


def test_only_so_many_are_looked_at_again() -> None:
    unread = Unread()
    for number in range(MAX_UNREAD + 1):
        unread.failed(str(number), 0.0)
    assert len(unread.due(1.0)) == MAX_UNREAD
    assert unread.deadline() is None
    unread.failed("0", 1.0)
    unread.forget("1")
    unread.failed("one more", 1.0)
    assert unread.deadline() == 2.0 and unread.due(2.0) == ["one more"]
    assert unread.due(3.0) == ["0"]
