"""The watcher: events of the operating system, coalesced into paths worth looking at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dirty:
    """What to scan. `rescan`: events were lost, look at the whole box."""

    paths: tuple[str, ...]
    rescan: bool


class Settling:
    """Hands a path on once it has been quiet for a while (pure: `now_s` comes in)."""

    def note(self, path: str, now_s: float) -> None:
        raise NotImplementedError

    def overflow(self) -> None:
        """Events were lost."""
        raise NotImplementedError

    def take(self, now_s: float) -> Dirty:
        """What is due; empty when nothing is."""
        raise NotImplementedError

    def deadline_s(self) -> float | None:
        """When `take` will next have something, if nothing more happens."""
        raise NotImplementedError


class Watcher:
    """Watches one box. `wake` is called from the watcher's thread after the first event since
    the last `take`; it must be safe to call from any thread and return at once."""

    def __init__(self, root: str, wake: Callable[[], None]) -> None:
        raise NotImplementedError

    def start(self) -> str | None:
        """Returns None, or one line for people why there are no events (rescans still work)."""
        raise NotImplementedError

    def take(self, now_s: float) -> Dirty:
        """`now_s` is monotonic time."""
        raise NotImplementedError

    def deadline_s(self) -> float | None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError
