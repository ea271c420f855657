"""The play of a newcomer: three machines with what people keep in a folder, worked on as people do.

    python -m tests.integration.play [--rounds 5]

Real nodes, and the box has a git repository (real git commands), photos, a mail directory and a
build tree (real make). Two people work on two nodes, in turn and at the same time; the third node's
box is on a drive that is pulled out, edited on another computer, and plugged in elsewhere. A run is
made from its seed, but for what the machine makes of the time. What must hold after each round: all
boxes are equal and in sync, and everything is seen everywhere that somebody made and nobody took
away or wrote over.
"""

from __future__ import annotations

import argparse
import hashlib
import mailbox
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest

from flocksy.status.model import BoxState
from flocksy.testing.rig import Rig, RigError, RigNode, wait_until
from tests.boxes.flock_of_boxes import digest_of, visible
from tests.boxes.mounts import MIB, Drive, need_root
from tests.integration.flock import KIB, box_status, command, rig_of_three

BOX = "shared"
TOOL_SECONDS = 60.0
PATIENCE_SECONDS = 300.0
TRIES = 50
"""For a git command that finds another's lock, as people try again."""

MAKEFILE = """\
SOURCES := $(sort $(wildcard src/*.c))
OBJECTS := $(SOURCES:src/%.c=out/%.o)

out/program: $(OBJECTS)
\tcat $^ > $@.tmp
\tmv $@.tmp $@

out/%.o: src/%.c | out
\tsed 's/^/object of /' $< > $@.tmp
\tmv $@.tmp $@

out:
\tmkdir -p out

clean:
\trm -rf out
"""


class Stick(Protocol):
    """What the third node's box is on."""

    what: str
    """For people."""

    def plug(self, point: Path) -> None:
        """Plug it in."""

    def unplug(self) -> None:
        """Pull it out."""


class Drawer:
    """Stands for a drive where nobody may mount: a directory that is moved away and back."""

    what = "a folder that is moved away, since nothing can be mounted here"

    def __init__(self, place: Path) -> None:
        self._away = place
        self._at: Path | None = None

    def plug(self, point: Path) -> None:
        self._away.mkdir(exist_ok=True)
        self._away.rename(point)
        self._at = point

    def unplug(self) -> None:
        if self._at is not None:
            self._at.rename(self._away)
            self._at = None


