"""`flocksy check`: could this configuration run here and now? Each finding with its remedy.

It looks and changes nothing. What the loading of a configuration finds is only ever its first
fault; here all of them are looked for, and what the loading never asks: ports, limits, disks.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import asdict

from flocksy.cli.findings import Finding, refused
from flocksy.cli.machine import (
    box_findings,
    clock_findings,
    memory_findings,
    name_findings,
    state_findings,
    watch_findings,
)
from flocksy.cli.processor import processor_findings
from flocksy.config.load import Words, load, load_words
from flocksy.config.settings import NodeSettings, Options
from flocksy.errors import ConfigError, FlocksyError, KeyFileError
from flocksy.keys.endpoints import is_local
from flocksy.keys.files import read_keystore, read_private_keys
from flocksy.keys.identity import how_to_have_one
from flocksy.keys.register import Trust, read_register
from flocksy.keys.samples import SAMPLE_PUBLIC_KEYS
from flocksy.status.printable import printable
from flocksy.status.wording import EXIT_OK, EXIT_USAGE
from flocksy.system import locks, user
from flocksy.system.ports import listening_finding


def check(parsed: argparse.Namespace, options: Options) -> int:
    """`flocksy check`"""
    findings = list(find(options))
    problems = [finding for finding in findings if finding.level == "problem"]
    if parsed.json:
        plain = [asdict(finding) for finding in findings]
        for one in plain:
            del one["exit_status"]
        print(json.dumps({"could_run": not problems, "findings": plain}, indent=2))
    else:
        for finding in findings:
            print(f"{finding.level:<8} {finding.what}: {printable(finding.text)}")
            if finding.remedy:
                print(f"         -> {printable(finding.remedy)}")
        warnings = sum(finding.level == "warning" for finding in findings)
        verdict = "it could run"
        if problems:
            verdict = f"it could not run: {_count(len(problems), 'problem')}"
        print(f"\n{verdict}" + (f", {_count(warnings, 'warning')}" if warnings else ""))
    return max((finding.exit_status for finding in problems), default=EXIT_OK)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def find(options: Options) -> Iterator[Finding]:
    """All findings, one by one."""
    try:
        words = load_words(options)
    except ConfigError as error:
        yield refused("configuration", error)
        return
    yield from _own_files(words)
    said = False
    for finding in _keys(words):
        said = said or finding.level == "problem"
        yield finding
    if not words.nodes:
        said = True
        yield Finding(
            "problem",
            "members",
            f"{words.config_path}: no other member yet",
            "meet them with flocksy pair, or import their bundles with flocksy keys import",
            EXIT_USAGE,
        )
    settings = None
    try:
        settings = load(options)
    except FlocksyError as error:
        # What is wrong with keys and members has been said, one by one.
        about_keys = isinstance(error, KeyFileError) or not words.nodes
        if not (about_keys and said):
            yield refused("configuration", error)
    else:
        yield Finding(
            "ok",
            "configuration",
            f"{words.config_path}: {len(settings.members)} members, "
            f"{len(settings.boxes)} boxes, profile {settings.profile}",
        )
    if not words.boxes:
        yield Finding("warning", "boxes", "no box, nothing is shared", "flocksy box add NAME@PATH")
    for box, _ in words.boxes:
        yield from box_findings(box.name, box.path, removable=box.removable)
    running = settings is not None and _runs(settings)
    if running:
        yield Finding("ok", "node", "it runs: its ports are its own; see flocksy status")
    else:
        for endpoint in words.hostnames:
            level, text, remedy = listening_finding(endpoint)
            yield Finding(level, "port", text, remedy)
    if not words.program.socks:
        yield from name_findings(words)
    if settings is not None:
        yield from state_findings(settings)
        if not running:
            yield from memory_findings(settings)
    yield from watch_findings(words)
    yield from clock_findings()
    yield from processor_findings()


# ── files and keys ───────────────────────────────────────────────────────────────────────────


def _own_files(words: Words) -> Iterator[Finding]:
    """Whoever can write these can let himself in."""
    if os.name != "posix":
        return
    private = os.path.dirname(words.privatekey_path)
    for what, path in (
        ("configuration", words.config_path),
        ("keystore", words.keystore_path),
        ("private keys", private),
        ("keystore", os.path.dirname(words.keystore_path)),
    ):
        try:
            found = os.stat(path)
        except OSError:
            continue  # said elsewhere, with what it is for
        if found.st_uid not in (user.user_id(), 0):
            yield Finding(
                "problem",
                what,
                f"{path}: belongs to another user",
                f"sudo chown {user.user_id()} {shlex.quote(path)}, if it is yours",
            )
        sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        # The directory of the private keys is refused with them.
        if found.st_mode & 0o022 and not sticky and path != private:
            yield Finding(
                "problem",
                what,
                f"{path}: others can write here (mode {stat.S_IMODE(found.st_mode):04o}): they "
                "could put a key of their own there",
                f"chmod go-w {shlex.quote(path)}",
            )
        elif path == private and found.st_mode & 0o055 and not found.st_mode & 0o022:
            yield Finding(
                "warning",
                what,
                f"{path}: others can look into the directory of the private keys "
                f"(mode {stat.S_IMODE(found.st_mode):04o})",
                f"chmod 700 {shlex.quote(path)}",
            )


def _keys(words: Words) -> Iterator[Finding]:
    if not words.hostnames:
        return  # the loading says so
    try:
        private = read_private_keys(words.privatekey_path)
    except KeyFileError as error:
        yield refused("private keys", error)
        return
    try:
        keystore = read_keystore(words.keystore_path)
    except KeyFileError as error:
        yield refused("keystore", error)
        return
    own = next((endpoint for endpoint in words.hostnames if endpoint in private), None)
    if own is None:
        yield Finding(
            "problem",
            "private keys",
            f"{words.privatekey_path}: no private key for {' or '.join(words.hostnames)}",
            how_to_have_one(private, words.nodes),
            EXIT_USAGE,
        )
        return
    yield Finding("ok", "private keys", f"{words.privatekey_path}: has the key of {own}")
    without = [node for node in words.nodes if node not in keystore and node not in words.hostnames]
    for node in without:
        yield Finding(
            "problem",
            "members",
            f"{node}: has no public key in {words.keystore_path}",
            "pair with it (flocksy pair), or ask its owner for the bundle and flocksy keys import",
            EXIT_USAGE,
        )
    keys = {endpoint: keystore[endpoint] for endpoint in words.nodes if endpoint in keystore}
    keys[own] = private[own].public_key
    for endpoint, key in keys.items():
        if key in SAMPLE_PUBLIC_KEYS:
            local = is_local(endpoint) and not words.program.socks
            yield Finding(
                "warning" if local else "problem",
                "members",
                f"{endpoint}: has a sample key, whose private half everybody knows",
                "make a key of its own with flocksy --create-private-keys, for anything but trying",
                EXIT_USAGE,
            )
    if words.nodes and not without:
        yield Finding("ok", "members", f"all {len(words.nodes)} other members have a key")
    yield from _compared(words, keys, private[own].public_key)


def _compared(words: Words, keys: dict[str, str], own_key: str) -> Iterator[Finding]:
    """Keys that nobody has compared: whoever can swap a key can read along."""
    try:
        register = read_register(words.keystore_path)
    except KeyFileError as error:
        yield refused("register", error)
        return
    names = []
    for endpoint, key in keys.items():
        entry = register.entry(key)
        if key != own_key and (entry is None or entry.trust is Trust.UNVERIFIED):
            names.append(endpoint if entry is None else entry.name)
    if names:
        yield Finding(
            "warning",
            "members",
            f"nobody has compared the keys of {', '.join(names)}",
            "compare flocksy keys number with them, then flocksy keys verify each",
        )


def _runs(settings: NodeSettings) -> bool:
    path = os.path.join(settings.state_dir, "lock")
    if not os.path.exists(path):
        return False
    try:
        lock = locks.lock_file(path)
    except OSError:
        return False  # the state directory has a finding of its own
    if lock is None:
        return True
    lock.close()
    return False
