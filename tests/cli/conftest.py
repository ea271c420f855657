"""The fixture `place`: a node's files in a home of its own."""

from tests.place import place

__all__ = ["place"]
