"""Superseded heads that somebody still tells: noted as lanes bring them, and never very many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flocksy.index.outdated import MAX_HEADS, MAX_PATHS, Outdated
from flocksy.index.store import BoxIndex
from flocksy.sync.version import Kind, Version, version_id

ROOT = b"r" * 32


@pytest.fixture
def index(tmp_path: Path) -> Iterator[BoxIndex]:
    with closing(BoxIndex.open(tmp_path / "box.sqlite")) as opened:
        yield opened


def file(generation: int) -> Version:
    return Version(Kind.FILE, 0o644, 0, 1, ROOT, generation, ())


def names(count: int) -> list[bytes]:
    return [number.to_bytes(16, "big") for number in range(count)]


def test_what_a_lane_brings_too_late_is_noted(index: BoxIndex) -> None:
    old, new = file(1), file(2)
    index.join("f", {version_id(old): old}, {})
    index.join("f", {version_id(new): new}, {version_id(old): ROOT})
    index.join("f", {version_id(new): new}, {})
    assert index.outdated("f") == (), "nobody has told it since"
    index.join("f", {version_id(old): old}, {})
    assert index.outdated("f") == (version_id(old),)
    assert index.outdated("g") == ()


def test_what_only_we_have_superseded_is_not_noted(index: BoxIndex) -> None:
    """No lane has said so yet: it would show what is still to be told."""
    old, new = file(1), file(2)
    index.join("f", {version_id(old): old}, {})
    index.record("f", version_id(new), new, {version_id(old): ROOT}, batch=bytes(8), due_ms=0)
    index.join("f", {version_id(old): old}, {})
    assert index.outdated("f") == ()


def test_the_last_are_kept() -> None:
    made, every = Outdated(), names(2 * MAX_HEADS)
    made.note("f", every)
    made.note("f", every[-2:-1])
    assert made.of("f") == (*every[-MAX_HEADS:-2], every[-1], every[-2])
    for number in range(MAX_PATHS):
        made.note(f"path {number}", every[:1])
    assert not made.of("f")
    assert all(made.of(f"path {number}") for number in range(MAX_PATHS))
