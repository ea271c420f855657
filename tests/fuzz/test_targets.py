"""No decoder does anything with hostile bytes but accept them or refuse them by its named error:
on the committed corpus, and on some hundreds of inputs that are changes of it."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from flocksy.protocol.fsm_table import Mode
from tests.fuzz import corpus, nodes
from tests.fuzz.changes import changed
from tests.fuzz.table import TARGETS
from tests.fuzz.target import DECODER, GUIDES, Target, unguided

CHANGED = 1500
CHANGED_DEEPER = 300
"""Of each target: some seconds for all of them."""

CHANGED_FOR_MEMORY = 40

MEMORY_BYTES = 4 << 20
"""Twice the largest chunk there may be: packed and not."""

PACKAGE = Path(__file__).parents[2] / "flocksy"


def tried(target: Target, one: bytes) -> None:
    """A failure says what to put into the corpus once it is mended."""
    try:
        target.check(one)
    except Exception as error:
        raise AssertionError(
            f"{target.name}: {corpus.written(one)} does harm: {error!r}"
        ) from error


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_committed_does_no_harm(name: str) -> None:
    target = TARGETS[name]
    for one in (*target.seeds(), *corpus.committed(name)):
        tried(target, one)


@pytest.mark.parametrize("name", TARGETS)
def test_changes_of_it_do_no_harm(name: str) -> None:
    target = TARGETS[name]
    inputs = [*target.seeds(), *corpus.committed(name)]
    count = CHANGED if target.goal == DECODER else CHANGED_DEEPER
    for one in islice(changed(inputs, random.Random(name), target), count):
        tried(target, one)


def test_a_fault_that_one_change_reaches_is_found() -> None:
    def check(data: bytes) -> None:
        if data[:4] == b"open":
            list(data)[data[4]]

    target = Target("toy", "toy", check, lambda: (b"open\0 sesame",), 20)
    with pytest.raises(AssertionError, match=r"toy: .* does harm: IndexError"):
        for one in islice(changed([*target.seeds()], random.Random(1), target), CHANGED):
            tried(target, one)


def peak_bytes(target: Target, one: bytes) -> int:
    """The most that one input takes beyond what was there before."""
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    target.check(one)
    return tracemalloc.get_traced_memory()[1] - before


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("name", TARGETS)
def test_no_input_takes_much_memory(name: str) -> None:
    """The fuzzer's own bound is one of the process: 600 MB."""
    target = TARGETS[name]
    inputs = [*target.seeds(), *corpus.committed(name)]
    changes = islice(changed(inputs, random.Random(name), target), CHANGED_FOR_MEMORY)
    for one in (*inputs, *changes):
        assert peak_bytes(target, one) < MEMORY_BYTES, corpus.written(one)


@pytest.mark.usefixtures("traced")
def test_an_input_that_takes_much_memory_is_found() -> None:
    def check(data: bytes) -> None:
        bytes(int.from_bytes(data, "big"))

    target = Target("toy", "toy", check, lambda: (b"",), 20)
    assert peak_bytes(target, b"\x01") < MEMORY_BYTES
    assert peak_bytes(target, MEMORY_BYTES.to_bytes(4, "big")) >= MEMORY_BYTES


def test_every_corpus_has_its_target_and_every_target_its_decoder() -> None:
    assert {path.stem for path in corpus.HERE.iterdir()} <= set(TARGETS)
    for target in TARGETS.values():
        first = target.of.split(",")[0]
        assert (PACKAGE / first).exists(), f"{target.name}: {first}"


def test_what_does_not_guide_is_a_module_and_no_decoder_of_its_target() -> None:
    for module, guided in GUIDES.items():
        path = Path(*module.split(".")).with_suffix(".py")
        assert (PACKAGE.parent / path).exists()
        assert set(guided) <= set(TARGETS)
        for name in set(TARGETS) - set(guided):
            assert str(path.relative_to(PACKAGE.name)) not in TARGETS[name].of
            assert module in unguided(name)


def test_hostile_rounds_meet_a_node_wherever_it_can_be() -> None:
    """But in its last round, after which it hears nothing."""
    assert {moment.state.mode for moment in nodes.moments()} == {*Mode} - {Mode.LEAVING}


@pytest.mark.parametrize("one", [b"", b"plain", b'"quoted"', bytes(range(256)), b"\0" * 40])
def test_a_line_of_a_corpus_is_read_as_it_was_written(one: bytes) -> None:
    line = corpus.written(one)
    assert corpus.read(line) == one
    assert line and line.isascii() and "\n" not in line and not line.startswith("#")
