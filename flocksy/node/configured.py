"""What a running node is configured to: its settings, and its boxes kept as these say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from flocksy.boxes.keeper import Keeper
from flocksy.boxes.setup import BoxSetup
from flocksy.config.settings import BoxSettings, NodeSettings
from flocksy.node.setups import forget_removed, setup_of


class Configured:
    """The settings in force, and the only way to change them while the node runs."""

    def __init__(self, settings: NodeSettings, keeper: Keeper, now: Callable[[], float]) -> None:
        self.settings = settings
        """Members, keys and the like stay those that the node runs with until it joins anew."""
        self.keeper = keeper
        self.now = now
        """Monotonic seconds, as all deadlines of the box process are given."""

    def open_boxes(self) -> None:
        """Keep all boxes of the settings; to be called once, at the start."""
        forget_removed(self.settings)
        for box in self.settings.boxes:
            self.keeper.add(self._setup_of(box), self.now(), paused=box.paused)

    def apply(self, settings: NodeSettings, agreed: str | None = None) -> None:
        """Take over changed settings: boxes that were added, changed or removed. `agreed`: the box
        whose mode a person has been asked about already."""
        before = {box.name: box for box in self.settings.boxes}
        after = {box.name: box for box in settings.boxes}
        setups = {name: self._setup_of(box) for name, box in after.items()}
        self.settings = dataclasses.replace(
            self.settings,
            boxes=settings.boxes,
            keystore_path=settings.keystore_path,
            privatekey_path=settings.privatekey_path,
        )
        for name, box in before.items():
            changed = after.get(name)
            if changed is not None and dataclasses.replace(box, paused=changed.paused) == changed:
                if changed.paused and not box.paused:
                    self.keeper.pause(name)
                elif box.paused and not changed.paused:
                    self.keeper.resume(name, self.now())
            elif changed != box:
                self.keeper.remove(name)
        forget_removed(settings)
        kept = {one.setup.name for one in self.keeper.boxes}
        for name, box in after.items():
            if name not in kept:
                self.keeper.add(setups[name], self.now(), paused=box.paused, agreed=name == agreed)

    def _setup_of(self, box: BoxSettings) -> BoxSetup:
        settings = self.settings
        private = (settings.config_path, settings.keystore_path, settings.privatekey_path)
        return setup_of(box, settings.state_dir, private)
