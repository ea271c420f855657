"""Where a node keeps its state: a directory drawn at first start and found again by its uid.

`$XDG_STATE_HOME/flocksy/<16 hex>/` holds a file `uid`, a `lock`, the `version` of the directory,
and what the other parts put in. The digits of the directory also name the control socket, in
`$XDG_RUNTIME_DIR/flocksy/`; a file `socket` says where a node has made it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import secrets

from flocksy.config.settings import NodeSettings
from flocksy.errors import ConfigError, FlocksyError
from flocksy.system import locks, user

NAME = re.compile(r"[0-9a-f]{16}")
MAX_FILE_BYTES = 256
"""Of a uid: 128 digits and a newline. The path of a socket is shorter."""

VERSION = 1
"""Of the directory: which files there are, and what they mean. Indexes have their own."""

SOCKET = "socket"
"""The file that says where the node's control socket is."""

PATIENCE_SECONDS = 2.0
"""A node that starts waits so long for a command that just looks at its state."""


def state_home() -> str:
    """The directory of all state directories of this user."""
    given = os.environ.get("XDG_STATE_HOME", "")
    base = given if os.path.isabs(given) else os.path.expanduser("~/.local/state")
    return os.path.join(base, "flocksy")


def socket_home() -> str:
    """The directory of the control sockets of this user's running nodes."""
    return os.path.join(user.runtime_dir(), "flocksy")


def locate(uid: str, override: str | None) -> str:
    """The state directory of the node `uid`, which may not exist yet.

    Raises `ConfigError` where `override` belongs to another node.
    """
    if override is not None:
        found = _uid_in(override)
        if found not in (None, uid):
            raise ConfigError(
                f"{override}: is the state directory of another node; name a directory of its own"
            )
        return override
    return _find(uid) or os.path.join(state_home(), secrets.token_hex(8))


def lock_path(state_dir: str) -> str:
    """The lock that is held by whoever uses this state: its node, or a command without one."""
    return os.path.join(state_dir, "lock")


def control_path(state_dir: str) -> str:
    """The control socket of the node that has this state: where it says that it listens.

    Where it says nothing, or what it says is not there any more, where it would listen as seen
    from here. Raises `FlocksyError`.
    """
    return _told(state_dir) or socket_place(state_dir)


def control_paths() -> tuple[str, ...]:
    """The control sockets that nodes of this user may have: those in the directory for them as it
    is seen from here, and those that state directories name. Raises `FlocksyError`."""
    home = socket_home()
    found = {os.path.join(home, name) for name in _names(home) if name.endswith(".sock")}
    for name in _names(state_home()):
        found.add(_told(os.path.join(state_home(), name)) or "")
    # As found, for what a link leads to may be too long for a socket.
    return tuple({os.path.realpath(path): path for path in sorted(found) if path}.values())


def socket_place(state_dir: str) -> str:
    """Where the node that has this state makes its control socket. Raises `FlocksyError`."""
    name = os.path.basename(state_dir)
    if not NAME.fullmatch(name) or os.path.dirname(state_dir) != state_home():
        name = hashlib.blake2b(os.fsencode(os.path.realpath(state_dir)), digest_size=8).hexdigest()
    return os.path.join(socket_home(), f"{name}.sock")


def tell_control_path(state_dir: str, path: str) -> None:
    """Say where the node listens that has this state: a command may have another environment, and
    look elsewhere. The caller holds the lock. Raises `OSError`."""
    _write(state_dir, SOCKET, path)


def claim(settings: NodeSettings) -> tuple[NodeSettings, locks.FileLock]:
    """Make the state directory where there is none, and take its lock.

    Returns the settings with the directory that was taken, and the lock, which the caller keeps for
    as long as it uses the state. Raises `AlreadyRunningError` where another process has it.
    """
    try:
        if not os.path.isdir(settings.state_dir):
            settings = _make(settings)
        path = lock_path(settings.state_dir)
        lock = locks.lock_file(path, PATIENCE_SECONDS)
    except OSError as error:
        raise FlocksyError(
            f"{settings.state_dir}: cannot be used for the node's state: {error.strerror}; "
            "mend that or name another directory with --state-dir"
        ) from error
    if lock is None:
        raise AlreadyRunningError(
            f"{settings.identity}: its node runs already, or a command works on its state ({path} "
            "is held); see flocksy status, or try again"
        )
    try:
        _check_version(settings.state_dir)
        _write(settings.state_dir, "version", str(VERSION))
        _write(settings.state_dir, "uid", settings.uid)
    except OSError as error:
        lock.close()
        raise FlocksyError(f"{settings.state_dir}: cannot be written: {error.strerror}") from error
    except FlocksyError:
        lock.close()
        raise
    return settings, lock


class AlreadyRunningError(FlocksyError):
    """The state is in use: the node of this configuration runs already."""


def _make(settings: NodeSettings) -> NodeSettings:
    home = state_home()
    if os.path.dirname(settings.state_dir) != home:  # named by a person, not drawn
        os.makedirs(settings.state_dir, mode=0o700)
        return settings
    os.makedirs(home, mode=0o700, exist_ok=True)
    # Two first starts at once must not draw two directories: the loser comes back with an error,
    # and finds the winner's directory the next time.
    drawing = locks.lock_file(os.path.join(home, "lock"))
    if drawing is None:
        raise AlreadyRunningError("another flocksy starts for the first time just now; try again")
    with drawing:
        found = _find(settings.uid)
        if found is None:
            os.mkdir(settings.state_dir, mode=0o700)
            _write(settings.state_dir, "uid", settings.uid)
            return settings
    return dataclasses.replace(settings, state_dir=found)


def _check_version(state_dir: str) -> None:
    """Raise `FlocksyError` where the directory is a newer flocksy's; nothing is changed then."""
    if not os.path.lexists(os.path.join(state_dir, "version")):
        return  # a new directory, or one from before it was written down
    found = _content(state_dir, "version") or ""
    if found == str(VERSION):
        return
    number = f"version {found}" if found.isdigit() else "its version is no number"
    raise FlocksyError(
        f"{state_dir}: is the state of a newer flocksy ({number}, this one knows {VERSION}): "
        "update flocksy, or name another directory with --state-dir"
    )


def _write(state_dir: str, name: str, content: str) -> None:
    if _content(state_dir, name) == content:
        return
    path = os.path.join(state_dir, name)
    new = f"{path}.new"  # the lock is ours: nobody else writes here
    with open(new, "wb") as file:
        file.write(os.fsencode(f"{content}\n"))
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def _find(uid: str) -> str | None:
    home = state_home()
    for name in _names(home):
        path = os.path.join(home, name)
        if NAME.fullmatch(name) and _uid_in(path) == uid:
            return path
    return None


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _uid_in(state_dir: str) -> str | None:
    return _content(state_dir, "uid")


def _told(state_dir: str) -> str | None:
    """The control socket that a node has told of, if it is there and is this user's own: what a
    crash has left may name a place that is somebody else's by now."""
    path = _content(state_dir, SOCKET)
    return path if path and os.path.isabs(path) and user.is_own(path) else None


def _content(state_dir: str, name: str) -> str | None:
    """What one of the small files says; None where it is not there."""
    try:
        with open(os.path.join(state_dir, name), "rb") as file:
            return os.fsdecode(file.read(MAX_FILE_BYTES)).strip()
    except OSError:
        return None
