"""`flocksy init`: from nothing to a node that has only to meet the others.

Asks what it is not told. Makes keys, a keystore, the box's folder and a configuration with
comments, and never overwrites anything: what is there stays, and a configuration that is there ends
the command. The configuration comes last, so that whatever goes wrong before can be done again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from flocksy.config import places, state
from flocksy.config.load import Words, config_path, load_words
from flocksy.config.settings import Options
from flocksy.errors import ConfigError, FlocksyError, KeyFileError
from flocksy.keys.bundle import checked_name
from flocksy.keys.endpoints import is_local, told_endpoint
from flocksy.keys.files import create_private_keys, refuse_lost
from flocksy.keys.writing import PUBLIC_MODE, write_new
from flocksy.status.printable import printable
from flocksy.status.wording import EXIT_OK

DEFAULT_PORT = 5000
MAX_TRIES = 3
"""Answers to one question before the command gives up."""

Value = TypeVar("Value")

_BARE = re.compile(r"[A-Za-z0-9_-]+")
"""What TOML takes as a key without quotes."""

_NOWHERE = ("192.0.2.1", 9)
"""An address for examples (RFC 5737): the way there tells our own address; nothing is sent."""

_TEXT = """\
# flocksy's configuration. What # begins is a comment; README.md has all the words.

# What the others see this machine called.
name = {name}

# Where this node listens, as the others reach it, and where they listen.
# flocksy pair and flocksy keys import fill in the others.
hostname = {hostname}
node = []
{files}
# fast, balanced or quiet: a tick each 0.1, 0.25 or 2 s. The same on all members.
profile = "balanced"

# Bytes a second that this node may send on each link; 0 for no limit. The same on all members.
# max_rate = "2M"

# A SOCKS5 proxy for the links, so that endpoints can be onion services.
# socks = "127.0.0.1:9050"

# The folder to share. All members call it by the same name; the path is each one's own.
[box.{box}]
base_path = {path}
# symlinks = 2        # 0 follow, 1 ignore, 2 copy
# removable = true    # its disk comes and goes
# xattrs = true       # extended attributes of files are synced too
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """All answers, each checked alone."""

    name: str
    endpoint: str
    box: str
    folder: str  # absolute


