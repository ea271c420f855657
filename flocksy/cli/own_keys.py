"""`flocksy keys rotate` and `flocksy keys passphrase`: this node's own private key."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import os

from flocksy.cli.key_place import KeyPlace, changing, tell_node, today
from flocksy.cli.passphrase import (
    forget_in_keyring,
    from_keyring,
    keep_in_keyring,
    new_passphrase,
    opened,
)
from flocksy.config.settings import Options
from flocksy.errors import KeyFileError
from flocksy.keys.files import (
    generate_pair,
    read_private_keys,
    write_keystore,
    write_private_keys,
)
from flocksy.keys.register import Entry, Trust, write_register
from flocksy.keys.rotation import encode_rotation, make_rotation
from flocksy.keys.seal import seal
from flocksy.status.printable import printable
from flocksy.status.wording import EXIT_OK


def rotate(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy keys rotate`: make the next pair and announce it; with `--switch`, take it."""
    with changing(options) as place:
        if parsed.switch:
            _switch(place)
        elif parsed.cancel:
            _cancel(place)
        else:
            _announce(place, parsed)
    if parsed.switch:
        for line in tell_node(options):
            print(printable(line))
    return EXIT_OK


def _announce(place: KeyPlace, parsed: argparse.Namespace) -> None:
    until = today() + datetime.timedelta(days=parsed.days)
    endpoint = place.told_endpoint  # asked before anything is made
    pair = opened(place.pair, place.words.privatekey_path, parsed)
    upcoming = place.next_pair
    if upcoming is None:
        if os.path.lexists(place.next_path):
            raise KeyFileError(
                f"{place.next_path}: has the new key of another node of that private key file; "
                "first flocksy keys rotate --switch there, or give this one a file of its own"
            )
        upcoming = generate_pair()
        if pair.sealed is not None:
            passphrase = new_passphrase(parsed.new_fd)
            upcoming = dataclasses.replace(upcoming, sealed=seal(upcoming.private_key, passphrase))
        write_private_keys(place.next_path, dict.fromkeys(place.words.hostnames, upcoming))
    else:
        # Its passphrase is another one: what --new-fd gave when it was made.
        theirs = argparse.Namespace(passphrase_fd=parsed.new_fd)
        upcoming = opened(upcoming, place.next_path, theirs)
    # What members need in order to know the next key by the present one.
    first = place.first_key or pair.public_key
    rotation = make_rotation(pair, upcoming, first, place.name, endpoint, until)
    print(encode_rotation(rotation), end="")


def _switch(place: KeyPlace) -> None:
    if place.next_pair is None:
        raise KeyFileError("no new key waits; make one with flocksy keys rotate")
    path = place.words.privatekey_path
    pairs = read_private_keys(path)
    first = place.first_key or place.pair.public_key
    entry = Entry(
        public_key=place.next_pair.public_key,
        name=place.name,
        endpoint=place.own_endpoint,
        trust=Trust.COMPARED,
        since=today(),
        first_key=first,
    )
    # First what says whose uid the new key has, beside what says it of the old one: a crash then
    # leaves the old key in use. The new one stays in its file of its own until it is in the private
    # key file.
    register = place.register.with_entry(entry)
    write_register(place.words.keystore_path, register)
    # The old key may stand under an endpoint of before, too.
    ours = [e for e, pair in pairs.items() if register.uid(pair.public_key) == entry.uid]
    fresh = dataclasses.replace(place.next_pair, first_key=first)
    write_private_keys(path, pairs | dict.fromkeys((*ours, *place.words.hostnames), fresh))
    ours = [e for e, key in place.keystore.items() if register.uid(key) == entry.uid]
    write_keystore(
        place.words.keystore_path,
        place.keystore | dict.fromkeys((*ours, *place.words.hostnames), fresh.public_key),
    )
    kept = [
        one
        for one in register.entries
        if one.public_key == entry.public_key or one.uid != entry.uid
    ]
    write_register(place.words.keystore_path, dataclasses.replace(register, entries=tuple(kept)))
    forget_in_keyring(place.pair.public_key)
    _remove_next(place)
    print(f"The new key is in {printable(path)}; the old one is gone.")


def _cancel(place: KeyPlace) -> None:
    if place.next_pair is None:
        raise KeyFileError("no new key waits: there is nothing to cancel")
    if place.next_pair.public_key == place.pair.public_key:
        raise KeyFileError(
            "the new key is in use since a --switch that broke off; end it with flocksy keys "
            "rotate --switch"
        )
    _remove_next(place)
    print(
        "The new key is gone. Members who know it already must flocksy keys remove "
        f"{printable(place.name)}, then import your bundle and compare it anew."
    )


def _remove_next(place: KeyPlace) -> None:
    try:
        os.unlink(place.next_path)
    except OSError as error:
        raise KeyFileError(
            f"{place.next_path}: cannot be removed: {error.strerror}; mend that and give the same "
            "command again"
        ) from None


def passphrase(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy keys passphrase`: set, change or take away; or have the keyring keep it."""
    with changing(options) as place:
        path = place.words.privatekey_path
        if place.next_pair is not None:
            # It would come with the passphrase that it was made with, or with none.
            raise KeyFileError(
                f"{place.next_path}: a new key waits, whose passphrase would stay as it is; first "
                "flocksy keys rotate --switch, or --cancel"
            )
        pair = opened(place.pair, path, parsed)
        before: bytes | None = None
        if parsed.remove:
            if pair.sealed is None:
                raise KeyFileError(f"{path}: is under no passphrase")
            fresh = dataclasses.replace(pair, sealed=None)
            said = "is under no passphrase now"
        else:
            chosen = new_passphrase(parsed.new_fd)
            fresh = dataclasses.replace(pair, sealed=seal(pair.private_key, chosen))
            said = "is under the passphrase now; it is asked for when the node starts"
            if parsed.keyring:
                before = from_keyring(pair.public_key)
                keep_in_keyring(pair.public_key, chosen)
                said = "is under the passphrase now, which the system's keyring holds"
        pairs = {
            endpoint: fresh if known.public_key == pair.public_key else known
            for endpoint, known in read_private_keys(path).items()
        }
        try:
            write_private_keys(path, pairs)
        except KeyFileError:
            if before is not None:
                keep_in_keyring(pair.public_key, before)  # it opens what is still there
            elif parsed.keyring:
                forget_in_keyring(pair.public_key)
            raise
        if not parsed.keyring:
            forget_in_keyring(pair.public_key)
    print(f"{printable(path)}: {said}")
    return EXIT_OK
