"""A QR code as lines of a terminal."""

from __future__ import annotations

import io
import sys

import segno

_WHITE_ON_BLACK = "\x1b[97;40m"
_AS_BEFORE = "\x1b[0m"


def qr_lines(text: str) -> list[str]:
    """The code of `text`, two rows of it in a line, light on dark, with its quiet zone."""
    code = segno.make_qr(text, error="m")
    out = io.StringIO()
    code.terminal(out=out, border=2, compact=True)
    return out.getvalue().rstrip("\n").split("\n")


def print_qr(text: str) -> None:
    """Print the code. On a terminal in white on black, whatever its colours are; where its
    encoding lacks the blocks, not at all."""
    lines = qr_lines(text)
    try:
        "".join(lines).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        print("(this terminal cannot show a QR code)")
        return
    for line in lines:
        print(f"{_WHITE_ON_BLACK}{line}{_AS_BEFORE}" if sys.stdout.isatty() else line)
