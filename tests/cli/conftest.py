"""The fixtures for a node's files in a home of its own, and for people with such homes."""

from tests.cli.people import cheap, people, typed
from tests.place import place, short_path

__all__ = ["cheap", "people", "place", "short_path", "typed"]
