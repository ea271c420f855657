"""From a configuration file, a command line and two key files to one `NodeSettings`.

Loading reads and never writes, so that a bad file found on SIGHUP changes nothing: load again, and
only what comes back without an error replaces what there was.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Callable
from dataclasses import dataclass

from flocksy.config import document, formats, places, state, together
from flocksy.config.document import BoxBlock, Document, Entry
from flocksy.config.model import BoxModel, ProgramModel, check
from flocksy.config.settings import BoxSettings, Member, NodeSettings, Options, Profile, Symlinks
from flocksy.errors import ConfigError, FlocksyError, KeyFileError, RevokedError
from flocksy.keys.endpoints import normal_endpoint
from flocksy.keys.files import read_keystore, read_private_keys
from flocksy.keys.identity import group_members, identity
from flocksy.keys.pair import KeyPair
from flocksy.keys.register import Register, read_register, register_path
from flocksy.seam.limits import MAX_LANES

DEFAULT_CONFIG = "~/.flocksy"
DEFAULT_KEYSTORE = "~/.ssh/flocksy_keystore"
DEFAULT_PRIVATEKEY = "~/.ssh/flocksy_privatekeys"
COMMAND_LINE = "command line"

MAX_ELSEWHERE = 4
"""Endpoints at which a node looks for another one with its key: machines it was copied from."""


@dataclass(frozen=True, slots=True)
class _Defaults:
    """What a profile stands for, in milliseconds."""

    period_ms: int
    settle_ms: int
    rest_mean_ms: int
    announce_delay_mean_ms: int
    outside_delay_mean_ms: int


PROFILES: dict[Profile, _Defaults] = {
    # Settling takes one period: a member that is late by less is then not seen to be.
    "fast": _Defaults(100, 100, 500, 50, 0),
    "balanced": _Defaults(250, 250, 2000, 500, 60_000),
    "quiet": _Defaults(2000, 2000, 2000, 10_000, 600_000),
}


@dataclass(frozen=True, slots=True)
class Words:
    """What file and command line say, each value checked alone; no key file is read for it."""

    config_path: str
    program: ProgramModel
    hostnames: tuple[str, ...]
    nodes: tuple[str, ...]
    boxes: tuple[tuple[BoxSettings, str], ...]  # with where each was said
    keystore_path: str
    privatekey_path: str
    state_dir: str | None


def config_path(options: Options) -> str:
    """The configuration file that the options mean."""
    return places.absolute(options.config or DEFAULT_CONFIG)


def is_all_said(options: Options) -> bool:
    """Whether there is no file and need not be one: everything may be said on the command line."""
    bare = options.config is None and bool(options.hostnames)
    return bare and not os.path.exists(config_path(options))


def load_words(options: Options, text: str | None = None) -> Words:
    """Join the configuration file with the command line.

    `text` stands for the file's content where a change of it is to be tried. Raises `ConfigError`.
    """
    path = config_path(options)
    if text is None and is_all_said(options):
        text = ""
    found = formats.parse(path, document.read_text(path) if text is None else text)
    said = [Entry("hostname", value, f"{COMMAND_LINE}: --hostname") for value in options.hostnames]
    said += [Entry("node", value, f"{COMMAND_LINE}: --node") for value in options.nodes]
    said += [Entry("box", value, f"{COMMAND_LINE}: --box") for value in options.boxes]
    program = check(ProgramModel, [*found.program, *said])
    entries = [*found.program, *said]
    there = os.path.dirname(path)

    def own_path(given: str | None, configured: str | None, default: str | None) -> str | None:
        if given is not None:
            return places.absolute(given)
        value = configured or default
        return None if value is None else places.absolute(value, there)

    keystore = own_path(options.keystore, program.keystore, DEFAULT_KEYSTORE)
    privatekey = own_path(options.privatekey, program.privatekey, DEFAULT_PRIVATEKEY)
    assert keystore is not None and privatekey is not None, "both have a default"
    return Words(
        config_path=path,
        program=program,
        hostnames=_endpoints(entries, "hostname"),
        nodes=_endpoints(entries, "node"),
        boxes=_boxes(found, entries, there),
        keystore_path=keystore,
        privatekey_path=privatekey,
        state_dir=own_path(options.state_dir, program.state_dir, None),
    )


def load(options: Options, text: str | None = None) -> NodeSettings:
    """Everything a node runs with, complete and checked.

    Raises `ConfigError` or `KeyFileError` with one line that says where, what and what to do.
    """
    words = load_words(options, text)
    program, path = words.program, words.config_path
    if not words.nodes:
        raise ConfigError(
            f"{path}: no node, the endpoint of another member; meet one with flocksy pair, or add "
            "node = host:port"
        )
    keystore = read_keystore(words.keystore_path)
    own, pair = _identity(words, keystore)
    own_endpoints = (own, *(endpoint for endpoint in words.hostnames if endpoint != own))
    grouped = group_members(
        own_endpoints,
        pair,
        words.nodes,
        keystore,
        keystore_path=words.keystore_path,
        proxied=program.socks is not None,
    )
    register = read_register(words.keystore_path, pair)
    members = _members(grouped, register, words.keystore_path)
    if not 2 <= len(members) <= MAX_LANES:
        raise ConfigError(
            f"{path}: a flock has 2 to {MAX_LANES} members, this one {len(members)}; "
            "every node line needs a key of its own in the keystore"
        )
    state_dir = state.locate(register.uid(pair.public_key), words.state_dir)
    own_files = {
        "configuration": path,
        "keystore": words.keystore_path,
        "register of keys": register_path(words.keystore_path),
        "private keys": words.privatekey_path,
        "state of this node": state_dir,
    }
    places.check_boxes(words.boxes, own_files, state_dir)
    defaults = PROFILES[program.profile]
    period_ms = _ms(program.period, defaults.period_ms)
    together.check_timing(program, period_ms, path)
    return NodeSettings(
        key_pair=pair,
        identity=own,
        hostnames=own_endpoints,
        members=members,
        boxes=tuple(box for box, _ in words.boxes),
        profile=program.profile,
        pace=program.pace,
        period_ms=period_ms,
        idle_cell=program.idle_cell,
        burst_cell=program.burst_cell,
        max_rate=program.max_rate,
        min_view=together.min_view(program, len(members), path),
        settle_ms=_ms(program.settle, defaults.settle_ms),
        rest_mean_ms=_ms(
            program.rest, 0 if program.burst_timing == "constant" else defaults.rest_mean_ms
        ),
        stall_timeout_ms=_ms(program.stall_timeout, 0),
        burst_timing=program.burst_timing,
        burst_every_ms=_ms(program.burst_every, 0),
        burst_cells=program.burst_cells,
        announce_delay_mean_ms=_ms(program.announce_delay, defaults.announce_delay_mean_ms),
        outside_delay_mean_ms=_ms(program.outside_delay, defaults.outside_delay_mean_ms),
        possinymity_floor=together.possinymity_floor(program, len(members), path),
        socks=program.socks,
        keystore_path=words.keystore_path,
        privatekey_path=words.privatekey_path,
        config_path=path,
        state_dir=state_dir,
        options=options,
        first_key=register.first_key(pair.public_key),
        own_key_elsewhere=tuple(
            sorted(
                endpoint
                for endpoint in {*keystore, *words.nodes} - {*words.hostnames}
                if keystore.get(endpoint) == pair.public_key
            )[:MAX_ELSEWHERE]
        ),
    )


def load_state_dir(options: Options) -> str:
    """The state directory of the node that the options mean, for finding it while it runs.

    Less is checked than by `load`: a node whose configuration was broken since can be found.
    """
    words = load_words(options)
    _, pair = _identity(words, {})
    register = read_register(words.keystore_path, pair)
    return state.locate(register.uid(pair.public_key), words.state_dir)


def reload(settings: NodeSettings, could_run: Callable[[NodeSettings], object]) -> NodeSettings:
    """Load again what `settings` came from; uid and state directory stay.

    A private key that is open stays open. `could_run` raises `FlocksyError` for settings with which
    a node would not start: whoever left to join anew with them would not come back. Raises that,
    and then nothing has changed; or `RevokedError`, where the node must not go on with `settings`
    either.
    """
    try:
        fresh = _loaded_again(settings)
        could_run(fresh)
        return fresh
    except FlocksyError as error:
        gone = _revoked(settings)
        if not gone:
            raise
        raise RevokedError(
            f"{error}; the node leaves, since a member was revoked: {', '.join(gone)}"
        ) from error


def _loaded_again(settings: NodeSettings) -> NodeSettings:
    fresh = load(settings.options)
    if fresh.uid != settings.uid:
        raise ConfigError(
            f"{fresh.config_path}: this node would be another member, which cannot change while "
            "it runs; start it again"
        )
    fresh = dataclasses.replace(fresh, state_dir=settings.state_dir)
    if fresh.key_pair.public_key == settings.key_pair.public_key:
        return dataclasses.replace(fresh, key_pair=settings.key_pair)
    if not fresh.key_pair.is_open:
        raise KeyFileError(
            f"{fresh.privatekey_path}: the new private key is under a passphrase; start the node "
            "again to be asked for it"
        )
    return fresh


def _revoked(settings: NodeSettings) -> tuple[str, ...]:
    """The names of the members in `settings` who by now are revoked."""
    try:
        register = read_register(settings.keystore_path)
    except KeyFileError:
        return ()  # nobody has been revoked in a register that no command can read
    found = (register.revocation(one.uid, one.public_key) for one in settings.members)
    return tuple(sorted(one.name for one in found if one is not None))


def must_join_anew(before: NodeSettings, after: NodeSettings) -> tuple[str, ...]:
    """The names of what has changed that the links or the whole flock rest on: with another one
    of these a node leaves, and joins again."""
    names = (
        *("key_pair", "hostnames", "members", "profile", "socks"),
        *("announce_delay_mean_ms", "outside_delay_mean_ms", "possinymity_floor"),
    )
    changed = [name for name in names if getattr(before, name) != getattr(after, name)]
    ours = dict(before.flock_settings())
    changed += [name for name, value in after.flock_settings() if ours[name] != value]
    return tuple(dict.fromkeys(changed))


def _identity(words: Words, keystore: dict[str, str]) -> tuple[str, KeyPair]:
    if not words.hostnames:
        raise ConfigError(
            f"{words.config_path}: no hostname, the endpoint of this node; add hostname = host:port"
        )
    return identity(
        words.hostnames,
        read_private_keys(words.privatekey_path),
        keystore,
        privatekey_path=words.privatekey_path,
        keystore_path=words.keystore_path,
        nodes=words.nodes,
    )


def _members(
    grouped: dict[str, tuple[str, ...]], register: Register, keystore_path: str
) -> tuple[Member, ...]:
    """The members sorted by uid, each with the keys that it may have now."""
    today = datetime.datetime.now(datetime.UTC).date()
    found: dict[str, Member] = {}
    for key, endpoints in grouped.items():
        uid, entry = register.uid(key), register.entry(key)
        if uid in found:
            raise KeyFileError(
                f"{keystore_path}: {found[uid].endpoints[0]} and {endpoints[0]} have an old and a "
                "new key of one member; flocksy keys remove the old one"
            )
        revoked = register.revocation(uid, key)
        if revoked is not None:
            raise KeyFileError(
                f"{keystore_path}: {endpoints[0]} has the key of {revoked.name}, revoked on "
                f"{revoked.since}; take its node line out of the configuration"
            )
        found[uid] = Member(uid, key, endpoints, entry.accepted(today) if entry else ())
    return tuple(found[uid] for uid in sorted(found))


def _ms(seconds: float | None, default: int) -> int:
    return default if seconds is None else round(seconds * 1000)


def _endpoints(entries: list[Entry], key: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for entry in entries:
        if entry.key == key:
            try:
                found[normal_endpoint(str(entry.value))] = None
            except ValueError as error:
                raise ConfigError(f"{entry.where}: {key}: {str(entry.value)!r} {error}") from None
    return tuple(found)


def _boxes(
    found: Document, entries: list[Entry], there: str
) -> tuple[tuple[BoxSettings, str], ...]:
    """The boxes of lines, of blocks and of the command line, joined by name."""
    paths: dict[str, tuple[str | None, str]] = {}
    for entry in entries:
        if entry.key == "box":
            base = "" if entry.where.startswith(COMMAND_LINE) else there
            try:
                name, given = places.split_box(str(entry.value))
            except ValueError as error:
                raise ConfigError(f"{entry.where}: box: {error}") from None
            path = None if given is None else places.absolute(given, base)
            # The command line may say again what the file says, but not something else.
            again = entry.where.startswith(COMMAND_LINE) and paths.get(name, ("",))[0] == path
            if name in paths and not again:
                raise ConfigError(
                    f"{entry.where}: the box {name} is there twice, first at {paths[name][1]}; "
                    "give one another name"
                )
            paths.setdefault(name, (path, entry.where))
    for name, block in found.boxes.items():
        try:
            places.checked_name(name)
        except ValueError as error:
            raise ConfigError(f"{block.where}: {error}") from None
        paths.setdefault(name, (None, block.where))
    return tuple(
        (_box(name, path, where, found.boxes.get(name), there), where)
        for name, (path, where) in paths.items()
    )


def _box(
    name: str, path: str | None, where: str, block: BoxBlock | None, there: str
) -> BoxSettings:
    model = check(BoxModel, block.entries if block is not None else ())
    if model.base_path is not None:
        base_path = places.absolute(model.base_path, there)
        if path not in (None, base_path):
            raise ConfigError(
                f"{where}: the box {name} has the path {path} here and the base_path {base_path} "
                "in its block; make them the same"
            )
        path = base_path
    if path is None:
        raise ConfigError(f"{where}: the box {name} has no path; add its base_path")
    return BoxSettings(
        name,
        path,
        Symlinks(model.symlinks),
        model.removable,
        model.mode,
        model.folders,
        model.paused,
        model.guard,
        model.history_cap,
        model.xattrs,
    )
