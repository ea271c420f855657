"""What a look at a box finds, compared with what the index knew."""

from __future__ import annotations

import errno
import os
import random
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.port import Stat
from flocksy.boxes.scan.chunking import cut
from flocksy.boxes.scan.findings import Busy, Finding, Gone, Seen, Skipped, Unreadable
from flocksy.boxes.scan.looking import Look, Symlinks
from flocksy.boxes.scan.walk import Walk
from flocksy.index.known import KnownTree
from flocksy.index.store import BoxIndex
from flocksy.sync.content import Chunk, build_list, small_list, symlink_root
from flocksy.sync.version import Kind

LATER_NS = 10**12
"""Added to the wall clock, so that everything on the disk is long settled."""


@dataclass
class Bench:
    """A real box with a real index."""

    root: Path
    index: BoxIndex
    disk: RealDisk
    known: KnownTree
    look: Look = field(default_factory=Look)
    later_ns: int = LATER_NS

    def walk(self) -> Walk:
        return Walk(self.disk, self.known, self.look, lambda: time.time_ns() + self.later_ns)

    def whole(self) -> list[Finding]:
        return self.take(self.walk().whole())

    def paths(self, *paths: str) -> list[Finding]:
        return self.take(self.walk().paths(paths))

    def take(self, steps: Iterable[Finding | None]) -> list[Finding]:
        """All findings, brought into the index as the engine does."""
        findings = [finding for finding in steps if finding is not None]
        for finding in findings:
            if isinstance(finding, Seen):
                self.index.set_local(finding.path, finding.entry, settled=finding.settled)
            elif isinstance(finding, Gone):
                self.index.set_local(finding.path, None)
        return findings


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    root = tmp_path / "box"
    (root / ".flocksy").mkdir(parents=True)
    index = BoxIndex.open(tmp_path / "box.sqlite")
    disk = RealDisk(str(root))
    known = KnownTree(tmp_path / "box.sqlite")
    yield Bench(root, index, disk, known)
    known.close()
    disk.close()
    index.close()


def seen(findings: Iterable[Finding]) -> dict[str, Seen]:
    return {finding.path: finding for finding in findings if isinstance(finding, Seen)}


def gone(findings: Iterable[Finding]) -> list[str]:
    return sorted(finding.path for finding in findings if isinstance(finding, Gone))


def fill(root: Path) -> None:
    (root / "dir" / "deep").mkdir(parents=True)
    (root / "dir" / "deep" / "file").write_bytes(b"deep")
    (root / "dir" / "other").write_bytes(b"other")
    (root / "empty").write_bytes(b"")
    (root / os.fsdecode(b"not\xfftext")).write_bytes(b"x")
    (root / "link").symlink_to("any/where else")
    (root / "big").write_bytes(bytes(range(256)) * 1000)


def test_a_first_look_finds_everything_but_ours(bench: Bench) -> None:
    fill(bench.root)
    (bench.root / ".flocksy" / "marker").write_bytes(b"ours")
    found = seen(bench.whole())
    assert sorted(found) == sorted(
        ["big", "dir", "dir/deep", "dir/deep/file", "dir/other", "empty", "link", "not\udcfftext"]
    )
    assert found["dir"].entry.kind is Kind.DIRECTORY
    assert found["dir"].entry.root == b""
    assert found["link"].entry.root == symlink_root(b"any/where else")
    assert found["link"].inline == b"any/where else"
    assert found["empty"].entry.root == small_list(b"").root
    assert found["empty"].inline == b""
    assert found["empty"].pieces == ()
    small = found["dir/other"]
    assert (small.entry.root, small.inline, small.blobs) == (
        small_list(b"other").root,
        b"other",
        (),
    )
    big = found["big"]
    data = (bench.root / "big").read_bytes()
    assert list(big.pieces) == cut(data)
    listed = build_list(Chunk(piece.id, piece.length) for piece in cut(data))
    assert (big.entry.root, big.blobs, big.inline) == (listed.root, listed.blobs(), None)
    assert all(one.settled for one in found.values())


