"""Who we are and who the others are, from the configured endpoints and the two key files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flocksy.errors import KeyFileError
from flocksy.keys.endpoints import is_local
from flocksy.keys.pair import KeyPair
from flocksy.keys.samples import SAMPLE_PUBLIC_KEYS


def identity(
    hostnames: tuple[str, ...],
    private_keys: dict[str, KeyPair],
    keystore: dict[str, str],
    *,
    privatekey_path: str,
    keystore_path: str,
    nodes: Sequence[str] = (),
) -> tuple[str, KeyPair]:
    """The own endpoint that is our identity, the first with a private key, and its pair.

    Raises `KeyFileError` where no own endpoint has a key, or where the keystore tells the others
    another one.
    """
    own = next((endpoint for endpoint in hostnames if endpoint in private_keys), None)
    if own is None:
        raise KeyFileError(
            f"{privatekey_path}: no private key for {' or '.join(hostnames)}; "
            f"{how_to_have_one(private_keys, nodes)}"
        )
    pair = private_keys[own]
    for endpoint in hostnames:
        if keystore.get(endpoint, pair.public_key) != pair.public_key:
            raise KeyFileError(
                f"{keystore_path}: the key of {endpoint}, which is this node, is not the public "
                f"key of {own} in {privatekey_path}; put {pair.public_key} there"
            )
        if endpoint in private_keys and private_keys[endpoint] != pair:
            raise KeyFileError(
                f"{privatekey_path}: {endpoint} and {own} are endpoints of this one node but have "
                "different keys; give both the same"
            )
    return own, pair


def moved_from(private_keys: Mapping[str, KeyPair], nodes: Sequence[str]) -> str | None:
    """The endpoint that a node without a private key seems to have had until now, when it knows
    the others (`nodes`) already: the file has one key, and it is none of theirs."""
    known = [endpoint for endpoint in private_keys if endpoint not in nodes]
    keys = {private_keys[endpoint].public_key for endpoint in known}
    return known[0] if nodes and len(keys) == 1 else None


def how_to_have_one(private_keys: Mapping[str, KeyPair], nodes: Sequence[str]) -> str:
    """The remedy for a node without a private key. One whose address has changed keeps its own:
    with a new one it would be another member, whom nobody knows."""
    before = moved_from(private_keys, nodes)
    if before is None:
        return "make one with flocksy --create-private-keys"
    return (
        f"if this machine was {before} until now, it keeps its key with flocksy "
        f"--create-private-keys -p {before}; for another node name another file (--privatekey)"
    )


def waiting_pair(
    own: str,
    pair: KeyPair,
    private_keys: Mapping[str, KeyPair],
    waiting: Mapping[str, KeyPair],
    *,
    waiting_path: str,
) -> KeyPair | None:
    """Of the keys that wait beside the private key file, to be taken by a rotation, the one of the
    node `own`, whose key is `pair` until then. None where they are another node's of that file.

    A machine that has moved since finds its own under the endpoint of before. Raises `KeyFileError`
    where it could be more than one.
    """
    if own in waiting:
        return waiting[own]
    is_alone = all(one.public_key == pair.public_key for one in private_keys.values())
    unnamed = [endpoint for endpoint in waiting if endpoint not in private_keys]
    if unnamed and not is_alone:
        raise KeyFileError(
            f"{waiting_path}: has a new key for {unnamed[0]}, which the private key file does not"
            " name; write there the endpoint that this node has now"
        )
    left = {
        endpoint: one
        for endpoint, one in waiting.items()
        if private_keys.get(endpoint, pair).public_key == pair.public_key
    }
    if len({one.public_key for one in left.values()}) > 1:
        raise KeyFileError(
            f"{waiting_path}: has different keys for {' and '.join(left)}, and none for {own}; "
            f"write {own} in the place of the endpoint that this machine had"
        )
    return next(iter(left.values()), None)


def group_members(
    own_endpoints: tuple[str, ...],
    own: KeyPair,
    nodes: tuple[str, ...],
    keystore: dict[str, str],
    *,
    keystore_path: str,
    proxied: bool = False,
) -> dict[str, tuple[str, ...]]:
    """Public key to endpoints, of every member and of ourselves. `proxied`: the links go through
    a proxy, for which a loopback address is on a machine of its own.

    Nodes with one key are one member with several endpoints. Raises `KeyFileError` for a node
    without a key, and for sample keys where the traffic could leave the machine.
    """
    grouped: dict[str, list[str]] = {own.public_key: list(own_endpoints)}
    for endpoint in nodes:
        public_key = keystore.get(endpoint)
        if public_key is None and endpoint not in own_endpoints:
            raise KeyFileError(
                f"{keystore_path}: no public key for the node {endpoint}; "
                "ask its owner for the keystore line"
            )
        endpoints = grouped.setdefault(public_key or own.public_key, [])
        if endpoint not in endpoints:
            endpoints.append(endpoint)
    for public_key, endpoints in grouped.items():
        for endpoint in endpoints:
            if public_key in SAMPLE_PUBLIC_KEYS and (proxied or not is_local(endpoint)):
                raise KeyFileError(
                    f"{endpoint}: has a sample key, whose private half everybody knows; make a "
                    "key of your own with flocksy --create-private-keys"
                )
    return {public_key: tuple(endpoints) for public_key, endpoints in grouped.items()}
