"""Looking into the past with no node running, on a disk that fails."""

from __future__ import annotations

import errno

import pytest

from flocksy.config.load import load
from flocksy.config.state import claim
from flocksy.node.offline import Offline
from tests.cli.test_main import flags, refused
from tests.place import PLAIN, Place


@pytest.mark.parametrize(
    ("method", "said", "words"),
    [
        ("history", "history", ["history", "x"]),
        ("deleted", "deleted", ["deleted"]),
        ("restore", "restore", ["restore", "x"]),
        ("conflicts_resolve", "conflicts resolve", ["conflicts", "resolve", "x"]),
        ("approve", "approve", ["approve"]),
        ("reject", "reject", ["reject"]),
        ("ignored", "ignored", ["ignored", "x"]),
    ],
)
def test_a_disk_that_fails_is_one_line(
    place: Place,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    said: str,
    words: list[str],
) -> None:
    place.write(PLAIN)
    _, lock = claim(load(place.options()))
    lock.close()  # a node has run

    def sick(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error", "/disk")

    monkeypatch.setattr(Offline, method, sick)
    refused(capsys, 1, f"flocksy: {said}: /disk: Input/output error", *words, *flags(place))
