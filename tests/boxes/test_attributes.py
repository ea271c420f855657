"""Extended attributes on real disks: what is put, what is left alone, and what is in between after
a crash."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flocksy.boxes.apply.applier import Report, Result
from flocksy.boxes.apply.probe import probe
from flocksy.boxes.disk.filesystem import RealDisk
from flocksy.boxes.past.recall import Recall
from flocksy.boxes.scan.findings import Finding, Remark, Seen
from flocksy.boxes.scan.looking import Look
from flocksy.boxes.scan.walk import Walk
from flocksy.index.known import KnownTree
from flocksy.sync.attributes import AttributesError, decode_attributes, encode_attributes
from flocksy.sync.capabilities import Capabilities
from flocksy.system import xattrs
from tests.boxes.bench import Bench, finish, root_of
from tests.boxes.disks import Died, Dying
from tests.boxes.mounts import mounted
from tests.boxes.test_permissions import CLOSED, ordinarily, own_place
from tests.boxes.test_walk import LATER_NS

__all__ = ["own_place"]

WANTING = Capabilities(attributes=True)


def blob(**attributes: str) -> bytes:
    return encode_attributes({key.encode(): value.encode() for key, value in attributes.items()})


RED, BLUE = blob(tag="red"), blob(tag="blue")
BEFORE = blob(gone="1", kept="2", other="3")
AFTER = blob(kept="2", new="4", other="5")


def skip_without(place: Path) -> None:
    """Skip where files in this directory can have none."""
    if not hasattr(os, "setxattr"):
        pytest.skip("this system has no extended attributes, or Python does not know them")
    trial = place / "trial"
    trial.touch()
    try:
        os.setxattr(trial, "user.trial", b"1")
    except OSError as error:
        pytest.skip(f"{place}: no extended attributes: {error.strerror}")
    finally:
        trial.unlink()


def set_tags(path: Path, attributes: bytes) -> None:
    """As a person does."""
    wanted = decode_attributes(attributes)
    for name in os.listxattr(path):
        if name.startswith("user."):
            os.removexattr(path, name)
    for key, value in wanted.items():
        os.setxattr(path, b"user." + key, value)


def tags(path: Path) -> bytes:
    """All of the user's own that a file has."""
    return encode_attributes(
        {
            os.fsencode(name[5:]): os.getxattr(path, name)
            for name in os.listxattr(path)
            if name.startswith("user.")
        }
    )


def results(report: Report) -> list[Result]:
    return [outcome.result for outcome in report.outcomes]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    skip_without(tmp_path)
    bench = Bench(tmp_path, capabilities=WANTING)
    yield bench
    bench.close()


def base(bench: Bench, path: str) -> bytes | None:
    """Which attributes the index takes the flock to know of."""
    synced = bench.index.synced(path)
    assert synced is not None and synced.disk is not None
    return synced.disk.attributes


# -- the disk -----------------------------------------------------------------------------------


def test_a_disk_shows_exactly_what_was_set(bench: Bench) -> None:
    (bench.root / "f").touch()
    for wanted in (BEFORE, AFTER, b"", blob(a="")):
        bench.disk.set_attributes("f", wanted)
        assert bench.disk.read_attributes("f") == tags(bench.root / "f") == wanted


def test_only_what_is_the_users_own_is_read_and_set(bench: Bench) -> None:
    (bench.root / "f").touch()
    try:
        os.setxattr(bench.root / "f", "trusted.ours", b"1")
    except OSError:
        pytest.skip("only root can set an attribute of another kind here")
    bench.disk.set_attributes("f", RED)
    assert bench.disk.read_attributes("f") == RED
    bench.disk.set_attributes("f", b"")
    assert os.getxattr(bench.root / "f", "trusted.ours") == b"1"


def test_nothing_but_files_has_any(bench: Bench) -> None:
    (bench.root / "d").mkdir()
    (bench.root / "link").symlink_to("d")
    for path, kind in (("d", OSError), ("link", FileNotFoundError), ("none", FileNotFoundError)):
        with pytest.raises(kind):
            bench.disk.read_attributes(path)
        with pytest.raises(kind):
            bench.disk.set_attributes(path, RED)


def test_what_does_not_fit_leaves_what_was_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.root / "f").touch()
    bench.disk.set_attributes("f", BEFORE)
    refuse(monkeypatch, b"other", b"5")
    with pytest.raises(OSError, match="No space"):
        bench.disk.set_attributes("f", AFTER)
    assert tags(bench.root / "f") == BEFORE


