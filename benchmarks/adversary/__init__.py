"""Who sent it? A classifier with a full packet capture tries to name the source of each change.

    python -m benchmarks.adversary collect DIRECTORY --sessions 4 --events 40
    python -m benchmarks.adversary analyse DIRECTORY

`collect` flies real nodes over TCP, each in a network namespace of its own where it may make one,
while a uniformly drawn node, or nobody, makes a change; tcpdump sees every packet. Each session is
one file of features and labels, so that collecting can stop and go on. `analyse` trains on some
sessions and tests on others, never on the same.
"""
