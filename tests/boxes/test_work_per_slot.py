"""A slot takes the same work whatever is in it, content or cover (docs/protocol.md, rule 5).

Counted are calls and bytes, which are the same on every machine. Time is the adversary's.
"""

from __future__ import annotations

import gc
import random
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

import flocksy
from flocksy.boxes.box import Box
from flocksy.boxes.content import reader
from flocksy.boxes.lanes.answers import Answers
from flocksy.boxes.lanes.feed import Feed
from flocksy.boxes.scan.chunking import cut
from flocksy.errors import FlocksyError
from flocksy.seam.report import AgreedBurst
from flocksy.sync.content import chunk_id
from flocksy.testing import lockstep
from tests.boxes.flock_of_boxes import Flock, flock, spool

__all__ = ["flock", "spool"]

HERE = str(Path(flocksy.__file__).parent)
FILES = 40
FILE_BYTES = 4000
"""Too small to be cut: where a larger file is cut depends on its content, and all know that."""
SLOTS = 64
PROSE = b"It was the best of times, it was the worst of times. " * 100

CONTENTS = {
    "zeros": [bytes(FILE_BYTES - 1) + bytes([number]) for number in range(FILES)],
    "prose": [PROSE[: FILE_BYTES - 1] + bytes([number]) for number in range(FILES)],
    "random": [random.Random(number).randbytes(FILE_BYTES) for number in range(FILES)],
}


class Work:
    """What filling the slots of one burst took."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.hashed_bytes = 0
        self.said_bytes = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """What flocksy calls meanwhile is counted, and nothing that only happens to run."""

        def called(frame: FrameType, event: str, argument: object) -> None:
            name = argument.__name__ if event == "c_call" else frame.f_code.co_name  # type: ignore[attr-defined]
            if event in ("call", "c_call") and frame.f_code.co_filename.startswith(HERE):
                self.calls[name] += 1

        gc.disable()
        sys.setprofile(called)
        try:
            yield
        finally:
            sys.setprofile(None)
            gc.enable()

    def hash(self, data: bytes) -> bytes:
        """In place of the hash that chunks are read by."""
        self.hashed_bytes += len(data)
        return chunk_id(data)


def failed(_: Box, error: OSError | FlocksyError) -> None:
    raise error


def fill(
    flock: Flock, chunks: Sequence[bytes], paths: Sequence[str], patch: pytest.MonkeyPatch
) -> Work:
    """Have the first node fill the slots of a burst with what it was asked for, and then cover."""
    node, box, work = flock.nodes[0], flock.box(0), Work()
    answers = Answers()
    for path in paths:
        answers.add_record(box, path)
    for name in chunks:
        length = box.chunk_length(name)
        assert length is not None
        answers.add_chunk(name, box, length)
    burst = AgreedBurst(b"a burst.", 0b111, 0, SLOTS, False)
    feed = Feed(burst, [box], deque(), answers, node.spool, None, failed)
    patch.setattr(reader, "chunk_id", work.hash)
    while not feed.full:
        with work.counted():
            feed.fill(node.seam, 1)
        slot = node.wire.burst_cell(burst.burst_id)
        assert slot is not None
        work.said_bytes += any(slot[-64:])
        slot.release()
        node.wire.burst_out.release()
    assert not answers.payload_bytes, "not all was said"
    return work


def test_what_is_in_it_changes_no_call(flock: Flock, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, contents in CONTENTS.items():
        for number, content in enumerate(contents):
            flock.write(0, f"{kind}/{number:02}", content)
    flock.settle_equal()
    works = {}
    # Once more for the first: its handles and statements are open then as for all others.
    for kind in (*CONTENTS, *CONTENTS):
        paths = [f"{kind}/{number:02}" for number in range(FILES)]
        works[kind] = fill(flock, [chunk_id(one) for one in CONTENTS[kind]], paths, monkeypatch)
    zeros, prose, noise = works.values()
    assert zeros.hashed_bytes == prose.hashed_bytes == noise.hashed_bytes > FILES * FILE_BYTES
    assert zeros.calls == prose.calls == noise.calls
    assert "compress" not in zeros.calls and zeros.calls["read_at"] > FILES


@pytest.mark.parametrize("cell", [lockstep.BURST_CELL, 65_536])
def test_cover_takes_what_content_takes(
    tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch, cell: int
) -> None:
    monkeypatch.setattr(lockstep, "BURST_CELL", cell)
    with Flock(tmp_path, spool) as flock:
        compare(flock, monkeypatch)


def compare(flock: Flock, monkeypatch: pytest.MonkeyPatch) -> None:
    content = random.Random(1).randbytes(SLOTS * flock.nodes[0].seam.burst_payload)
    flock.write(0, "large", content)
    flock.settle_equal()
    real = fill(flock, [piece.id for piece in cut(content)][:-8], [], monkeypatch)
    cover = fill(flock, [], [], monkeypatch)
    assert real.said_bytes == cover.said_bytes == SLOTS, "a slot is full, with whatever"
    assert cover.hashed_bytes < 1.25 * real.hashed_bytes < 1.5 * cover.hashed_bytes
    assert cover.calls.total() < real.calls.total() < 3 * cover.calls.total()
