"""The command line's grammar."""

from __future__ import annotations

import argparse
from typing import NoReturn

from flocksy import __version__
from flocksy.cli.choosing_arguments import add_choosing
from flocksy.cli.keys_arguments import add_keys, descriptor
from flocksy.cli.pair_arguments import add_pair
from flocksy.cli.undo_arguments import add_conflicts, add_undo
from flocksy.config.settings import Options
from flocksy.status.wording import EXIT_USAGE

MAX_WAIT_SECONDS = 365 * 86400.0
"""A year: longer than that nobody waits, and it keeps the number a clock can hold."""

_AFTER = "after_"  # the original's flags may stand before and after a subcommand: two places

_SINGLE = ("config", "keystore", "privatekey", "state_dir")


class _Parser(argparse.ArgumentParser):
    """Errors are one line, like all of ours."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"flocksy: {message}; see {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog="flocksy",
        description="Keep folders equal among people who trust each other, so that nobody who "
        "watches the network can tell whom a change came from. Without a command: run a node.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"flocksy {__version__}")
    parser.add_argument(
        "--log-format", choices=("human", "json"), default="human", help="form of the log lines"
    )
    parser.add_argument(
        "--create-private-keys",
        "--create-private-key",
        "--create-new-keypair",
        dest="create_private_keys",
        action="store_true",
        help="make the private key of the configured hostnames where there is none, print the "
        "keystore line to hand out, and end",
    )
    parser.add_argument("--once", action="store_true", help="run until all is equal, then end")
    _add_flags(parser, "")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    _add_setting_up(commands)
    status = _add(commands, "status", "show the flock, the boxes and what leaves this machine")
    _add_json(status)
    wait = _add(commands, "wait", "wait until a box, or every box, is in sync")
    wait.add_argument("name", metavar="BOX", nargs="?", help="name of the box (default: all)")
    wait.add_argument("--timeout", type=_seconds, metavar="S", help="give up after S seconds")
    rescan = _add(commands, "rescan", "look at everything in a box, or in every box, again")
    rescan.add_argument("name", metavar="BOX", nargs="?", help="name of the box (default: all)")

    _add(commands, "reload", "read the configuration and the keys again, as SIGHUP does")

    box = _add(commands, "box", "list and change the boxes of this node")
    actions = box.add_subparsers(dest="action", metavar="ACTION", required=True, title="actions")
    _add_json(_add(actions, "list", "show the boxes"))
    add = _add(actions, "add", "add a box, and write it into the configuration")
    add.add_argument("what", metavar="NAME@PATH", help="name and folder, or the folder alone")
    add.add_argument(
        "--symlinks",
        type=int,
        choices=(0, 1, 2),
        default=2,
        help="symbolic links: 0 follow, 1 ignore, 2 copy (default)",
    )
    add.add_argument("--removable", action="store_true", help="its disk comes and goes")
    add.add_argument("--xattrs", action="store_true", help="sync extended attributes of files")
    for name, text in (
        ("remove", "stop sharing a box; its folder stays as it is"),
        ("pause", "stop looking at a box and writing in it"),
        ("resume", "end a pause"),
        ("adopt", "take a folder as the box although its marker is missing or not ours"),
    ):
        _add(actions, name, text).add_argument("name", metavar="BOX", help="name of the box")

    add_choosing(lambda name, text: _add(actions, name, text))
    ignored = _add(commands, "ignored", "tell whether this node syncs a path, and why not")
    ignored.add_argument("path", metavar="PATH", help="a path in a box")
    _add_json(ignored)

    add_undo(lambda name, text: _add(commands, name, text))
    conflicts = _add(commands, "conflicts", "list, show and decide conflicts")
    deciding = conflicts.add_subparsers(dest="action", metavar="ACTION", title="actions")
    add_conflicts(conflicts, lambda name, text: _add(deciding, name, text))

    keys = _add(commands, "keys", "show, exchange, verify and change keys")
    actions = keys.add_subparsers(dest="action", metavar="ACTION", required=True, title="actions")
    add_keys(lambda name, text: _add(actions, name, text))
    return parser


def _add_setting_up(commands: argparse._SubParsersAction[_Parser]) -> None:
    init = _add(commands, "init", "set up a node: keys, configuration, box; asks what it must know")
    init.add_argument("--name", metavar="NAME", help="what the others see this machine called")
    init.add_argument(
        "--endpoint",
        dest=f"{_AFTER}hostname",
        metavar="ENDPOINT",
        action="append",
        default=argparse.SUPPRESS,
        help="the same as --hostname",
    )
    init.add_argument(
        "--service", action="store_true", help="make a systemd user unit that runs the node"
    )
    check = _add(commands, "check", "could this configuration run? each finding with its remedy")
    _add_json(check)
    add_pair(_add(commands, "pair", "meet another machine by a code of a few words"))


def options_of(parsed: argparse.Namespace) -> Options:
    """The original's flags, wherever they stood."""

    def single(name: str) -> str | None:
        after: str | None = getattr(parsed, _AFTER + name, None)
        before: str | None = getattr(parsed, name)
        return before if after is None else after

    def repeated(name: str) -> tuple[str, ...]:
        return (*getattr(parsed, name), *getattr(parsed, _AFTER + name, ()))

    return Options(
        **{name: single(name) for name in _SINGLE},
        hostnames=repeated("hostname"),
        nodes=repeated("node"),
        boxes=repeated("box"),
    )


