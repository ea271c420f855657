"""The key files of one node as the commands see them, whether it runs or not.

A command takes the lock of the keystore, thinks, asks, writes, and tells a running node to look
again. The node itself never writes these files.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from flocksy.cli.passphrase import opened
from flocksy.cli.running import only_running
from flocksy.config.load import Words, load_state_dir, load_words
from flocksy.config.settings import Options
from flocksy.config.state import control_path, lock_path
from flocksy.errors import ConfigError, FlocksyError, KeyFileError
from flocksy.keys.bundle import Bundle, checked_name, make_bundle
from flocksy.keys.endpoints import told_endpoint
from flocksy.keys.exchange import Change
from flocksy.keys.files import read_keystore, read_private_keys, refuse_lost, write_keystore
from flocksy.keys.identity import identity, waiting_pair
from flocksy.keys.pair import KeyPair
from flocksy.keys.people import Known, people
from flocksy.keys.register import Register, read_register, write_register
from flocksy.status.client import NotRunningError, request
from flocksy.system import locks

JOINING_SECONDS = 120.0
"""A node that joins anew finishes its burst first, a minute and a half at most, and then starts."""

LOOK_SECONDS = 0.1


@dataclasses.dataclass(frozen=True, slots=True)
class KeyPlace:
    """What the key files said when they were read."""

    options: Options
    words: Words
    own_endpoint: str
    pair: KeyPair
    """Perhaps sealed."""
    next_pair: KeyPair | None
    """While a rotation is under way: the pair to come."""
    keystore: dict[str, str]
    register: Register

    @property
    def next_path(self) -> str:
        """Where the pair to come lies."""
        return next_path(self.words)

    @property
    def name(self) -> str:
        """What this machine is called: as configured, else after its endpoint."""
        return self.words.program.name or name_from(self.own_endpoint)

    @property
    def told_endpoint(self) -> str:
        """Where others are to reach this machine. Raises `ConfigError` where that leads nowhere."""
        try:
            return told_endpoint(self.own_endpoint)
        except ValueError as error:
            raise ConfigError(
                f"{self.words.config_path}: hostname = {self.own_endpoint}: {error}"
            ) from None

    @property
    def newest_key(self) -> str:
        """The own key that people are to compare: the one to come where there is one."""
        return (self.next_pair or self.pair).public_key

    @property
    def first_key(self) -> str | None:
        """Where our key was rotated: the one that our uid comes from."""
        return self.register.first_key(self.pair.public_key)

    def known(self) -> Known:
        """As the functions of `flocksy.keys.people` and `exchange` want it."""
        own = [self.pair.public_key]
        if self.next_pair is not None:
            own.append(self.next_pair.public_key)
        return Known(self.keystore, self.register, tuple(own), self.words.hostnames, today())

    def flock_keys(self) -> list[str]:
        """Ours, and of those in the keystore whom the configuration names as nodes: what the number
        of the flock is made of."""
        nodes = set(self.words.nodes)
        others = [one for one in people(self.known()) if nodes & set(one.endpoints)]
        return [self.newest_key, *(one.public_key for one in others)]

    def bundle(self, parsed: argparse.Namespace) -> Bundle:
        """This node's own bundle; asks for the passphrase where the key is under one."""
        pair = opened(self.pair, self.words.privatekey_path, parsed)
        return make_bundle(pair, self.name, self.told_endpoint, first_key=self.first_key)


def today() -> datetime.date:
    """The day everywhere: UTC."""
    return datetime.datetime.now(datetime.UTC).date()


def next_path(words: Words) -> str:
    """Where the pair to come lies while a rotation is under way."""
    return f"{os.path.realpath(words.privatekey_path)}.next"


def name_from(endpoint: str) -> str:
    """What a machine is called that nobody has named: the first part of its host's name, or the
    last of its socket's path."""
    kind, _, rest = endpoint.partition("://")
    host = rest.rpartition(":")[0].strip("[]")
    first = host.partition(".")[0]
    base = os.path.basename(rest) if kind == "ipc" else host if first.isdigit() else first
    try:
        return checked_name("".join(c if c.isalnum() or c in "-_." else "-" for c in base)[:32])
    except ValueError:
        return "node"