def refuse(monkeypatch: pytest.MonkeyPatch, name: bytes, value: bytes) -> None:
    """The disk has no room for this one."""
    really = xattrs.set_user_attribute

    def refusing(handle: int | str, one: bytes, wanted: bytes | None) -> None:
        if (one, wanted) == (name, value):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        really(handle, one, wanted)

    monkeypatch.setattr(xattrs, "set_user_attribute", refusing)


def test_more_than_is_synced_is_said(bench: Bench) -> None:
    (bench.root / "f").touch()
    for number in range(65):
        os.setxattr(bench.root / "f", f"user.{number}", b"")
    with pytest.raises(AttributesError, match="65 extended attributes"):
        bench.disk.read_attributes("f")


def test_a_read_only_file_gets_them_too(own_place: Path) -> None:
    skip_without(own_place)

    def do() -> None:
        bench = Bench(own_place, capabilities=WANTING)
        bench.apply(bench.put("f", b"1", mode=0o444, attributes=RED))
        assert tags(bench.root / "f") == RED
        bench.look_at_attributes()
        report = bench.apply(bench.set_metadata("f", 0o444, attributes=BLUE))
        assert results(report) == [Result.DONE]
        assert tags(bench.root / "f") == BLUE
        assert os.stat(bench.root / "f").st_mode & 0o777 == 0o444

    ordinarily(do)


def test_a_file_in_a_closed_directory_gets_them_too(own_place: Path) -> None:
    skip_without(own_place)

    def do() -> None:
        for mode in CLOSED:
            place = own_place / f"{mode:o}"
            place.mkdir()
            bench = Bench(place, capabilities=WANTING)
            bench.apply(bench.make_directory("d"), bench.put("d/f", b"1", attributes=RED))
            bench.look_at_attributes()
            bench.apply(bench.set_metadata("d", mode))
            report = bench.apply(bench.set_metadata("d/f", 0o644, attributes=BLUE))
            assert results(report) == [Result.DONE]
            bench.disk.set_metadata("d", 0o700, None)
            assert tags(bench.root / "d/f") == BLUE
            bench.close()

    ordinarily(do)


def test_the_probe_asks_only_where_they_are_wanted(tmp_path: Path) -> None:
    skip_without(tmp_path)
    with RealDisk(str(tmp_path)) as disk:
        assert probe(disk, attributes=True).attributes
        assert not probe(disk).attributes


def test_a_disk_without_any_is_told_by_the_probe(tmp_path: Path) -> None:
    with mounted("fat", tmp_path) as folder, RealDisk(str(folder)) as disk:
        assert not probe(disk, attributes=True).attributes


# -- what is applied ----------------------------------------------------------------------------


def test_a_file_is_put_with_its_attributes(bench: Bench) -> None:
    bench.apply(bench.put("f", b"1", attributes=BEFORE))
    report = bench.apply(bench.put("f", b"2", attributes=AFTER), bench.put("g", b"3"))
    assert results(report) == [Result.DONE] * 2
    assert tags(bench.root / "f") == AFTER
    assert (base(bench, "f"), base(bench, "g")) == (AFTER, b"")
    assert report.rescan == ("f", "g"), "somebody may have set one in that very instant"
    (kept,) = (bench.root / ".flocksy/history").glob("*/*")
    assert tags(kept) == BEFORE, "what was replaced has its own in the history"


def test_a_change_of_attributes_moves_nothing_else(bench: Bench) -> None:
    bench.apply(bench.put("f", b"1", attributes=BEFORE))
    bench.look_at_attributes()
    found = os.stat(bench.root / "f")
    report = bench.apply(bench.set_metadata("f", 0o644, attributes=AFTER))
    assert results(report) == [Result.DONE]
    assert (tags(bench.root / "f"), base(bench, "f")) == (AFTER, AFTER)
    after = os.stat(bench.root / "f")
    assert (after.st_ino, after.st_mtime_ns) == (found.st_ino, found.st_mtime_ns)
    assert not bench.temporaries()


def test_a_renamed_file_gets_those_of_its_new_path(bench: Bench) -> None:
    bench.apply(bench.put("old", b"1", attributes=BEFORE))
    bench.look_at_attributes()
    bench.apply(bench.put("new", b"1", source="old", attributes=AFTER), bench.remove("old"))
    assert (tags(bench.root / "new"), base(bench, "new")) == (AFTER, AFTER)


