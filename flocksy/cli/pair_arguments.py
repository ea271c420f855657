"""The grammar of `flocksy pair`."""

from __future__ import annotations

import argparse

from flocksy.cli.keys_arguments import member_name
from flocksy.seam.limits import MAX_LANES

DEFAULT_PORT = 5017
"""Where a machine with a code listens unless told otherwise."""

DEFAULT_MINUTES = 10.0
MAX_MINUTES = 120.0
"""A code that nobody has used by then is forgotten, or overheard."""

MAX_MACHINES = MAX_LANES - 1
"""All others of the largest flock."""


def add_pair(parser: argparse.ArgumentParser) -> None:
    """The words of `flocksy pair`."""
    parser.add_argument(
        "address", metavar="HOST[:PORT]", nargs="?",
        help="the machine that shows a code, which is asked for; without: show one and wait",
    )  # fmt: skip
    parser.add_argument(
        "--for", dest="machines", type=_machines, default=1, metavar="N",
        help="let N machines come with one code, and tell them of each other (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--listen", metavar="[HOST:]PORT", help=f"where to wait (default: port {DEFAULT_PORT})"
    )
    parser.add_argument(
        "--minutes", type=_minutes, default=DEFAULT_MINUTES, metavar="M",
        help=f"how long the code is good (default: {DEFAULT_MINUTES:g})",
    )  # fmt: skip
    parser.add_argument(
        "--announce", action="store_true", help="answer who looks for it in the local network"
    )
    parser.add_argument(
        "--find", action="store_true", help="look in the local network for who announces itself"
    )
    parser.add_argument(
        "--as", dest="name", type=member_name, metavar="NAME", help="call the other machine so here"
    )


def _machines(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_MACHINES:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {MAX_MACHINES}")
    return int(text)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes <= MAX_MINUTES:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes up to {MAX_MINUTES:g}")
    return minutes
