"""The three trees on disk."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.errors import IndexDamaged
from flocksy.index import recent
from flocksy.index.database import note_damage
from flocksy.index.flock import FLOCK, LANE
from flocksy.index.renewal import renew
from flocksy.index.store import BoxIndex
from flocksy.sync.reconcile import item_hash, path_key
from flocksy.sync.state import join, replaces, state_of
from flocksy.sync.trees import DiskEntry, PathState, SyncedEntry, Trees
from flocksy.sync.version import Kind, Version, version_id

BATCH = b"scan 001"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[BoxIndex]:
    opened = BoxIndex.open(tmp_path / "box.sqlite")
    yield opened
    opened.close()


def file_version(
    text: str = "", *, parents: tuple[bytes, ...] = (), generation: int = 1
) -> Version:
    root = text.encode().ljust(32, b"r")[:32]
    return Version(Kind.FILE, 0o644, 5, 7, root, generation, tuple(sorted(parents)))


def tombstone(*parents: bytes) -> Version:
    return Version(Kind.TOMBSTONE, 0, 0, 0, b"", 2, tuple(sorted(parents)))


def join_one(index: BoxIndex, path: str, version: Version) -> bytes:
    """As if a lane had carried it, with its parents."""
    index.join(path, {version_id(version): version}, dict.fromkeys(version.parents, b""))
    return version_id(version)


def file_entry(**changes: int) -> DiskEntry:
    values = {"mode": 0o644, "mtime_ns": 3, "size": 10, "inode": 4, "ctime_ns": 5, "device": 6}
    values.update(changes)
    return DiskEntry(Kind.FILE, root=b"r" * 32, **values)


def as_plain(state: PathState | None) -> PathState | None:
    return None if state is None else PathState(dict(state.heads), dict(state.superseded))


def test_is_what_the_planner_reads(index: BoxIndex) -> None:
    trees: Trees = index
    assert trees.local("a") is None
    assert trees.synced("a") is None
    assert trees.flock("a") is None
    assert list(trees.local_children("")) == []
    assert not trees.flock_below("")


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "some dir/ä file",
        "deep/er/est/file",
        os.fsdecode(b"not\xfftext/\xe9"),
        "\U0001f99c" * 60,
    ],
)
def test_entries_come_back_as_they_were_put(index: BoxIndex, path: str) -> None:
    entry = file_entry(mtime_ns=-1, inode=2**64 - 1, device=2**63, size=2**40)
    synced = SyncedEntry(
        frozenset((b"a" * 16, b"b" * 16)), entry, copy_of=("owner " + path, b"h" * 16), generation=9
    )
    absent = SyncedEntry(frozenset((b"c" * 16,)), None, generation=2)
    index.set_local(path, entry)
    index.set_synced(path, synced)
    index.set_synced(path + "2", absent)
    assert index.local(path) == entry
    assert index.synced(path) == synced
    assert index.synced(path + "2") == absent
    assert list(index.copies_of("owner " + path)) == [path]
    index.set_local(path, None)
    index.set_synced(path, None)
    assert index.local(path) is None
    assert index.synced(path) is None
    assert list(index.copies_of("owner " + path)) == []


def test_children_of_the_disk_are_direct_ones(index: BoxIndex) -> None:
    for path in ("a", "d", "d/x", "d/y", "d/y/z"):
        index.set_local(path, file_entry())
    assert sorted(index.local_children("")) == ["a", "d"]
    assert sorted(index.local_children("d")) == ["d/x", "d/y"]
    assert list(index.local_children("nowhere")) == []


def test_children_of_the_flock_are_those_with_something_alive(index: BoxIndex) -> None:
    deep = join_one(index, "d/e/f", file_version("f"))
    join_one(index, "d/g", tombstone())
    assert list(index.flock_children("")) == ["d"]
    assert list(index.flock_children("d")) == ["d/e"]
    assert index.flock_below("d/e")
    assert not index.flock_below("d/e/f")
    join_one(index, "d/e/f", tombstone(deep))
    assert list(index.flock_children("")) == []
    assert not index.flock_below("")
    join_one(index, "d/g/h", file_version("h"))
    assert list(index.flock_children("d")) == ["d/g"]


def test_conflicted_paths_have_several_heads(index: BoxIndex) -> None:
    first = join_one(index, "p", file_version("one"))
    second = join_one(index, "p", file_version("two"))
    join_one(index, "q", file_version("one"))
    assert list(index.conflicted()) == ["p"]
    assert index.counts().conflicts == 1
    join_one(index, "p", file_version("three", parents=(first, second), generation=2))
    assert list(index.conflicted()) == []


def test_a_version_made_here_shows_in_no_digest_until_it_was_sent(index: BoxIndex) -> None:
    old = join_one(index, "p", file_version("old"))
    digest = index.items.digest()
    new = file_version("new", parents=(old,), generation=2)
    index.record("p", version_id(new), new, {old: b"o" * 32}, batch=BATCH, due_ms=50)

    state, lane = index.flock("p"), index.lane_state("p")
    assert state is not None
    assert lane is not None
    assert set(state.heads) == {version_id(new)}
    assert set(lane.heads) == {old}
    assert not lane.superseded
    assert index.items.digest() == digest
    assert list(index.outgoing(49, 10)) == []
    assert [(one.path, one.batch) for one in index.outgoing(50, 10)] == [("p", BATCH)]
    assert index.is_outgoing("p") and not index.is_outgoing("q")

    # Our own lane brings it back to us.
    assert not index.join("p", {version_id(new): new}, {old: b"o" * 32})
    assert as_plain(index.lane_state("p")) == as_plain(index.flock("p"))
    assert index.items.digest() != digest
    assert index.outgoing_count() == 0
    assert not index.is_outgoing("p")


def test_what_arrives_meanwhile_is_in_the_digest_beside_what_is_not_sent(index: BoxIndex) -> None:
    old = join_one(index, "p", file_version("old"))
    ours = file_version("ours", parents=(old,), generation=2)
    index.record("p", version_id(ours), ours, {old: b""}, batch=BATCH, due_ms=0)
    theirs = join_one(index, "p", file_version("theirs", parents=(old,), generation=2))
    state, lane = index.flock("p"), index.lane_state("p")
    assert state is not None
    assert lane is not None
    assert set(state.heads) == {version_id(ours), theirs}
    assert set(lane.heads) == {theirs}
    assert index.outgoing_count() == 1


def test_what_was_not_sent_can_be_forgotten(index: BoxIndex, tmp_path: Path) -> None:
    first = join_one(index, "p", file_version("first"))
    old = file_version("old", parents=(first,), generation=2)
    index.join("p", {version_id(old): old}, {first: b""})
    known = as_plain(index.flock("p"))
    newer = file_version("newer", parents=(version_id(old),), generation=3)
    newest = file_version("newest", parents=(version_id(newer),), generation=4)
    superseded = {first: b"f" * 32, version_id(old): b"o" * 32}
    index.record("p", version_id(newer), newer, superseded, batch=BATCH, due_ms=0)
    superseded[version_id(newer)] = b"n" * 32
    index.record("p", version_id(newest), newest, superseded, batch=BATCH, due_ms=0)
    index.record("q", version_id(newest), newest, {}, batch=BATCH, due_ms=0)
    for path in ("p", "q", "nothing"):
        index.forget_unsaid(path)
    assert as_plain(index.flock("p")) == as_plain(index.lane_state("p")) == known
    assert index.flock("q") is None and not index.outgoing_count()
    assert [one.id for one in index.past.of("p", 9)] == [version_id(newer), first]
    with closing(BoxIndex.open(tmp_path / "other.sqlite")) as other:
        join_one(other, "p", file_version("first"))
        other.join("p", {version_id(old): old}, {first: b""})
        assert other.items.digest() == index.items.digest()


@pytest.mark.parametrize("seed", range(60))
def test_some_of_what_was_not_sent_can_be_forgotten(index: BoxIndex, seed: int) -> None:
    """Then is known what is known without it: what lanes have carried, and where the rest of what
    was made here comes from."""
    draw = random.Random(seed)
    made: dict[bytes, PathState] = {}
    carried: PathState | None = None
    for step in range(10):
        ours, state = draw.random() < 0.7, index.flock("p")
        known = state if ours else carried
        heads = {} if known is None else known.heads
        parents = draw.sample(sorted(heads), min(len(heads), draw.randrange(3)))
        superseded = {one: draw.choice((heads[one].root, b"")) for one in parents}
        version = replace(
            file_version(f"{seed} {step}", parents=tuple(parents), generation=step + 1),
            replaces=replaces(sorted(parents), superseded),
        )
        name = version_id(version)
        if ours:
            index.record("p", name, version, superseded, batch=BATCH, due_ms=0)
            made[name] = state_of(version, superseded)
        else:
            index.join("p", {name: version}, superseded)
            carried = join(carried, state_of(version, superseded))
    state = index.flock("p")
    unsaid = [] if state is None else [name for name in sorted(state.heads) if name in made]
    lost = set(draw.sample(unsaid, draw.randint(0, len(unsaid))))
    expected, todo = carried, [name for name in unsaid if name not in lost]
    while todo:
        one = made[todo.pop()]
        expected = join(expected, one)
        todo += [name for name in one.superseded if name in made]
    index.forget_unsaid("p", lost)
    assert as_plain(index.flock("p")) == expected
    assert as_plain(index.lane_state("p")) == carried
    assert index.is_outgoing("p") == bool(set(unsaid) - lost)
    past = {one.id for one in index.past.of("p", 99)}
    assert not past & (lost | (set() if expected is None else expected.heads.keys()))


def test_a_version_known_as_superseded_does_not_come_back(index: BoxIndex) -> None:
    old, new = file_version("old"), file_version("new", generation=2)
    index.join("p", {version_id(new): new}, {version_id(old): b"x" * 32})
    assert not index.join("p", {version_id(old): old}, {})
    state = index.flock("p")
    assert state is not None
    assert set(state.heads) == {version_id(new)}
    assert state.superseded == {version_id(old): b"x" * 32}


@pytest.mark.parametrize("lies", [False, True])
def test_the_join_is_that_of_the_sync_core(index: BoxIndex, lies: bool) -> None:
    """Random histories, joined in random order: the same as `sync.state.join`, of all that is known
    and of what lanes have carried. `lies`: anything supersedes anything."""
    for seed in range(150):
        source = random.Random(seed)
        path = f"p{seed}"
        expected: dict[int, PathState | None] = {FLOCK: None, LANE: None}
        versions = _history(source, path)
        names = [version_id(version) for version in versions]
        roots = {version_id(version): version.root for version in versions}
        with index.transaction():
            # Some arrive twice: what was made here comes back in our own lane, or never does.
            for version in source.choices(versions, k=len(versions) * 3 // 2):
                gone = {*version.parents}
                if lies:
                    gone |= {*source.sample(names, min(len(names), source.randrange(4)))}
                arrived = state_of(
                    version, {name: source.choice((roots[name], b"")) for name in gone}
                )
                is_ours = source.random() < 0.4
                if is_ours:
                    name = version_id(version)
                    index.record(path, name, version, arrived.superseded, batch=BATCH, due_ms=0)
                else:
                    index.join(path, arrived.heads, arrived.superseded)
                for which in (FLOCK,) if is_ours else (FLOCK, LANE):
                    expected[which] = join(expected[which], arrived)
                assert as_plain(index.flock(path)) == expected[FLOCK], seed
                assert as_plain(index.lane_state(path)) == expected[LANE], seed


def _history(source: random.Random, path: str) -> list[Version]:
    versions: list[Version] = []
    for step in range(8):
        parents = source.sample(versions, min(len(versions), source.randrange(3)))
        names = tuple(version_id(parent) for parent in parents)
        versions.append(file_version(f"{path} {step}", parents=names, generation=step + 1))
    return versions


def test_a_failed_transaction_leaves_nothing_behind(index: BoxIndex) -> None:
    join_one(index, "kept", file_version())
    index.set_local("kept", file_entry())
    digest, counts = index.items.digest(), index.counts()
    with pytest.raises(RuntimeError), index.transaction():
        join_one(index, "new/path", file_version("new"))
        index.set_local("new/path", file_entry())
        raise RuntimeError
    assert index.flock("new/path") is None
    assert index.items.digest() == digest
    assert index.counts() == counts
    join_one(index, "other/path", file_version("other"))
    assert index.flock("new/path") is None
    assert index.flock("other/path") is not None


@pytest.mark.parametrize("seed", range(5))
def test_what_is_kept_in_memory_is_what_the_tables_have(
    index: BoxIndex, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is written, read in between, and taken back."""
    monkeypatch.setattr(recent, "MAX_KEPT", 6)  # also at the bound
    draw = random.Random(seed)
    paths = ["a", "a/b", "c", "d", "e"]
    versions = dict.fromkeys(paths, 0)

    def write() -> None:
        path = draw.choice(paths)
        state = index.flock(path)
        heads = {} if state is None else state.heads
        versions[path] += 1
        version = file_version(
            f"{path} {versions[path]}",
            parents=tuple(draw.sample(sorted(heads), draw.randint(0, min(4, len(heads))))),
            generation=versions[path],
        )
        name, gone = version_id(version), dict.fromkeys(version.parents, b"")
        match draw.randrange(5):
            case 0:
                index.set_local(path, draw.choice((None, file_entry(size=versions[path]))))
            case 1:
                entry = SyncedEntry(frozenset(heads), file_entry(size=versions[path]))
                index.set_synced(path, draw.choice((None, entry)))
            case 2:
                index.join(path, {name: version}, gone)
            case 3:
                index.record(path, name, version, gone, batch=BATCH, due_ms=0)
            case _:
                index.forget_unsaid(path)

    def check() -> None:
        for path in draw.sample(paths, 3):
            assert index.local(path) == index._local._read(path)
            assert index.synced(path) == index._synced._read(path)
            for which, state in ((FLOCK, index.flock(path)), (LANE, index.lane_state(path))):
                number = index._paths.find(path)
                there = None if number is None else index._flock._read_heads((number, which))
                assert (None if state is None else state.heads) == there

    for _ in range(150):
        write()
        check()
        if draw.random() < 0.2:
            with pytest.raises(RuntimeError), index.transaction():
                for _ in range(draw.randint(1, 4)):
                    write()
                    check()
                raise RuntimeError
            check()


