"""Where the passphrase of a private key comes from: a descriptor, the system's keyring, a person.

Never from an argument or the environment, which other programs can read.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import sys

from flocksy.errors import FlocksyError, KeyFileError
from flocksy.keys.pair import KeyPair
from flocksy.keys.seal import MAX_PASSPHRASE_BYTES, unseal
from flocksy.status.printable import printable
from flocksy.system import memory

SERVICE = "flocksy"
"""What entries of the system's keyring are filed under, with the public key as the user."""

TRIES = 3
"""How often a person may mistype."""


def opened(pair: KeyPair, path: str, parsed: argparse.Namespace) -> KeyPair:
    """`pair`, which came from the file at `path`, with its private half at hand.

    Raises `KeyFileError` where there is no passphrase to be had, or a wrong one.
    """
    if pair.is_open:
        return pair
    if parsed.passphrase_fd is not None:
        return _unsealed(pair, read_descriptor(parsed.passphrase_fd), path)
    stored = from_keyring(pair.public_key)
    if stored is not None:
        try:
            return _unsealed(pair, stored, path)
        except KeyFileError:
            # Of before a change, or somebody else's: then a person is asked, as without it.
            print("flocksy: the system's keyring holds another passphrase", file=sys.stderr)
    if not sys.stdin.isatty():
        raise KeyFileError(
            f"{path}: the private key is under a passphrase, and there is no terminal to ask for "
            "it; give it with --passphrase-fd N, or keep it with flocksy keys passphrase --keyring"
        )
    for tries_left in reversed(range(TRIES)):
        typed = _typed(f"Passphrase of {printable(path)}: ")
        try:
            return _unsealed(pair, typed, path)
        except KeyFileError as error:
            if not tries_left:
                raise
            print(f"flocksy: {printable(str(error))}", file=sys.stderr)
    raise AssertionError("the last try returns or raises")


def new_passphrase(descriptor: int | None) -> bytes:
    """A passphrase to be: from a descriptor, or typed twice."""
    if descriptor is not None:
        return read_descriptor(descriptor)
    if not sys.stdin.isatty():
        raise FlocksyError("there is no terminal to ask for a passphrase; give --new-fd N")
    first = _typed("New passphrase: ")
    if not first:
        raise FlocksyError("an empty passphrase keeps nothing; nothing was changed")
    if _typed("Once more: ") != first:
        raise FlocksyError("the two are not the same; nothing was changed")
    return first


def _typed(question: str) -> bytes:
    """What a person types, unseen. Raises `FlocksyError` where that is nothing (Ctrl-D)."""
    try:
        return getpass.getpass(question).encode()
    except EOFError:
        raise FlocksyError("no passphrase came; nothing was changed") from None
    except UnicodeError:
        raise FlocksyError(
            "no passphrase came that is text in this terminal's encoding; nothing was changed"
        ) from None


def read_descriptor(descriptor: int) -> bytes:
    """The passphrase that is written into an open descriptor, without its line end."""
    found = b""
    try:
        while data := os.read(descriptor, MAX_PASSPHRASE_BYTES + 2 - len(found)):
            found += data
    except OSError as error:
        raise KeyFileError(
            f"descriptor {descriptor}: cannot read the passphrase: {error.strerror}"
        ) from None
    found = found.removesuffix(b"\n").removesuffix(b"\r")
    if not found or len(found) > MAX_PASSPHRASE_BYTES:
        raise KeyFileError(
            f"descriptor {descriptor}: a passphrase has 1 to {MAX_PASSPHRASE_BYTES} bytes"
        )
    return found


def from_keyring(public_key: str) -> bytes | None:
    """The passphrase that the system's keyring holds for this key; None where it gives none."""
    try:
        import keyring

        stored = keyring.get_password(SERVICE, public_key)
    except Exception:  # noqa: BLE001  # see _reason; then a person is asked
        return None
    return None if stored is None else str(stored).encode()


def keep_in_keyring(public_key: str, passphrase: bytes) -> None:
    """Have the system's keyring hold the passphrase. Raises `FlocksyError` where it cannot."""
    try:
        text = passphrase.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise FlocksyError(
            "the system's keyring takes text only, and the passphrase is none"
        ) from None
    try:
        import keyring
    except ImportError:
        raise FlocksyError(
            "the system's keyring is not in reach: pip install 'keyring>=25,<26', with the pip that"
            " installed flocksy (docs/keys.md)"
        ) from None
    try:
        keyring.set_password(SERVICE, public_key, text)
    except Exception as error:  # noqa: BLE001  # see _reason
        raise FlocksyError(f"the system's keyring does not take it: {_reason(error)}") from None


def forget_in_keyring(public_key: str) -> None:
    """Have the system's keyring forget what it holds for this key, if it does and can."""
    with contextlib.suppress(Exception):  # see _reason; what stays there opens nothing any more
        import keyring

        if keyring.get_password(SERVICE, public_key) is not None:
            keyring.delete_password(SERVICE, public_key)


def _reason(error: Exception) -> str:
    """One line about what a keyring raised.

    Which one there is, the system decides, and each raises what it likes: without a session, for
    one, the error is `RuntimeError`, and a name that is wrong in its settings a failed import.
    """
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _unsealed(pair: KeyPair, passphrase: bytes, path: str) -> KeyPair:
    try:
        return unseal(pair, passphrase, path)
    finally:
        memory.wipe(passphrase)
