"""Contents on their way in."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flocksy.boxes.apply.folders import make_folders
from flocksy.boxes.apply.placing import INCOMING
from flocksy.boxes.content import scratch as scratch_module
from flocksy.boxes.content import staging as staging_module
from flocksy.boxes.content import temporaries
from flocksy.boxes.content.scratch import Scratch
from flocksy.boxes.content.staging import Staging
from flocksy.boxes.content.temporaries import Temporaries
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import PRIVATE
from flocksy.boxes.planning import PATHS_PER_PLAN
from flocksy.boxes.scan.chunking import cut
from flocksy.errors import HostileInput
from flocksy.index.contents import Piece
from flocksy.index.store import BoxIndex
from flocksy.sync.content import (
    MAX_BLOB_BYTES,
    Chunk,
    ChunkList,
    build_list,
    chunk_id,
    small_list,
)
from flocksy.sync.trees import DiskEntry
from flocksy.sync.version import Kind

BUDGET = 1 << 30


@dataclass
class Bench:
    root: Path
    disk: RealDisk
    index: BoxIndex

    def staging(self) -> Staging:
        return Staging(self.disk, self.index.contents)

    def scratch(self) -> Scratch:
        return Scratch(self.disk, self.index.contents)

    def bytes_of(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def put_local(self, path: str, data: bytes) -> None:
        """A file on this disk, as scanned."""
        listed, pieces = content(data)
        (self.root / path).write_bytes(data)
        self.index.set_local(path, DiskEntry(Kind.FILE, 0o644, 1, len(data), listed.root))
        self.index.contents.put(listed.root, pieces)

    def temporaries(self) -> list[str]:
        return sorted(os.listdir(self.root / ".flocksy" / "incoming"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    root = tmp_path / "box"
    root.mkdir()
    disk = RealDisk(str(root))
    make_folders(disk)
    index = BoxIndex.open(tmp_path / "box.sqlite")
    yield Bench(root, disk, index)
    index.close()
    disk.close()


def content(data: bytes) -> tuple[ChunkList, list[Piece]]:
    pieces = cut(data)
    return build_list(Chunk(piece.id, piece.length) for piece in pieces), pieces


def parts(data: bytes) -> dict[bytes, bytes]:
    """Everything that has to come for a content: blobs and chunks by id."""
    listed, pieces = content(data)
    chunks = {piece.id: data[piece.offset : piece.offset + piece.length] for piece in pieces}
    return {**dict(listed.blobs()), **chunks}


def test_a_content_is_complete_when_its_last_part_came(bench: Bench) -> None:
    data = random.Random(1).randbytes(300_000)
    root = content(data)[0].root
    staging = bench.staging()
    staging.expect("a", root, len(data))
    assert staging.wants(10) == [root]
    there = parts(data)
    wanted = staging.wants(100)
    while wanted:
        assert staging.staged("a", root) is None
        assert staging.write(wanted[-1], there[wanted[-1]])
        staging.advance(BUDGET)
        wanted = staging.wants(100)
    (staged,) = staging.complete()
    assert (staged.path, staged.root, staged.size) == ("a", root, len(data))
    assert staging.staged("a", root) == staged.name
    assert bench.bytes_of(staged.name) == data
    assert staging.complete() == []
    assert staging.progress() == (len(data), len(data))
    staging.release("a", root)
    assert bench.temporaries() == []
    # The list is remembered, so that the applied file's chunks can be found and served.
    assert list(bench.index.contents.pieces(root)) == cut(data)
    assert bench.index.contents.blob(root) is not None


@pytest.mark.parametrize("seed", range(5))
def test_parts_come_in_any_order_and_again(bench: Bench, seed: int) -> None:
    source = random.Random(seed)
    block = source.randbytes(50_000)
    datas = {f"f{number}": block * 5 + source.randbytes(100_000 * number) for number in range(4)}
    staging = bench.staging()
    there: dict[bytes, bytes] = {}
    for path, data in datas.items():
        staging.expect(path, content(data)[0].root, len(data))
        there |= parts(data)
    staging.advance(BUDGET)
    rounds = 0
    while staging.wants(1):
        rounds += 1
        assert rounds < 10
        order = list(there) * 2
        source.shuffle(order)
        for name in order:
            staging.write(name, there[name])
            staging.advance(BUDGET)
    for path, data in datas.items():
        name = staging.staged(path, content(data)[0].root)
        assert name is not None
        assert bench.bytes_of(name) == data
    assert not staging.write(*next(iter(there.items())))


def test_two_paths_with_equal_content_get_a_file_each(bench: Bench) -> None:
    data = random.Random(2).randbytes(100_000)
    root = content(data)[0].root
    staging = bench.staging()
    for path in ("a", "b"):
        staging.expect(path, root, len(data))
    staging.advance(BUDGET)
    for name, part in parts(data).items():
        assert staging.write(name, part)
        staging.advance(BUDGET)
    names = [staging.staged(path, root) for path in ("a", "b")]
    assert len(set(names)) == 2
    assert all(name is not None and bench.bytes_of(name) == data for name in names)


def test_more_contents_than_open_files(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporaries, "MAX_OPEN_FILES", 2)
    source = random.Random(3)
    datas = {f"f{number}": source.randbytes(60_000) for number in range(6)}
    staging = bench.staging()
    for path, data in datas.items():
        staging.expect(path, content(data)[0].root, len(data))
    everything = [list(parts(data).items()) for data in datas.values()]
    for step in range(max(map(len, everything))):
        for sequence in everything:
            if step < len(sequence):
                assert staging.write(*sequence[step])
    assert {staged.path for staged in staging.complete()} == set(datas)
    for path, data in datas.items():
        name = staging.staged(path, content(data)[0].root)
        assert name is not None
        assert bench.bytes_of(name) == data


def test_inline_content_is_complete_at_once(bench: Bench) -> None:
    staging = bench.staging()
    for data in (b"small", b""):
        root = small_list(data).root
        staging.inline("path", root, data)
        staging.inline("path", root, data)
        (staged,) = staging.complete()
        assert bench.bytes_of(staged.name) == data
    with pytest.raises(HostileInput):
        staging.inline("path", b"r" * 32, b"something else")


def test_an_empty_file_needs_nothing(bench: Bench) -> None:
    staging = bench.staging()
    root = small_list(b"").root
    staging.expect("empty", root, 0)
    (staged,) = staging.complete()
    assert bench.bytes_of(staged.name) == b""


def test_chunks_on_this_disk_are_copied_and_checked(bench: Bench) -> None:
    source = random.Random(4)
    old = source.randbytes(400_000)
    new = old[:200_000] + b"inserted" + old[200_000:]
    bench.put_local("old", old)
    # Edited in place since, at the same length: what the index says of its end is true no more.
    (bench.root / "old").write_bytes(old[:300_000] + source.randbytes(100_000))
    root = content(new)[0].root
    staging = bench.staging()
    staging.expect("new", root, len(new))
    assert staging.write(root, parts(new)[root])
    known = {piece.id for piece in cut(old) if piece.offset + piece.length <= 300_000}
    # Nothing is asked for that may be here.
    assert staging.wants(100) == []
    while staging.advance(50_000):
        pass
    wanted = staging.wants(100)
    assert wanted == [piece.id for piece in cut(new) if piece.id not in known]
    for name in wanted:
        staging.write(name, parts(new)[name])
    (staged,) = staging.complete()
    assert bench.bytes_of(staged.name) == new


def test_a_known_small_content_is_made_from_what_is_here(bench: Bench) -> None:
    bench.put_local("here", b"small")
    staging = bench.staging()
    staging.expect("there", small_list(b"small").root, 5)
    staging.advance(BUDGET)
    (staged,) = staging.complete()
    assert bench.bytes_of(staged.name) == b"small"


def test_what_came_before_a_restart_is_not_asked_for_again(bench: Bench) -> None:
    data = random.Random(5).randbytes(400_000)
    root = content(data)[0].root
    staging = bench.staging()
    staging.expect("a", root, len(data))
    staging.write(root, parts(data)[root])
    staging.advance(BUDGET)
    came = staging.wants(100)[::2]
    for name in came:
        staging.write(name, parts(data)[name])
    staging.close()

    again = bench.staging()
    again.expect("a", root, len(data))
    while again.advance(100_000):
        pass
    wanted = again.wants(100)
    assert wanted
    assert not set(wanted) & set(came)
    for name in wanted:
        again.write(name, parts(data)[name])
    (staged,) = again.complete()
    assert bench.bytes_of(staged.name) == data


def test_strays_of_earlier_runs_are_swept(bench: Bench) -> None:
    data = random.Random(6).randbytes(100_000)
    root = content(data)[0].root
    for path in ("kept", "stray"):
        staging = bench.staging()
        staging.inline(path, small_list(b"x").root, b"x")
        staging.close()
    (bench.root / ".flocksy" / "incoming" / "apply-1").write_bytes(b"not ours")
    staging = bench.staging()
    staging.inline("kept", small_list(b"x").root, b"x")
    staging.expect("later", root, len(data))
    staging.sweep()
    assert len(bench.temporaries()) == 2
    assert "apply-1" in bench.temporaries()


def test_scratch_takes_the_same_calls_and_copies_nothing(bench: Bench) -> None:
    data = random.Random(7).randbytes(100_000)
    bench.put_local("ours", data)
    root = content(data)[0].root
    scratch = bench.scratch()
    scratch.expect("ours", root, len(data))
    assert not scratch.advance(BUDGET)
    for name, part in parts(data).items():
        assert scratch.write(name, part)
    (staged,) = scratch.complete()
    assert bench.bytes_of(staged.name) == data
    bench.scratch()
    assert bench.temporaries() == []


def test_scratch_copies_what_no_lane_has_to_carry(bench: Bench) -> None:
    before = random.Random(7).randbytes(300_000)
    bench.put_local("ours", before)
    data = before[:200_000] + b"in the middle" + before[200_000:]
    bench.put_local("ours", data)
    root = content(data)[0].root
    scratch = bench.scratch()
    scratch.expect("ours", root, len(data))
    known = parts(before)
    new = {name: part for name, part in parts(data).items() if name not in known}
    assert new and len(new) < len(parts(data))
    for name, part in list(new.items())[:-1]:
        assert scratch.write(name, part)
    scratch.copy_rest({"ours"})
    assert not scratch.advance(BUDGET) and not scratch.complete(), "more is to be said of it"
    scratch.copy_rest(())
    assert not scratch.advance(BUDGET)
    (staged,) = scratch.complete()
    assert bench.bytes_of(staged.name) == data


def test_scratch_keeps_nothing_of_what_did_not_travel(bench: Bench) -> None:
    data = random.Random(7).randbytes(300_000)
    bench.put_local("copy", data)
    scratch = bench.scratch()
    scratch.expect("copy", content(data)[0].root, len(data))
    scratch.copy_rest(())
    assert not scratch.advance(BUDGET) and not scratch.complete()
    assert scratch.roots() == frozenset()
    assert bench.temporaries() == []
    assert (scratch.take_known(), scratch.take_known()) == (["copy"], [])


def test_scratch_tells_of_paths_in_the_box_whatever_the_disk_refuses(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of a change without content by the name that its empty file has here."""
    monkeypatch.setattr(Temporaries, "write_whole", lambda *_: False)
    scratch = bench.scratch()
    scratch.change("a/b")
    assert not scratch.complete()
    scratch.copy_rest(())
    assert scratch.take_known() == ["a/b"]
    assert scratch.roots() == frozenset()