def test_what_is_unchanged_is_not_reported(bench: Bench) -> None:
    fill(bench.root)
    bench.whole()
    assert bench.whole() == []
    assert bench.paths("big", "dir", "dir/deep/file", "link", "never there") == []


@pytest.mark.parametrize("size", [300_000, 3 << 21])
def test_a_file_of_too_many_chunks_is_said_and_stops_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    fill(bench.root)
    for module in ("sync.content", "boxes.scan.looking"):
        monkeypatch.setattr(f"flocksy.{module}.MAX_CHUNKS", 1, raising=False)
    (bench.root / "big").write_bytes(random.Random(1).randbytes(size))
    findings = bench.whole()
    assert {"dir", "dir/deep/file", "empty", "link"} <= seen(findings).keys()
    (said,) = [one for one in findings if isinstance(one, Unreadable)]
    assert said.path == "big" and "chunks" in said.reason and ".flockignore" in said.reason


@pytest.mark.parametrize("single", [False, True])
def test_edits_and_metadata_are_found(bench: Bench, single: bool) -> None:
    fill(bench.root)
    bench.whole()
    (bench.root / "dir" / "other").write_bytes(b"OTHER")
    (bench.root / "empty").chmod(0o600)
    (bench.root / "dir" / "deep").chmod(0o700)
    os.utime(bench.root / "big", (1, 1))
    found = seen(bench.paths("dir/other", "empty", "dir/deep", "big") if single else bench.whole())
    assert sorted(found) == ["big", "dir/deep", "dir/other", "empty"]
    assert found["dir/other"].inline == b"OTHER"
    assert found["big"].entry.mtime_ns == 10**9


def test_an_edit_that_keeps_size_and_mtime_is_found(bench: Bench) -> None:
    path = bench.root / "file"
    path.write_bytes(b"before")
    bench.whole()
    times = path.stat()
    path.write_bytes(b"behind")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert seen(bench.whole())["file"].inline == b"behind"


def test_a_mode_set_in_the_tick_in_which_the_file_came_is_found(bench: Bench) -> None:
    """What was brought is read back in that tick, and its change time is the same afterwards."""
    path = bench.root / "file"
    path.write_bytes(b"brought")
    path.chmod(0o600)
    (found,) = seen(bench.whole()).values()
    bench.index.set_local("file", replace(found.entry, mode=0o644))
    assert seen(bench.paths("file"))["file"].entry.mode == 0o600
    assert bench.paths("file") == []


def test_deletions_are_found_with_all_below(bench: Bench) -> None:
    fill(bench.root)
    bench.whole()
    (bench.root / "dir" / "deep" / "file").unlink()
    (bench.root / "dir" / "deep").rmdir()
    (bench.root / "dir" / "other").unlink()
    (bench.root / "dir").rmdir()
    assert gone(bench.whole()) == ["dir", "dir/deep", "dir/deep/file", "dir/other"]
    assert bench.whole() == []


def test_a_single_path_that_is_gone_takes_what_was_below_with_it(bench: Bench) -> None:
    fill(bench.root)
    bench.whole()
    (bench.root / "dir").rename(bench.root.parent / "elsewhere")
    assert gone(bench.paths("dir")) == ["dir", "dir/deep", "dir/deep/file", "dir/other"]


def test_a_directory_that_became_a_file_and_back(bench: Bench) -> None:
    fill(bench.root)
    bench.whole()
    (bench.root / "dir").rename(bench.root.parent / "elsewhere")
    (bench.root / "dir").write_bytes(b"a file now")
    findings = bench.paths("dir")
    assert gone(findings) == ["dir/deep", "dir/deep/file", "dir/other"]
    assert seen(findings)["dir"].entry.kind is Kind.FILE
    (bench.root / "dir").unlink()
    (bench.root.parent / "elsewhere").rename(bench.root / "dir")
    found = seen(bench.paths("dir"))
    assert sorted(found) == ["dir", "dir/deep", "dir/deep/file", "dir/other"]


