"""The commands of a node that does not run, where one of its boxes cannot take part."""

from __future__ import annotations

import re
import shlex
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes import whereabouts
from flocksy.boxes.setup import BoxSetup, Mode
from flocksy.config.settings import BoxSettings
from flocksy.errors import FlocksyError
from flocksy.index.migrations import VERSION
from flocksy.node.choosing import explained
from flocksy.node.offline import Offline
from flocksy.status.control import Answer
from tests.boxes.flock_of_boxes import Flock, spool

__all__ = ["spool"]

NAMES = ("sends", "box", "empty")

WAITS = {"gone": True, "past": False}


class Guarded(Flock):
    """All boxes are guarded as by default, and only node 1 receives."""

    def setup(self, lane: int) -> BoxSetup:
        mode = Mode.SYNC if lane == 1 else Mode.SEND_ONLY
        return replace(super().setup(lane), name=NAMES[lane], mode=mode, guard_percent=100)


@pytest.fixture
def flock(tmp_path: Path, spool: Path) -> Iterator[Guarded]:
    """None of the nodes runs; the deletion of `gone` waited on two of them when they stopped."""
    with Guarded(tmp_path, spool) as made:
        made.write(0, "gone", "one")
        made.write(0, "past", "one")
        made.settle()
        made.path(0, "past").unlink()
        made.settle()
        assert made.tree(1) == {"gone"}
        for lane in (0, 1):
            made.stop(lane)
            made.path(lane, "gone").unlink()
        for lane in (0, 1):
            made.restart(lane)
        made.settle()
        for lane in range(3):
            made.stop(lane)
        yield made


def offline(*setups: BoxSetup) -> Offline:
    """The boxes as one node's."""
    made = Offline([], "", ())
    made._setups = list(setups)
    return made


def rows(answer: Answer) -> list[dict[str, object]]:
    told = answer["deleted"]
    assert isinstance(told, list)
    return told


def test_a_box_whose_disk_is_away_is_left_out(flock: Guarded) -> None:
    away = flock.setup(2)
    flock.path(2).rename(flock.root / "elsewhere")
    boxes = offline(away, flock.setup(1))
    for answer, known in (
        (boxes.deleted(None, 10), "box: past"),
        (boxes.conflicts(None), "no conflicts"),
        (boxes.approve(None), "box: 1 deletion approved"),
        (boxes.approve(None), "nothing waited"),
    ):
        text = str(answer["text"])
        assert known in text
        assert f"empty: is left out: {away.path}: there is no such directory" in text
    with pytest.raises(FlocksyError, match="no such directory"):
        boxes.approve("empty")
    with pytest.raises(FlocksyError, match="no such directory"):
        boxes.deleted(away.path, 10)


def test_a_send_only_box_is_no_obstacle_where_nothing_waits(flock: Guarded) -> None:
    text = offline(flock.setup(2), flock.setup(1)).reject(None)["text"]
    assert "box: 1 deletion undone" in str(text)
    assert "left out" not in str(text)


def test_nothing_is_answered_where_not_all_can_be(flock: Guarded) -> None:
    boxes = offline(flock.setup(1), flock.setup(0))
    with pytest.raises(FlocksyError, match="sends: is send-only"):
        boxes.reject(None)
    assert "box: 1 deletion undone" in str(boxes.reject("box")["text"])


def test_what_waits_is_told_by_deleted(flock: Guarded) -> None:
    boxes = offline(flock.setup(1))
    for given in (None, str(flock.path(1)), str(flock.path(1, "gone"))):
        answer = boxes.deleted(given, 10)
        told = {one["path"]: one["waiting"] for one in rows(answer)}
        assert told == ({"gone": True} if given and given.endswith("gone") else WAITS)
        lines = str(answer["text"]).splitlines()
        assert lines[0].startswith("waits for your word  box: gone")
        assert "box: 1 deletion (gone)" in lines[-2]
        assert "flocksy approve box" in lines[-2]
        assert "does not run" in lines[-1]
    answer = boxes.deleted(str(flock.path(1, "past")), 10)
    assert [one["path"] for one in rows(answer)] == ["past"]
    assert "approve" not in str(answer["text"])
    boxes.reject("box")
    answer = boxes.deleted(None, 10)
    assert [one["path"] for one in rows(answer)] == ["past"]
    assert "approve" not in str(answer["text"])