class Play:
    """One run. `rig` is not started yet."""

    def __init__(self, rig: Rig, stick: Stick, seed: int) -> None:
        self.rig = rig
        self.stick = stick
        self.draw = random.Random(seed)
        self.anna, self.ben, self.away = rig.nodes
        self.kept: dict[str, str] = {}
        """Digests of what has to be seen everywhere, and what it is."""
        self.commits: list[str] = []
        self.answers = 0
        self._count = 0
        self._media = rig.root / "media"

    def run(self, rounds: int) -> None:
        """The whole play."""
        self.begin()
        for number in range(rounds):
            started = time.monotonic()
            self.in_turn(number)
            self.at_once(number)
            self.with_the_drive_away(number)
            self.check()
            print(
                f"round {number + 1}: {len(self.kept)} contents and {len(self.commits)} commits "
                f"kept, {self.answers} answers, {time.monotonic() - started:.0f} s",
                flush=True,
            )
        self.clone_everywhere()

    # -- the flock --------------------------------------------------------------------------------

    def begin(self) -> None:
        """Three nodes, the third on a drive, and the first things in the box."""
        self._media.mkdir()
        self.plug("disk")
        self.away.box.mkdir()
        line = f"box = {BOX}@"
        text = self.away.config.read_text()
        old = next(one for one in text.splitlines() if one.startswith(line))
        block = f'[{BOX}]\n{{\n  "base_path" : "{self.away.box}",\n  "removable" : true\n}}\n'
        self.away.config.write_text(text.replace(old, "") + block)
        self.rig.start_all()
        self.rig.wait_for_view()
        self.rest_or_go_on(BoxState.PAUSED)
        command(self.away, "box", "adopt", BOX)
        self.git(self.anna, "init", "--quiet", "--initial-branch=main", ".")
        self.commit(self.anna, "first")
        build = self.anna.box / "build"
        (build / "src").mkdir(parents=True)
        (build / "Makefile").write_text(MAKEFILE)
        for number in range(12):
            self.source(self.anna, number)
        mailbox.Maildir(self.anna.box / "mail", create=True)
        self.equal()

    def equal(self) -> None:
        """Wait until all boxes are equal and in sync, answering who asks."""
        wait_until(self._in_sync, "all in sync", PATIENCE_SECONDS)
        self.rig.wait_equal(PATIENCE_SECONDS)

    def _in_sync(self) -> bool:
        states = [box_status(node, BOX)["state"] for node in self.rig.nodes]
        for node, state in zip(self.rig.nodes, states, strict=True):
            if state == BoxState.ASKING:
                command(node, "approve", BOX)
                self.answers += 1
        return all(state == BoxState.IN_SYNC for state in states)

    def check(self) -> None:
        """Everything that was kept is seen in every box, and git finds nothing wrong."""
        self.equal()
        for node in self.rig.nodes:
            here = visible(node.box)
            lost = [what for digest, what in self.kept.items() if digest not in here]
            if lost:
                raise RigError(f"{node.name} has lost {lost}")
            self.git(node, "fsck", "--full", "--no-dangling", "--no-progress")
            for commit in self.commits:
                self.git(node, "cat-file", "-e", f"{commit}^{{tree}}")
        complaints = self.rig.complaints()
        if complaints:
            raise RigError("\n".join(complaints))

    # -- acts -------------------------------------------------------------------------------------

    def in_turn(self, number: int) -> None:
        """Who has waited for the other's work goes on with it."""
        for node, other in ((self.anna, self.ben), (self.ben, self.anna)):
            self.commit(node, f"turn {number}")
            self.deliver(node, 6)
            self.photos(node, f"photos/{node.name}-{number}", 4)
            self.make(node)
            self.equal()
            if self.git(other, "log", "-1", "--format=%H") != self.commits[-1]:
                raise RigError(f"{other.name} is not where {node.name} was")
            if said := self.git(other, "status", "--porcelain", "."):
                raise RigError(f"git on {other.name}: {said}")
            if subprocess.run(["make", "-q"], cwd=other.box / "build", check=False).returncode:
                raise RigError(f"what {node.name} has built is to be built again on {other.name}")
        self.git(self.anna, "gc", "--quiet")
        self.read(self.ben, delete=2)

    def at_once(self, number: int) -> None:
        """Nobody waits for anybody."""
        anna, ben = self.anna, self.ben
        for step in range(2):
            for node in (anna, ben):
                self.commit(node, f"at once {number}.{step}", aside=True)
                # The same names on both, as cameras give them.
                self.photos(node, f"photos/import-{number}-{step}", 2)
                self.deliver(node, 3)
            subprocess.run(["make", "--silent", "clean"], cwd=anna.box / "build", check=True)
            self.source(ben, self.draw.randrange(12))
            self.make(anna)
        self.read(ben, delete=1)
        self.read(anna, delete=0)
        self.edited_and_deleted(number)
        self.equal()
        self.make(anna)
        self.equal()
        # As people who see what has happened: everything that lies about is taken in.
        self.commit(anna, f"together {number}")
        self.git(ben, "gc", "--quiet")

    def with_the_drive_away(self, number: int) -> None:
        """The drive is pulled out in the middle of it all, edited elsewhere, and plugged in."""
        self.photos(self.anna, f"photos/{number} before", 4)
        self.stick.unplug()
        self.rest_or_go_on(BoxState.PAUSED)
        self.commit(self.ben, f"without the drive {number}")
        self.deliver(self.ben, 3)
        old = self.anna.box / "photos" / f"{self.anna.name}-{number}"
        old.rename(old.with_name(f"{number} sorted"))
        other = self._media / "on another computer"
        self.stick.plug(other)
        box = other / BOX
        self.write(box / f"written elsewhere {number}", b"by hand %d" % number)
        letter = only_copy(sorted((box / "mail" / "cur").iterdir()))
        self.drop(letter)
        letter.unlink()
        self.stick.unplug()
        self.plug(f"disk {number + 1}")
        self.rest_or_go_on(BoxState.IN_SYNC, BoxState.ASKING, BoxState.SYNCING)
        wait_until(self._in_sync, "all in sync", PATIENCE_SECONDS)
        if self.answers <= number:
            raise RigError("what was deleted on another computer went without a question")

    def plug(self, name: str) -> None:
        """Plug the drive in at this machine."""
        point = self._media / name
        self.stick.plug(point)
        self.away.box = point / BOX

    def rest_or_go_on(self, *states: BoxState) -> None:
        """Wait until the box on the drive is in one of these states."""
        wait_until(
            lambda: box_status(self.away, BOX)["state"] in states,
            f"the box on the drive is {' or '.join(states)}",
            TOOL_SECONDS,
        )

    def edited_and_deleted(self, number: int) -> None:
        """One deletes a folder of photos while the other works on one of them."""
        folder = f"photos/{self.ben.name}-{number}"
        for photo in (self.anna.box / folder).iterdir():
            self.drop(photo)
        name = sorted(os.listdir(self.ben.box / folder))[0]
        self.write(self.ben.box / folder / name, self.content(300 * KIB))
        shutil.rmtree(self.anna.box / folder)

    def clone_everywhere(self) -> None:
        """A clone of the repository has on every node what the others' have."""
        heads = set()
        for node in self.rig.nodes:
            clone = self.rig.root / f"clone-{node.name}"
            self.git(node, "clone", "--quiet", "--no-local", ".", str(clone))
            heads.add(run_git(clone, self.rig.root, "rev-parse", "HEAD"))
        if len(heads) != 1:
            raise RigError(f"clones differ: {heads}")

    # -- hands ------------------------------------------------------------------------------------

    def content(self, size: int) -> bytes:
        self._count += 1
        return b"content %d " % self._count + self.draw.randbytes(size)

    def write(self, path: Path, content: bytes) -> None:
        """Save a file as editors do: beside it, then in its place."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self.drop(path)
        new = path.with_name(f".{path.name}.swp")
        new.write_bytes(content)
        new.rename(path)
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        self.kept[digest] = str(path)

    def drop(self, path: Path) -> None:
        """A hand is about to take this away."""
        self.kept.pop(digest_of(path), None)

    def photos(self, node: RigNode, folder: str, number: int) -> None:
        for index in range(number):
            size = self.draw.randrange(100 * KIB, 1500 * KIB)
            self.write(node.box / folder / f"IMG_{index:04}.jpg", self.content(size))

    def source(self, node: RigNode, number: int) -> None:
        self.write(
            node.box / "build" / "src" / f"s{number}.c",
            b"line\n" * self.draw.randrange(1, 400) + self.content(20).hex().encode() + b"\n",
        )

    def make(self, node: RigNode) -> None:
        """Build. What the others change meanwhile may stop it, as it would stop anybody."""
        build = node.box / "build"
        for _ in range(TRIES):
            done = subprocess.run(
                ["make", "--silent", "-j4"],
                cwd=build,
                capture_output=True,
                timeout=TOOL_SECONDS,
                check=False,
            )
            if done.returncode == 0:
                return
        raise RigError(f"make on {node.name}: {done.stderr.decode()}")

    def deliver(self, node: RigNode, number: int) -> None:
        """Letters come in."""
        letters = mailbox.Maildir(node.box / "mail")
        for _ in range(number):
            text = b"Subject: letter\n\n" + self.content(3 * KIB).hex().encode() + b"\n"
            key = letters.add(text)
            path = node.box / "mail" / "new" / key
            self.kept[digest_of(path)] = str(path)

    def read(self, node: RigNode, *, delete: int) -> None:
        """Somebody reads all that is new, and deletes some of it."""
        mail = node.box / "mail"
        for number, path in enumerate(sorted((mail / "new").iterdir())):
            flags = "".join(sorted(set(self.draw.choices("SFR", k=2))))
            if number < delete:
                self.drop(path)
                path.unlink()
            else:
                path.rename(mail / "cur" / f"{path.name}:2,{flags}")

    def commit(self, node: RigNode, message: str, *, aside: bool = False) -> None:
        """Change a file of the repository, and commit all there is. `aside`: only that file, and
        where the other commits at this moment, try again."""
        name = f"{node.name}.txt" if aside else "text.txt"
        self.write(node.box / "work" / name, self.content(2 * KIB).hex().encode() + b"\n")
        for _ in range(TRIES):
            try:
                self.git(node, "add", name if aside else ".")
                self.git(node, "commit", "--quiet", "--allow-empty", "-m", message)
            except RigError as error:
                if not aside:
                    raise
                failure = error
                time.sleep(0.1)
                continue
            self.commits.append(self.git(node, "rev-parse", "HEAD"))
            return
        raise failure

    def git(self, node: RigNode, *words: str) -> str:
        """A git command in the repository of this node."""
        work = node.box / "work"
        work.mkdir(exist_ok=True)
        return run_git(work, self.rig.root, *words)


def run_git(place: Path, home: Path, *words: str) -> str:
    """Run git as somebody without settings of their own. Raises `RigError` where it fails."""
    settings = {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    people = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "somebody"), ("EMAIL", "somebody@example.org"))
    }
    done = subprocess.run(
        ["git", "-c", "gc.auto=0", "-c", f"safe.directory={place}", *words],
        cwd=place,
        env=os.environ | settings | people,
        capture_output=True,
        text=True,
        timeout=TOOL_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RigError(f"git {' '.join(words)} in {place}: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def a_stick(place: Path) -> Stick:
    """A drive; where this user may not mount one, a directory that is moved about, unless the
    environment says that there must be a drive (`tests.boxes.mounts`)."""
    drive = Drive(place / "drive.image", "ext4", size=600 * MIB)
    try:
        need_root()
        drive.make()
        drive.plug(place / "trial")
        drive.unplug()
    except pytest.skip.Exception:
        return Drawer(place / "drawer")
    return drive


def only_copy(letters: Sequence[Path]) -> Path:
    """The first that no other is like. Who read the same letter at the same time have marked it by
    two names, and nobody is asked about a content that stands elsewhere."""
    digests = [digest_of(letter) for letter in letters]
    return next(
        letter
        for letter, digest in zip(letters, digests, strict=True)
        if digests.count(digest) == 1
    )


def run(rounds: int, seed: int) -> None:
    """Play it. Raises `RigError` where something does not hold."""
    with rig_of_three() as rig:
        stick = a_stick(rig.root)
        print(f"the third node's box is on {stick.what}", flush=True)
        try:
            Play(rig, stick, seed).run(rounds)
        except RigError as error:
            raise RigError(f"seed {seed}: {error}\n{rig.log_tails()}") from error
        finally:
            for node in rig.nodes:
                if node.running:
                    rig.stop(node)
            stick.unplug()


def main(words: Sequence[str] | None = None) -> int:
    """Run it. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    given = parser.parse_args(words)
    print(f"seed {given.seed}", flush=True)
    started = time.monotonic()
    try:
        run(given.rounds, given.seed)
    except (RigError, pytest.fail.Exception) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"all equal, nothing lost: {given.rounds} rounds, {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