def test_what_somebody_sets_meanwhile_is_left_to_the_scan(bench: Bench) -> None:
    bench.apply(bench.put("f", b"1", attributes=BEFORE), bench.put("old", b"2", attributes=BEFORE))
    bench.look_at_attributes()
    operations = (
        bench.set_metadata("f", 0o600, attributes=AFTER),
        bench.put("new", b"2", source="old", attributes=AFTER),
        bench.remove("old"),
    )

    class Edited(RealDisk):
        def read_attributes(self, path: str) -> bytes:
            set_tags(bench.root / path, RED)
            return super().read_attributes(path)

    bench.applier._disk = Edited(str(bench.root))
    report = bench.apply(*operations)
    assert results(report) == [Result.DONE] * 3
    for path in ("f", "new"):
        assert (tags(bench.root / path), base(bench, path)) == (RED, BEFORE)
        assert path in report.rescan


def test_a_disk_that_refuses_has_the_rest(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.apply(bench.put("f", b"1", attributes=BEFORE))
    bench.look_at_attributes()
    refuse(monkeypatch, b"other", b"5")
    report = bench.apply(
        bench.put("g", b"2", attributes=AFTER), bench.set_metadata("f", 0o600, attributes=AFTER)
    )
    assert results(report) == [Result.DONE] * 2, "content and mode"
    assert (tags(bench.root / "g"), base(bench, "g")) == (b"", None)
    assert (tags(bench.root / "f"), base(bench, "f")) == (BEFORE, BEFORE)
    bench.look_at_attributes()
    before = os.stat(bench.root / "f").st_ctime_ns
    report = bench.apply(bench.set_metadata("f", 0o600, attributes=AFTER))
    assert results(report) == [Result.BLOCKED]
    assert "no room" in report.outcomes[0].problem and "\n" not in report.outcomes[0].problem
    assert os.stat(bench.root / "f").st_ctime_ns == before, "it was tried on another file"
    assert not report.disk_full
    assert not bench.temporaries()


def test_where_nobody_asks_for_them_nothing_is_set(tmp_path: Path) -> None:
    skip_without(tmp_path)
    bench = Bench(tmp_path)
    bench.apply(bench.put("f", b"1", attributes=RED))
    assert (tags(bench.root / "f"), base(bench, "f")) == (b"", None)
    set_tags(bench.root / "f", BLUE)
    found = bench.disk.stat("f")
    assert found is not None
    bench.index.set_local("f", found.entry(root_of(b"1")))
    bench.apply(bench.set_metadata("f", 0o600, attributes=RED))
    assert tags(bench.root / "f") == BLUE
    bench.close()


# -- crashes ------------------------------------------------------------------------------------


class DyingSlowly(Dying):
    """Dies between the changes of single attributes, too."""

    def set_attributes(self, path: str, attributes: bytes) -> None:
        has, wanted = decode_attributes(self.read_attributes(path)), decode_attributes(attributes)
        for name in sorted(has.keys() | wanted.keys()):
            self._step()
            value = wanted.get(name)
            has.pop(name, None)
            if value is not None:
                has[name] = value
            super().set_attributes(path, encode_attributes(has))
        self._step()


def test_death_at_every_step_leaves_the_old_ones_or_the_new() -> None:
    memory = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=memory if os.path.isdir(memory) else None) as name:
        skip_without(Path(name))
        for calls in range(200):
            place = Path(name) / str(calls)
            (place / "box").mkdir(parents=True)
            if _die_and_recover(place, calls):
                assert calls > 20
                return
    raise AssertionError("there is no end to it")


def _die_and_recover(place: Path, calls: int) -> bool:
    """Whether the batch came to its end."""
    disk = DyingSlowly(str(place / "box"))
    bench = Bench(place, disk, WANTING)
    bench.apply(*(bench.put(path, path.encode(), attributes=BEFORE) for path in ("f", "g", "old")))
    bench.look_at_attributes()
    operations = (
        bench.put("f", b"2", attributes=AFTER),
        bench.set_metadata("g", 0o600, attributes=AFTER),
        bench.put("new", b"old", source="old", attributes=AFTER),
        bench.remove("old"),
    )
    disk.calls_left = calls
    try:
        bench.apply(*operations)
        died = False
    except Died:
        died = True
    disk.calls_left = None
    bench.index.close()
    again = Bench(place, disk, WANTING)
    # The recovery may die as well.
    disk.calls_left = calls % 11
    try:
        finish(again.applier.recover())
    except Died:
        disk.calls_left = None
        again.index.close()
        again = Bench(place, disk, WANTING)
    disk.calls_left = None
    finish(again.applier.recover())
    for path in again.paths():
        # Old and new ones are told apart by the heads: they were put, or they were not.
        assert base(again, path) == tags(again.root / path) in (BEFORE, AFTER), path
        assert root_of(again.read(path)) == again.local(path).root
    assert {"f", "g"} < again.paths()
    assert not [one for one in again.temporaries() if one.startswith("apply-")]
    again.close()
    return not died


