"""The nodes of this user that run just now, asked one by one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from flocksy.config.settings import Options
from flocksy.config.state import control_paths
from flocksy.errors import ConfigError, FlocksyError
from flocksy.status.client import NotRunningError, request
from flocksy.status.printable import printable

ASK_SECONDS = 2.0
"""For asking each running node who it is: a slow one is listed without that."""

MAX_LISTED = 32
"""Running nodes that an error lists."""


@dataclass(frozen=True, slots=True)
class RunningNode:
    """One node that answered."""

    socket: str
    words: str
    """Which one it is, for people."""
    options: Options | None
    """What it was started with; None if it did not say."""


def running_nodes() -> tuple[RunningNode, ...]:
    """Every node that answers."""
    found: list[RunningNode] = []
    for path in control_paths():
        try:
            answer = request(path, "version", timeout_seconds=ASK_SECONDS)
        except NotRunningError:
            continue
        except FlocksyError:
            answer = {}  # it runs, though it is busy or of another version
        words = f"{answer.get('config', path)} ({answer.get('endpoint', 'unknown')})"
        found.append(RunningNode(path, printable(words), _options(answer.get("options"))))
    return tuple(found)


def only_running() -> RunningNode | None:
    """The one node that runs; None where none does. Raises `ConfigError` where several do."""
    running = running_nodes()
    if len(running) > 1:
        listed = ", ".join(node.words for node in running[:MAX_LISTED])
        raise ConfigError(f"several nodes run; choose one with -c: {listed}")
    return running[0] if running else None


def _options(plain: object) -> Options | None:
    """From JSON, where tuples have become lists."""
    if not isinstance(plain, dict) or not set(plain) <= set(Options.__dataclass_fields__):
        return None
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()
    }
    return dataclasses.replace(Options(), **values)