def test_a_new_directory_is_entered_and_new_parents_are_found(bench: Bench) -> None:
    fill(bench.root)
    assert sorted(seen(bench.paths("dir/deep/file"))) == [
        "dir",
        "dir/deep",
        "dir/deep/file",
        "dir/other",
    ]
    assert "big" not in seen(bench.paths("dir"))
    assert "big" in seen(bench.paths(""))


def test_an_unreadable_directory_deletes_nothing(bench: Bench) -> None:
    fill(bench.root)
    bench.whole()

    class Refusing(RealDisk):
        def scan(self, path: str) -> list[tuple[str, Stat]]:
            if path == "dir":
                raise PermissionError(13, "Permission denied")
            return super().scan(path)

    bench.disk = Refusing(str(bench.root))
    (bench.root / "dir" / "other").unlink()
    findings = bench.whole()
    (problem,) = findings
    assert isinstance(problem, Unreadable)
    assert problem.path == "dir"
    assert "permission denied" in problem.reason


def test_a_file_that_changes_while_it_is_read_is_busy(bench: Bench) -> None:
    path = bench.root / "file"
    path.write_bytes(os.urandom(20_000_000))
    findings: list[Finding] = []
    for step, finding in enumerate(bench.walk().whole()):
        if step == 5:
            with path.open("r+b") as file:
                file.write(b"changed")
        if finding is not None:
            findings.append(finding)
    assert [type(finding) for finding in findings] == [Busy]


def test_what_is_being_written_is_read_no_further(bench: Bench) -> None:
    """A large file is copied here for minutes, and looked at now and then."""
    path = bench.root / "file"
    path.write_bytes(os.urandom(20_000_000))
    steps = bench.walk().whole()
    for _ in range(5):
        next(steps)
    with path.open("ab") as file:
        file.write(b"more")
    rest = list(steps)
    assert isinstance(rest[-1], Busy) and len(rest) <= 2, "of some hundred chunks"


def test_what_reading_takes_is_asked_of_the_clock_that_was_given(bench: Bench) -> None:
    """Others have their turns meanwhile: that time does not count."""
    (bench.root / "file").write_bytes(os.urandom(20_000_000))
    ours = iter((100.0, 100.5))
    walk = Walk(bench.disk, bench.known, bench.look, clock_s=lambda: next(ours))
    (found,) = (one for one in walk.whole() if one is not None)
    assert isinstance(found, Seen) and found.hashing_s == 0.5


def test_a_path_is_looked_at_with_all_that_is_known_below(bench: Bench) -> None:
    """Nothing of what has happened in it was told."""
    fill(bench.root)
    bench.whole()
    (bench.root / "dir" / "deep" / "file").unlink()
    (bench.root / "dir" / "deep" / "new").write_bytes(b"new")
    (bench.root / "empty").write_bytes(b"not any more")
    assert not bench.paths("dir"), "what is known in it is not entered"
    findings = bench.take(bench.walk().paths(["dir", "dir/deep"], below=True))
    assert [finding.path for finding in findings] == ["dir/deep/new", "dir/deep/file"], "once"
    assert gone(findings) == ["dir/deep/file"]


def test_only_what_was_asked_for_is_looked_at_with_all_below(bench: Bench) -> None:
    """Where a disk gives names another spelling, its folder is looked at in place of a path."""
    fill(bench.root)
    bench.whole()
    bench.look = replace(bench.look, respelling=True)
    (bench.root / "dir" / "deep" / "file").unlink()
    assert not bench.take(bench.walk().paths(["big"], below=True))
    assert gone(bench.take(bench.walk().paths(["dir"], below=True))) == ["dir/deep/file"]


def test_what_is_in_a_directory_that_cannot_be_listed_is_looked_at_by_its_name(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bench.root)
    bench.whole()
    (bench.root / "dir" / "other").unlink()
    real = bench.disk.scan

    def scan(path: str) -> list[tuple[str, Stat]]:
        if path == "dir":
            raise OSError(errno.EIO, "Input/output error")
        return real(path)

    monkeypatch.setattr(bench.disk, "scan", scan)
    findings = bench.take(bench.walk().paths(["dir", "dir/other"], below=True))
    assert [type(one) for one in findings] == [Unreadable, Gone]


