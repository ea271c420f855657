"""Hostile bytes for every decoder that meets the network or a file of the user's.

`table.py` names the targets; `test_targets.py` runs each on the committed corpus and on some
hundreds of changed inputs, `python -m tests.fuzz` (`make fuzz`) by the million under coverage
guidance.
"""
