"""Everything that only some operating systems have, behind one guard.

No module elsewhere calls something that exists on POSIX or on Linux only. Each function in these
rooms either does what it says, or says that this system cannot: with `False` or `None` where life
goes on without it (a priority, a flush that has a slower twin), with an `OSError` where the caller
has to choose another way (an exchange of two names).
"""
