"""What a box is: versions without authors, heads that join, and a pure planner.

Nothing here touches a disk, a socket, a clock or a source of randomness.
"""
