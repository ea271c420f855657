"""Ways to get the core wrong, each of which loses, revives or hides something, or never ends.

Every one is a text of the source and what it reads instead. Whoever changes the source so that a
text is not there any more is told so by the test, and finds the same mistake in the new words.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """`what`: the mistake, in words."""

    what: str
    module: str
    old: str
    new: str


MUTANTS = (
    # The join.
    Mutant(
        "the join forgets what was superseded",
        "state",
        "    return PathState(heads, superseded)\n\n\ndef last_of",
        "    return PathState(heads, dict(theirs.superseded))\n\n\ndef last_of",
    ),
    Mutant(
        "the join keeps superseded heads",
        "state",
        "        if name not in superseded\n    }",
        "        if name not in theirs.superseded\n    }",
    ),
    Mutant(
        "the join picks a winner",
        "state",
        "    return PathState(heads, superseded)\n\n\ndef last_of",
        "    heads = dict(sorted(heads.items())[-1:])\n"
        "    return PathState(heads, superseded)\n\n\ndef last_of",
    ),
    Mutant(
        "of two roots of one superseded id the last one heard stands",
        "state",
        "superseded[name] = max(superseded.get(name, NO_ROOT), root)",
        "superseded[name] = root",
    ),
    Mutant(
        "a chmod counts as replacing the content",
        "state",
        "NO_ROOT if old == root else old for",
        "old for",
    ),
    Mutant(
        "the parents that a record names are not superseded",
        "state",
        "        known.setdefault(parent, NO_ROOT)",
        "        pass",
    ),
    # The view.
    Mutant(
        "a deletion goes before content",
        "view",
        "return (version.is_content, not",
        "return (not version.is_content, not",
    ),
    Mutant(
        "a chmod goes before an edit",
        "view",
        "not version.metadata_only, version.generation, name)",
        "version.metadata_only, version.generation, name)",
    ),
    Mutant(
        "the winner is whoever was heard of last",
        "view",
        "ranked = sorted(state.heads.items(), key=lambda item: rank(*item), reverse=True)",
        "ranked = list(state.heads.items())",
    ),
    Mutant(
        "there are no conflict copies",
        "view",
        "            if place is not None:",
        "            if place is None:",
    ),
    Mutant(
        "what was replaced shows as a copy again",
        "view",
        "seen = set(replaced_roots(state))",
        "seen = set()",
    ),
    Mutant(
        "copies in repositories",
        "view",
        "        if in_repository(path):\n            return {}",
        "        assert path",
    ),
    Mutant(
        "a file stands where something lives below",
        "view",
        "        if below:\n            directories",
        "        if below and False:\n            directories",
    ),
    Mutant(
        "a directory is not implied by what lives in it",
        "view",
        "return PathView(shown=IMPLIED) if self._trees.flock_below(path) else NOTHING",
        "return NOTHING",
    ),
    Mutant(
        "a copy takes the place of a real file",
        "view",
        "if place not in assigned and not self.is_live(place):",
        "if place not in assigned:",
    ),
    Mutant(
        "heads that show as copies count as held at the path",
        "view",
        "kept = {name: version for name, version in ranked if name not in copies}",
        "kept = dict(ranked)",
    ),
    # From the disk to the flock.
    Mutant(
        "the parents of a change are what has arrived, not what was seen",
        "commit",
        "            for name in synced.heads:\n                known",
        "            for name in state.heads:\n                known",
    ),
    Mutant(
        "a change has no parents",
        "commit",
        "            for name in synced.heads:\n                known",
        "            for name in ():\n                known",
    ),
    Mutant(
        "every change is one of metadata",
        "commit",
        "metadata_only=bool(parents) and local is not None and _same_content(local, synced)",
        "metadata_only=bool(parents) and local is not None",
    ),
    Mutant(
        "no change is one of metadata",
        "commit",
        "metadata_only=bool(parents) and local is not None and _same_content(local, synced)",
        "metadata_only=False",
    ),
    Mutant(
        "what lost silently counts as replaced",
        "commit",
        "parents[name] = (known.generation, shown if known.root == shown else NO_ROOT)",
        "parents[name] = (known.generation, known.root)",
    ),
    Mutant(
        "nothing counts as replaced",
        "commit",
        "parents[name] = (known.generation, shown if known.root == shown else NO_ROOT)",
        "parents[name] = (known.generation, NO_ROOT)",
    ),
    Mutant(
        "generations begin anew where the parent is not known",
        "commit",
        "parents[name] = (synced.generation, shown)",
        "parents[name] = (0, shown)",
    ),
    Mutant(
        "deleting a copy deletes the winner",
        "commit",
        "                if name == head\n",
        "                if name in (head, winner)\n",
    ),
    Mutant(
        "deleting a copy is never said",
        "commit",
        "            self._put_away(owner, head)",
        "            pass",
    ),
    Mutant(
        "deleting a copy takes away what has become the winner",
        "commit",
        "        if synced is not None and head in synced.heads:\n            return",
        "        if synced is not None and head in synced.heads and not head:\n            return",
    ),
    Mutant(
        "a copy moved over its owner counts as replaced",
        "commit",
        "parents = {head: (loser.generation, NO_ROOT)}",
        "parents = {head: (loser.generation, loser.root)}",
    ),
    Mutant(
        "an edited copy is no file of its own",
        "commit",
        "        else:\n            self._record(path, local, plain, attributes=attributes)",
        "        else:\n            self._acknowledge(path, synced.heads, local, None, 0)",
    ),
    Mutant(
        "an implied directory that goes is deleted",
        "commit",
        "if all(head is not None and not head.is_content for head in heads):",
        "if False:",
    ),
    Mutant(
        "a copy is put away before its owner is recorded",
        "commit",
        "    for path, entry in ordinary:\n        commit.path(path, entry)\n",
        "    ordinary, later = [], ordinary\n",
    ),
    # Disks of unknown past.
    Mutant(
        "adopting takes absence for a deletion",
        "commit",
        "                self.operations.append(Acknowledge(path, None))\n            return",
        "                self._record(path, None, self._trees.synced(path))\n            return",
    ),
    Mutant(
        "adopting revives what was replaced",
        "commit",
        "            if old:\n                self._acknowledge",
        "            if old and False:\n                self._acknowledge",
    ),
    Mutant(
        "adopting puts itself over the heads",
        "commit",
        "        self._record(path, local, None)\n\n    def _state",
        "        self._record(path, local, SyncedEntry(frozenset(state.heads), local))\n\n"
        "    def _state",
    ),
    Mutant(
        "adopting revives a directory",
        "commit",
        "        elif state.heads and not any(",
        "        elif not state.heads and not any(",
    ),
    Mutant(
        "adopting revives a copy that was put away",
        "commit",
        "                        self._acknowledge(path, frozenset(), local, (owner, name), 0)\n"
        "                        return",
        "                        pass",
    ),
    Mutant(
        "adopting takes anything for the head",
        "commit",
        "if shows_content(local, head)}",
        "if head.is_content}",
    ),
    # What is to be done.
    Mutant(
        "a local change is overwritten",
        "planner",
        "        if not self._capabilities.same(local, synced.disk if synced else None):",
        "        if False:",
    ),
    Mutant(
        "knowing less than before is a reason to delete",
        "planner",
        "        if synced is not None and synced.heads and not wanted.heads:",
        "        if False:",
    ),
    Mutant(
        "the directories above are not looked at",
        "planner",
        "        for above in ancestors(path):\n            self._include(above)",
        "        assert ancestors",
    ),
    Mutant(
        "copies that are due are not looked at",
        "planner",
        "            self._todo.extend(self._view.at(owner).copies.values())",
        "            pass",
    ),
    Mutant(
        "copies that are due no more are not looked at",
        "planner",
        "            self._todo.extend(self._trees.copies_of(owner))",
        "            pass",
    ),
    Mutant(
        "what is in a new directory is not looked at",
        "planner",
        "            for child in self._trees.flock_children(path):\n"
        "                self._include(child)",
        "            pass",
    ),
    Mutant(
        "what is in a directory that goes is not looked at",
        "planner",
        "        for child in self._trees.local_children(path):\n            self._include(child)",
        "        pass",
    ),
    Mutant(
        "a directory with something in it goes",
        "planner",
        "            if any(child not in self._removals for",
        "            if False and any(child not in self._removals for",
    ),
    Mutant(
        "a directory with something in it becomes a file",
        "planner",
        "            if removal is None:\n                return None",
        "            if removal is None:\n                continue",
    ),
    Mutant(
        "a file comes where no directory is",
        "planner",
        "                if not there[above]:\n                    del self._puts[path]\n"
        "                    break",
        "                if not there[above]:\n                    break",
    ),
    Mutant(
        "removals from the top",
        "planner",
        "*sorted(self._removals.values(), key=_by_depth, reverse=True),",
        "*sorted(self._removals.values(), key=_by_depth),",
    ),
    Mutant(
        "removals before what is moved out of them",
        "planner",
        "            *sorted(self._puts.values(), key=_put_order),\n",
        "            *(early := []),\n",
    ),
    Mutant(
        "a copy is renamed away",
        "planner",
        "if synced is None or synced.copy_of is not None:\n                continue",
        "if synced is None:\n                continue",
    ),
    Mutant(
        "one source serves two renames",
        "planner",
        "source = leaving[put.version.root].pop(0)",
        "source = leaving[put.version.root][0]",
    ),
    Mutant(
        "a removal is forgotten",
        "planner",
        "        self._removals[path] = Remove(path, local, after)",
        "        self._removals[path] = Remove(path, local, synced)",
    ),
    Mutant(
        "what is held elsewhere is touched",
        "planner",
        "        if reason is not None:",
        "        if reason is not None and not local:",
    ),
    Mutant(
        "a time that the disk cannot hold is told with the mode",
        "commit",
        "        mtime_ns = next((at for at in told if ",
        "        mtime_ns = next((at for at in told if not parents and ",
    ),
    Mutant(
        "a file that is too large for the disk is brought",
        "planner",
        "            reason = self._capabilities.why_not_so_large(version)",
        "            reason = None",
    ),
    Mutant(
        "mode and mtime are not brought",
        "planner",
        "elif not self._capabilities.shows_metadata(local, version):",
        "elif False:",
    ),
    Mutant(
        "what the disk shows already is not remembered",
        "planner",
        "        elif synced != after:\n            self._remember(path, synced, after)",
        "        elif synced is None:\n            self._remember(path, synced, after)",
    ),
    Mutant(
        "a directory comes back over what was put in its place",
        "planner",
        "                self._emptied.add(path)\n                return",
        "                self._emptied.add(path)",
    ),
    Mutant(
        "what was put in place of a directory shows beside it",
        "planner",
        "        self._drop_copies_of_emptied()\n        early",
        "        early",
    ),
    Mutant(
        "what is in a new directory goes out before it",
        "commit",
        "    chosen |= {directory for directory in above if trees.local(directory) is not None}\n",
        "",
    ),
    Mutant(
        "a directory that somebody made is only implied",
        "commit",
        "if happened and wanted.version is not IMPLIED and not",
        "if happened and not",
    ),
    Mutant(
        "what was replaced by what the flock has shows as a copy",
        "commit",
        "return any(name in self._state(path).heads for name in synced.heads - wanted.heads)",
        "return False",
    ),
    Mutant(
        "what waited for a directory that somebody has made is not looked at",
        "planner",
        "            self._include(path)\n            self._include_missing_below(path)",
        "            self._include(path)",
    ),
    # Extended attributes.
    Mutant(
        "an edit where nobody asks for attributes takes them away",
        "carried",
        "                return self._known(path, synced, disk)\n            source",
        "                return b''\n            source",
    ),
    Mutant(
        "a rename there takes them away",
        "carried",
        "            return self._known(source, moved, moved.disk)",
        "            return b''",
    ),
    Mutant(
        "what a disk is still to get counts as taken away",
        "carried",
        'return merged_attributes(disk.attributes or b"", local.attributes, known)',
        "return local.attributes",
    ),
    Mutant(
        "an edit of what was superseded unseen takes them away",
        "carried",
        "            return shown.attributes",
        "            return b''",
    ),
    Mutant(
        "a conflict copy that was edited loses its own",
        "carried",
        "            names = frozenset((head,))",
        "            names = frozenset()",
    ),
    Mutant(
        "what the flock knows is told once more",
        "commit",
        "        if not self.attributes.are_all(path, local, synced):\n            return False",
        "        return False",
    ),
    Mutant(
        "adopting takes the attributes that a disk has",
        "commit",
        "        is_news = merged != version.attributes",
        "        is_news = False",
    ),
    # What a node does that only receives.
    Mutant(
        "an archive deletes what the flock has deleted",
        "planner",
        "if self._keeps or (self._ignore_symlinks and",
        "if (self._ignore_symlinks and",
    ),
    Mutant(
        "who only receives tells what was changed there",
        "commit",
        "        if self._receives_only:\n            return\n        if attributes is None:",
        "        if attributes is None:",
    ),
)
