"""The commands that look into the past and change it back (`history`, `deleted`, `restore`,
`conflicts`, `dismiss`, `approve`, `reject`): asked of the running node, or, all but `dismiss`, done
on this disk alone when it does not run."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from flocksy.cli.commands import answer_of, ask, offline, show
from flocksy.config.places import from_here
from flocksy.config.settings import Options
from flocksy.errors import FlocksyError, failed_disk
from flocksy.status.client import NotRunningError
from flocksy.status.wording import ANSWER_TIMEOUT_SECONDS, EXIT_FAULT, EXIT_OK

if TYPE_CHECKING:
    from flocksy.node.offline import Offline

Answer = dict[str, object]


def history(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy history`"""
    path = from_here(parsed.path)
    answer = _either(options, "history", {"path": path}, lambda boxes: boxes.history(path))
    return _told(parsed, answer, "history")


def deleted(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy deleted`"""
    path, limit = _maybe(parsed.path), parsed.limit
    arguments: dict[str, object] = {"path": path, "limit": limit}
    answer = _either(options, "deleted", arguments, lambda boxes: boxes.deleted(path, limit))
    return _told(parsed, answer, "deleted")


def restore(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy restore`: waits until what is missing has come; the node gives it up in time."""
    path, at = from_here(parsed.path), parsed.at
    arguments: dict[str, object] = {"path": path, "at": at}
    answer = _either(
        options, "restore", arguments, lambda boxes: boxes.restore(path, at), patience_s=None
    )
    _told(parsed, answer, "restore")
    told = answer.get("restore")
    failed = told.get("failed") if isinstance(told, dict) else None
    return EXIT_FAULT if failed else EXIT_OK


def conflicts(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy conflicts ...`"""
    if parsed.action == "show":
        path = from_here(parsed.path)
        answer = _either(
            options, "conflicts_show", {"path": path}, lambda boxes: boxes.conflicts_show(path)
        )
        return _told(parsed, answer, "conflict")
    if parsed.action == "resolve":
        path, both = from_here(parsed.path), parsed.both
        arguments: dict[str, object] = {"path": path, "both": both}
        answer = _either(
            options,
            "conflicts_resolve",
            arguments,
            lambda boxes: boxes.conflicts_resolve(path, both=both),
        )
        return _told(parsed, answer, "resolved")
    under = _maybe(getattr(parsed, "path", None))
    answer = _either(options, "conflicts", {"path": under}, lambda boxes: boxes.conflicts(under))
    return _told(parsed, answer, "conflicts")


def dismiss(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy dismiss`: of the running node, since only the members can say that nobody has it."""
    arguments: dict[str, object] = {"path": from_here(parsed.path), "anyway": parsed.anyway}
    return _told(parsed, ask(options, "dismiss", arguments), "dismissed")


def answer_guard(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy approve` and `flocksy reject`"""
    name: str | None = parsed.name

    def without(boxes: Offline) -> Answer:
        return boxes.approve(name) if parsed.command == "approve" else boxes.reject(name)

    show(_either(options, parsed.command, {"box": name}, without))
    return EXIT_OK


def _either(
    options: Options,
    command: str,
    arguments: dict[str, object],
    without: Callable[[Offline], Answer],
    *,
    patience_s: float | None = ANSWER_TIMEOUT_SECONDS,
) -> Answer:
    """The node's answer, or what this disk alone says."""
    try:
        return answer_of(options, command, arguments, patience_s)
    except NotRunningError:
        pass
    from flocksy.config.load import load_state_dir, load_words
    from flocksy.node.offline import Offline

    with offline(options):
        words = load_words(options)
        state_dir = load_state_dir(options)
        if not os.path.isdir(state_dir):
            raise FlocksyError("the node has never run, so there is no history")
        private = (words.config_path, words.keystore_path, words.privatekey_path)
        try:
            return without(Offline([box for box, _ in words.boxes], state_dir, private))
        except OSError as error:
            raise failed_disk(command, error) from error


def _told(parsed: argparse.Namespace, answer: Answer, key: str) -> int:
    if parsed.json:
        print(json.dumps(answer.get(key), indent=2))
    else:
        show(answer)
    return EXIT_OK


def _maybe(path: str | None) -> str | None:
    return None if path is None else from_here(path)


HANDLERS: dict[str, Callable[[argparse.Namespace, Options], int]] = {
    "history": history,
    "deleted": deleted,
    "restore": restore,
    "conflicts": conflicts,
    "dismiss": dismiss,
    "approve": answer_guard,
    "reject": answer_guard,
}