def test_what_waits_is_told_by_history(flock: Guarded) -> None:
    boxes = offline(flock.setup(1))
    answer = boxes.history(str(flock.path(1, "gone")))
    assert "its deletion waits for your word: 1 deletion (gone)" in str(answer["text"])
    assert "does not run" in str(answer["text"])
    assert "approve" not in str(boxes.history(str(flock.path(1, "past")))["text"])
    boxes.approve("box")
    assert "approve" not in str(boxes.history(str(flock.path(1, "gone")))["text"])


def test_nothing_waits_where_nothing_is_asked(flock: Guarded) -> None:
    """The guard is off, or the box only receives: the same disk, looked at otherwise."""
    for setup in (
        replace(flock.setup(1), guard_percent=None),
        replace(flock.setup(1), mode=Mode.RECEIVE_ONLY),
    ):
        answer = offline(setup).deleted(None, 10)
        assert [one["path"] for one in rows(answer)] == ["past"]
        assert "approve" not in str(answer["text"])


def test_looking_at_what_waits_changes_nothing(flock: Guarded) -> None:
    boxes = offline(flock.setup(1))
    index = Path(flock.setup(1).index_path)
    before = index.read_bytes()
    boxes.deleted(None, 10)
    boxes.history(str(flock.path(1, "gone")))
    assert index.read_bytes() == before
    assert "box: 1 deletion approved" in str(boxes.approve(None)["text"])