def test_scratch_gives_up_what_has_changed_since(bench: Bench) -> None:
    data = random.Random(7).randbytes(300_000)
    bench.put_local("ours", data)
    listed, _ = content(data)
    scratch = bench.scratch()
    scratch.expect("ours", listed.root, len(data))
    assert scratch.write(listed.root, listed.top)
    (bench.root / "ours").write_bytes(data[::-1])
    scratch.copy_rest(())
    assert not scratch.advance(BUDGET) and not scratch.complete()
    assert scratch.roots() == frozenset() and bench.temporaries() == []


def test_scratch_stages_what_was_carried_for_others(bench: Bench) -> None:
    scratch = bench.scratch()
    data = random.Random(11).randbytes(50_000)
    for _ in range(2):
        assert scratch.write(chunk_id(data), data)
    (staged,) = scratch.complete()
    assert bench.bytes_of(staged.name) == data
    with pytest.raises(HostileInput):
        scratch.write(chunk_id(data), data[1:])
    scratch.release(staged.path, staged.root)
    assert not scratch.write(chunk_id(data), data, again=True), "the others have it"
    assert bench.temporaries() == []


def test_no_more_is_rehearsed_at_once_than_a_plan_has(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scratch_module.REHEARSED_AT_ONCE == PATHS_PER_PLAN
    monkeypatch.setattr(scratch_module, "REHEARSED_AT_ONCE", 3)
    monkeypatch.setattr(scratch_module, "CHANGES_AT_ONCE", 2)
    scratch = bench.scratch()
    for number in range(7):
        scratch.change(f"p{number}")
    parts = []
    while scratch.gathers or scratch.roots():
        parts.append(scratch.complete())
        for staged in parts[-1]:
            scratch.release(staged.path, staged.root)
    assert [len(part) for part in parts if part] == [3, 3, 1]


def test_scratch_makes_room_for_the_new(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch_module, "MAX_SCRATCH_CONTENTS", 3)
    scratch = bench.scratch()
    for number in range(5):
        scratch.inline(f"p{number}", small_list(b"x").root, b"x")
    assert [staged.path for staged in scratch.complete()] == ["p2", "p3", "p4"]


def test_content_that_is_not_what_its_id_says_is_refused(bench: Bench) -> None:
    data = random.Random(8).randbytes(100_000)
    root = content(data)[0].root
    staging = bench.staging()
    staging.expect("a", root, len(data))
    with pytest.raises(HostileInput):
        staging.write(root, b"\0")
    staging.write(root, parts(data)[root])
    staging.advance(BUDGET)
    (wanted, *_) = staging.wants(1)
    with pytest.raises(HostileInput):
        staging.write(wanted, b"not this")
    assert wanted in staging.wants(100)
    assert not staging.write(b"n" * 32, b"never asked for")


def test_a_root_that_is_the_id_of_a_chunk_keeps_that_chunk_from_nobody(bench: Bench) -> None:
    data = random.Random(8).randbytes(100_000)
    root = content(data)[0].root
    staging = bench.staging()
    staging.expect("a", root, len(data))
    staging.write(root, parts(data)[root])
    staging.advance(BUDGET)
    for name in staging.wants(100):
        staging.expect("lie", name, 1000)
        with pytest.raises(HostileInput):
            staging.write(name, b"neither")
        assert staging.write(name, parts(data)[name])
        assert staging.is_broken("lie", name, 1000)
    (staged,) = staging.complete()
    assert bench.bytes_of(staged.name) == data
    assert len(bench.temporaries()) == 1 and staging.roots() == {root}


def test_a_list_that_names_a_root_as_its_chunk_takes_no_list_for_it(bench: Bench) -> None:
    data = random.Random(8).randbytes(100_000)
    root, top = content(data)[0].root, content(data)[0].top
    liar = build_list([Chunk(root, len(top)), Chunk(chunk_id(b"more"), 4)])
    staging = bench.staging()
    staging.expect("lie", liar.root, len(top) + 4)
    assert staging.write(liar.root, liar.top)
    staging.advance(BUDGET)
    staging.expect("a", root, len(data))
    assert staging.write(root, top)
    assert staging.is_broken("lie", liar.root, len(top) + 4)
    staging.advance(BUDGET)
    assert set(staging.wants(100)) == {piece.id for piece in content(data)[1]}


@pytest.mark.parametrize("heard", ["before its list", "after its list", "with its list here"])
def test_a_wrong_size_does_not_break_the_content(bench: Bench, heard: str) -> None:
    """Who makes it up, to be heard before the version that has this root."""
    data = random.Random(8).randbytes(100_000)
    root = content(data)[0].root
    if heard == "with its list here":
        bench.index.contents.put(root, blobs=list(content(data)[0].blobs()))
    staging = bench.staging()
    staging.expect("a", root, 99)
    if heard == "after its list":
        assert staging.write(root, parts(data)[root])
    assert staging.is_broken("a", root, 99) is (heard != "before its list")
    staging.expect("a", root, len(data))
    staging.expect("a", root, 99)
    staging.expect("a", root, len(data))
    staging.advance(BUDGET)
    while wanted := staging.wants(100):
        assert all(staging.write(name, parts(data)[name]) for name in wanted)
        staging.advance(BUDGET)
    assert not staging.is_broken("a", root, len(data))
    staging.expect("a", root, 99)
    (staged,) = staging.complete()
    assert bench.bytes_of(staged.name) == data and staged.size == len(data)
    assert staging.is_broken("a", root, 99)


def test_a_size_that_is_given_up_is_said_to_have_moved(bench: Bench) -> None:
    """So that one that is right, and was given up before for being nowhere, is asked for again."""
    data = random.Random(8).randbytes(100_000)
    root = content(data)[0].root
    staging = bench.staging()
    staging.expect("a", root, 99)
    assert staging.write(root, parts(data)[root])
    assert staging.moved() == {("a", root)}


def test_a_list_that_lies_is_given_up(bench: Bench) -> None:
    liar = build_list([Chunk(chunk_id(b"twelve bytes"), 99)])
    staging = bench.staging()
    for path, size in (("sum", 12), ("length", 99)):
        staging.expect(path, liar.root, size)
    assert staging.write(liar.root, liar.top)
    assert staging.is_broken("sum", liar.root, 12)
    staging.advance(BUDGET)
    staging.write(chunk_id(b"twelve bytes"), b"twelve bytes")
    assert staging.is_broken("length", liar.root, 99)
    staging.expect("sum", liar.root, 12)
    assert staging.wants(10) == []
    assert bench.temporaries() == []


def test_a_list_that_gives_one_chunk_two_lengths_is_given_up(bench: Bench) -> None:
    """Whatever is then removed by hand, there is nothing to begin anew with."""
    data = b"ten bytes."
    liar = build_list([Chunk(chunk_id(data), 10), Chunk(b"o" * 32, 5), Chunk(chunk_id(data), 20)])
    staging = bench.staging()
    staging.expect("a", liar.root, 35)
    assert staging.write(liar.root, liar.top)
    staging.advance(BUDGET)
    staging.write(chunk_id(data), data)
    lose(bench, folder=False)
    assert not staging.pass_on("a", liar.root, "c")
    assert staging.is_broken("a", liar.root, 35) and not staging.wants(10)


def test_lists_of_several_levels(bench: Bench) -> None:
    per_blob = (MAX_BLOB_BYTES - 1) // 36
    names = [number.to_bytes(2, "big") for number in range(per_blob + 10)]
    listed = build_list(Chunk(chunk_id(name), 2) for name in names)
    assert len(listed.lower) == 2
    staging = bench.staging()
    staging.expect("a", listed.root, 2 * len(names))
    for _ in range(2):
        for blob_id in staging.wants(10):
            staging.write(blob_id, dict(listed.blobs())[blob_id])
    staging.advance(BUDGET)
    assert len(staging.wants(10**6)) == len(names)
    for name in names:
        assert staging.write(chunk_id(name), name)
    (staged,) = staging.complete()
    assert bench.bytes_of(staged.name) == b"".join(names)


def test_what_is_passed_on_complete_is_told_of_where_it_is_to_stand(bench: Bench) -> None:
    staging = bench.staging()
    root = small_list(b"small").root
    staging.inline("a", root, b"small")
    assert staging.pass_on("a", root, "b")
    assert [(one.path, one.name) for one in staging.complete()] == [
        ("b", staging.staged("b", root))
    ]
    assert staging.pass_on("b", root, "c")
    assert [one.path for one in staging.complete()] == ["c"]


@pytest.mark.parametrize("more", [False, True])
def test_what_is_passed_on_takes_the_place_of_what_has_less(bench: Bench, *, more: bool) -> None:
    half = half_there(bench.staging())
    staging = half.staging
    held = staging.progress()[0]
    staging.expect("c", half.root, len(half.data))
    while staging.advance(BUDGET):
        pass
    if more:
        half.write(half.half())
    assert staging.pass_on("a", half.root, "c") is not more
    staging.release("a", half.root)
    while staging.advance(BUDGET):
        pass
    assert staging.progress()[0] == held
    half.write(half.rest())
    assert [bench.bytes_of(one.name) for one in staging.complete()] == [half.data]


@pytest.mark.parametrize("left_at", ["a", "c"])
def test_what_is_passed_on_meets_more_that_an_earlier_run_left(bench: Bench, left_at: str) -> None:
    """Nobody knows how much of that is right before it has been looked through."""
    half = half_there(bench.staging())
    half.staging.close()
    staging = half.staging = bench.staging()
    begun = staging._temporaries.name("a", half.root)
    (bench.root / begun).rename(bench.root / staging._temporaries.name(left_at, half.root))
    staging.expect("c" if left_at == "a" else "a", half.root, len(half.data))
    half.write(half.rest()[:1])
    staging.expect(left_at, half.root, len(half.data))
    assert staging.pass_on("a", half.root, "c") is (left_at == "a")
    staging.release("a", half.root)
    while staging.advance(BUDGET):
        pass
    assert set(staging.wants(100)) == set(half.rest())
    assert len(bench.temporaries()) == 1
    half.write(half.rest())
    (staged,) = staging.complete()
    assert staged.path == "c" and bench.bytes_of(staged.name) == half.data


@pytest.mark.parametrize("longer_at", ["a", "c"])
def test_how_much_an_earlier_run_left_is_what_it_takes_up(bench: Bench, longer_at: str) -> None:
    """Of which the end came first, it is as long as the whole from the beginning."""
    half = half_there(bench.staging())
    half.staging.close()
    staging = half.staging = bench.staging()
    begun, other = (bench.root / staging._temporaries.name(path, half.root) for path in "ac")
    if longer_at == "a":
        begun.rename(other)
        begun, other = other, begun
    with other.open("wb") as file:
        file.seek(len(half.data) - 1)
        file.write(half.data[-1:])
    for path in "ac":
        staging.expect(path, half.root, len(half.data))
    assert staging.pass_on("a", half.root, "c") is (longer_at == "c")
    staging.release("a", half.root)
    while staging.advance(BUDGET):
        pass
    assert set(staging.wants(100)) == set(half.rest())


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("whole_at", ["a", "c"])
def test_what_is_whole_needs_nothing_that_is_not(
    bench: Bench, whole_at: str, *, left: bool
) -> None:
    half = half_there(bench.staging())
    half.staging.close()
    staging = half.staging = bench.staging()
    left_at = "c" if whole_at == "a" else "a"
    staging.expect(whole_at, half.root, len(half.data))
    half.write(half.chunks)
    if left:
        path = bench.root / staging._temporaries.name(left_at, half.root)
        path.write_bytes(half.data[1:])
    staging.expect(left_at, half.root, len(half.data))
    assert staging.pass_on("a", half.root, "c") is (whole_at == "a")
    staging.release("a", half.root)
    name = staging.staged("c", half.root)
    assert name is not None and bench.bytes_of(name) == half.data
    assert len(bench.temporaries()) == 1


def test_the_folder_of_temporaries_is_made_anew(bench: Bench) -> None:
    """Somebody has removed it to make room."""
    data = random.Random(8).randbytes(100_000)
    staging = bench.staging()
    for path in ("a", "b"):
        shutil.rmtree(bench.root / INCOMING)
        staging.expect(path, content(data)[0].root, len(data))
        staging.advance(BUDGET)
        while wanted := staging.wants(100):
            assert all(staging.write(name, parts(data)[name]) for name in wanted)
            staging.advance(BUDGET)
        assert staging.trouble() is None
    shutil.rmtree(bench.root / INCOMING)
    staging.inline("c", small_list(b"small").root, b"small")
    assert [one.path for one in staging.complete()] == ["a", "b", "c"]


@dataclass
class HalfThere:
    """Two contents, the list of each and half of the chunks of the first. `let_go` has the file of
    that closed."""

    staging: Staging
    data: bytes
    there: dict[bytes, bytes]
    chunks: list[bytes]
    other: list[bytes]

    @property
    def root(self) -> bytes:
        return content(self.data)[0].root

    def half(self) -> list[bytes]:
        return self.chunks[: len(self.chunks) // 2]

    def rest(self) -> list[bytes]:
        return self.chunks[len(self.chunks) // 2 :]

    def write(self, names: list[bytes]) -> None:
        for name in names:
            assert self.staging.write(name, self.there[name])

    def let_go(self) -> None:
        self.write([self.other.pop()])


def half_there(staging: Staging, sources: tuple[int, int] = (1, 2)) -> HalfThere:
    datas = [random.Random(seed).randbytes(300_000) for seed in sources]
    there = {name: part for data in datas for name, part in parts(data).items()}
    for path, data in zip("ab", datas, strict=True):
        root = content(data)[0].root
        staging.expect(path, root, len(data))
        assert staging.write(root, there[root])
    while staging.advance(BUDGET):
        pass
    chunks, other = ([piece.id for piece in content(data)[1]] for data in datas)
    half = HalfThere(staging, datas[0], there, chunks, other)
    half.write(half.half())
    return half


def lose(bench: Bench, *, folder: bool) -> None:
    """People make room."""
    if folder:
        shutil.rmtree(bench.root / INCOMING)
    else:
        for path in (bench.root / INCOMING).iterdir():
            path.unlink()


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("scratch", [False, True])
def test_a_content_whose_file_was_removed_half_written_is_begun_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, scratch: bool, folder: bool
) -> None:
    """What came later would go into a new file, with zeros where the first half was."""
    monkeypatch.setattr(temporaries, "MAX_OPEN_FILES", 1)
    half = half_there(bench.scratch() if scratch else bench.staging())
    staging = half.staging
    half.let_go()
    lose(bench, folder=folder)
    half.write(half.rest())
    assert staging.staged("a", half.root) is None and staging.complete() == []
    assert staging.trouble() is None
    while staging.advance(BUDGET):
        pass
    assert set(half.half()) <= set(staging.wants(100)), "all of it has to come again"
    half.write(half.half())
    (staged,) = staging.complete()
    assert bench.bytes_of(staged.name) == half.data
    assert staging.staged("a", half.root) == staged.name


def test_what_a_scratch_has_lost_is_copied(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """No lane carries it again: nobody else lacks it."""
    monkeypatch.setattr(temporaries, "MAX_OPEN_FILES", 1)
    half = half_there(bench.scratch())
    assert isinstance(half.staging, Scratch)
    bench.put_local("a", half.data)
    half.let_go()
    lose(bench, folder=True)
    half.write(half.rest())
    half.staging.copy_rest({"b"})
    while half.staging.advance(BUDGET):
        pass
    (staged,) = half.staging.complete()
    assert bench.bytes_of(staged.name) == half.data


@pytest.mark.parametrize("folder", [False, True])
def test_what_an_earlier_run_left_and_is_removed_now_is_begun_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, folder: bool
) -> None:
    monkeypatch.setattr(temporaries, "MAX_OPEN_FILES", 1)
    half = half_there(bench.staging())
    half.staging.close()
    staging = half.staging = bench.staging()
    staging.expect("a", half.root, len(half.data))
    staging.advance(1)  # one chunk of it is found to be still there
    assert staging.progress()[0] > 0
    staging.inline("c", small_list(b"c").root, b"c")
    staging._temporaries.close()
    lose(bench, folder=folder)
    while staging.advance(BUDGET):
        pass
    assert staging.progress()[0] == 1
    half.write(half.rest())
    assert staging.staged("a", half.root) is None
    half.write(half.half())
    name = staging.staged("a", half.root)
    assert name is not None and bench.bytes_of(name) == half.data


@pytest.mark.parametrize("whole", [False, True])
def test_what_was_removed_and_is_to_stand_elsewhere_is_begun_anew(
    bench: Bench, *, whole: bool
) -> None:
    half = half_there(bench.staging())
    staging = half.staging
    if whole:
        half.write(half.rest())
        assert staging.staged("a", half.root)
    lose(bench, folder=False)
    assert staging.pass_on("a", half.root, "c")
    assert staging.complete() == [] and staging.staged("c", half.root) is None
    while staging.advance(BUDGET):
        pass
    assert set(half.chunks) <= set(staging.wants(100))
    half.write(half.chunks)
    (staged,) = staging.complete()
    assert staged.path == "c" and bench.bytes_of(staged.name) == half.data


def test_what_is_removed_before_its_list_is_here(bench: Bench) -> None:
    data = random.Random(1).randbytes(300_000)
    root = content(data)[0].root
    staging = bench.staging()
    (bench.root / staging._temporaries.name("a", root)).write_bytes(data[:100_000])
    staging.expect("a", root, len(data))
    lose(bench, folder=False)
    assert staging.pass_on("a", root, "c")
    for name, part in parts(data).items():
        assert staging.write(name, part)
        staging.advance(BUDGET)
    (staged,) = staging.complete()
    assert bench.bytes_of(staged.name) == data


def test_a_content_that_has_its_place_may_come_again(bench: Bench) -> None:
    half = half_there(bench.staging())
    half.write(half.rest())
    for _ in range(2):
        name = half.staging.staged("a", half.root)
        assert name is not None
        (bench.root / name).rename(bench.root / "placed")
        half.staging.release("a", half.root, placed=True)
        (bench.root / "placed").unlink()
        half.staging.expect("a", half.root, len(half.data))
        while half.staging.advance(BUDGET):
            pass
        half.write(half.chunks)
    (staged,) = half.staging.complete()
    assert bench.bytes_of(staged.name) == half.data


def test_a_box_without_what_is_ours_is_left_alone(bench: Bench) -> None:
    shutil.rmtree(bench.root / PRIVATE)
    staging = bench.staging()
    staging.inline("c", small_list(b"small").root, b"small")
    assert staging.trouble() is not None
    assert not (bench.root / PRIVATE).exists()


def test_released_contents_leave_nothing(bench: Bench) -> None:
    data = random.Random(9).randbytes(100_000)
    root = content(data)[0].root
    staging = bench.staging()
    staging.expect("a", root, len(data))
    staging.write(root, parts(data)[root])
    staging.advance(BUDGET)
    staging.write(staging.wants(1)[0], parts(data)[staging.wants(1)[0]])
    assert staging.roots() == {root}
    staging.release("a", root)
    staging.release("a", root)
    assert staging.wants(10) == []
    assert bench.temporaries() == []
    assert staging.progress() == (0, 0)


class Full(RealDisk):
    """A disk without room for new files."""

    full = True

    def create(self, path: str) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().create(path)


def test_a_full_disk_is_told_and_nothing_is_lost(bench: Bench) -> None:
    disk = Full(str(bench.root))
    staging = Staging(disk, bench.index.contents)
    data = random.Random(10).randbytes(100_000)
    root = content(data)[0].root
    staging.expect("big", root, len(data))
    staging.inline("small", small_list(b"small").root, b"small")
    staging.inline("empty", small_list(b"").root, b"")
    there = parts(data)
    staging.write(root, there[root])
    for _ in range(3):  # a refusal ends a turn, and the next one begins with another content
        staging.advance(BUDGET)
    wanted = staging.wants(100)
    assert len(wanted) == len(there) - 1
    assert not staging.write(wanted[0], there[wanted[0]])
    assert "full" in (staging.trouble() or "")
    others = {("small", small_list(b"small").root), ("empty", small_list(b"").root)}
    assert staging.trouble(others)
    assert staging.trouble({*others, ("big", root)}) is None, "nobody is going to send any"
    assert staging.wants(100) == wanted
    assert staging.complete() == []

    disk.full = False
    while staging.advance(BUDGET):
        pass
    for name in wanted:
        assert staging.write(name, there[name])
    assert staging.trouble() is None
    staged = {one.path: bench.bytes_of(one.name) for one in staging.complete()}
    assert staged == {"big": data, "small": b"small", "empty": b""}
    disk.close()


@pytest.mark.parametrize("scratch", [False, True])
@pytest.mark.parametrize("size", [30_000, 300_000])
def test_a_part_that_many_lack_is_written_to_a_few_and_copied_to_the_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, size: int, *, scratch: bool
) -> None:
    """Anybody can ask for it, with records alone."""
    monkeypatch.setattr(staging_module, "AT_ONCE_BYTES", 1)
    data = random.Random(7).randbytes(size)
    root = content(data)[0].root
    staging = bench.scratch() if scratch else bench.staging()
    paths = [f"f{number}" for number in range(20)]
    for path in paths:
        staging.expect(path, root, len(data))
    staging.advance(BUDGET)
    for name, part in parts(data).items():
        assert staging.write(name, part)
        assert name not in staging.wants(100)
        assert len(bench.temporaries()) <= 1
        if name == root:
            staging.advance(BUDGET)
    assert sum(staging.staged(path, root) is not None for path in paths) == 1
    while staging.advance(100_000):
        pass
    for path in paths:
        name = staging.staged(path, root)
        assert name is not None and bench.bytes_of(name) == data


def test_what_is_to_be_copied_from_a_content_that_is_gone_is_wanted_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging_module, "AT_ONCE_BYTES", 1)
    data = random.Random(7).randbytes(300_000)
    root = content(data)[0].root
    staging = bench.staging()
    for path in ("a", "b"):
        staging.expect(path, root, len(data))
    there = parts(data)
    assert staging.write(root, there.pop(root))
    staging.advance(BUDGET)
    for name, part in there.items():
        assert staging.write(name, part)
    assert staging.staged("a", root) and not staging.wants(100)
    staging.release("a", root)
    while staging.advance(BUDGET):
        pass
    assert set(staging.wants(100)) == set(there) and bench.temporaries() == []
    for name, part in there.items():
        assert staging.write(name, part)
    assert staging.staged("b", root)
