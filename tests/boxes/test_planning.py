"""From paths that moved to what is waited for."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from flocksy.boxes.activation import _Contents
from flocksy.boxes.apply.applier import Applier
from flocksy.boxes.apply.journal import IndexJournal
from flocksy.boxes.catching_up import CatchingUp
from flocksy.boxes.content import staging
from flocksy.boxes.content.staging import Staging
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Stat
from flocksy.boxes.planning import Planning
from flocksy.boxes.scan.chunking import cut
from flocksy.sync.content import Chunk, build_list, small_list
from flocksy.sync.version import Kind, Version, version_id
from tests.boxes.bench import MTIME_NS, Bench, root_of

SIZE = 1_000_000


def small(data: bytes, generation: int, *parents: bytes) -> Version:
    return Version(
        Kind.FILE, 0o644, MTIME_NS, len(data), small_list(data).root, generation, parents
    )


def test_what_could_not_be_brought_is_let_go_when_a_later_version_comes(tmp_path: Path) -> None:
    """Somebody goes on editing a file in whose place something else stands here: each of its
    contents would stay until the next start."""
    bench = Bench(tmp_path)
    os.mkfifo(bench.root / "f")
    staging = Staging(bench.disk, bench.index.contents)
    planning = Planning(
        bench.index, staging, bench.applier, bench.capabilities, ignore_symlinks=False
    )
    before: dict[bytes, bytes] = {}
    parents: tuple[bytes, ...] = ()
    now = 0.0
    for number in range(3):
        data = b"%d" % number
        later = small(data, number + 1, *parents)
        parents = (version_id(later),)
        bench.index.join("f", {version_id(later): later}, before)
        before = {version_id(later): later.root}
        planning.expect("f", later, data)
        planning.add(("f",))
        for _ in range(100):
            now += 1.0
            planning.turn(now)
            if "f" in planning.problems and planning.free:
                break
        assert "f" in planning.problems
        assert staging.roots() == {later.root}
        incoming = list((bench.root / ".flocksy/incoming").iterdir())
        assert len(incoming) <= 1
    staging.close()
    bench.close()


class Undated(RealDisk):
    """Refuses to date some paths: of a file of another user that we may link, for one."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.refused: set[str] = set()

    def set_metadata(
        self, path: str, mode: int | None, mtime_ns: int | None, inode: int | None = None
    ) -> Stat:
        if path in self.refused:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
        return super().set_metadata(path, mode, mtime_ns, inode)


def turn(planning: Planning, now: float) -> None:
    for _ in range(10):
        planning.turn(now)
        while not planning.free:  # a flush in a thread
            now += 0.002
            planning.turn(now)


def test_a_renamed_file_that_cannot_be_dressed_is_said_and_tried_again(tmp_path: Path) -> None:
    """It is in its place and differs: others show another time."""
    (tmp_path / "box").mkdir()
    disk = Undated(str(tmp_path / "box"))
    bench = Bench(tmp_path, disk)
    staging = Staging(disk, bench.index.contents)
    planning = Planning(
        bench.index, staging, bench.applier, bench.capabilities, ignore_symlinks=False
    )
    old = small(b"content", 1)
    new = replace(old, mtime_ns=7)
    gone = Version(Kind.TOMBSTONE, 0, 0, 0, b"", 2, (version_id(old),))
    bench.index.join("old", {version_id(old): old}, {})
    planning.expect("old", old, b"content")
    bench.names["old", old.root] = staging.staged("old", old.root) or ""
    planning.add(("old",))
    turn(planning, 0.0)
    assert planning.idle and bench.paths() == {"old"}
    bench.index.join("old", {version_id(gone): gone}, {version_id(old): old.root})
    bench.index.join("new", {version_id(new): new}, {})
    disk.refused.add("new")
    planning.add(("old", "new"))
    turn(planning, 1.0)
    assert bench.paths() == {"new"} and bench.read("new") == b"content"
    assert planning.problems.keys() == {"new"} and not planning.idle
    catching_up = CatchingUp(bench.index, bench.capabilities)
    assert catching_up.turn() == ["new"], "also after the next start"
    disk.refused.clear()
    turn(planning, 1e6)
    assert planning.idle and not planning.problems
    assert bench.local("new").mtime_ns == 7
    assert CatchingUp(bench.index, bench.capabilities).turn() == []
    staging.close()
    bench.close()


def version(generation: int, *parents: bytes) -> Version:
    root = root_of(b"%d" % generation)
    return Version(Kind.FILE, 0o644, MTIME_NS, SIZE, root, generation, parents)


def test_what_is_waited_for_at_a_path_is_let_go_when_another_has_it_planned(tmp_path: Path) -> None:
    """A later version is known, and the path is looked at for the sake of the directory above: what
    the earlier one had is of use to nobody any more."""
    bench = Bench(tmp_path)
    bench.apply(bench.make_directory("d"))
    staging = Staging(bench.disk, bench.index.contents)
    planning = Planning(
        bench.index, staging, bench.applier, bench.capabilities, ignore_symlinks=False
    )
    first = version(1)
    second = version(2, version_id(first))
    bench.index.join("d/f", {version_id(first): first}, {})
    planning.add(("d/f",))
    planning.turn(0.0)
    assert planning.waits_for("d/f", first.root) and staging.roots() == {first.root}
    bench.index.join("d/f", {version_id(second): second}, {version_id(first): first.root})
    planning.add(("d",))
    planning.turn(0.0)
    assert planning.waits_for("d/f", second.root)
    assert staging.roots() == {second.root}, "the first is asked for, for good"
    staging.close()
    bench.close()


