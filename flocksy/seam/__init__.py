"""Where the box process and the wire process meet: rings of fixed slots and two reports.

Neutral ground: both sides import it, it imports neither. What goes through is opaque bytes of
constant size; nothing here can block (design 4.3, rule 3).
"""