def test_what_is_left_out_is_asked_of_the_disk_where_it_is(
    flock: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = replace(flock.setup(1), removable=True)
    path = str(flock.path(1, "a.o"))
    flock.write(1, ".flockignore", "*.o\n")
    assert "line 1 of .flockignore" in str(offline(setup).ignored(path)["text"])
    elsewhere = flock.root / "elsewhere"
    flock.path(1).rename(elsewhere)
    with pytest.raises(FlocksyError, match="there is no such directory"):
        offline(setup).ignored(path)
    flock.path(1).mkdir()  # its mount point
    with pytest.raises(FlocksyError, match="flocksy box adopt"):
        offline(setup).ignored(path)
    monkeypatch.setattr(
        whereabouts, "_candidates", lambda configured, _: [configured, str(elsewhere)]
    )
    answer = offline(setup).ignored(str(elsewhere / "a.o"))
    assert "line 1 of .flockignore" in str(answer["text"])


def test_a_paused_box_stays_as_it_is(flock: Guarded, tmp_path: Path) -> None:
    """As while the node runs: nothing is answered for in it, and nothing written."""
    boxes = offline(flock.setup(1), flock.setup(2))
    boxes._paused = {"box"}
    for told in (boxes.approve(None), boxes.reject(None)):
        lines = str(told["text"]).splitlines()
        assert lines[0] == "nothing waited when the node stopped"
        assert lines[1].startswith("box: is left out: rests: paused")
    past = str(flock.path(1, "past"))
    for command in (
        lambda: boxes.approve("box"),
        lambda: boxes.reject("box"),
        lambda: boxes.restore(past, None),
        lambda: boxes.conflicts_resolve(past, both=False),
    ):
        with pytest.raises(FlocksyError, match=r"^box: rests: .*; flocksy box resume box lets it"):
            command()
    assert [one["path"] for one in rows(boxes.deleted(past, 10))] == ["past"], "it may be looked at"
    assert "box: 1 deletion approved" in str(offline(flock.setup(1)).approve(None)["text"])
    written = BoxSettings("box", str(flock.path(1)), paused=True)
    with pytest.raises(FlocksyError, match="rests"):
        Offline([written], str(tmp_path), ()).restore(past, None)


def test_nothing_is_restored_that_is_not_held(tmp_path: Path, spool: Path) -> None:
    """A version would go to everybody, and nothing be seen of it on this disk."""
    with Flock(tmp_path, spool) as flock:
        for lane, content in ((0, "one"), (1, "two")):
            flock.write(lane, "a.o", content)
            flock.settle_equal()
        flock.stop(0)
        flock.write(0, ".flockignore", "*.o\n")
        with pytest.raises(FlocksyError, match=r"^a\.o: cannot be restored .* not held$"):
            offline(flock.setup(0)).restore(str(flock.path(0, "a.o")), None)
        flock.path(0, ".flockignore").unlink()
        flock.restart(0)
        flock.settle_equal()
        assert flock.path(1, "a.o").read_text() == "two"


def test_nor_where_only_is_sent(flock: Guarded) -> None:
    for lane in range(3):
        flock.restart(lane)
    flock.write(0, "twin", "one")
    flock.settle()
    for lane in range(3):
        flock.stop(lane)
    with pytest.raises(FlocksyError, match=r"^past: cannot be restored .* send-only here$"):
        offline(flock.setup(0)).restore(str(flock.path(0, "past")), None)


def test_an_index_that_cannot_be_used_stops_nothing_in_another_box(flock: Guarded) -> None:
    newer = replace(flock.setup(2), removable=True)
    connection = sqlite3.connect(newer.index_path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    boxes = offline(newer, flock.setup(1))
    assert "past" in str(boxes.history(str(flock.path(1, "past")))["text"])
    with pytest.raises(FlocksyError, match="newer flocksy"):
        boxes.history(str(flock.path(2, "past")))


def test_a_link_in_the_box_leads_to_what_the_box_knows(tmp_path: Path, spool: Path) -> None:
    with Flock(tmp_path, spool) as flock:
        flock.write(0, "a/f", "x")
        for link in ("0", "z"):
            flock.path(0, link).symlink_to("a")
        flock.settle_equal()
        flock.stop(0)
        for link in ("0", "z"):
            answer = offline(flock.setup(0)).history(str(flock.path(0, f"{link}/f")))
            assert str(answer["text"]).startswith("box: a/f")


def test_a_name_is_written_as_the_shell_wants_it(flock: Guarded) -> None:
    setup = replace(flock.setup(1), name="Anna's photos")
    boxes = offline(setup)
    name = shlex.quote(setup.name)
    text = str(boxes.deleted(None, 10)["text"])
    assert f"flocksy approve {name} deletes" in text
    assert f"flocksy reject {name} brings" in text
    flock.path(1).rename(flock.root / "elsewhere")
    flock.path(1).mkdir()
    with pytest.raises(FlocksyError, match=re.escape(f"flocksy box adopt {name}")):
        boxes.deleted(str(flock.path(1)), 10)
    boxes._paused = {setup.name}
    with pytest.raises(FlocksyError, match=re.escape(f"flocksy box resume {name} lets")):
        boxes.approve(setup.name)
    told = str(explained(setup.name, "a", None, waits=True)["text"])
    assert f"(flocksy approve {name} or reject {name})" in told


@pytest.mark.parametrize("kept", ["path", "copy", "both"])
def test_a_conflict_is_shown_and_decided(tmp_path: Path, spool: Path, kept: str) -> None:
    """On a node that has stopped; the others go on meanwhile, and learn of it when it runs."""
    with Flock(tmp_path, spool) as flock:
        flock.write(0, "n", "old")
        flock.settle_equal()
        for lane in (0, 1):
            flock.write(lane, "n", f"by {lane}")
        flock.settle_equal()
        (copy,) = flock.tree(2) - {"n"}
        shown, beside = (flock.path(2, name).read_text() for name in ("n", copy))
        assert {shown, beside} == {"by 0", "by 1"}
        flock.stop(2)
        boxes = offline(flock.setup(2))
        index = Path(flock.setup(2).index_path)
        before = index.read_bytes()
        for name in ("n", copy):
            answer = boxes.conflicts_show(str(flock.path(2, name)))
            conflict = answer["conflict"]
            assert isinstance(conflict, dict)
            assert [side["path"] for side in conflict["sides"]] == ["n", copy]
            assert "does not run" in str(answer["text"])
        assert index.read_bytes() == before, "looking changes nothing"

        path = str(flock.path(2, copy if kept == "copy" else "n"))
        answer = boxes.conflicts_resolve(path, both=kept == "both")
        assert "the others learn of it when the node runs" in str(answer["text"])
        expected = {"n": beside if kept == "copy" else shown}
        if kept == "both":
            expected[copy] = beside
        here = {name: flock.path(2, name).read_text() for name in flock.tree(2)}
        assert here == expected
        assert boxes.conflicts(None)["conflicts"] == []
        for command in (
            lambda: boxes.conflicts_show(path),
            lambda: boxes.conflicts_resolve(path, both=False),
        ):
            with pytest.raises(FlocksyError, match="has no conflict copies"):
                command()
        flock.write(0, "meanwhile", "x")
        flock.settle_equal()
        assert flock.tree(0) == {"n", copy, "meanwhile"}

        flock.restart(2)
        flock.settle_equal()
        assert flock.tree(0) == {*expected, "meanwhile"}
        for lane in range(3):
            for name, text in expected.items():
                assert flock.path(lane, name).read_text() == text
            if kept != "both":
                put_away = {one.read_text() for one in flock.history(lane)}
                assert {shown, beside} - set(expected.values()) <= put_away
        flock.path(1, "n").write_text("edited afterwards")
        flock.settle_equal()
        assert flock.tree(2) == {*expected, "meanwhile"}, "it is decided for good"
