"""What a node knows of one box, kept in one SQLite database per box.

The database is found in the node's state directory, never in the box. Damage to one stops only
that box. SQL is spoken nowhere else.
"""
