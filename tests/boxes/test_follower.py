"""Which links are followed, which are not, and that nothing is changed through one."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.disk.marker import MARKER
from flocksy.boxes.disk.port import Disk
from flocksy.boxes.intake import Intake
from flocksy.boxes.scan.findings import Busy, Finding, Gone, Seen, Skipped, Unfollowed
from flocksy.boxes.scan.follower import Follower
from flocksy.boxes.scan.following import FollowingDisk
from flocksy.boxes.scan.links import Links
from flocksy.boxes.scan.looking import Look
from flocksy.boxes.scan.walk import Walk
from flocksy.index.known import KnownTree
from flocksy.index.store import BoxIndex
from flocksy.sync.content import symlink_root
from flocksy.sync.version import Kind


class Bench:
    """A box whose links are followed, with a real index, and a place outside of it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.root = place / "here" / "box"
        self.outside = place / "outside"
        self.private = place / "private"
        for folder in (self.root / ".flocksy", self.outside, self.private):
            folder.mkdir(parents=True)
        self.index = BoxIndex.open(place / "index" / "box.sqlite")
        self.known = KnownTree(place / "index" / "box.sqlite")
        self.links = Links(self.index, str(self.root), (str(self.private),))
        self.intake = Intake(self.index, self.links)
        self.box = RealDisk(str(self.root))
        self.disk = FollowingDisk(self.box, self.links)

    def close(self) -> None:
        self.disk.close()
        self.known.close()
        self.index.close()

    def start(self) -> tuple[Walk, FollowingDisk]:
        follower = Follower(str(self.root), self.known, self.links.request(undecided=False))
        disk = FollowingDisk(RealDisk(str(self.root)), follower)
        return Walk(disk, self.known, Look(), follower=follower), disk

    def whole(self) -> list[Finding]:
        walk, disk = self.start()
        return self.take(walk.whole(), disk)

    def paths(self, *paths: str) -> list[Finding]:
        walk, disk = self.start()
        return self.take(walk.paths(paths), disk)

    def take(self, steps: Iterable[Finding | None], disk: FollowingDisk) -> list[Finding]:
        findings = [finding for finding in steps if finding is not None]
        disk.close()
        self.intake.take(findings, 0.0)
        return findings

    def fill(self, name: str) -> Path:
        folder = self.outside / name
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "file").write_text(name)
        return folder

    def link(self, name: str, target: Path | str) -> None:
        (self.root / name).symlink_to(target)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    (tmp_path / "index").mkdir()
    made = Bench(tmp_path)
    yield made
    made.close()


def seen(findings: Iterable[Finding]) -> list[str]:
    return sorted(finding.path for finding in findings if isinstance(finding, Seen))


def gone(findings: Iterable[Finding]) -> set[str]:
    return {finding.path for finding in findings if isinstance(finding, Gone)}


def refused(findings: Iterable[Finding]) -> dict[str, str]:
    return {one.path: one.reason for one in findings if isinstance(one, Unfollowed)}


def test_a_link_shows_a_directory_and_another_a_file(bench: Bench) -> None:
    folder = bench.fill("a")
    bench.link("dir", folder)
    bench.link("file", folder / "deep" / "file")
    found = {one.path: one for one in bench.whole() if isinstance(one, Seen)}
    assert sorted(found) == ["dir", "dir/deep", "dir/deep/file", "file"]
    assert found["dir"].entry.kind is Kind.DIRECTORY
    assert found["file"].entry.kind is Kind.FILE
    assert found["file"].entry.root == found["dir/deep/file"].entry.root
    assert bool(found["dir"].link) and bool(found["file"].link) and not found["dir/deep"].link


def test_what_is_unchanged_is_not_seen_again(bench: Bench) -> None:
    bench.link("dir", bench.fill("a"))
    bench.whole()
    folder = bench.outside / "a"
    (folder / "deep" / "new").write_text("new")
    assert "dir" not in seen(bench.whole())
    (folder / "deep" / "newer").write_text("newer")
    assert "dir/deep/newer" in seen(bench.paths("dir/deep/newer"))
    (folder / "deep" / "newer").unlink()
    assert gone(bench.paths("dir/deep/newer")) == {"dir/deep/newer"}


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("sub", "into the box itself"),
        ("sub/file", "into the box itself"),
        (".", "into the box itself"),
        ("..", "that the box lies in"),
        ("/", "that the box lies in"),
        ("../../outside/../here/box/sub", "into the box itself"),
        ("../../private", "flocksy's own keys"),
        ("../../private/key", "flocksy's own keys"),
        ("../../outside/nowhere", "not there"),
        ("../../outside/circle", "in a circle"),
        ("../../outside/fifo", "neither a file nor a directory"),
        ("../../outside/otherbox", "another box"),
        ("../../outside/otherbox/sub", "another box"),
    ],
)
def test_links_that_are_not_followed(bench: Bench, target: str, reason: str) -> None:
    (bench.root / "sub").mkdir()
    (bench.root / "sub" / "file").write_text("x")
    (bench.private / "key").write_text("secret")
    (bench.outside / "circle").symlink_to("circle")
    os.mkfifo(bench.outside / "fifo")
    marker = bench.outside / "otherbox" / MARKER
    marker.parent.mkdir(parents=True)
    marker.write_text("{}")
    (bench.outside / "otherbox" / "sub").mkdir()
    bench.link("link", target)
    findings = bench.whole()
    assert reason in refused(findings)["link"]
    assert seen(findings) == ["sub", "sub/file"]
    assert bench.links.held("link/anything") == refused(findings)["link"]
    (bench.root / "link").unlink()
    bench.whole()
    assert bench.links.held("link/anything") is None
    assert not bench.intake.problems