def passphrase_descriptor(parsed: argparse.Namespace) -> int | None:
    """Where the passphrase is to be read from, wherever that was said."""
    after: int | None = getattr(parsed, f"{_AFTER}passphrase_fd", None)
    before: int | None = parsed.passphrase_fd
    return before if after is None else after


def _add(commands: argparse._SubParsersAction[_Parser], name: str, text: str) -> _Parser:
    parser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    _add_flags(parser, _AFTER)
    return parser


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON, for scripts")


def _add_flags(parser: argparse.ArgumentParser, prefix: str) -> None:
    group = parser.add_argument_group("which node", "added to what its configuration says")
    # Suppressed defaults: an inner command must not undo what was said before it.
    nothing: object = argparse.SUPPRESS if prefix else None
    group.add_argument(
        "-c", "--config", dest=f"{prefix}config", metavar="FILE", default=nothing,
        help="configuration (default: ~/.flocksy)",
    )  # fmt: skip
    group.add_argument(
        "--keystore", dest=f"{prefix}keystore", metavar="FILE", default=nothing,
        help="public keys of all members (default: ~/.ssh/flocksy_keystore)",
    )  # fmt: skip
    group.add_argument(
        "--privatekey", dest=f"{prefix}privatekey", metavar="FILE", default=nothing,
        help="own private keys (default: ~/.ssh/flocksy_privatekeys)",
    )  # fmt: skip
    group.add_argument(
        "--state-dir", dest=f"{prefix}state_dir", metavar="DIR", default=nothing,
        help="where this node keeps its state (default: drawn in $XDG_STATE_HOME/flocksy)",
    )  # fmt: skip
    group.add_argument(
        "--passphrase-fd", dest=f"{prefix}passphrase_fd", metavar="N", type=descriptor,
        default=nothing, help="read the private key's passphrase from descriptor N",
    )  # fmt: skip
    for letter, name, metavar, text in (
        ("-p", "hostname", "ENDPOINT", "own endpoint, host:port or ipc:///path; may repeat"),
        ("-n", "node", "ENDPOINT", "endpoint of another member; may repeat"),
        ("-b", "box", "NAME@PATH", "a box: name and folder, or the folder alone; may repeat"),
    ):
        group.add_argument(
            letter, f"--{name}", dest=f"{prefix}{name}", metavar=metavar, action="append",
            default=argparse.SUPPRESS if prefix else [], help=text,
        )  # fmt: skip


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_WAIT_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds
