"""Lives in which some members want extended attributes and others do not.

What must hold: who does not want them, or begins to, takes none from the others; two who set them
at the same time end equal; and nobody goes on for ever.
"""

from __future__ import annotations

import random
from dataclasses import replace

from flocksy.sync.attributes import decode_attributes, encode_attributes
from flocksy.sync.capabilities import Capabilities
from flocksy.sync.version import Kind
from tests.sync.flock_in_memory import Node, file
from tests.sync.lives import Backup, Flock

WANTING = Capabilities(attributes=True)
NAMES = (b"tag", b"comment", b"rating")


def tagged_life(seed: int) -> None:
    """Everybody edits at once; tags come and go, and so does the wish for them."""
    draw = random.Random(seed)
    flock = _TaggedFlock([Node(WANTING), Node(), Node(WANTING)])
    flock.live(seed, 24, disasters=bool(draw.randrange(2)))
    flock.settle()
    flock.check()


class _TaggedFlock(Flock):
    def _put_back_index(self, node: Node, old: Backup) -> None:
        super()._put_back_index(node, old)
        node.want_attributes(node.capabilities.attributes)  # it may be from before a change of mind

    def edit(
        self, node: Node, randomness: random.Random, text: str, corner: str | None = None
    ) -> None:
        dice = randomness.random()
        if dice < 0.3:
            _tag(node, randomness)
        elif dice < 0.35:
            node.want_attributes(not node.capabilities.attributes)
            node.pending |= node.everything()
            node.changed |= node.everything()
        else:
            super().edit(node, randomness, text, corner)


def _files(node: Node) -> list[str]:
    return sorted(path for path, entry in node.disk.items() if entry.kind is Kind.FILE)


def _tag(node: Node, draw: random.Random) -> str | None:
    """A person sets or removes one. Returns at which path."""
    files = _files(node)
    if not files:
        return None
    path = draw.choice(files)
    entry = node.disk[path]
    tags = decode_attributes(entry.attributes or b"")
    name = draw.choice(NAMES)
    if name in tags and draw.random() < 0.5:
        del tags[name]
    else:
        tags[name] = b"%d" % draw.randrange(1000)
    node.disk[path] = replace(entry, attributes=encode_attributes(tags))
    return path


def tags_one_at_a_time(seed: int) -> None:
    """One thing is done at a time, and all get it before the next: then everybody who wants them
    has exactly the tags that were set, whoever else has edited or moved the file."""
    draw = random.Random(seed)
    flock = Flock([Node(WANTING), Node(), Node(WANTING)])
    meant: dict[bytes, bytes] = {}  # by content: each is written once
    for turn in range(14):
        node = draw.choice(flock.nodes)
        _one_thing(node, draw, f"text {turn}", meant)
        flock.settle()
        flock.check()
        for other in flock.nodes:
            if not other.capabilities.attributes:
                continue
            for path in _files(other):
                entry = other.disk[path]
                assert (entry.attributes or b"") == meant[entry.root], f"{path}: other tags"


def _one_thing(node: Node, draw: random.Random, text: str, meant: dict[bytes, bytes]) -> None:
    files, wants = _files(node), node.capabilities.attributes
    dice = draw.random()
    if dice < 0.3 or not files:
        path = draw.choice(("a", "b", "c", "d/a", "d/b"))
        before = node.disk.get(path)
        entry = file(text)
        in_place = before is not None and draw.random() < 0.5
        if before is not None and in_place:
            entry = replace(entry, attributes=before.attributes)
        node.write(path, entry)
        # Saved by a rename it has none; who does not ask for them does not know that.
        kept = before is not None and (in_place or not wants)
        meant[entry.root] = meant[before.root] if before is not None and kept else b""
        return
    path = draw.choice(files)
    if dice < 0.6 and wants:
        tagged = _tag(node, draw)
        assert tagged is not None
        meant[node.disk[tagged].root] = node.disk[tagged].attributes or b""
    elif dice < 0.75:
        target = draw.choice(("e", "f", "g/e"))
        if target not in node.disk:
            node.move(path, target)
    elif dice < 0.8:
        node.delete(path)
    elif dice < 0.9:
        entry = replace(node.disk[path], mode=draw.choice((0o600, 0o644, 0o755)))
        node.disk[path] = entry
    elif dice > 0.95:
        node.want_attributes(not wants)
        if not wants:
            for path in files:  # what files have is added, and goes before
                entry = node.disk[path]
                own = decode_attributes(entry.attributes or b"")
                tags = decode_attributes(meant[entry.root]) | own
                meant[entry.root] = encode_attributes(tags)
