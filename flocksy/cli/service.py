"""A systemd unit of the user's own that runs a node: `flocksy init --service`."""

from __future__ import annotations

import os
import shlex
import sys

from flocksy.config import places
from flocksy.config.load import DEFAULT_CONFIG
from flocksy.errors import FlocksyError
from flocksy.keys.writing import PUBLIC_MODE, write_new

LEAVE_SECONDS = 120
"""Until systemd kills: a burst that runs is finished first, in a minute and a half at most."""

_TEXT = """\
# Runs the flocksy node of {path}.

[Unit]
Description=flocksy node of {path}

[Service]
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
# A configuration that cannot be used does not get better by trying again.
Restart=on-failure
RestartSec=10
RestartPreventExitStatus=2
KillMode=mixed
TimeoutStopSec={leave}
UMask=0077
NoNewPrivileges=yes

[Install]
WantedBy=default.target
"""


def unit_path(config: str) -> str:
    """Where the unit of the node with this configuration lies."""
    given = os.environ.get("XDG_CONFIG_HOME", "")
    base = given if os.path.isabs(given) else os.path.expanduser("~/.config")
    name = "flocksy"
    if config != places.absolute(DEFAULT_CONFIG):
        plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in os.path.basename(config))
        name = f"flocksy-{plain.strip('-') or 'node'}"
    return os.path.join(base, "systemd", "user", f"{name}.service")


def refuse_existing(config: str) -> None:
    """Raise `FlocksyError` where a unit is there already, or where there is no systemd."""
    if sys.platform != "linux":
        raise FlocksyError("--service makes a systemd unit, which only Linux has")
    path = unit_path(config)
    if os.path.lexists(path):
        raise FlocksyError(f"{path}: is there already, and stays as it is; look at it, or move it")


def write_unit(config: str) -> list[str]:
    """Write the unit. Returns what was made and what is to be done, in lines for people."""
    refuse_existing(config)
    path = unit_path(config)
    try:
        write_new(path, unit_text(config, command(config)), PUBLIC_MODE)
    except OSError as error:
        raise FlocksyError(f"{path}: cannot be made: {error.strerror}") from None
    unit = shlex.quote(os.path.basename(path))
    return [
        f"{path}: a service of systemd. To start it, now and whenever you log in:",
        f"    systemctl --user daemon-reload && systemctl --user enable --now {unit}",
        "To have it run while you are logged out, too:  loginctl enable-linger",
        f"Its log:  journalctl --user -u {unit}",
    ]


def command(config: str) -> list[str]:
    """The command line that runs the node with the flocksy that is running now."""
    return [sys.executable, "-m", "flocksy", "-c", config]


def unit_text(config: str, words: list[str]) -> str:
    """The unit that runs `words`."""
    return _TEXT.format(
        path=config.replace("%", "%%"),
        command=" ".join(_quoted(word) for word in words),
        leave=LEAVE_SECONDS,
    )


def _quoted(word: str) -> str:
    # systemd.service(5), "Command lines": specifiers and variables are doubled.
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"'
