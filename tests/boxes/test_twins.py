"""Two names in one batch that may be one to the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flocksy.boxes.apply.applier import Result
from flocksy.boxes.apply.placing import INCOMING
from flocksy.boxes.disk.port import Stat
from tests.boxes.disks import folding_bench


@pytest.mark.parametrize("is_one", [True, False])
def test_names_that_some_disks_cannot_tell_from_each_other(tmp_path: Path, is_one: bool) -> None:
    """Which letters are one is told by the disk alone: exFAT knows no letter that is two."""
    bench, disk = folding_bench(tmp_path)
    if not is_one:
        disk.fold = str.lower
    bench.apply(bench.make_directory("Strasse"), bench.put("Strasse/old", b"1"))
    (bench.root / "Strasse/ignored").write_bytes(b"ignored")
    report = bench.apply(
        bench.make_directory("Stra\u00dfe"),
        bench.put("Stra\u00dfe/new", b"2"),
        bench.remove("Strasse/old"),
        bench.remove("Strasse"),
    )
    results = [one.result for one in report.outcomes]
    if is_one:
        assert results == [Result.DONE] * 4
        assert bench.paths() == {f"Stra\u00dfe{name}" for name in ("", "/new", "/ignored")}
    else:
        assert results == [Result.DONE] * 3 + [Result.BLOCKED]
        there = {"Strasse", "Strasse/ignored", "Stra\u00dfe", "Stra\u00dfe/new"}
        assert bench.paths() == there
    assert list(bench.kept().values()) == [b"1"]
    bench.close()


def test_a_fifo_takes_the_place_of_what_is_to_get_another_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, disk = folding_bench(tmp_path)
    bench.apply(bench.make_directory("Dir"))
    look = disk.stat

    def come(path: str) -> Stat | None:
        if path.startswith(INCOMING) and (bench.root / "Dir").is_dir():
            (bench.root / "Dir").rmdir()
            os.mkfifo(bench.root / "Dir")
        return look(path)

    monkeypatch.setattr(disk, "stat", come)
    report = bench.apply(bench.make_directory("dir"), bench.remove("Dir"))
    assert report.outcomes[0].result is Result.CHANGED
    assert (bench.root / "Dir").is_fifo()
    bench.close()
