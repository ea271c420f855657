"""The subcommands: asked of the running node, or done on its files when it does not run."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from flocksy.cli.running import only_running
from flocksy.config.settings import Options
from flocksy.config.state import control_path, lock_path
from flocksy.errors import ConfigError, FlocksyError
from flocksy.status.client import NotRunningError, request
from flocksy.status.printable import printable
from flocksy.status.wording import ANSWER_TIMEOUT_SECONDS, EXIT_OK
from flocksy.system import locks


def status(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy status`"""
    try:
        answer = answer_of(options, "status")
    except NotRunningError:
        return _offline_boxes(parsed, options)
    show(answer, "status" if parsed.json else None)
    return EXIT_OK


def wait(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy wait`"""
    arguments: dict[str, object] = {"box": parsed.name, "timeout": parsed.timeout}
    # The node ends the wait; ours ends only when the node hangs.
    patience = None if parsed.timeout is None else parsed.timeout + ANSWER_TIMEOUT_SECONDS
    show(ask(options, "wait", arguments, patience))
    return EXIT_OK


def rescan(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy rescan`"""
    show(ask(options, "rescan", {"box": parsed.name}))
    return EXIT_OK


def reload(parsed: argparse.Namespace, options: Options) -> int:  # noqa: ARG001
    """`flocksy reload`"""
    show(ask(options, "reload", {}))
    return EXIT_OK


def box(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy box ...`"""
    if parsed.action == "list":
        try:
            answer = answer_of(options, "box_list")
        except NotRunningError:
            return _offline_boxes(parsed, options)
        show(answer, "boxes" if parsed.json else None)
    elif parsed.action == "add":
        _add(parsed, options)
    elif parsed.action == "remove":
        _remove(parsed, options)
    else:
        show(ask(options, f"box_{parsed.action}", {"name": parsed.name}))
    return EXIT_OK


def _add(parsed: argparse.Namespace, options: Options) -> None:
    from flocksy.config import places

    try:
        name, given = places.split_box(parsed.what)
    except ValueError as error:
        raise ConfigError(f"box add: {error}") from None
    if given is None:
        raise ConfigError(f"box add: {parsed.what!r} has no path; write NAME@PATH or ./FOLDER")
    path = places.absolute(given)
    arguments: dict[str, object] = {
        "name": name,
        "path": path,
        "symlinks": parsed.symlinks,
        "removable": parsed.removable,
        "xattrs": parsed.xattrs,
    }
    try:
        show(answer_of(options, "box_add", arguments))
        return
    except NotRunningError:
        pass
    from flocksy.config.edit import add_box
    from flocksy.config.settings import BoxSettings, Symlinks

    with offline(options):
        symlinks = Symlinks(parsed.symlinks)
        box = BoxSettings(name, path, symlinks, parsed.removable, xattrs=parsed.xattrs)
        add_box(options, box)
    print(f"{printable(name)}: added; it is shared when the node starts")


def _remove(parsed: argparse.Namespace, options: Options) -> None:
    try:
        show(answer_of(options, "box_remove", {"name": parsed.name}))
        return
    except NotRunningError:
        pass
    from flocksy.config.edit import remove_box

    with offline(options):
        remove_box(options, parsed.name)
    print(f"{printable(parsed.name)}: removed; the folder stays as it is")


def _offline_boxes(parsed: argparse.Namespace, options: Options) -> int:
    from flocksy.config.load import load_words

    with offline(options):
        words = load_words(options)
    boxes = [{"name": found.name, "path": found.path} for found, _ in words.boxes]
    if parsed.json:
        print(json.dumps({"running": False, "config": words.config_path, "boxes": boxes}, indent=2))
        return EXIT_OK
    print(f"not running  (configuration {printable(words.config_path)})")
    for entry in boxes:
        print(f"  {printable(entry['name'])}  {printable(entry['path'])}")
    return EXIT_OK


@contextmanager
def offline(options: Options) -> Iterator[None]:
    """Hold the node's lock, so that it cannot start meanwhile and does not run."""
    from flocksy.config.load import load_state_dir

    state_dir = load_state_dir(options)
    if not os.path.isdir(state_dir):
        yield  # it never ran; the file is replaced in one step
        return
    path = lock_path(state_dir)
    try:
        lock = locks.lock_file(path)
    except OSError as error:
        raise FlocksyError(f"{path}: cannot be locked: {error.strerror}") from error
    if lock is None:
        raise FlocksyError(
            f"{path}: is held, but no node answers at {control_path(state_dir)}; one starts or ends"
            " just now, or another command works: try again"
        )
    with lock:
        yield


def ask(
    options: Options,
    command: str,
    arguments: dict[str, object],
    timeout_seconds: float | None = ANSWER_TIMEOUT_SECONDS,
) -> dict[str, object]:
    try:
        return answer_of(options, command, arguments, timeout_seconds)
    except NotRunningError:
        with offline(options):
            pass  # nobody has its state
    raise FlocksyError("the node does not run; start it with flocksy -c CONFIG")


def answer_of(
    options: Options,
    command: str,
    arguments: dict[str, object] | None = None,
    timeout_seconds: float | None = ANSWER_TIMEOUT_SECONDS,
) -> dict[str, object]:
    """What the node says that is meant: by its flags, else the only one that runs.

    Raises `NotRunningError` where it does not run: then the caller works on its files. Not so where
    one was found without flags and has ended since: those files would be another node's.
    """
    found = only_running() if options == Options() else None
    if found is None:
        from flocksy.config.load import load_state_dir

        return request(control_path(load_state_dir(options)), command, arguments, timeout_seconds)
    try:
        return request(found.socket, command, arguments, timeout_seconds)
    except NotRunningError:
        raise FlocksyError(
            f"the node that ran, {found.words}, has just ended; choose it with -c"
        ) from None


def show(answer: dict[str, object], key: str | None = None) -> None:
    """Print one field of the answer as JSON, or the node's words."""
    if key is not None:
        print(json.dumps(answer.get(key), indent=2))
    elif answer.get("text"):
        print("\n".join(printable(line) for line in str(answer["text"]).split("\n")))
