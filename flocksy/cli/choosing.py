"""The commands that choose what this node does in a box, and with which part of it (`box mode`,
`box folders`, `box xattrs`, `box pause`, `box resume`, `box revert`, `ignored`): asked of the
running node, or written into the configuration when it does not run."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable

from flocksy.cli.commands import answer_of, ask, offline, show
from flocksy.config.places import from_here
from flocksy.config.settings import Options
from flocksy.errors import ConfigError, FlocksyError, failed_disk
from flocksy.status.client import NotRunningError
from flocksy.status.printable import printable
from flocksy.status.wording import EXIT_OK


def ignored(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy ignored`"""
    path = from_here(parsed.path)
    try:
        answer = answer_of(options, "ignored", {"path": path})
    except NotRunningError:
        answer = _ignored_offline(options, path)
    show(answer, "ignored" if parsed.json else None)
    return EXIT_OK


def _mode(parsed: argparse.Namespace, options: Options) -> int:
    """Changing a mode asks."""
    from flocksy.cli.key_place import chosen
    from flocksy.node.choosing import mode_words

    options = chosen(options)  # another one may be the only one that runs when it is answered
    running = True
    try:
        former = _mode_now(options, parsed.name)
    except NotRunningError:
        running, former = False, None
    if former != parsed.mode and not parsed.yes:
        words = mode_words(former, parsed.mode)
        if not sys.stdin.isatty():
            raise FlocksyError(
                f"box mode: nobody is there to answer: add --yes if this is what you want, "
                f"{parsed.mode}: {words}"
            )
        print(f"{printable(parsed.name)}: {parsed.mode}: {words}")
        try:
            answer = input("Change it? [y/N] ").strip().lower()
        except EOFError:
            answer = ""
        if answer not in ("y", "yes"):
            raise FlocksyError("nothing was changed")
    if running:
        show(ask(options, "box_mode", {"name": parsed.name, "mode": parsed.mode}))
        return EXIT_OK
    from flocksy.config.edit import change_box

    with offline(options):
        change_box(options, parsed.name, "mode", parsed.mode)
    name = printable(parsed.name)
    print(
        f"{name}: is {parsed.mode} from the next start on; it then rests until flocksy box adopt"
        f" {shlex.quote(name)}"
    )
    return EXIT_OK


def _mode_now(options: Options, name: str) -> str | None:
    status = answer_of(options, "status")["status"]
    boxes = status.get("boxes") if isinstance(status, dict) else None
    for box in boxes if isinstance(boxes, list) else []:
        if box.get("name") == name:
            return str(box.get("mode"))
    return None


def _folders(parsed: argparse.Namespace, options: Options) -> int:
    if parsed.all and parsed.folders:
        raise ConfigError("box folders: name folders, or --all")
    chosen = [] if parsed.all else parsed.folders or None
    try:
        arguments: dict[str, object] = {"name": parsed.name, "folders": chosen}
        answer = answer_of(options, "box_folders", arguments)
    except NotRunningError:
        if chosen is None:
            raise FlocksyError("the node does not run; its configuration says it") from None
        from flocksy.config.edit import change_box

        with offline(options):
            change_box(options, parsed.name, "folders", tuple(chosen))
        print(f"{printable(parsed.name)}: chosen from the next start on")
        return EXIT_OK
    show(answer, "folders" if parsed.json else None)
    return EXIT_OK


def _xattrs(parsed: argparse.Namespace, options: Options) -> int:
    wanted = parsed.wanted == "on"
    try:
        arguments: dict[str, object] = {"name": parsed.name, "wanted": wanted}
        show(answer_of(options, "box_xattrs", arguments))
    except NotRunningError:
        from flocksy.config.edit import change_box

        with offline(options):
            change_box(options, parsed.name, "xattrs", wanted)
        print(
            f"{printable(parsed.name)}: extended attributes are"
            f" {'synced' if wanted else 'not synced'} from the next start on"
        )
    return EXIT_OK


def _pause(parsed: argparse.Namespace, options: Options) -> int:
    paused = parsed.action == "pause"
    try:
        show(answer_of(options, f"box_{parsed.action}", {"name": parsed.name}))
    except NotRunningError:
        from flocksy.config.edit import change_box

        with offline(options):
            change_box(options, parsed.name, "paused", paused)
        print(
            f"{printable(parsed.name)}: {'paused' if paused else 'goes on'} from the next start on"
        )
    return EXIT_OK


def _revert(parsed: argparse.Namespace, options: Options) -> int:
    if parsed.all and parsed.paths:
        raise ConfigError("box revert: name paths, or --all")
    if not parsed.all and not parsed.paths:
        raise ConfigError("box revert: name the paths to be reverted, or --all")
    paths = None if parsed.all else [from_here(path) for path in parsed.paths]
    show(ask(options, "box_revert", {"name": parsed.name, "paths": paths}))
    return EXIT_OK


ACTIONS: dict[str, Callable[[argparse.Namespace, Options], int]] = {
    "mode": _mode,
    "folders": _folders,
    "xattrs": _xattrs,
    "pause": _pause,
    "resume": _pause,
    "revert": _revert,
}
"""The actions of `flocksy box` that are done here."""


def _ignored_offline(options: Options, path: str) -> dict[str, object]:
    from flocksy.config.load import load_state_dir, load_words
    from flocksy.node.offline import Offline

    with offline(options):
        words = load_words(options)
        private = (words.config_path, words.keystore_path, words.privatekey_path)
        boxes = [box for box, _ in words.boxes]
        try:
            return Offline(boxes, load_state_dir(options), private).ignored(path)
        except OSError as error:
            raise failed_disk("ignored", error) from error