def test_each_real_directory_shows_once(bench: Bench) -> None:
    folder = bench.fill("a")
    bench.link("b", folder)
    bench.whole()
    bench.link("a", folder)  # smaller, but later
    bench.link("inner", folder / "deep")
    bench.link("outer", bench.outside)
    (folder / "back").symlink_to("..")
    (folder / "self").symlink_to(".")
    findings = bench.whole()
    assert set(refused(findings)) == {"a", "inner", "outer", "b/back", "b/self"}
    assert set(seen(findings)) <= {"b/deep/file"}, "not settled yet"
    (bench.root / "b").unlink()
    findings = bench.whole()
    assert seen(findings) == ["a", "a/deep", "a/deep/file"]
    assert set(refused(findings)) == {"inner", "outer", "a/back", "a/self"}


def test_two_that_came_at_once_are_told_apart_later(bench: Bench) -> None:
    folder = bench.fill("a")
    bench.link("b", folder)
    bench.whole()
    bench.links = Links(bench.index, str(bench.root), ())
    bench.links.drop("b")  # a scan that has not heard of it
    bench.link("a", folder)
    bench.intake = Intake(bench.index, bench.links)
    assert "a/deep/file" in seen(bench.paths("a"))
    bench.links.note("b", symlink_root(str(folder).encode()))
    findings = bench.whole()
    assert set(refused(findings)) == {"b"}
    assert gone(findings) == {"b", "b/deep", "b/deep/file"}


def test_links_at_the_target_are_followed_too(bench: Bench) -> None:
    folder, other = bench.fill("a"), bench.fill("other")
    (folder / "nested").symlink_to(other)
    (folder / "file").symlink_to("deep/file")
    bench.link("dir", folder)
    bench.whole()
    assert bench.index.local("dir/nested/deep/file") is not None
    assert bench.index.local("dir/file") is not None
    bench.whole()
    descriptor = bench.disk.open_read("dir/nested/deep/file")
    assert os.read(descriptor, 100) == b"other"
    os.close(descriptor)
    (other / "deep" / "file").write_text("changed")
    assert "dir/nested/deep/file" in seen(bench.paths("dir/nested/deep/file"))


def test_a_box_below_a_target_is_not_entered(bench: Bench) -> None:
    folder = bench.fill("a")
    (folder / "otherbox" / ".flocksy").mkdir(parents=True)
    (folder / "otherbox" / "evil").symlink_to(bench.fill("secret"))
    (folder / "otherbox" / "file").write_text("x")
    bench.link("dir", folder)
    findings = bench.whole()
    assert seen(findings) == ["dir", "dir/deep", "dir/deep/file", "dir/otherbox"]
    assert [one.path for one in findings if isinstance(one, Skipped)] == ["dir/otherbox"]


def test_a_link_swapped_while_its_file_is_read_is_looked_at_again(bench: Bench) -> None:
    one, other = bench.outside / "one", bench.outside / "other"
    one.write_bytes(os.urandom(300_000))
    other.write_bytes(os.urandom(300_000))
    bench.link("file", one)
    walk, disk = bench.start()
    steps = walk.whole()
    findings: list[Finding | None] = [next(steps), next(steps)]  # it is being cut by now
    (bench.root / "file").unlink()
    bench.link("file", other)
    findings += bench.take(steps, disk)
    assert [type(finding) for finding in findings if finding is not None] == [Busy]