def test_counts_follow_the_local_tree(index: BoxIndex) -> None:
    assert index.counts().files == 0
    index.set_local("a", file_entry(size=10))
    index.set_local("a", file_entry(size=30))
    index.set_local("b", file_entry(size=5))
    index.set_local("d", DiskEntry(Kind.DIRECTORY, 0o755, 0, 0, b""))
    index.set_local("b", None)
    counts = index.counts()
    assert (counts.files, counts.directories, counts.bytes) == (1, 1, 30)


def test_unsettled_entries_are_remembered(index: BoxIndex) -> None:
    index.set_local("a", file_entry(), settled=False)
    index.set_local("b", file_entry())
    assert list(index.unsettled(10)) == ["a"]
    index.set_local("a", file_entry())
    assert list(index.unsettled(10)) == []


def test_known_paths_come_page_by_page(index: BoxIndex) -> None:
    for number in range(7):
        index.set_local(f"f{number}", file_entry())
    join_one(index, "z", file_version())
    seen: list[str] = []
    while page := index.known_paths(seen[-1] if seen else None, 3):
        seen += page
    assert seen == [*(f"f{number}" for number in range(7)), "z"]


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "box.sqlite"
    index = BoxIndex.open(path)
    join_one(index, "p", file_version("one"))
    index.remember("nonce", b"n")
    digest = index.items.digest()
    index.close()
    again = BoxIndex.open(path)
    assert again.items.digest() == digest
    assert again.remembered("nonce") == b"n"
    again.remember("nonce", None)
    assert again.remembered("nonce") is None
    again.close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_damaged_index_is_named_and_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "box.sqlite"
    index = BoxIndex.open(path)
    with index.transaction():
        for number in range(3000):
            index.set_local(f"file {number}", file_entry())
    index.close()
    # As if the program had not ended: the check runs at the next start.
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO remembered VALUES ('in use', x'01')")
    connection.commit()
    connection.close()
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xa5" * 40_000)
    with pytest.raises(IndexDamaged, match=r"box\.sqlite"):
        BoxIndex.open(path)
    aside = renew(path, "20260101", {})
    assert aside.exists()
    BoxIndex.open(path).close()


