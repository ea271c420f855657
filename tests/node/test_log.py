"""The log where nobody reads it: whoever logs goes on, and what is said at last comes last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from flocksy.node.log import MAX_WAITING

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes that can be filled")

HEAD = (
    "import logging, sys\n"
    "from flocksy.node import log\n"
    "said = logging.getLogger('flocksy.node').info\n"
)
BOUND_SECONDS = 60


@contextmanager
def full_pipe() -> Iterator[tuple[int, int, int]]:
    """Both ends of a pipe that takes nothing more, and how much is in it."""
    reader, writer = os.pipe()
    try:
        os.set_blocking(writer, False)
        filled = 0
        try:
            while True:
                filled += os.write(writer, b"\n" * 512)
        except BlockingIOError:
            pass
        os.set_blocking(writer, True)
        yield reader, writer, filled
    finally:
        os.close(reader)
        os.close(writer)


def test_who_logs_goes_on_and_ends_where_nobody_reads() -> None:
    """Nor does the interpreter stumble over the line that is being written, or a last word."""
    script = HEAD + (
        "log.END_SECONDS = 0.01\n"
        "with log.written('human'):\n"
        f"    for number in range({3 * MAX_WAITING}): said('line %d', number)\n"
        "print('a last word', file=sys.stderr)\n"
        "print('goes on')\n"
    )
    with full_pipe() as (_, writer, _):
        done = subprocess.run(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE, stderr=writer, timeout=BOUND_SECONDS, check=True,
        )  # fmt: skip
    assert done.stdout == b"goes on\n"


@pytest.mark.parametrize("blocking", [True, False])
def test_what_was_dropped_is_counted_in_its_place(*, blocking: bool) -> None:
    """Somebody else who has the same pipe or terminal open may have set it not to block."""
    many = 3 * MAX_WAITING
    script = HEAD + (
        "with log.written('json'):\n"
        f"    for number in range({many}): said('line %d', number)\n"
        "    print('logged', flush=True)\n"
        "    sys.stdin.read()\n"
        "    said('afterwards')\n"
    )
    with full_pipe() as (reader, writer, filled):
        os.set_blocking(writer, blocking)
        with subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=writer,
        ) as child:  # fmt: skip
            assert child.stdin is not None and child.stdout is not None
            assert child.stdout.readline() == b"logged\n"
            read = b""
            while b"dropped" not in read or not read.endswith(b"\n"):
                read += os.read(reader, 65536)
            child.stdin.close()
            while b"afterwards" not in read or not read.endswith(b"\n"):
                read += os.read(reader, 65536)
            assert child.wait(BOUND_SECONDS) == 0
    lines = [json.loads(line) for line in read[filled:].splitlines()]
    *messages, last = [line["message"] for line in lines]
    number, dropped = 0, 0
    for message in messages:
        if message == f"line {number}":
            number += 1
        else:  # once more where the thread began late
            count, _, words = message.partition(" ")
            assert words.startswith("lines of the log were dropped here")
            number, dropped = number + int(count), dropped + int(count)
    assert number == many and many - dropped >= MAX_WAITING and dropped > 0
    assert last == "afterwards"


def test_what_ends_the_node_is_said_after_all_that_was_logged() -> None:
    script = HEAD + (
        "with log.written('human'):\n"
        f"    for number in range({MAX_WAITING - 1}): said('line %d', number)\n"
        "    logging.getLogger('watchdog').warning('%d', 'of a library')\n"
        "    sys.exit('flocksy: ends')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    *logged, library, last = done.stderr.splitlines()
    assert [line.split(" ", 1)[1] for line in logged] == [
        f"line {n}" for n in range(MAX_WAITING - 1)
    ]
    assert (
        library.endswith(" warning: a library's message that cannot be written (TypeError)")
        and last == "flocksy: ends"
    )


def test_a_reader_that_has_gone_is_no_trouble() -> None:
    script = HEAD + "with log.written('human'): said('a line')\nprint('goes on')\n"
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=writer, check=True
        )
    finally:
        os.close(writer)
    assert done.stdout == b"goes on\n"
