"""`flocksy keys`: show, compare, hand over, take in and turn away keys."""

from __future__ import annotations

import argparse
import json
import os
import sys

from flocksy.cli.key_place import (
    KeyPlace,
    changing,
    chosen,
    have_node_reload,
    read_place,
    tell_node,
    write_change,
)
from flocksy.cli.picture import print_qr
from flocksy.config.settings import Options
from flocksy.errors import FlocksyError, HostileInput, KeyFileError
from flocksy.keys.bundle import MAX_TEXT_BYTES, Bundle, encode_bundle, find_bundles
from flocksy.keys.exchange import (
    Change,
    importing,
    pardoning,
    removing,
    rotating,
    verifying,
)
from flocksy.keys.fingerprint import (
    agrees,
    fingerprint_hex,
    fingerprint_words,
    safety_number,
    scannable,
)
from flocksy.keys.people import Person, find_person, people
from flocksy.keys.register import Trust
from flocksy.keys.rotation import HEAD as ROTATION_HEAD
from flocksy.keys.rotation import Rotation, find_rotations
from flocksy.status.printable import printable
from flocksy.status.wording import EXIT_FAULT, EXIT_OK

WORDS_IN_ROW = 4
GROUPS_IN_ROW = 4


def keys(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy keys ...`"""
    from flocksy.cli import own_keys

    options = chosen(options)
    handlers = {
        "show": show,
        "number": number,
        "export": export,
        "import": import_,
        "verify": verify,
        "list": list_,
        "remove": remove,
        "revoke": revoke,
        "rotate": own_keys.rotate,
        "passphrase": own_keys.passphrase,
    }
    return handlers[parsed.action](parsed, options)


def show(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy keys show [MEMBER]`"""
    place = read_place(options)
    if parsed.member is None:
        name, endpoint, key, trust = place.name, place.own_endpoint, place.newest_key, "this node"
    else:
        person = find_person(place.known(), parsed.member)
        name, endpoint, key = person.name, person.endpoints[0], person.public_key
        trust = person.trust.word
    if parsed.json:
        print(
            json.dumps(
                {
                    "name": name,
                    "endpoint": endpoint,
                    "public_key": key,
                    "trust": trust,
                    "words": " ".join(fingerprint_words(key)),
                    "fingerprint": fingerprint_hex(key),
                    "scanned": scannable(key),
                },
                indent=2,
            )
        )
        return EXIT_OK
    print(f"{printable(name)}  {printable(endpoint)}  ({trust})\n")
    _print_rows(fingerprint_words(key), WORDS_IN_ROW, 9)
    print()
    _print_rows(fingerprint_hex(key).split(), GROUPS_IN_ROW, 6)
    if parsed.qr:
        print()
        print_qr(scannable(key))
    return EXIT_OK


def number(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy keys number [MEMBER]`"""
    place = read_place(options)
    known = place.known()
    if parsed.member is None:
        keys_ = place.flock_keys()
        whose = f"the flock of {len(keys_)}"
    else:
        person = find_person(known, parsed.member)
        whose, keys_ = f"{place.name} and {person.name}", [place.newest_key, person.public_key]
    value = safety_number(keys_)
    if parsed.json:
        print(json.dumps({"of": whose, "number": value}, indent=2))
        return EXIT_OK
    print(f"Safety number of {printable(whose)}, the same on every screen:\n")
    _print_rows(value.split(), GROUPS_IN_ROW, 7)
    return EXIT_OK


def export(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy keys export [MEMBER]`"""
    place = read_place(options)
    if parsed.member is None:
        bundle: Bundle | None = place.bundle(parsed)
    else:
        person = find_person(place.known(), parsed.member)
        bundle = person.entry.bundle if person.entry is not None else None
        if bundle is None:
            raise KeyFileError(
                f"{person.name}: came without a bundle of that name; ask its owner for one"
            )
    assert bundle is not None
    text = encode_bundle(bundle)
    if parsed.output is None:
        print(text, end="")
        return EXIT_OK
    try:
        with open(parsed.output, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise FlocksyError(f"{parsed.output}: exists already; name another file") from None
    except OSError as error:
        raise FlocksyError(f"{parsed.output}: cannot be written: {error.strerror}") from None
    return EXIT_OK


def import_(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy keys import [FILE]`"""
    text = _read_text(parsed.file)
    try:
        rotations = find_rotations(text)
        with_bundles = "[flocksy bundle" in text or ROTATION_HEAD not in text
        bundles = find_bundles(text) if with_bundles else ()
    except HostileInput as error:
        raise KeyFileError(f"{parsed.file or 'standard input'}: {error}") from None
    if parsed.name is not None and len(bundles) + len(rotations) != 1:
        raise FlocksyError("--as is for one bundle; import them one by one")
    everything: tuple[Bundle | Rotation, ...] = (*rotations, *bundles)
    agreed = [admit(parsed, options, found) for found in everything]
    return EXIT_OK if all(agreed) else EXIT_FAULT


def admit(
    parsed: argparse.Namespace,
    options: Options,
    found: Bundle | Rotation,
    trust: Trust = Trust.UNVERIFIED,
    *,
    tell: bool = True,
) -> bool:
    """Let one bundle or announcement in, as far as the person at the terminal agrees.

    False: they did not, and nothing was changed. `parsed` has `yes`, `replace` and `name`.
    Without `tell` the caller has a running node look, with `reload_node`.
    """
    with changing(options) as place:
        if isinstance(found, Rotation):
            change = rotating(place.known(), found)
            name = found.bundle.name
        else:
            change = importing(place.known(), found, trust, name=parsed.name)
            name = parsed.name or found.name
        if not _is_change(place, change):
            print(f"{printable(name)}: known already, nothing to change")
            return True
        _print_lines(change.lines)
        if change.replaces is not None and not parsed.replace:
            raise KeyFileError(
                f"{name}: has another key than the {change.replaces} that is known; when its owner "
                "has told you why, import it with --replace"
            )
        if not _agreed(parsed, "Import this?"):
            return False
        said = write_change(place, change, tell=tell)
    _print_lines(said)
    if isinstance(found, Bundle) and trust is Trust.UNVERIFIED:
        print(f"{printable(name)}: imported; now compare with flocksy keys verify {name}")
    else:
        print(f"{printable(name)}: imported")
    return True


def verify(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy keys verify MEMBER [WORDS...]`"""
    with changing(options) as place:
        known = place.known()
        person = find_person(known, parsed.member)
        if parsed.compared:
            given = " ".join(parsed.compared)
            try:
                flock = place.flock_keys()
                right = agrees(given, person.public_key, place.newest_key, flock)
            except ValueError as error:
                raise KeyFileError(f"what you compare {error}") from None
        else:
            right = _compared(place, person)
        if not right:
            print(
                f"flocksy: {printable(person.name)}: NOT the same. Somebody may be between you: "
                "take its bundle again, by another way, and compare before you trust it (the "
                "flock's number is one only where all know the same members)",
                file=sys.stderr,
            )
            return EXIT_FAULT
        change = verifying(known, person)
        said = write_change(place, change)
    _print_lines((*change.lines, *said))
    return EXIT_OK


def _compared(place: KeyPlace, person: Person) -> bool:
    """Show what both screens show, and ask."""
    if not sys.stdin.isatty():
        raise KeyFileError(
            f"{person.name}: give the words, the number or the scanned code that you compare"
        )
    print(f"On the other machine: flocksy keys number {printable(place.name)}\n")
    _print_rows(safety_number((place.newest_key, person.public_key)).split(), GROUPS_IN_ROW, 7)
    answer = _ask(f"\nDoes {printable(person.name)} read out the same number? Type same or no: ")
    return answer == "same"


def list_(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy keys list`"""
    place = read_place(options)
    nodes = set(place.words.nodes)
    rows = [
        {
            "name": person.name,
            "endpoints": list(person.endpoints),
            "public_key": person.public_key,
            "trust": person.trust.word,
            "since": person.entry.since.isoformat() if person.entry is not None else None,
            "in_flock": bool(nodes & set(person.endpoints)),
            "former_keys": len(person.entry.accepted(place.known().today)) if person.entry else 0,
        }
        for person in people(place.known())
    ]
    keyless = sorted(nodes - set(place.keystore) - set(place.words.hostnames))
    revoked = {one.uid: one for one in place.register.revoked}.values()
    if parsed.json:
        plain = {
            "name": place.name,
            "endpoint": place.own_endpoint,
            "public_key": place.newest_key,
            "members": rows,
            "without_key": keyless,
            "revoked": [{"name": one.name, "since": one.since.isoformat()} for one in revoked],
        }
        print(json.dumps(plain, indent=2))
        return EXIT_OK
    print(f"{printable(place.name)}  {printable(place.own_endpoint)}  this node")
    if place.next_pair is not None:
        print("    a new key waits: flocksy keys rotate --switch takes it")
    for row, person in zip(rows, people(place.known()), strict=True):
        notes = [] if row["in_flock"] else ["not in the configuration"]
        if row["former_keys"]:
            notes.append("its old key is accepted too")
        more = f"  ({', '.join(notes)})" if notes else ""
        start = " ".join(fingerprint_words(person.public_key)[:3])
        shown = f"{person.name}  {', '.join(person.endpoints)}  {row['trust']}"
        print(f"{printable(shown)}  {start} ...{more}")
    for endpoint in keyless:
        print(f"{printable(endpoint)}  no key: import its bundle")
    for one in revoked:
        print(f"{printable(one.name)}  revoked on {one.since}")
    return EXIT_OK


def remove(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy keys remove MEMBER`"""
    return _take_out(parsed, options, revoke=False)


def revoke(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy keys revoke MEMBER`"""
    if not parsed.undo:
        return _take_out(parsed, options, revoke=True)
    with changing(options) as place:
        change = pardoning(place.known(), parsed.member)
        said = write_change(place, change)
    _print_lines((*change.lines, *said))
    return EXIT_OK


def _take_out(parsed: argparse.Namespace, options: Options, *, revoke: bool) -> int:
    with changing(options) as place:
        person = find_person(place.known(), parsed.member)
        change = removing(place.known(), person, revoke=revoke)
        _print_lines(change.lines)
        if not _agreed(parsed, "Do this?"):
            return EXIT_FAULT
        _print_lines(write_change(place, change, tell=False))
        try:
            said = have_node_reload(options)
        except FlocksyError as error:
            # The node has perhaps refused all of it, and then the key is as good as ever.
            raise FlocksyError(
                f"{person.name}: is out of the files, but the running node cannot do with them: "
                f"{error}. If it still runs, stop it now: it goes on with that key"
            ) from None
    _print_lines(said)
    print(
        f"{printable(person.name)}: {'revoked' if revoke else 'removed'} here; every other member"
    )
    print("must do the same, else those who have and those who have not see no common flock.")
    return EXIT_OK


def reload_node(options: Options) -> None:
    """Have a running node look at its keys, and say what it says."""
    _print_lines(tell_node(options))


def _is_change(place: KeyPlace, change: Change) -> bool:
    nodes = set(place.words.nodes)
    return (
        change.keystore != place.keystore
        or change.register != place.register
        or bool(set(change.more_nodes) - nodes)
    )


def _agreed(parsed: argparse.Namespace, question: str) -> bool:
    if parsed.yes:
        return True
    if not sys.stdin.isatty():
        raise FlocksyError("nobody can be asked here; say yes with --yes. Nothing was changed")
    if _ask(f"{question} Type yes or no: ") == "yes":
        return True
    print("Nothing was changed.")
    return False


def _ask(question: str) -> str:
    try:
        return input(question).strip().lower()
    except EOFError:
        return ""


def _read_text(path: str | None) -> str:
    where = path or "standard input"
    if path in (None, "-") and sys.stdin.isatty():
        print("Paste the bundle, then press Ctrl-D on an empty line:", file=sys.stderr)
    try:
        if path in (None, "-"):
            data = sys.stdin.buffer.read(MAX_TEXT_BYTES + 1)
        else:
            assert path is not None
            with open(os.path.expanduser(path), "rb") as file:
                data = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise FlocksyError(f"{where}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_TEXT_BYTES:
        raise FlocksyError(f"{where}: larger than {MAX_TEXT_BYTES} bytes, this is no bundle")
    return data.decode("utf-8", "replace")


def _print_rows(parts: list[str] | tuple[str, ...], in_row: int, width: int) -> None:
    for start in range(0, len(parts), in_row):
        row = "".join(f"{part:{width}}" for part in parts[start : start + in_row])
        print(f"    {row.rstrip()}")


def _print_lines(lines: list[str] | tuple[str, ...]) -> None:
    for line in lines:
        print(printable(line))
