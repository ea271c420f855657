"""The grammar of the commands that choose what this node does in a box."""

from __future__ import annotations

import argparse
from collections.abc import Callable

MODES = ("sync", "send-only", "receive-only", "archive")


def add_choosing(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add `mode`, `folders`, `xattrs` and `revert` to the actions of `flocksy box`."""
    mode = add("mode", "change what this node does in a box; asks, and looks the folder through")
    _name(mode)
    mode.add_argument("mode", choices=MODES, metavar="MODE", help=", ".join(MODES))
    mode.add_argument("--yes", action="store_true", help="do not ask")
    folders = add("folders", "hold only some folders of a box on this node; without: show them")
    _name(folders)
    folders.add_argument("folders", metavar="FOLDER", nargs="*", help="as seen from the box")
    folders.add_argument("--all", action="store_true", help="hold all of the box")
    folders.add_argument("--json", action="store_true", help="as JSON, for scripts")
    xattrs = add("xattrs", "sync extended attributes of files in a box on this node, or do not")
    _name(xattrs)
    xattrs.add_argument("wanted", choices=("on", "off"), metavar="on|off", help="on or off")
    revert = add("revert", "give up what was changed here in a box that only receives")
    _name(revert)
    revert.add_argument("paths", metavar="PATH", nargs="*", help="and what is below")
    revert.add_argument("--all", action="store_true", help="all that was changed here")


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="BOX", help="name of the box")
