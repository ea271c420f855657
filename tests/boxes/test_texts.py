"""Texts of links that did not come with their record: asked for of one member after the other, and
not waited for when nobody has them."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from flocksy.boxes.missing import WORDS
from flocksy.boxes.offers import Offers
from flocksy.errors import FlocksyError
from flocksy.sync.content import symlink_root
from tests.boxes.flock_of_boxes import Flock, spool
from tests.boxes.test_dismissing import say
from tests.boxes.test_guard import Guarded

__all__ = ["spool"]

IGNORING = (0, 1, 2)
MAKER = 3
NEWCOMER = 4
LINKS = {f"link {number}": f"there {number}" for number in range(20)}


def test_whoever_has_no_text_is_not_the_last_who_is_asked(tmp_path: Path, spool: Path) -> None:
    with Flock(tmp_path, spool, 5) as flock:
        flock.settle_equal()
        for lane in IGNORING:
            setup = dataclasses.replace(flock.box(lane).setup, ignore_symlinks=True)
            flock.nodes[lane].keeper.remove("box")
            flock.nodes[lane].keeper.add(setup, flock.now)
        flock.settle()
        flock.stop(NEWCOMER)
        for name, text in LINKS.items():
            flock.path(MAKER, name).symlink_to(text)
        flock.settle()
        flock.settle()
        for lane in IGNORING:
            # They know of the links, and need no texts. So they have tidied them away.
            contents = flock.box(lane).index.contents
            assert not any(contents.blob(symlink_root(text.encode())) for text in LINKS.values())
        flock.restart(NEWCOMER)
        flock.settle()
        assert {name: os.readlink(flock.path(NEWCOMER, name)) for name in LINKS} == LINKS


@pytest.mark.parametrize("beside", [False, True])
def test_a_text_that_nobody_has(
    tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    """Its maker is gone. `beside`: another has written something else there."""
    maker, contents = 2, {}
    with Flock(tmp_path, spool) as flock:
        flock.settle_equal()
        with monkeypatch.context() as lost:
            lost.setattr(Offers, "inline", lambda *_: None)
            lost.setattr(Offers, "_is_nowhere", lambda *_: True)
            flock.path(maker, "link").symlink_to("there")
            flock.run_until(
                lambda: all(flock.box(lane).index.lane_state("link") for lane in range(3))
            )
        flock.kill(maker)
        if beside:
            contents["link"] = flock.write(0, "link", "something else").read_bytes()
        flock.settle()
        assert not flock.unequal()
        for lane in (0, 1):
            assert flock.box(lane).problems == {"link": WORDS}
            shown = {name: flock.path(lane, name).read_bytes() for name in flock.tree(lane)}
            assert shown == contents
        flock.stop(1)
        flock.restart(1)
        flock.settle()
        assert flock.box(1).problems == {"link": WORDS}
        flock.restart(maker)
        flock.run_until(lambda: not any(flock.box(lane).problems for lane in (0, 1)))
        flock.settle_equal()
        links = {name for name in flock.tree(0) if flock.path(0, name).is_symlink()}
        assert [os.readlink(flock.path(0, name)) for name in links] == ["there"]
        assert len(flock.tree(0)) == 1 + len(contents)


def make_link_without_text(flock: Flock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Node 2 makes it and tells nobody what it says; the others have given up asking."""
    flock.write(0, "b", "b")
    flock.settle_equal()
    monkeypatch.setattr(Offers, "inline", lambda *_: None)
    monkeypatch.setattr(Offers, "_is_nowhere", lambda *_: True)
    flock.path(2, "link").symlink_to("there")
    flock.run_until(lambda: all("link" in flock.box(lane).problems for lane in (0, 1)))


def test_a_text_that_all_have_denied_can_be_dismissed(
    tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its maker is here, and answers each time that it has no text."""
    with Guarded(tmp_path, spool) as flock:
        make_link_without_text(flock, monkeypatch)
        assert say(flock, 0, "link") == ["link"]
        flock.run_until(lambda: not any(flock.box(lane).problems for lane in (0, 1)))
        assert flock.tree(1) == {"b"}


def test_a_text_is_asked_for_once_more_where_somebody_has_come_since(
    tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Guarded(tmp_path, spool) as flock:
        make_link_without_text(flock, monkeypatch)
        flock.stop(1)
        flock.restart(1)
        flock.settle()
        with pytest.raises(FlocksyError, match="asked once more"):
            say(flock, 0, "link")
        flock.run_until(lambda: "link" in flock.box(0).problems)
        assert say(flock, 0, "link") == ["link"]
