"""From paths that moved to what is waited for."""

from __future__ import annotations

import os
from pathlib import Path

from flocksy.boxes.content.staging import Staging
from flocksy.boxes.planning import Planning
from flocksy.sync.content import small_list
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
