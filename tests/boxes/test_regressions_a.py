"""Things that once went wrong between disk and flock, and must not again."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
from pathlib import Path

import pytest

from flocksy.boxes.disk.port import Disk
from flocksy.boxes.guard import Source
from flocksy.boxes.scan.findings import Finding, Gone, Skipped
from flocksy.boxes.scan.scanner import ScanReport
from flocksy.boxes.scans import FAILED_SECONDS
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

UNCHANGED_ROUNDS = 30
WAIT_S = 10.0


def report(flock: Flock, lane: int, *findings: Finding, failed: str | None = None) -> ScanReport:
    """What a scan that the box has asked for might say."""
    box = flock.box(lane)
    ticket = max(box.scans.tickets, default=0)
    if not ticket:
        ticket = 2**40
        box.scans.tickets.add(ticket)
        box.scans._sources[ticket] = Source.LIVE
    return ScanReport(ticket, "box", findings, True, 1, failed)


def steps(flock: Flock, rounds: int = UNCHANGED_ROUNDS) -> None:
    for _ in range(rounds):
        flock.step()


def all_have(flock: Flock, name: str, text: str) -> None:
    for node in flock.up:
        assert flock.path(node.lane, name).read_text() == text


# -- scans -----------------------------------------------------------------------------------------


def test_a_report_for_an_earlier_opening_is_nobodys(flock: Flock) -> None:
    flock.write(0, "a", "one")
    flock.settle_equal()
    box = flock.box(0)
    box.rescan(flock.now)
    (earlier,) = box.scans.tickets
    setup = box.setup
    flock.nodes[0].keeper.remove("box")
    flock.nodes[0].keeper.add(setup, flock.now)
    assert earlier not in flock.box(0).scans.tickets
    flock.box(0).scanned(ScanReport(earlier, "box", (Gone("a"),), True, 1), flock.now)
    assert flock.box(0).index.local("a") is not None
    assert not flock.box(0).scanned_once
    flock.settle_equal()
    all_have(flock, "a", "one")


def test_a_look_at_one_path_is_no_look_at_the_box(flock: Flock) -> None:
    flock.settle_equal()
    flock.stop(0)
    flock.restart(0)
    box = flock.box(0)
    whole = box.scans._whole
    box.scans._request(("a",), 0.5)
    (single,) = box.scans.tickets - {whole}
    box.scanned(ScanReport(single, "box", (), True, 0), flock.now)
    assert not box.scanned_once
    box.scanned(ScanReport(whole, "box", (), True, 0), flock.now)
    assert box.scanned_once


def test_a_whole_scan_that_failed_comes_again(flock: Flock) -> None:
    flock.settle_equal()
    flock.stop(0)
    flock.restart(0)
    box = flock.box(0)
    failed = box.scans._whole
    box.scanned(ScanReport(failed, "box", (), True, 0, "the disk said no"), flock.now)
    assert not box.scanned_once
    assert not box.scanning
    flock.now += FAILED_SECONDS
    box.turn(flock.now, quiet=True)
    assert box.scans._whole > failed
    flock.run_until(lambda: box.scanned_once)
    flock.settle_equal()


def test_nothing_is_concluded_from_an_earlier_run_before_a_look(flock: Flock) -> None:
    flock.write(0, "a", "one")
    flock.settle_equal()
    flock.path(0, "a").unlink()
    with flock.box(0).index.transaction():
        flock.box(0).index.set_local("a", None)  # seen so by a run that ended
    flock.stop(0)
    flock.restart(0)
    box = flock.box(0)
    assert "a" in box.intake.changed
    box.scans.tickets.clear()  # whatever was asked for: no whole scan has ended
    box.turn(flock.now, quiet=True)
    assert "a" in box.intake.changed
    assert not box.index.outgoing_count()
    box.rescan(flock.now)
    flock.settle_equal()
    assert flock.tree(1) == set()


# -- what is not so any more -----------------------------------------------------------------------


def test_a_gone_that_comes_late_deletes_nothing(flock: Flock) -> None:
    flock.write(0, "a", "one")
    flock.write(0, "big", "x" * 100_000)
    flock.settle_equal()
    flock.box(0).scanned(report(flock, 0, Gone("a"), Gone("big")), flock.now)
    assert flock.box(0).index.local("a") is None
    steps(flock)  # nothing but the look before the commit makes the box look
    all_have(flock, "a", "one")
    all_have(flock, "big", "x" * 100_000)
    assert flock.settled()
    flock.settle_equal()


def test_what_changed_since_it_was_seen_is_seen_again(flock: Flock) -> None:
    flock.write(0, "a", "one")
    flock.settle_equal()
    box = flock.box(0)
    box._opened.watcher.stop()  # nothing but the look before the commit tells
    flock.write(0, "a", "two, and longer")
    box.rescan(flock.now)
    deadline = time.monotonic() + WAIT_S
    while box.scanning and time.monotonic() < deadline:
        for one in flock.nodes[0].scanner.reports():
            box.scanned(one, flock.now)
    assert "a" in box.intake.changed
    flock.path(0, "a").unlink()
    box.turn(flock.now, quiet=True)
    assert not box.index.outgoing_count()
    flock.settle_equal()
    assert flock.tree(1) == set()


def test_a_path_that_cannot_be_looked_at_waits_ever_longer(
    flock: Flock, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock.settle_equal()
    box = flock.box(0)
    flock.write(0, "a", "one")
    with monkeypatch.context() as broken:
        broken.setattr("flocksy.boxes.scan.standing.stat_shown", _refuses)
        flock.box(0).rescan(flock.now)
        flock.run_until(lambda: "a" in box.intake.changed)
        commits, ready = 0, box.intake.ready

        def count(limit: int, *, applying: bool) -> list[str]:
            nonlocal commits
            found = ready(limit, applying=applying)
            commits += bool(found)
            return found

        broken.setattr(box.intake, "ready", count)
        steps(flock, 100)  # ten seconds
        assert 1 < commits < 12
        assert "a" in box.intake.changed
    flock.settle_equal()
    all_have(flock, "a", "one")


def _refuses(_: Disk, path: str) -> None:
    raise PermissionError(13, "Permission denied", path)


# -- what no box holds -----------------------------------------------------------------------------


@pytest.mark.parametrize("ignored", ["link", "fifo"])
def test_a_file_that_made_way_for_something_ignored_is_not_gone(flock: Flock, ignored: str) -> None:
    flock.write(0, "big", "precious")
    flock.write(0, "folder/deep", "precious too")
    flock.settle_equal()
    setup = flock.box(0).setup
    flock.nodes[0].keeper.remove("box")
    flock.nodes[0].keeper.add(dataclasses.replace(setup, ignore_symlinks=True), flock.now)
    flock.settle()
    for name in ("big", "folder"):
        elsewhere = flock.root / f"elsewhere-{name}"
        flock.path(0, name).rename(elsewhere)
        if ignored == "link":
            flock.path(0, name).symlink_to(elsewhere)
        else:
            os.mkfifo(flock.path(0, name))
    flock.settle()
    # Also whoever asks for a path below finds nothing out.
    flock.box(0).intake.look_again("folder/deep", flock.now)
    flock.settle()
    assert set(flock.box(0).problems) == {"big", "folder"}
    for lane in (1, 2):
        assert flock.path(lane, "big").read_text() == "precious"
        assert flock.path(lane, "folder/deep").read_text() == "precious too"
    for name in ("big", "folder"):
        flock.path(0, name).unlink()
        (flock.root / f"elsewhere-{name}").rename(flock.path(0, name))
    flock.write(1, "big", "precious, and changed")
    flock.settle()
    assert not flock.unequal()
    all_have(flock, "big", "precious, and changed")


def test_a_gone_that_a_fifo_overtook_is_decided_when_it_goes(flock: Flock) -> None:
    flock.write(0, "a", "one")
    flock.settle_equal()
    box = flock.box(0)
    flock.path(0, "a").unlink()
    os.mkfifo(flock.path(0, "a"))
    box.scanned(report(flock, 0, Gone("a"), Skipped("a", "a pipe")), flock.now)
    steps(flock)
    assert flock.path(1, "a").read_text() == "one"
    flock.path(0, "a").unlink()
    flock.settle()
    assert flock.tree(1) == flock.tree(2) == set()


# -- knowledge -------------------------------------------------------------------------------------


@pytest.mark.parametrize("edits", [9, 12, 30])
def test_many_edits_while_nobody_listens(flock: Flock, edits: int) -> None:
    flock.write(0, "a", "base")
    flock.settle_equal()
    flock.stop(1)
    flock.stop(2)
    box = flock.box(0)
    for number in range(edits):
        before = len(_superseded(flock, 0))
        flock.write(0, "a", f"edit {number:03}")
        os.utime(flock.path(0, "a"), (1_600_000_000 + number,) * 2)
        box.rescan(flock.now)
        flock.run_until(functools.partial(_is_longer, flock, before))
    flock.restart(1)
    flock.restart(2)
    flock.settle_equal()
    all_have(flock, "a", f"edit {edits - 1:03}")
    for lane in range(3):
        state = flock.box(lane).index.lane_state("a")
        assert state is not None
        assert len(state.heads) == 1


def _is_longer(flock: Flock, than: int) -> bool:
    return len(_superseded(flock, 0)) > than


def _superseded(flock: Flock, lane: int) -> set[bytes]:
    state = flock.box(lane).index.flock("a")
    return set() if state is None else set(state.superseded)


def test_an_answer_tells_the_whole_past_and_nothing_unsaid(flock: Flock) -> None:
    flock.write(0, "a", "base")
    flock.settle_equal()
    flock.stop(1)
    flock.stop(2)
    box = flock.box(0)
    (said,) = box.offers.answer("a")
    flock.write(0, "a", "not said yet")
    box.rescan(flock.now)
    flock.run_until(lambda: box.index.outgoing_count() == 1)
    assert box.offers.answer("a") == [dataclasses.replace(said, inline=None)]


# -- an index made anew ----------------------------------------------------------------------------


def test_what_was_deleted_stays_so_when_the_index_is_lost(flock: Flock) -> None:
    for name in ("keep", "gone", "changed"):
        flock.write(0, name, name)
    flock.settle_equal()
    node = flock.nodes[0]
    node.keeper.pause("box")
    flock.path(1, "gone").unlink()
    flock.write(1, "changed", "changed since")
    flock.box(1).rescan(flock.now)
    flock.run_until(lambda: flock.tree(2) == {"keep", "changed"})
    node.keeper.resume("box", flock.now)
    flock.settle_equal()
    # The disk is set back to what it was, and the index is of no use.
    node.keeper.pause("box")
    flock.write(0, "gone", "gone")
    flock.write(0, "changed", "changed")
    index = Path(flock.setup(0).index_path)
    for path in index.parent.glob(index.name + "*"):
        path.unlink()
    index.write_bytes(b"garbage" * 1000)
    kept = node.keeper.resume("box", flock.now)
    assert kept.box is not None
    assert kept.box.adopting
    flock.settle_equal()
    assert flock.tree(1) == {"keep", "changed"}
    all_have(flock, "changed", "changed since")