def chosen(options: Options) -> Options:
    """The node that is meant: by its flags, else the only one that runs, else `~/.flocksy`."""
    if options != Options():
        return options
    found = only_running()
    if found is None:
        return options
    if found.options is None:
        raise ConfigError(
            f"the node that runs, {found.words}, does not say which files are its own; choose it "
            "with -c, or try again"
        )
    return found.options


def read_place(options: Options) -> KeyPlace:
    """Read everything. A keystore that is not there yet is an empty one."""
    words = load_words(options)
    if not words.hostnames:
        raise ConfigError(
            f"{words.config_path}: no hostname, the endpoint of this node; add hostname = host:port"
        )
    keystore: dict[str, str] = {}
    if os.path.lexists(words.keystore_path):
        keystore = read_keystore(words.keystore_path)
    private_keys = read_private_keys(words.privatekey_path)
    own, pair = identity(
        words.hostnames,
        private_keys,
        {},
        privatekey_path=words.privatekey_path,
        keystore_path=words.keystore_path,
        nodes=words.nodes,
    )
    upcoming = None
    if os.path.lexists(next_path(words)):
        waiting = read_private_keys(next_path(words))
        upcoming = waiting_pair(own, pair, private_keys, waiting, waiting_path=next_path(words))
    register = read_register(words.keystore_path, pair)
    return KeyPlace(options, words, own, pair, upcoming, keystore, register)


@contextmanager
def changing(options: Options) -> Iterator[KeyPlace]:
    """Read everything and keep others from changing it meanwhile."""
    words = load_words(options)
    refuse_lost(words.keystore_path, "keystore")
    path = f"{os.path.realpath(words.keystore_path)}.lock"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        lock = locks.lock_file(path)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be locked: {error.strerror}") from None
    if lock is None:
        raise KeyFileError(f"{words.keystore_path}: another command changes it just now; try again")
    with lock:
        yield read_place(options)


def write_change(place: KeyPlace, change: Change, *, tell: bool = True) -> list[str]:
    """Write what a change says, and with `tell` have a running node look. Returns lines for
    people."""
    from flocksy.config.edit_nodes import change_nodes

    # Whoever goes leaves the configuration first: only the rest says whom the same command means
    # when it broke off and is given again. Who comes is named last: a node without a key is none.
    last = not change.fewer_nodes
    said = [] if last else change_nodes(place.options, change.more_nodes, change.fewer_nodes)
    if change.register != place.register:
        write_register(place.words.keystore_path, change.register)
    keystore = dict(change.keystore)
    # The own line belongs in the keystore, which people hand around in the original's manner.
    for endpoint in place.words.hostnames:
        keystore.setdefault(endpoint, place.pair.public_key)
    if keystore != place.keystore:
        write_keystore(place.words.keystore_path, keystore)
    if last:
        said = change_nodes(place.options, change.more_nodes, ())
    return [*said, *(tell_node(place.options) if tell else ())]


def tell_node(options: Options) -> list[str]:
    """Have the running node read its keys anew. Returns lines for people; none if none runs."""
    try:
        return have_node_reload(options)
    except FlocksyError as error:
        return [f"The running node goes on as before: {error}"]


def have_node_reload(options: Options) -> list[str]:
    """As `tell_node`. Raises `FlocksyError` where the node has not taken over what was written.

    A node that joins anew just now has perhaps read the keys already, and cannot be asked until it
    is there again: it is waited for.
    """
    patience = time.monotonic() + JOINING_SECONDS
    state_dir = load_state_dir(options)
    while True:
        try:
            answer = request(control_path(state_dir), "reload")
        except NotRunningError:
            if not _in_use(state_dir):
                return []
            if time.monotonic() > patience:
                raise FlocksyError(
                    f"it has its state in use ({lock_path(state_dir)} is held), but does not answer"
                    f" at {control_path(state_dir)}"
                ) from None
            time.sleep(LOOK_SECONDS)
        else:
            return [str(answer["text"])] if answer.get("text") else []


def _in_use(state_dir: str) -> bool:
    """Whether a node has this state, answering or not."""
    path = lock_path(state_dir)
    if not os.path.exists(path):
        return False
    try:
        lock = locks.lock_file(path)
    except OSError:
        return False
    if lock is None:
        return True
    lock.close()
    return False
