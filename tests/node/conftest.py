"""The fixtures for a node's files in a home of its own."""

from tests.place import place, short_path

__all__ = ["place", "short_path"]
