"""Who sent it? A classifier with a full packet capture tries to name the source of each change.

    python -m benchmarks.adversary collect DIRECTORY who bursts --pace max
    python -m benchmarks.adversary collect DIRECTORY whether timetable
    python -m benchmarks.adversary analyse DIRECTORY

`collect` flies real nodes over TCP, each in a network namespace of its own, while a uniformly drawn
node, or nobody, makes a change; every packet is captured. Each session is one file of features and
labels, so that collecting can stop and go on. `analyse` trains on some sessions and tests on
others, never on the same.

    who       which of the nodes was the source?
    single    was this one node it, alone on its core, with players of valid lanes as its peers?
    whether   was there a change at all, where the flock promises that nobody sees it?
    active    which of the nodes was it, while a link or a node is delayed, throttled or cut?

Needs root on Linux (namespaces), iproute2 and tcpdump.
"""