def test_a_file_replaced_or_cut_while_it_is_read_is_busy(bench: Bench) -> None:
    for change in ("replace", "truncate", "remove"):
        path = bench.root / "file"
        path.write_bytes(os.urandom(20_000_000))
        findings: list[Finding] = []
        for step, finding in enumerate(bench.walk().whole()):
            if step == 5 and change == "replace":
                (bench.root.parent / "new").write_bytes(b"new")
                (bench.root.parent / "new").replace(path)
            elif step == 5 and change == "truncate":
                os.truncate(path, 10)
            elif step == 5:
                path.unlink()
            if finding is not None:
                findings.append(finding)
        assert [type(finding) for finding in findings] == [Busy], change


def test_an_entry_changed_just_now_is_hashed_once_more(bench: Bench) -> None:
    bench.later_ns = 0
    (bench.root / "file").write_bytes(b"now")
    found = seen(bench.whole())["file"]
    assert not found.settled
    bench.later_ns = LATER_NS
    again = seen(bench.whole())["file"]
    assert again.settled
    assert again.entry == found.entry
    assert bench.whole() == []


def test_a_time_from_the_future_settles(bench: Bench) -> None:
    bench.later_ns = -LATER_NS
    (bench.root / "file").write_bytes(b"from tomorrow")
    assert seen(bench.whole())["file"].settled


def test_what_boxes_do_not_hold_is_skipped_and_said(bench: Bench) -> None:
    os.mkfifo(bench.root / "fifo")
    assert bench.whole() == [Skipped("fifo", "is neither a file, a directory nor a link")]
    (bench.root / "file").write_bytes(b"x")
    bench.whole()
    (bench.root / "file").unlink()
    os.mkfifo(bench.root / "file")
    assert [type(finding) for finding in bench.whole()] == [Skipped, Skipped]


def test_ignored_symlinks_are_not_followed_and_not_gone(bench: Bench) -> None:
    (bench.root / "link").symlink_to("target")
    bench.whole()
    bench.look = Look(symlinks=Symlinks.IGNORE)
    assert [type(finding) for finding in bench.whole()] == [Skipped]


