"""`flocksy pair`: two machines meet by a code of a few words.

Without an address this is the host: it shows a code and waits. With one it is a guest, and asks for
the code. The code never stands on a command line, where other users of the machine could read it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

from flocksy.cli.key_place import KeyPlace, changing, chosen, read_place, write_change
from flocksy.cli.keys import admit, reload_node
from flocksy.cli.pair_arguments import DEFAULT_PORT
from flocksy.config.settings import Options
from flocksy.errors import ConfigError, FlocksyError
from flocksy.keys.bundle import Bundle
from flocksy.keys.endpoints import is_host
from flocksy.keys.exchange import Change
from flocksy.keys.pairing import Invitation, PairingError, code_of, code_text, new_code
from flocksy.keys.pairing_find import Announcer, find_hosts
from flocksy.keys.pairing_link import PairingHost, join, listen
from flocksy.keys.people import people
from flocksy.keys.register import Trust
from flocksy.status.printable import printable
from flocksy.status.wording import EXIT_FAULT, EXIT_OK, EXIT_TIMEOUT


def pair(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy pair`"""
    options = chosen(options)
    # What admit() asks of a command line: here the code has answered.
    parsed.yes, parsed.replace = True, False
    place = read_place(options)
    if parsed.name is not None and parsed.machines != 1:
        raise ConfigError("pair: --as is for one machine; pair with each alone")
    if parsed.address is None and not parsed.find:
        return _host(parsed, options, place)
    if parsed.listen is not None or parsed.announce or parsed.machines != 1:
        raise ConfigError("pair: --listen, --announce and --for are for the machine with the code")
    if parsed.find and parsed.address is not None:
        raise ConfigError("pair: an address, or --find; not both")
    proxy = place.words.program.socks
    if proxy and not parsed.find:
        raise ConfigError(
            f"pair: would go to {parsed.address} past the proxy (socks = {proxy}), and who "
            "watches would see who meets whom; exchange bundles (flocksy keys export, and import "
            "there), or pair in one local network (--announce, --find)"
        )
    return _join(parsed, options, place)


def _host(parsed: argparse.Namespace, options: Options, place: KeyPlace) -> int:
    own = place.bundle(parsed)
    listen_at = parsed.listen or ""
    host, port = _address(f":{listen_at}" if listen_at.isdigit() else listen_at, DEFAULT_PORT)
    failures: list[str] = []
    came: list[Bundle] = []

    def joined(bundle: Bundle) -> None:
        try:
            _admit_paired(parsed, options, bundle)
        except FlocksyError as error:
            failures.append(str(error))
            print(f"flocksy: {printable(str(error))}", file=sys.stderr, flush=True)
            raise PairingError(str(error)) from error  # the others may still be right
        finally:
            sys.stdout.flush()
        came.append(bundle)

    try:
        with ExitStack() as stack:
            listener = stack.enter_context(listen(host, port))
            port = listener.getsockname()[1]
            announcer = stack.enter_context(Announcer(port)) if parsed.announce else None
            code = new_code(os.urandom)
            until = time.monotonic() + parsed.minutes * 60
            invitation = Invitation(code, parsed.machines, until, os.urandom)
            _show_code(code_text(code), parsed, host or _own_host(place), port)
            members = _members(place)
            waiting = PairingHost(listener, invitation, own, joined, members, announcer)
            outcome = waiting.run(until)
    finally:
        # Only now: a node that joins anew is waited for, and the guests would wait with it.
        if came:
            reload_node(options)
    for bundle in outcome.unsure:
        print(
            f"flocksy: {printable(bundle.name)}: did not say that it has everything; look there "
            "with flocksy keys list",
            file=sys.stderr,
        )
    if outcome.error is not None:
        raise outcome.error
    missing = parsed.machines - len(outcome.joined) - len(failures)
    if missing:
        print(
            f"flocksy: the time is over, {missing} of {parsed.machines} did not come; make a new "
            "code with flocksy pair",
            file=sys.stderr,
        )
        return EXIT_TIMEOUT
    keys = {bundle.public_key for bundle in outcome.joined}
    others = sorted(bundle.name for bundle in members if bundle.public_key not in keys)
    if others:
        print(f"{printable(', '.join(others))}: must still take in who is new. For each of them:")
        for bundle in outcome.joined:
            print(f"    {_export_words(parsed, bundle)}")
        print("and there, flocksy keys import.")
    if failures:
        return EXIT_FAULT
    print("Paired. When all have met, flocksy keys number is one number on all screens.")
    return EXIT_OK


def _join(parsed: argparse.Namespace, options: Options, place: KeyPlace) -> int:
    own = place.bundle(parsed)
    host, port = _found() if parsed.find else _address(parsed.address, DEFAULT_PORT)
    if not host or not port:
        raise ConfigError(f"pair: {parsed.address!r} is no address of another machine")
    code = _asked_code()
    came: list[Bundle] = []

    def met(bundle: Bundle) -> None:
        came.append(bundle)
        _admit_paired(parsed, options, bundle)
        print("Waiting for the other machines, if there are any (Ctrl-C: go on without).")
        sys.stdout.flush()

    def introduced(bundle: Bundle) -> None:
        try:
            _admit_introduced(options, bundle)
        except FlocksyError as error:  # the others may still be right
            print(f"flocksy: {printable(str(error))}", file=sys.stderr)

    try:
        join((host, port), code, own, met, introduced)
    finally:
        # Only now: a node that joins anew is waited for, and the host does not wait as long.
        if came:
            reload_node(options)
    print("Paired. When all have met, flocksy keys number is one number on all screens.")
    return EXIT_OK


def _admit_paired(parsed: argparse.Namespace, options: Options, bundle: Bundle) -> None:
    admit(parsed, options, bundle, Trust.PAIRED, tell=False)
    print(f"{printable(parsed.name or bundle.name)}: verified, it knows the code")


def _admit_introduced(options: Options, bundle: Bundle) -> None:
    """A key that is known here stays as it is: a bundle says no day, and the host's may be of
    before a move that this machine has heard of. Only its place in the flock is seen to."""
    with changing(options) as place:
        known = place.known()
        there = next((one for one in people(known) if one.public_key == bundle.public_key), None)
        if there is not None and there.revoked is None:
            if not set(there.endpoints) & set(place.words.nodes):
                more = Change((), dict(known.keystore), known.register, there.endpoints)
                write_change(place, more, tell=False)
            said = "known already, and stays as it is"
            same_uid = bundle.uid == known.register.uid(bundle.public_key)
            if bundle.endpoint not in there.endpoints or not same_uid:
                said = (
                    f"stays at {there.endpoints[0]} as it is known here; the other machine has it "
                    f"at {bundle.endpoint}: if that is newer, import its bundle from its owner"
                )
            print(f"{printable(there.name)}: {printable(said)}")
            return
    handed_on = argparse.Namespace(yes=True, replace=False, name=None)
    admit(handed_on, options, bundle, Trust.UNVERIFIED, tell=False)


def _export_words(parsed: argparse.Namespace, bundle: Bundle) -> str:
    """How somebody new is handed on: under the name in its bundle, which is not what it is called
    here after `--as`."""
    if parsed.name in (None, bundle.name):
        return f"flocksy keys export {printable(bundle.name)}"
    return f"flocksy keys export    (on {printable(bundle.name)} itself)"


def _found() -> tuple[str, int]:
    """The one machine of the local network that waits. Raises `FlocksyError`.

    A code is good for one try, so it is never tried on several.
    """
    print("Looking for it in the local network...", flush=True)
    found = find_hosts()
    if not found:
        raise FlocksyError(
            "pair: no machine in the local network says that it waits; start it there with flocksy "
            "pair --announce, or give its address"
        )
    listed = ", ".join(f"{host}:{port}" for host, port in found)
    if len(found) > 1:
        raise FlocksyError(f"pair: several machines wait: {listed}; give the address of the right")
    print(f"Found at {listed}.", flush=True)
    return found[0]


def _members(place: KeyPlace) -> list[Bundle]:
    """The bundles of the flock as this node knows it, to hand to who is new."""
    nodes = set(place.words.nodes)
    return [
        person.entry.bundle
        for person in people(place.known())
        if person.entry is not None
        and person.entry.bundle is not None
        and nodes & set(person.endpoints)
    ]


def _show_code(code: str, parsed: argparse.Namespace, host: str, port: int) -> None:
    where = f"[{host}]" if ":" in host else host
    if port != DEFAULT_PORT:
        where = f"{where}:{port}"
    many = f"{parsed.machines} machines" if parsed.machines > 1 else "one machine"
    print("Tell this code to the other side, by voice, to nobody else:\n")
    print(f"    {code}\n")
    print(f"It is good for {many} and {parsed.minutes:g} minutes; one wrong try burns it.")
    print(f"There:  flocksy pair {printable('--find' if parsed.announce else where)}", flush=True)


def _own_host(place: KeyPlace) -> str:
    """As the others reach this machine, if its endpoint says so."""
    if place.own_endpoint.startswith("ipc://"):
        return "localhost"
    return urlsplit(place.own_endpoint).hostname or "localhost"


def _asked_code() -> bytes:
    """The code as a person types it, or as a script writes it to standard input."""
    try:
        text = input("Code: " if sys.stdin.isatty() else "")
    except EOFError:
        raise ConfigError("pair: no code; write its words to standard input") from None
    try:
        return code_of(text)
    except ValueError as error:
        raise ConfigError(f"pair: {error}; nothing was tried, the code is still good") from None


def _address(text: str, default_port: int) -> tuple[str, int]:
    """Host and port of `HOST`, `HOST:PORT`, `:PORT`, `[IPv6]`, `[IPv6]:PORT`."""
    host, port = text.strip().removeprefix("tcp://"), str(default_port)
    if host.startswith("[") and "]" in host:
        host, _, rest = host[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    plain = port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535
    if not plain or (host and not is_host(f"[{host}]" if ":" in host else host)):
        raise ConfigError(f"pair: {text!r} is no address; write HOST, HOST:PORT or [IPv6]:PORT")
    return host, int(port)
