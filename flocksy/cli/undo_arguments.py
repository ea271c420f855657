"""The grammar of the commands that look into the past and change it back."""

from __future__ import annotations

import argparse
from collections.abc import Callable

DELETED_SHOWN = 100

Add = Callable[[str, str], argparse.ArgumentParser]
"""Adds a command with its help, and with the flags that all have."""


def add_undo(add: Add) -> None:
    """Add `history`, `deleted`, `restore`, `dismiss`, `approve` and `reject`."""
    history = add("history", "show what has stood at a path, and where its content is")
    _path(history)
    _json(history)
    deleted = add("deleted", "show what was deleted in the boxes, the last first")
    _path(deleted, optional=True)
    deleted.add_argument(
        "--limit", type=_limit, default=DELETED_SHOWN, metavar="N", help="at most N (default: 100)"
    )
    _json(deleted)
    restore = add(
        "restore",
        "bring back a file, or what was deleted in a folder, for everybody; what stands there now "
        "goes to the history",
    )
    _path(restore)
    restore.add_argument(
        "--at",
        metavar="WHEN",
        help="a version (v3fa2c1d0, as flocksy history shows it), a time (2026-11-21, "
        "2026-11-21T14:30) or how long ago (90m, 6h, 2d); default: what was there last",
    )
    _json(restore)
    dismiss = add(
        "dismiss",
        "wait no longer for what no member has any more: a version whose content is missing",
    )
    _path(dismiss)
    dismiss.add_argument(
        "--anyway",
        action="store_true",
        help="also where a member that is not here may have it; it goes to the history there",
    )
    _json(dismiss)
    for name, text in (
        ("approve", "let the deletions that wait happen for everybody"),
        ("reject", "undo the deletions that wait"),
    ):
        add(name, text).add_argument(
            "name", metavar="BOX", nargs="?", help="name of the box (default: all)"
        )


def add_conflicts(conflicts: argparse.ArgumentParser, add: Add) -> None:
    """Add the actions of `flocksy conflicts`, which may go without one."""
    _json(conflicts)
    listed = add("list", "show all conflicts, or those in a folder")
    _path(listed, optional=True)
    _json(listed, inner=True)
    show = add("show", "show one conflict")
    _path(show)
    _json(show, inner=True)
    resolve = add(
        "resolve", "keep the file at PATH, be it the copy or not, and put the others away"
    )
    _path(resolve)
    resolve.add_argument(
        "--both", action="store_true", help="keep all: the copies become ordinary files"
    )
    _json(resolve, inner=True)


def _path(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    text = "a file or folder in a box; it need not exist any more"
    if optional:
        parser.add_argument("path", metavar="PATH", nargs="?", help=f"{text} (default: all boxes)")
    else:
        parser.add_argument("path", metavar="PATH", help=text)


def _json(parser: argparse.ArgumentParser, *, inner: bool = False) -> None:
    # An inner command must not undo what was said before it.
    default: object = argparse.SUPPRESS if inner else False
    parser.add_argument("--json", action="store_true", default=default, help="as JSON, for scripts")


def _limit(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 2000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number between 1 and 2000")
    return int(text)
