"""Which endpoints can be believed to be a member's, when another member tells of them."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path

from flocksy.boxes.lanes.addresses import Addresses
from flocksy.config.settings import NodeSettings
from flocksy.keys.endpoints import is_local, normal_endpoint

_BROADCAST = "255.255.255.255"
_HOST = re.compile(r"tcp://\[?(?P<host>.*?)\]?:[0-9]+")


def usable(endpoint: str, configured: Sequence[str], *, proxied: bool) -> bool:
    """Whether `endpoint` can be that of a member with these `configured` ones.

    It must be an address of a single machine: nothing is looked up because of what others say.
    Names are the proxy's to look up, where there is one. What is on this machine only (loopback)
    can be meant only where what is configured is so, too.
    """
    try:
        if not endpoint.isascii() or normal_endpoint(endpoint) != endpoint:
            return False
    except ValueError:
        return False
    match = _HOST.fullmatch(endpoint)
    if match is None or match["host"] == "*":
        return False
    if is_local(endpoint) and not any(is_local(other) for other in configured):
        return False
    try:
        address = ipaddress.ip_address(match["host"])
    except ValueError:
        return proxied
    address = getattr(address, "ipv4_mapped", None) or address
    here = address.is_loopback or (address.version == 6 and int(address) >> 32 == 0)
    if here and not any(map(is_local, configured)):
        return False
    nowhere = address.is_unspecified or address.is_multicast or str(address) == _BROADCAST
    return not nowhere and "%" not in endpoint


def addresses_of(settings: NodeSettings) -> Addresses:
    """What a node with these settings knows of where its members are."""
    return Addresses(
        settings.lane,
        settings.uids,
        [
            settings.hostnames if lane == settings.lane else member.endpoints
            for lane, member in enumerate(settings.members)
        ],
        Path(settings.state_dir) / "addresses.json",
        settings.period_ms / 1000,
        functools.partial(usable, proxied=settings.socks is not None),
    )