class Burst:
    """A box that hears of heads of `f` one after the other, and plans none before all have come."""

    def __init__(self, place: Path) -> None:
        self.bench = Bench(place)
        self.now = 0.0
        self.start()

    def start(self) -> None:
        bench = self.bench
        self.staging = Staging(bench.disk, bench.index.contents)
        applier = Applier(
            bench.disk,
            IndexJournal(bench.index),
            bench.history,
            _Contents(bench.index, self.staging),
            bench.capabilities,
        )
        self.planning = Planning(
            bench.index, self.staging, applier, bench.capabilities, ignore_symlinks=False
        )

    def hear(self, head: Version, data: bytes | None = None, before: Version | None = None) -> None:
        """`data`: comes with the record. `before`: what this head supersedes."""
        gone = {} if before is None else {version_id(before): before.root}
        self.bench.index.join("f", {version_id(head): head}, gone)
        if head.kind is Kind.FILE:
            self.planning.expect("f", head, data)

    def hear_large(self, data: bytes, generation: int = 1, *, parts: int | None = None) -> Version:
        """All its parts come, or the first few."""
        head = large(data, generation)
        self.hear(head)
        self.hear_parts(data, parts)
        return head

    def hear_parts(self, data: bytes, parts: int | None = None) -> None:
        pieces = cut(data)
        listed = build_list(Chunk(piece.id, piece.length) for piece in pieces)
        coming = list(listed.blobs())
        coming += [(one.id, data[one.offset : one.offset + one.length]) for one in pieces]
        for name, part in coming[:parts]:
            assert self.staging.write(name, part)

    def end(self) -> None:
        """The burst is over."""
        self.planning.add(("f",))
        begun = self.now
        while self.planning.turn(self.now) is not None:
            self.advance(1)
            assert self.now < begun + 100.0

    def advance(self, turns: int) -> None:
        for _ in range(turns):
            self.planning.turn(self.now)
            self.staging.advance(1 << 30)
            self.planning.finish()
            self.now += 1.0

    def shown(self) -> set[bytes]:
        return {path.read_bytes() for path in self.bench.root.glob("f*")}

    def temporaries(self) -> list[str]:
        return os.listdir(self.bench.root / ".flocksy/incoming")


def large(data: bytes, generation: int) -> Version:
    root = build_list(Chunk(piece.id, piece.length) for piece in cut(data)).root
    return Version(Kind.FILE, 0o644, MTIME_NS, len(data), root, generation, ())


@pytest.fixture
def burst(tmp_path: Path) -> Iterator[Burst]:
    made = Burst(tmp_path)
    yield made
    made.staging.close()
    made.bench.close()


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_what_came_for_each_of_several_heads_is_there_for_the_copies(
    burst: Burst, order: tuple[int, ...]
) -> None:
    """Whoever made one of them may be gone by the time it is asked for."""
    some, more = (random.Random(seed).randbytes(200_000) for seed in (1, 2))
    for number in order:
        if number == 0:
            burst.hear(small(b"inline", 1), b"inline")
        else:
            burst.hear_large((some, more)[number - 1])
        assert not burst.staging.wants(10)
    burst.end()
    assert burst.shown() == {b"inline", some, more}
    assert burst.planning.idle and not burst.staging.roots() and not burst.temporaries()


def test_two_small_heads_of_one_burst(burst: Burst) -> None:
    burst.hear(small(b"one", 1), b"one")
    burst.hear(small(b"two", 1), b"two")
    burst.end()
    assert burst.shown() == {b"one", b"two"}
    assert burst.planning.idle and not burst.staging.roots() and not burst.temporaries()


def test_what_has_come_of_a_head_goes_on_at_its_copy(burst: Burst) -> None:
    data = random.Random(1).randbytes(1_000_000)
    assert len(cut(data)) > 3
    first = burst.hear_large(data, parts=3)
    burst.staging.advance(1 << 30)
    lacking = burst.staging.wants(100)
    burst.hear(small(b"later", 2), b"later")
    assert burst.staging.wants(100) == lacking
    burst.end()
    assert burst.shown() == {b"later"} and burst.staging.wants(100) == lacking
    assert burst.planning.waits_for("f", first.root)


def test_of_heads_that_are_none_any_more_nothing_stays(burst: Burst) -> None:
    """Two go on editing in one burst, and each edit puts the other one's aside for a moment."""
    ours, theirs = (large(random.Random(seed).randbytes(90_000), 1) for seed in (1, 2))
    for head in (ours, theirs):
        burst.hear(head)
    for generation in range(2, 5):
        for number, before in enumerate((ours, theirs)):
            data = random.Random(10 * generation + number).randbytes(90_000)
            later = large(data, generation)
            burst.hear(later, before=before)
            burst.hear_large(data, generation)
            if number == 0:
                ours = later
            else:
                theirs = later
            assert burst.staging.roots() == {ours.root, theirs.root}
    burst.hear(Version(Kind.TOMBSTONE, 0, 0, 0, b"", 9, ()), before=ours)
    burst.hear(small(b"", 10), b"", before=theirs)
    assert len(burst.staging.roots()) == 1
    burst.end()
    assert burst.shown() == {b""}
    assert burst.planning.idle and not burst.staging.roots() and not burst.temporaries()


def test_heads_that_all_go_before_they_are_planned_leave_nothing(burst: Burst) -> None:
    heads = [burst.hear_large(random.Random(seed).randbytes(90_000)) for seed in (1, 2, 3)]
    assert len(burst.staging.roots()) == 3
    for head in heads:
        burst.hear(Version(Kind.TOMBSTONE, 0, 0, 0, b"", 2, (version_id(head),)), before=head)
    burst.end()
    assert not burst.shown()
    assert burst.planning.idle and not burst.staging.roots() and not burst.temporaries()


def test_more_small_files_than_are_staged_at_a_time(
    burst: Burst, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is beyond waits in the index: nobody would send it again."""
    monkeypatch.setattr(staging, "MAX_CONTENTS", 2)
    paths = [f"f{number}" for number in range(7)]
    for path in paths:
        data = path.encode() if path != "f4" else b""
        head = small(data, 1)
        burst.bench.index.join(path, {version_id(head): head}, {})
        burst.planning.expect(path, head, data)
    assert len(burst.staging.roots()) == 2 and not burst.planning.idle
    burst.planning.add(paths)
    burst.end()
    assert not burst.staging.wants(10)
    assert burst.shown() == {path.encode() for path in paths if path != "f4"} | {b""}
    assert burst.planning.idle and not burst.staging.roots() and not burst.temporaries()


def test_what_came_before_a_restart_is_there_for_the_copies(burst: Burst) -> None:
    datas = [random.Random(seed).randbytes(200_000) for seed in (1, 2, 3)]
    for data in datas:
        burst.hear_large(data)
    burst.staging.close()
    burst.start()
    burst.end()
    assert not burst.staging.wants(10)
    assert burst.shown() == set(datas)
    burst.staging.sweep()
    assert burst.planning.idle and not burst.staging.roots() and not burst.temporaries()


def test_what_a_copy_waits_for_stays_while_its_owner_is_doubted(burst: Burst) -> None:
    """A head comes whose ancestry is not here yet, and before it is believed the content of the
    copy is complete."""
    data = random.Random(1).randbytes(200_000)
    burst.hear(small(b"winner", 3), b"winner")
    burst.hear(large(data, 1))
    burst.end()
    ((copy, root),) = burst.staging.takers(burst.staging.wants(1))
    assert burst.shown() == {b"winner"} and copy != "f"
    burst.hear(small(b"third", 2), b"third")
    burst.planning.doubted = {"f"}
    burst.hear_parts(data)
    burst.end()
    assert burst.shown() == {b"winner"} and burst.staging.staged(copy, root)
    burst.planning.doubted = ()
    burst.end()
    assert burst.shown() == {b"winner", b"third", data} and not burst.staging.wants(10)
    assert burst.planning.idle and not burst.staging.roots() and not burst.temporaries()


def test_what_a_copy_could_not_be_made_of_stays_while_its_owner_is_doubted(burst: Burst) -> None:
    data = random.Random(1).randbytes(200_000)
    burst.hear(small(b"winner", 3), b"winner")
    burst.hear(large(data, 1))
    burst.end()
    ((copy, root),) = burst.staging.takers(burst.staging.wants(1))
    os.mkfifo(burst.bench.root / copy)
    burst.hear_parts(data)
    burst.advance(3)
    assert copy in burst.planning.problems
    burst.planning.doubted = {"f"}
    burst.planning.add((copy,))
    burst.advance(3)
    assert burst.staging.staged(copy, root)
    (burst.bench.root / copy).unlink()
    burst.planning.doubted = ()
    burst.end()
    assert burst.shown() == {b"winner", data} and not burst.staging.roots()


def test_what_is_renamed_before_it_was_applied_is_taken_along(burst: Burst) -> None:
    """Its new name begins to wait for the content in the same burst, with nothing."""
    data = random.Random(1).randbytes(200_000)
    old = burst.hear_large(data)
    assert burst.staging.staged("f", old.root)
    burst.hear(Version(Kind.TOMBSTONE, 0, 0, 0, b"", 2, (version_id(old),)), before=old)
    new = replace(old, generation=2)
    burst.bench.index.join("f2", {version_id(new): new}, {})
    burst.planning.expect("f2", new, None)
    burst.planning.add(("f2",))
    burst.end()
    assert burst.shown() == {data} and not burst.staging.wants(10)
    assert burst.planning.idle and not burst.staging.roots() and not burst.temporaries()
