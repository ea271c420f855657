"""Whom we refused a link, and what that says: one of our members with another key, a stranger, or
somebody with our own private key. No socket here.

A refusal has an address and no name. It is put down to a member where just one that has no link
can be meant: the one whose endpoint has that address.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flocksy.wire.limits import REFUSAL_NS, STRANGERS_NS, TWIN_MET_NS
from flocksy.wire.monitor import TWIN, WRONG_KEY
from flocksy.wire.zap import Refusal

LOCAL = "localhost"
"""How libzmq's address of a peer over `ipc` begins."""


class Refusals:
    """What the refusals of one node add up to."""

    def __init__(self, own_key: str, lanes: int) -> None:
        self._own_key = own_key
        self._hosts = [""] * lanes  # "" where it is not known
        self._until_ns: dict[int, int] = {}  # lane to when its refusal is old
        self._twin_until_ns = 0
        self._strangers = 0
        self._next_ns = 0  # no complaint about a stranger before

    def take(
        self, refused: Sequence[Refusal], now_ns: int, link_state: Callable[[int], str]
    ) -> list[str]:
        """Refusals since the last call. Returns what a person should be told of them."""
        said = []
        for refusal in refused:
            if refusal.key == self._own_key:
                if now_ns >= self._twin_until_ns:
                    said.append(f"{TWIN}: a link was tried with it from {refusal.address}")
                self._twin_until_ns = now_ns + TWIN_MET_NS
                continue
            lane = self._lane(refusal.address, link_state)
            if lane is not None:
                self._until_ns[lane] = now_ns + REFUSAL_NS
            # Anybody can try, as often as they like: the log is not theirs to fill.
            self._strangers += 1
            if now_ns >= self._next_ns:
                self._next_ns = now_ns + STRANGERS_NS
                times = f" ({self._strangers} refusals)" if self._strangers > 1 else ""
                self._strangers = 0
                said.append(
                    f"refused a link to a key that no member has: {refusal.key} "
                    f"from {refusal.address}{times}"
                )
        return said

    def met_twin(self, where: Sequence[str], now_ns: int) -> list[str]:
        """Somebody who has our key answered there. Returns what a person should be told."""
        if where:
            self._twin_until_ns = now_ns + TWIN_MET_NS
        return [f"{TWIN}: at {target}" for target in where]

    def moved(self, lane: int, host: str) -> None:
        """The address of that lane's endpoint from now on; `LOCAL` for `ipc`."""
        self._hosts[lane] = host

    def recent(self, lane: int, now_ns: int) -> bool:
        """Whether a key was refused that can only be this member's."""
        return now_ns < self._until_ns.get(lane, 0)

    def twin(self, now_ns: int) -> bool:
        """Whether somebody came with our own key."""
        return now_ns < self._twin_until_ns

    def _lane(self, address: str, link_state: Callable[[int], str]) -> int | None:
        host = LOCAL if address.startswith(LOCAL) else address.removeprefix("::ffff:")
        lanes = [
            lane
            for lane, known in enumerate(self._hosts)
            if known == host and link_state(lane) == WRONG_KEY
        ]
        return lanes[0] if len(lanes) == 1 else None
