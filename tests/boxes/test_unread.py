"""What cannot be read here and is changed elsewhere: said, waited for by nobody, and over when it
can be read."""

from __future__ import annotations

import ctypes
import os
import sys
import traceback
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import pytest

from flocksy.boxes.apply.batch import Report
from flocksy.sync.operations import DiskOperation
from flocksy.testing import scanners
from flocksy.testing.lockstep import PERIOD_S
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

HALF_A_MINUTE = int(30 / PERIOD_S)

MOST_TRIES = 4
"""In that time, with pauses that double from 5 s on; and one before the scan has said why."""

TOO_LARGE = 1 << 43

NOBODY = 65534


PR_CAPBSET_DROP = 24
CAPABILITIES_3 = 0x20080522
MAY_READ_ALL = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""


def as_somebody(place: Path, spool: Path, do: Callable[[Flock], None]) -> None:
    """What a flock does whose nodes, and their scanners, modes hold for: in a child, which if it is
    root may not pass them over."""
    if not sys.platform.startswith("linux"):
        pytest.skip("Linux's capabilities")
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                mind_modes()
            scanners._free.clear()  # those of the parent may read everything
            try:
                with Flock(place, spool) as flock:
                    do(flock)
            finally:
                scanners._stop()
            os._exit(0)
        except BaseException:  # noqa: BLE001  # the child has no other way to say it
            traceback.print_exc()
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0, "see the traceback above"


def mind_modes() -> None:
    """No such capability, neither for this process nor for those that it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    for number in MAY_READ_ALL:
        assert libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0
    header, sets = (ctypes.c_uint32 * 2)(CAPABILITIES_3, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    for index in range(3):
        sets[index] &= ~sum(1 << number for number in MAY_READ_ALL)
    assert libc.capset(header, sets) == 0


def tries(flock: Flock, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many batches the first node applies in the next half minute."""
    applier, took = flock.box(0)._opened.applier, list[float]()
    apply = applier.apply

    def counted(operations: Sequence[DiskOperation]) -> Generator[float, None, Report]:
        took.append(flock.now)
        return apply(operations)

    with monkeypatch.context() as patch:
        patch.setattr(applier, "apply", counted)
        for _ in range(HALF_A_MINUTE):
            flock.step()
    return len(took)


def edit(flock: Flock) -> None:
    flock.write(1, "d/f", "two, and longer")


def delete(flock: Flock) -> None:
    flock.path(1, "d/f").unlink()


@pytest.mark.parametrize("hands", [edit, delete])
def test_a_file_that_nobody_may_read(
    tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch, hands: Callable[[Flock], None]
) -> None:
    def do(flock: Flock) -> None:
        file = flock.write(0, "d/f", "one")
        flock.settle_equal()
        mode = file.stat().st_mode
        file.chmod(0)
        flock.run_until(lambda: "d/f" in flock.box(0).problems)
        hands(flock)
        assert tries(flock, monkeypatch) <= MOST_TRIES
        assert flock.box(0).settled
        assert "cannot be read" in flock.box(0).problems["d/f"]
        file.chmod(mode)
        flock.run_until(lambda: not flock.box(0).problems)
        flock.settle_equal()
        assert file.exists() == (hands is edit)

    as_somebody(tmp_path, spool, do)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give what it has to somebody else")
@pytest.mark.parametrize("hands", [edit, delete])
def test_a_directory_of_somebody_else(
    tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch, hands: Callable[[Flock], None]
) -> None:
    def do(flock: Flock) -> None:
        folder = flock.path(0, "d")
        folder.mkdir(mode=0o700)
        file = flock.write(0, "d/f", "one")
        flock.settle_equal()
        file.write_text("changed, and then closed")
        os.chown(folder, NOBODY, -1)
        flock.run_until(lambda: "d" in flock.box(0).problems)
        hands(flock)
        assert tries(flock, monkeypatch) <= MOST_TRIES
        assert flock.box(0).settled
        assert "cannot be read" in flock.box(0).problems["d/f"]
        os.chown(folder, os.geteuid(), -1)
        flock.run_until(lambda: not flock.box(0).problems)
        flock.settle_equal()
        assert "changed, and then closed" in [one.read_text() for one in folder.iterdir()]

    as_somebody(tmp_path, spool, do)


@pytest.mark.parametrize("hands", [edit, delete])
def test_what_is_too_large_to_be_read(
    flock: Flock, monkeypatch: pytest.MonkeyPatch, hands: Callable[[Flock], None]
) -> None:
    flock.write(0, "d/f", "one")
    flock.settle_equal()
    os.truncate(flock.path(0, "d/f"), TOO_LARGE)
    for _ in range(20):
        flock.step()
    assert "move it out" in flock.box(0).problems["d/f"]
    hands(flock)
    assert tries(flock, monkeypatch) <= MOST_TRIES
    assert flock.box(0).settled
    assert "move it out" in flock.box(0).problems["d/f"]
    assert flock.path(0, "d/f").stat().st_size == TOO_LARGE
    flock.path(0, "d/f").rename(flock.root / "moved out")
    flock.settle_equal()