def test_a_symlink_to_a_directory_is_not_entered(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    (bench.root / "link").symlink_to(tmp_path / "outside")
    assert sorted(seen(bench.whole())) == ["link"]
    assert bench.paths("link/secret") == []


def test_where_cases_fold_only_a_listing_names_entries(bench: Bench) -> None:
    (bench.root / "File").write_bytes(b"x")
    bench.whole()
    bench.look = Look(respelling=True)
    (bench.root / "File").rename(bench.root / "file")
    findings = bench.paths("File")
    assert gone(findings) == ["File"]
    assert sorted(seen(findings)) == ["file"]


def test_what_was_known_by_another_name_of_its_directory_is_gone(bench: Bench) -> None:
    (bench.root / "Dir").mkdir()
    (bench.root / "Dir" / "file").write_bytes(b"x")
    bench.whole()
    bench.look = Look(respelling=True)
    (bench.root / "Dir").rename(bench.root / "dir")
    bench.index.set_local("Dir", None)  # as an applier leaves it that could not do all
    findings = bench.paths("Dir/file")
    assert "Dir/file" in gone(findings)
    assert sorted(seen(findings)) == ["dir", "dir/file"]


@pytest.mark.parametrize("respelling", [False, True])
def test_a_directory_that_has_taken_the_place_of_another(bench: Bench, respelling: bool) -> None:
    for folder, name in (("dir", "old"), ("new", "new")):
        (bench.root / folder).mkdir()
        (bench.root / folder / name).write_bytes(b"x")
    bench.whole()
    bench.look = Look(respelling=respelling)
    (bench.root / "dir").rename(bench.root / "moved")
    (bench.root / "new").rename(bench.root / "dir")
    findings = bench.paths("dir")
    assert "dir/new" in seen(findings)
    assert "dir/old" in gone(findings)


def test_hard_links_are_copies(bench: Bench) -> None:
    (bench.root / "one").write_bytes(b"same")
    (bench.root / "two").hardlink_to(bench.root / "one")
    found = seen(bench.whole())
    assert found["one"].entry.root == found["two"].entry.root


def test_a_box_that_was_taken_away_is_noticed(bench: Bench) -> None:
    walk = bench.walk()
    assert walk.still_the_box()
    (bench.root / ".flocksy").rename(bench.root.parent / "away")
    assert not walk.still_the_box()
    (bench.root / ".flocksy").mkdir()
    assert not walk.still_the_box()


@pytest.mark.parametrize("seed", range(8))
def test_many_paths_of_a_directory_are_found_as_each_alone(bench: Bench, seed: int) -> None:
    """They are found by listing it. Afterwards a look at the whole box finds nothing more."""
    draw = random.Random(seed)
    names = [f"d{number % 3}/f{number}" for number in range(120)]
    for folder in ("d0", "d1", "d2", "d0/sub", "d1/sub", "d2/sub"):
        (bench.root / folder).mkdir()
        names.append(f"{folder}/one")
    for name in names:
        (bench.root / name).write_bytes(b"old")
    bench.whole()
    changed = {f"d{number}/sub" for number in range(3)}  # also directories that did not change
    for name in names:
        path, do = bench.root / name, draw.randrange(5)
        if do == 0:
            path.unlink()
        elif do == 1:
            path.write_bytes(b"new content")
        elif do == 2:
            path.unlink()
            (path / "deep").mkdir(parents=True)
            (path / "deep" / "file").write_bytes(b"x")
        elif do == 3:
            path.with_name(path.name + "-new").write_bytes(b"y")
            changed.add(name + "-new")
        else:
            continue
        changed.add(name)
    (bench.root / "d1" / "sub" / "added").write_bytes(b"z")
    changed.add("d1/sub/added")
    if seed % 2:
        shutil.rmtree(bench.root / "d2")
        changed |= {name for name in names if name.startswith("d2/")}
    found = bench.paths(*draw.sample(sorted(changed), len(changed)))
    assert found
    assert bench.whole() == []


def test_what_lay_in_a_directory_that_has_gone_is_told_once(bench: Bench) -> None:
    for number in range(200):
        (bench.root / "tree" / f"d{number % 10}").mkdir(parents=True, exist_ok=True)
        (bench.root / "tree" / f"d{number % 10}" / f"f{number}").write_bytes(b"x")
    bench.whole()
    known = [str(path.relative_to(bench.root)) for path in (bench.root / "tree").rglob("*")]
    shutil.rmtree(bench.root / "tree")
    assert gone(bench.paths(*known, "tree")) == sorted([*known, "tree"])


def test_a_link_is_read_however_much_it_looks_like_the_one_before(bench: Bench) -> None:
    (bench.root / "link").symlink_to("mine")
    (before,) = seen(bench.whole()).values()
    bench.index.set_local("link", replace(before.entry, root=symlink_root(b"ours")))
    assert [found.inline for found in seen(bench.whole()).values()] == [b"mine"]
    assert bench.whole() == []


@pytest.mark.parametrize("look", ["scan", "stat"])
def test_what_is_brought_during_the_look_is_not_missed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    """The applier brings a file right after the scanner has looked where it was not yet."""
    real = getattr(bench.disk, look)

    def bring_after(path: str) -> object:
        found = real(path)
        if path in ("", "brought") and not brought.exists():
            brought.write_bytes(b"by us")
            shown = RealDisk.stat(bench.disk, "brought")
            assert shown is not None
            bench.index.set_local("brought", shown.entry(small_list(b"by us").root))
        return found

    brought = bench.root / "brought"
    walk = bench.walk()
    monkeypatch.setattr(bench.disk, look, bring_after)
    findings = bench.take(walk.whole() if look == "scan" else walk.paths(["brought"]))
    assert brought.exists()
    assert gone(findings) == []
