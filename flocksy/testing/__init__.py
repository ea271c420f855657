"""Pieces for trying flocksy out: used by the tests and the rig, never by a node."""
