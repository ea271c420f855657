"""The grammar of `flocksy keys`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

DEFAULT_DAYS = 14
"""How long both keys are accepted after a rotation: a holiday."""

MAX_DAYS = 366

Add = Callable[[str, str], argparse.ArgumentParser]
"""Adds a subcommand with its help, and with the flags that all have."""


def add_keys(add: Add) -> None:
    """Add the actions of `flocksy keys`."""
    show = add("show", "show the fingerprint of this node, or of a member, in words, hex and as a "
               "QR code")  # fmt: skip
    _member(show, optional=True)
    show.add_argument(
        "--qr", action=argparse.BooleanOptionalAction, default=True, help="the QR code (default)"
    )
    _json(show)

    number = add("number", "show the safety number of the flock, or of this node and one member: "
                 "the same on every screen")  # fmt: skip
    _member(number, optional=True)
    _json(number)

    export = add("export", "print the bundle of this node, or the one a member sent")
    _member(export, optional=True)
    export.add_argument("-o", "--output", metavar="FILE", help="write it into a new file")

    import_ = add("import", "take in bundles or announcements from a file, or as they are pasted")
    import_.add_argument("file", metavar="FILE", nargs="?", help="default: standard input")
    import_.add_argument(
        "--as", dest="name", metavar="NAME", type=member_name, help="call it so here"
    )
    import_.add_argument(
        "--replace", action="store_true", help="let it replace another key of the same endpoint"
    )
    _yes(import_)

    verify = add("verify", "mark a member's key as verified after comparing it")
    _member(verify)
    verify.add_argument(
        "compared",
        metavar="WORDS",
        nargs="*",
        help="its fingerprint in words or hex, your safety number, or its scanned code, as the "
        "other screen shows it (default: show the number and ask)",
    )
    _json(add("list", "list the members and what is known of their keys"))

    remove = add("remove", "forget a member and its key")
    _member(remove)
    _yes(remove)
    revoke = add("revoke", "forget a member, and never take one of its keys again")
    _member(revoke)
    revoke.add_argument("--undo", action="store_true", help="let it come back by an import")
    _yes(revoke)

    rotate = add("rotate", "make a new key and print its announcement for the members, signed by "
                 "the present one; later, take it")  # fmt: skip
    which = rotate.add_mutually_exclusive_group()
    which.add_argument(
        "--switch", action="store_true", help="use the new key now; the old one is forgotten"
    )
    which.add_argument("--cancel", action="store_true", help="forget the new key")
    rotate.add_argument(
        "--days",
        type=_days,
        default=DEFAULT_DAYS,
        metavar="N",
        help=f"how long members accept the old key too (default {DEFAULT_DAYS})",
    )
    _new_fd(rotate)

    passphrase = add("passphrase", "put the private key under a passphrase, or another one")
    passphrase.add_argument("--remove", action="store_true", help="take the passphrase away")
    passphrase.add_argument(
        "--keyring", action="store_true", help="have the system's keyring hold it for the start"
    )
    _new_fd(passphrase)


def _member(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument(
        "member",
        metavar="MEMBER",
        nargs="?" if optional else None,
        help="a name, an endpoint, or the beginning of a fingerprint in hex",
    )


def _yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="ask nothing, for scripts")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON, for scripts")


def _new_fd(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--new-fd", type=descriptor, metavar="N", help="read the new passphrase from descriptor N"
    )


def member_name(text: str) -> str:
    """What a member can be called."""
    from flocksy.keys.bundle import checked_name

    try:
        return checked_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from None


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 <= int(text) <= MAX_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of days from 0 to {MAX_DAYS}")
    return int(text)


def descriptor(text: str) -> int:
    """The number of an open file descriptor."""
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise argparse.ArgumentTypeError(f"{text!r} is no file descriptor")
    return int(text)