# -- what is looked at --------------------------------------------------------------------------


def walked(bench: Bench, tmp_path: Path, *, attributes: bool = True) -> list[Finding]:
    """A whole scan, brought into the index as the engine does."""
    known = KnownTree(tmp_path / "index.sqlite")
    look = Look(attributes=attributes)
    walk = Walk(bench.disk, known, look, lambda: time.time_ns() + LATER_NS)
    findings = [one for one in walk.whole() if one is not None]
    for one in findings:
        if isinstance(one, Seen):
            bench.index.set_local(one.path, one.entry, settled=one.settled)
    known.close()
    return findings


def test_a_change_of_attributes_alone_is_found(bench: Bench, tmp_path: Path) -> None:
    (bench.root / "f").write_bytes(b"1")
    set_tags(bench.root / "f", RED)
    (found,) = walked(bench, tmp_path)
    assert isinstance(found, Seen) and found.entry.attributes == RED
    assert not walked(bench, tmp_path)
    set_tags(bench.root / "f", BLUE)
    (found,) = walked(bench, tmp_path)
    assert isinstance(found, Seen) and found.entry.attributes == BLUE


def test_what_was_not_asked_for_is_looked_at_without_reading_the_file(
    bench: Bench, tmp_path: Path
) -> None:
    (bench.root / "f").write_bytes(b"1")
    set_tags(bench.root / "f", RED)
    (found,) = walked(bench, tmp_path, attributes=False)
    assert isinstance(found, Seen) and found.entry.attributes is None
    assert not walked(bench, tmp_path, attributes=False)
    (found,) = walked(bench, tmp_path)
    assert isinstance(found, Seen) and found.entry.attributes == RED
    assert found.inline is None, "nothing was read"
    assert not walked(bench, tmp_path)


def test_nobody_asks_for_them_where_they_are_not_wanted_or_known(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bench.root / "f").write_bytes(b"1")
    walked(bench, tmp_path)

    def asked(*_: object) -> dict[bytes, bytes]:
        raise AssertionError("somebody asks")

    monkeypatch.setattr(xattrs, "user_attributes", asked)
    assert not walked(bench, tmp_path)
    (bench.root / "f").write_bytes(b"22")
    assert walked(bench, tmp_path, attributes=False)


def test_more_than_is_synced_is_named_at_each_look(bench: Bench, tmp_path: Path) -> None:
    (bench.root / "f").write_bytes(b"1")
    for number in range(65):
        os.setxattr(bench.root / "f", f"user.{number}", b"")
    first, second = walked(bench, tmp_path)
    assert isinstance(first, Seen) and first.entry.attributes is None
    assert isinstance(second, Remark) and "65 extended attributes" in second.reason
    assert [type(one) for one in walked(bench, tmp_path)] == [Remark]


def test_what_only_the_history_knows_comes_back_with_its_own(bench: Bench) -> None:
    bench.apply(bench.put("f", b"1", attributes=RED))
    bench.apply(bench.put("f", b"2"))
    bench.index.remember("attributes", b"1")
    found = [one for one in Recall(bench.index, bench.disk).versions("f") if one.kept]
    assert [one.version.attributes for one in found] == [RED]


def test_no_attributes_are_left_where_the_recovery_is_refused_the_mode(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not done is concluded of all of it: they would pass for somebody's change."""
    bench.apply(bench.put("f", b"1", attributes=BEFORE))
    bench.look_at_attributes()

    def refuse_all(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as cutting:
        cutting.setattr(bench.applier, "_dress", die)
        with pytest.raises(Died):
            bench.apply(bench.set_metadata("f", 0o600, attributes=AFTER))
    with monkeypatch.context() as refusing:
        refusing.setattr(os, "chmod", refuse_all)
        finish(bench.applier.recover())
    assert tags(bench.root / "f") == base(bench, "f") == BEFORE
    assert results(bench.apply(bench.set_metadata("f", 0o600, attributes=AFTER))) == [Result.DONE]
    assert tags(bench.root / "f") == base(bench, "f") == AFTER
