"""The committed inputs of each target: one file, one input a line, as Python writes bytes or, where
that is shorter, in base64.

What once did harm stands below a line of its own that begins with `#` and says what happened.
"""

from __future__ import annotations

import ast
import base64
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent / "corpus"


def committed(name: str) -> list[bytes]:
    """The inputs committed for the target of that name."""
    return [read(line) for line in _lines(name) if not line.startswith("#")]


def commit(name: str, inputs: Iterable[bytes]) -> None:
    """Replace what is committed, but for what once did harm."""
    kept: list[str] = []
    lines = _lines(name)
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("#") or before.startswith("#"):
            kept.append(line)
    fresh = (written(one) for one in sorted(set(inputs), key=lambda one: (len(one), one)))
    text = "".join(f"{line}\n" for line in [*kept, *(line for line in fresh if line not in kept)])
    path = HERE / f"{name}.txt"
    if text:
        path.write_text(text, "ascii")
    else:
        path.unlink(missing_ok=True)


def written(one: bytes) -> str:
    """One input as a line."""
    plain, packed = repr(one), base64.b64encode(one).decode("ascii")
    return plain if len(plain) <= len(packed) or not packed else packed


def read(line: str) -> bytes:
    """The input that a line is."""
    if line.startswith(("b'", 'b"')):
        found = ast.literal_eval(line)
        assert isinstance(found, bytes)
        return found
    return base64.b64decode(line, validate=True)


def _lines(name: str) -> list[str]:
    path = HERE / f"{name}.txt"
    return path.read_text(encoding="ascii").splitlines() if path.exists() else []
