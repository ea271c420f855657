"""The command `flocksy`: parse, do, and end with an exit status.

0: done. 1: the world is not as we need it. 2: configuration or command line cannot be used.
3: what was waited for did not come in time. Whatever went wrong is one line on standard error.

Imports are late throughout: `flocksy status` must not wait for what only a node needs.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
from collections.abc import Sequence

from flocksy.cli.arguments import build_parser, options_of, passphrase_descriptor
from flocksy.config.settings import Options
from flocksy.errors import ConfigError, FlocksyError, KeyFileError
from flocksy.status.printable import printable
from flocksy.status.wording import EXIT_FAULT, EXIT_OK, EXIT_USAGE

INTERRUPTED = 130
"""What shells expect of a command that Ctrl-C ended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns the exit status."""
    _prepare_streams()
    try:
        try:
            return _outcome(arguments)
        finally:
            sys.stdout.flush()  # at Python's end nobody could say in one line that it fails
    except BrokenPipeError:
        _give_output_up()  # its reader has enough
        return EXIT_FAULT
    except OSError as error:
        _give_output_up()
        where = f"{error.filename}: " if error.filename else ""
        why = f"{where}{error.strerror or error}"
        return _fail(
            FlocksyError(f"{why}; not all was done or said: mend that, and give the command again"),
            EXIT_FAULT,
        )
    except KeyboardInterrupt:
        return INTERRUPTED


def _outcome(arguments: Sequence[str] | None) -> int:
    from flocksy.status.client import CommandFailedError

    parsed = build_parser().parse_args(arguments)
    parsed.passphrase_fd = passphrase_descriptor(parsed)
    try:
        return _dispatch(parsed, options_of(parsed))
    except CommandFailedError as error:
        return _fail(error, error.exit_status)
    except (ConfigError, KeyFileError) as error:
        return _fail(error, EXIT_USAGE)
    except FlocksyError as error:
        return _fail(error, EXIT_FAULT)


def _give_output_up() -> None:
    """Python must not stumble at its end over what could not be written."""
    with contextlib.suppress(OSError):  # a stream without a descriptor
        descriptor = sys.stdout.fileno()
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _prepare_streams() -> None:
    """There are three, and no text is an error in one of them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by who started us: nobody is there
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # to the end
    # Names may hold anything: what the terminal cannot show must not be an error.
    for stream, errors in (
        (sys.stdin, "surrogateescape"),
        (sys.stdout, "backslashreplace"),
        (sys.stderr, "backslashreplace"),
    ):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=errors)


def _fail(error: FlocksyError, exit_status: int) -> int:
    print(f"flocksy: {printable(str(error))}", file=sys.stderr)
    return exit_status


def _dispatch(parsed: argparse.Namespace, options: Options) -> int:
    if parsed.create_private_keys:
        return _create_private_keys(options)
    if parsed.command is None:
        return _run(options, parsed)
    if parsed.command == "keys":
        from flocksy.cli import keys

        return keys.keys(parsed, options)
    if parsed.command == "init":
        from flocksy.cli.init import init

        return init(parsed, options)
    if parsed.command == "pair":
        from flocksy.cli.pair import pair

        return pair(parsed, options)
    if parsed.command == "check":
        from flocksy.cli.check import check

        return check(parsed, options)
    from flocksy.cli import commands, undo

    if parsed.command in undo.HANDLERS:
        return undo.HANDLERS[parsed.command](parsed, options)
    if parsed.command == "box":
        from flocksy.cli import choosing

        action = choosing.ACTIONS.get(parsed.action, commands.box)
        return action(parsed, options)
    if parsed.command == "ignored":
        from flocksy.cli.choosing import ignored

        return ignored(parsed, options)
    handler = {
        "status": commands.status,
        "wait": commands.wait,
        "rescan": commands.rescan,
        "reload": commands.reload,
    }
    return handler[parsed.command](parsed, options)


def _run(options: Options, parsed: argparse.Namespace) -> int:
    from flocksy.cli.passphrase import opened
    from flocksy.config import state
    from flocksy.config.load import load

    settings, lock = state.claim(load(options))
    with lock:
        # Asked only when it is sure that nothing else keeps the node from running.
        pair = opened(settings.key_pair, settings.privatekey_path, parsed)
        from flocksy import node

        return node.run(
            dataclasses.replace(settings, key_pair=pair), parsed.log_format, once=parsed.once
        )


def _create_private_keys(options: Options) -> int:
    from flocksy.config.load import load_words
    from flocksy.keys.files import create_private_keys, read_private_keys
    from flocksy.keys.identity import how_to_have_one, moved_from

    words = load_words(options)
    if not words.hostnames:
        raise ConfigError(
            f"{words.config_path}: no hostname to make a key for; add hostname = host:port, or "
            "name it with --hostname"
        )
    if os.path.lexists(words.privatekey_path):
        there = read_private_keys(words.privatekey_path)
        before = moved_from(there, words.nodes)
        if before is not None and not any(endpoint in there for endpoint in words.hostnames):
            raise KeyFileError(
                f"{words.privatekey_path}: has the key of {before} and none for "
                f"{' or '.join(words.hostnames)}; {how_to_have_one(there, words.nodes)}"
            )
    pair = create_private_keys(words.privatekey_path, words.hostnames)
    print(f"The private key is in {printable(words.privatekey_path)}. Never hand it out.")
    print(f"Public key: {pair.public_key}")
    print("For the keystore of every member, this one too:")
    for endpoint in words.hostnames:
        print(f'    "{endpoint}" : "{pair.public_key}"')
    return EXIT_OK