def init(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy init`"""
    path = config_path(options)
    if os.path.lexists(path):
        if not parsed.service:
            raise ConfigError(
                f"{path}: is there already, and stays as it is; flocksy check looks at it, or name "
                "another with -c"
            )
        _service(path)
        return EXIT_OK
    plan = _plan(parsed, options)
    words = _rehearse(plan, options, path)
    if parsed.service:
        from flocksy.cli import service

        service.refuse_existing(path)
    for line in _make(plan, words, options):
        print(printable(line))
    if parsed.service:
        _service(path)
    _say_next(plan, options, path)
    return EXIT_OK


def _service(path: str) -> None:
    from flocksy.cli import service

    for line in service.write_unit(path):
        print(printable(line))


def _plan(parsed: argparse.Namespace, options: Options) -> Plan:
    """What the flags say, and what the person answers."""
    if len(options.hostnames) > 1 or len(options.boxes) > 1:
        raise ConfigError("init: one endpoint and one box; more of them go into the file later")
    name = _answer(
        "What shall the others see this machine called?", "--name", parsed.name, _own_name(), _name
    )
    given = options.hostnames[0] if options.hostnames else None
    endpoint = _answer(
        "Where do the others reach this node (host:port)?",
        "--endpoint",
        given,
        _own_endpoint(),
        _endpoint,
    )
    box, folder = _answer(
        "Which folder do you share (NAME@PATH, or the path)?",
        "--box",
        options.boxes[0] if options.boxes else None,
        "~/shared",
        _box,
    )
    return Plan(name, endpoint, box, folder)


def _answer(
    question: str,
    flag: str,
    given: str | None,
    suggested: str | None,
    check: Callable[[str], Value],
) -> Value:
    """What `check` makes of the flag, or of what a person answers. Raises `ConfigError`."""
    if given is not None:
        try:
            return check(given)
        except ValueError as error:
            raise ConfigError(f"init: {flag}: {error}") from None
    if not sys.stdin.isatty():
        raise ConfigError(f"init: nobody is here to ask; say {flag}")
    shown = "" if suggested is None else f" [{suggested}]"
    for _ in range(MAX_TRIES):
        try:
            text = input(f"{question}{shown} ").strip() or (suggested or "")
        except EOFError:
            break
        try:
            return check(text)
        except ValueError as error:
            print(f"  {printable(str(error))}")
    raise ConfigError(f"init: no answer that can be used; nothing was made. Say {flag}")


def _name(text: str) -> str:
    try:
        return checked_name(text)
    except ValueError as error:
        raise ValueError(f"{text!r} {error}") from None


def _endpoint(text: str) -> str:
    if text and "://" not in text and not text.rpartition(":")[2].isdigit():
        text = f"[{text}]:{DEFAULT_PORT}" if text.count(":") > 1 else f"{text}:{DEFAULT_PORT}"
    try:
        return told_endpoint(text)
    except ValueError as error:
        raise ValueError(f"{text!r} {error}") from None


def _box(text: str) -> tuple[str, str]:
    name, given = places.split_box(text)
    if given is None:
        raise ValueError(f"{text!r} has no path; write NAME@PATH or ~/FOLDER")
    path = places.absolute(given)
    if not path.isprintable() or "\udc80" <= max(path) <= "\udcff":
        raise ValueError(f"{path!r} holds what a configuration cannot; take another folder")
    if os.path.lexists(path) and not os.path.isdir(path):
        raise ValueError(f"{path} is no folder; name one")
    return name, path


def _own_name() -> str | None:
    first = socket.gethostname().partition(".")[0]
    try:
        return checked_name(first)
    except ValueError:
        return None


def _own_endpoint() -> str | None:
    """This machine's address on its way out; nothing where it has none, or no sockets."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(_NOWHERE)
            return f"{probe.getsockname()[0]}:{DEFAULT_PORT}"
    except OSError:
        return None


def _rehearse(plan: Plan, options: Options, path: str) -> Words:
    """Everything that can be known to go wrong, before anything is made. Raises `FlocksyError`."""
    options = replace(options, hostnames=(), boxes=())
    words = load_words(options, config_text(plan, options))
    refuse_lost(words.privatekey_path, "private key file")
    refuse_lost(words.keystore_path, "keystore")
    own_files = {
        "configuration": path,
        "keystore": words.keystore_path,
        "private keys": words.privatekey_path,
        "state of all nodes": state.state_home(),
    }
    # The folder may not be there yet; all else about it must be right.
    boxes = tuple((replace(box, removable=True), path) for box, _ in words.boxes)
    places.check_boxes(boxes, own_files, state.state_home())
    return words


def config_text(plan: Plan, options: Options) -> str:
    """The configuration, with comments; key files only where they are not in their usual place."""
    files = "".join(
        f"{word} = {_toml(places.absolute(given))}\n"
        for word, given in (
            ("keystore", options.keystore),
            ("privatekey", options.privatekey),
            ("state_dir", options.state_dir),
        )
        if given is not None
    )
    return _TEXT.format(
        name=_toml(plan.name),
        hostname=_toml(plan.endpoint),
        files=f"\n{files}" if files else "",
        box=plan.box if _BARE.fullmatch(plan.box) else _toml(plan.box),
        path=_toml(plan.folder),
    )


def _toml(text: str) -> str:
    # A JSON text is a TOML text, but for DEL, and what is printable holds none.
    return json.dumps(text, ensure_ascii=False)


def _make(plan: Plan, words: Words, options: Options) -> list[str]:
    """Make it all. Returns what was made, in lines for people."""
    made = []
    there = os.path.lexists(words.privatekey_path)
    pair = create_private_keys(words.privatekey_path, (plan.endpoint,))
    made.append(
        f"{words.privatekey_path}: "
        + ("has the key now; what was in it stays" if there else "your private key; never share it")
    )
    if not os.path.lexists(words.keystore_path):
        keystore = json.dumps({plan.endpoint: pair.public_key}, indent=4) + "\n"
        _new_file(words.keystore_path, keystore, PUBLIC_MODE, KeyFileError)
        made.append(f"{words.keystore_path}: the public keys, for now only yours")
    if not os.path.isdir(plan.folder):
        try:
            os.makedirs(plan.folder)
        except OSError as error:
            raise FlocksyError(f"{plan.folder}: cannot be made: {error.strerror}") from None
        made.append(f"{plan.folder}: an empty folder, the box {plan.box}")
    _new_file(words.config_path, config_text(plan, options), 0o600, ConfigError)
    made.append(f"{words.config_path}: the configuration")
    if is_local(plan.endpoint):
        made.append(
            f"{plan.endpoint}: reached from this machine only, which is good for trying out"
        )
    return made


def _new_file(path: str, text: str, mode: int, error_type: type[FlocksyError]) -> None:
    try:
        write_new(path, text, mode)
    except FileExistsError:
        raise error_type(f"{path}: has just been made by somebody else; it stays") from None
    except OSError as error:
        raise error_type(f"{path}: cannot be made: {error.strerror}") from None


def _say_next(plan: Plan, options: Options, path: str) -> None:
    flag = "" if options.config is None else f" -c {shlex.quote(path)}"
    host = plan.endpoint.removeprefix("tcp://").rpartition(":")[0]
    for line in (
        "",
        f"Next: meet the others. On one machine: flocksy pair{flag}",
        "It shows a code, which each other one is asked for by",
        f"    flocksy pair HOST{flag}      (this machine is {host})",
        f"Then, on all of them: flocksy check{flag}, and flocksy{flag} to run.",
    ):
        print(printable(line))