def test_a_link_swapped_while_its_directory_is_read_leads_nowhere_else(bench: Bench) -> None:
    folder, secret = bench.fill("a"), bench.fill("secret")
    bench.link("dir", folder)
    walk, disk = bench.start()
    steps = walk.whole()
    findings: list[Finding] = []
    while seen(findings) != ["dir"]:
        findings += [finding for finding in (next(steps),) if finding is not None]
    (folder / "deep").rename(bench.outside / "moved")
    (folder / "deep").symlink_to(bench.root)  # and below it one is swapped in
    (bench.root / "dir").unlink()
    bench.link("dir", secret)
    findings += bench.take(steps, disk)
    assert seen(findings) == ["dir"]
    findings = bench.whole()
    assert seen(findings) == ["dir", "dir/deep", "dir/deep/file"]
    local = bench.index.local("dir/deep/file")
    assert local is not None
    assert local.inode == (secret / "deep" / "file").stat().st_ino


def test_an_empty_mount_point_is_not_a_deletion(bench: Bench) -> None:
    folder = bench.fill("a")
    bench.link("dir", folder)
    bench.whole()
    entry = bench.index.local("dir")
    assert entry is not None
    (folder / "deep" / "file").unlink()
    (folder / "deep").rmdir()
    bench.index.set_local("dir", replace(entry, device=entry.device + 1))
    findings = bench.whole()
    assert "is it mounted" in refused(findings)["dir"]
    assert not gone(findings)
    bench.fill("b").joinpath("deep").rename(folder / "deep")
    assert not refused(bench.whole()), "mounted again"


def test_nothing_is_changed_at_or_below_a_followed_link(bench: Bench) -> None:
    folder = bench.fill("a")
    bench.link("dir", folder)
    (bench.root / "ours").write_text("ours")
    bench.whole()
    disk: Disk = bench.disk
    attempts = [
        lambda: disk.create("dir/x"),
        lambda: disk.make_directory("dir/x", 0o755),
        lambda: disk.make_symlink("dir/x", "y"),
        lambda: disk.link("ours", "dir/x"),
        lambda: disk.link("dir/deep/file", "x"),
        lambda: list(disk.copy("ours", "dir/x")),
        lambda: disk.move("ours", "dir/x"),
        lambda: disk.move("dir/deep/file", "x"),
        lambda: disk.move("dir", "x"),
        lambda: disk.exchange("ours", "dir/deep/file"),
        lambda: disk.exchange("ours", "dir"),
        lambda: disk.settle("ours", "dir/deep/file"),
        lambda: disk.remove_file("dir/deep/file"),
        lambda: disk.remove_file("dir"),
        lambda: disk.remove_directory("dir/deep"),
        lambda: disk.set_metadata("dir/deep/file", 0o777, 0),
        lambda: disk.set_metadata("dir", 0o777, 0),
    ]
    for attempt in attempts:
        with pytest.raises(OSError, match="only sends it") as raised:
            attempt()
        assert raised.value.errno == errno.ELOOP
    assert (folder / "deep" / "file").read_text() == "a"
    assert (bench.root / "dir").is_symlink()
    disk.move("ours", "elsewhere")
    assert sorted(os.listdir(bench.root)) == [".flocksy", "dir", "elsewhere"]


def test_a_target_that_goes_before_its_turn_is_no_deletion(bench: Bench) -> None:
    folder = bench.fill("a")
    bench.link("a-link", folder)
    (bench.root / "big").mkdir()
    (bench.root / "big" / "file").write_text("x")
    bench.whole()
    walk, disk = bench.start()
    steps = walk.whole()
    (bench.root / "big" / "new").write_text("y")
    findings: list[Finding] = []
    while "big/new" not in seen(findings):  # the root is behind us, the link is not
        findings += [finding for finding in (next(steps),) if finding is not None]
    folder.rename(bench.outside / "unmounted")
    folder.mkdir()
    findings += bench.take(steps, disk)
    assert not gone(findings)


def test_a_target_that_goes_before_a_path_in_it_is_looked_at_is_no_deletion(bench: Bench) -> None:
    folder = bench.fill("a")
    bench.link("a-link", folder)
    bench.whole()
    walk, disk = bench.start()
    (folder / "deep" / "file").write_text("other")
    steps = walk.paths(["a-link", "a-link/deep/file"])
    assert walk._follower is not None
    while not walk._follower.follows("a-link"):
        next(steps)
    folder.rename(bench.outside / "unmounted")
    folder.mkdir()
    assert not gone(bench.take(steps, disk))


def test_a_target_that_cannot_be_listed_stops_no_scan(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.link("dir", bench.fill("a"))
    bench.whole()
    entry = bench.index.local("dir")
    assert entry is not None
    bench.index.set_local("dir", replace(entry, device=entry.device + 1))
    (bench.root / "new").write_text("new")

    def refuse(_: str) -> list[str]:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(os, "listdir", refuse)
    findings = bench.whole()
    assert "new" in seen(findings) and "dir" in refused(findings) and not gone(findings)
