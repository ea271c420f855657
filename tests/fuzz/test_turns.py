"""Every target gets the executions that it needs, by as many processes as there may be, and none
by two at once."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.fuzz import __main__ as runner
from tests.fuzz import sources
from tests.fuzz.table import TARGETS
from tests.fuzz.target import Target


class Runs:
    """In place of the processes: each slice brings four million executions."""

    def __init__(self) -> None:
        self.slices: Counter[str] = Counter()
        self.harmful: Path | None = None
        self._running: set[str] = set()
        self._lock = threading.Lock()
        self._two = threading.Barrier(2)

    def run(self, target: Target, count: runner.Count, executions: int, seconds: int) -> None:
        with self._lock:
            assert target.name not in self._running
            self._running.add(target.name)
            self.slices[target.name] += 1
            first = self.slices.total() <= 2
        if first:
            self._two.wait(20)
        assert 0 < executions <= 11_000_000 and seconds > 0
        count.executions += min(executions, 4_000_000)
        if self.harmful is not None and target.name in self.harmful.parts:
            self.harmful.parent.mkdir(parents=True)
            self.harmful.touch()
        with self._lock:
            self._running.remove(target.name)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runs:
    found = Runs()
    monkeypatch.setattr(runner, "PLACE", tmp_path)
    monkeypatch.setattr(runner, "COUNTS", tmp_path / "counts.json")
    monkeypatch.setattr(runner, "run", found.run)
    return found


ARGUMENTS = ("--processes", "2", "--minutes", "5", "cell", "record", "stream")


def test_each_has_what_it_needs_and_nothing_is_done_again(runs: Runs, tmp_path: Path) -> None:
    assert runner.main(ARGUMENTS) == 0
    assert runs.slices == {"cell": 3, "record": 3, "stream": 1}
    kept = json.loads((tmp_path / "counts.json").read_text())
    for name in ("cell", "record", "stream"):
        assert kept[name]["executions"] == TARGETS[name].goal
    assert runner.main(ARGUMENTS) == 0
    assert runs.slices.total() == 7
    assert runner.main((*ARGUMENTS, "--executions", "11000000")) == 0
    assert runs.slices == {"cell": 4, "record": 4, "stream": 4}


def test_what_was_counted_for_other_code_counts_no_more(runs: Runs, tmp_path: Path) -> None:
    assert runner.main(ARGUMENTS) == 0
    path = tmp_path / "counts.json"
    kept = json.loads(path.read_text())
    kept["cell"]["code"] = "of another decoder"
    del kept["stream"]["code"]  # as it was written before code was looked at
    path.write_text(json.dumps(kept))
    assert runner.main(ARGUMENTS) == 0
    assert runs.slices == {"cell": 6, "record": 3, "stream": 2}
    kept = json.loads(path.read_text())
    for name in ("cell", "record", "stream"):
        assert kept[name]["executions"] == TARGETS[name].goal
        assert kept[name]["code"] == sources.digest(TARGETS[name])


def test_what_does_harm_is_told_and_not_run_again(runs: Runs, tmp_path: Path) -> None:
    runs.harmful = tmp_path / "record" / "crash-1"
    assert runner.main(ARGUMENTS) == 1
    assert runs.slices == {"cell": 3, "record": 1, "stream": 1}


def test_an_unknown_target_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        runner.main(["--minutes", "1", "cel"])
    assert "there is no target cel;" in capsys.readouterr().err