def test_damage_is_remembered_until_the_index_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "box.sqlite"
    BoxIndex.open(path).close()
    note_damage(path)

    def cut(_: Path, __: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "replace", cut)
        renew(path, "20260101", {})
    with pytest.raises(IndexDamaged):
        BoxIndex.open(path)
    renew(path, "20260102", {})
    BoxIndex.open(path).close()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "box.sqlite"
    path.write_bytes(b"what is this" * 1000)
    with pytest.raises(IndexDamaged):
        BoxIndex.open(path)


def test_fingerprints_of_ranges_are_those_of_their_items(index: BoxIndex) -> None:
    source = random.Random(11)
    with index.transaction():
        heads = {
            f"file {number}": join_one(index, f"file {number}", file_version(str(number)))
            for number in range(400)
        }
    expected = sorted((path_key(path), item_hash(path, (head,))) for path, head in heads.items())
    assert list(index.items.items(b"", b"", -1)) == expected
    assert index.items.path_of(path_key("file 3")) == "file 3"
    assert index.items.path_of(path_key("file x")) is None
    keys = [key for key, _ in expected]
    edges = [b"", *source.sample(keys, 8), source.randbytes(16), bytes(16), b"\xff" * 16]
    for lower in edges:
        for upper in edges:
            inside = [item for key, item in expected if key >= lower and (not upper or key < upper)]
            total = sum(int.from_bytes(item, "big") for item in inside) % 2**256
            assert index.items.fingerprint(lower, upper) == (len(inside), total)
    _, total = index.items.fingerprint(b"", b"")
    assert index.items.digest() == total.to_bytes(32, "big")


