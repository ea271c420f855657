"""What an ordinary user may and may not do; the tests themselves often run as root, who may all."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flocksy.boxes.apply.applier import Result
from tests.boxes.bench import Bench

NOBODY = 65534


@pytest.fixture
def own_place() -> Iterator[Path]:
    """A directory that `ordinarily` can use; pytest's own are closed to other users."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def ordinarily(do: Callable[[], None]) -> None:
    """Run `do` in a child without privileges; what fails there fails here."""
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            do()
            os._exit(0)
        except BaseException:  # noqa: BLE001  # the child has no other way to say it
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0, "see the traceback above"


def test_read_only_directories_follow_the_flock(own_place: Path) -> None:
    def do() -> None:
        bench = Bench(own_place)
        bench.apply(
            bench.make_directory("d", 0o555), bench.put("d/f", b"1"), bench.put("d/g", b"1")
        )
        report = bench.apply(bench.put("d/f", b"2"), bench.remove("d/g"), bench.put("d/new", b"3"))
        assert [outcome.result for outcome in report.outcomes] == [Result.DONE] * 3
        assert bench.paths() == {"d", "d/f", "d/new"}
        assert os.stat(bench.root / "d").st_mode & 0o777 == 0o555

    ordinarily(do)


def test_files_that_nobody_may_read(own_place: Path) -> None:
    def do() -> None:
        bench = Bench(own_place)
        bench.apply(bench.put("f", b"1", mode=0o000))
        assert os.stat(bench.root / "f").st_mode & 0o777 == 0
        report = bench.apply(bench.set_metadata("f", 0o644, 9))
        assert [outcome.result for outcome in report.outcomes] == [Result.DONE]
        assert bench.read("f") == b"1"
        assert os.stat(bench.root / "f").st_mtime_ns == 9
        bench.apply(bench.set_metadata("f", 0o000, 9))
        report = bench.apply(bench.put("f", b"2"))
        assert [outcome.result for outcome in report.outcomes] == [Result.DONE]
        assert bench.read("f") == b"2"

    ordinarily(do)


def test_what_belongs_to_others_is_a_problem(own_place: Path) -> None:
    if os.geteuid() != 0:
        return  # only root can make what belongs to somebody else
    foreign = own_place / "box" / "theirs"
    foreign.mkdir(parents=True)
    (foreign / "f").write_bytes(b"theirs")
    os.chown(own_place / "box", NOBODY, NOBODY)

    def do() -> None:
        bench = Bench(own_place)
        found = bench.disk.stat("theirs/f")
        assert found is not None
        bench.index.set_local("theirs/f", found.entry(b"r" * 32))
        report = bench.apply(
            bench.put("theirs/f", b"2"),
            bench.put("theirs/new", b"2"),
            bench.set_metadata("theirs/f", 0o600),
            bench.put("mine", b"3"),
        )
        results = [outcome.result for outcome in report.outcomes]
        assert results == [Result.PROBLEM] * 3 + [Result.DONE]
        assert all("permi" in outcome.problem for outcome in report.outcomes[:3])
        assert bench.read("theirs/f") == b"theirs"

    ordinarily(do)