def test_attributes_are_kept_and_forgotten(index: BoxIndex) -> None:
    red, none = b"\3\3\0tagred", b""
    tagged = replace(file_entry(), attributes=red)
    index.set_local("f", tagged)
    index.set_local("g", replace(file_entry(), attributes=none))
    index.set_local("h", file_entry())
    index.set_synced("f", SyncedEntry(frozenset(), replace(file_entry(), attributes=none)))
    index.set_synced("g", SyncedEntry(frozenset(), file_entry()))
    index.set_synced("h", SyncedEntry(frozenset(), tagged))
    assert [index.local(path) for path in "fgh"] == [
        tagged,
        replace(file_entry(), attributes=none),
        file_entry(),
    ]
    synced = index.synced("h")
    assert synced is not None and synced.disk == tagged
    assert set(index.undecided()) == {"f"}, "not asked is no change, and none is as nothing"
    index.forget_attributes()
    assert {index.local(path) for path in "fgh"} == {file_entry()}
    synced = index.synced("h")
    assert synced is not None and synced.disk == file_entry()
    assert not index.undecided()


def test_a_join_asks_for_all_heads_of_a_path_at_once(index: BoxIndex) -> None:
    """However many a hostile member has made up."""
    asked: list[int] = []
    for number in range(3):
        said: list[str] = []
        index._database._connection.set_trace_callback(said.append)
        join_one(index, "a", file_version(f"another {number}"))
        index._database._connection.set_trace_callback(None)
        asked.append(len(said))
        for one in range(20):
            join_one(index, "a", file_version(f"{number} {one}"))
    assert asked[1] == asked[2]


def test_a_join_costs_the_same_whatever_a_path_has_been_through(index: BoxIndex) -> None:
    steps: list[int] = []
    for known in (0, 5_000):
        gone = {number.to_bytes(16, "big"): b"r" * 32 for number in range(known)}
        index.join("a", {}, gone)
        join_one(index, "a", file_version(f"first {known}"))
        done = [0]

        def count(done: list[int] = done) -> int:
            done[0] += 1
            return 0

        index._database._connection.set_progress_handler(count, 10)
        join_one(index, "a", file_version(f"second {known}"))
        index._database._connection.set_progress_handler(None, 10)
        steps.append(done[0])
    assert steps[1] <= 2 * steps[0] + 50
