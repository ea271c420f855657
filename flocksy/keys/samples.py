"""Public halves of key pairs whose private halves are public too: good for trying out only.

Everybody can have the private keys of `keys-example/` and of the original flocksy's test rig, so
these are refused wherever the traffic could leave the machine.
"""

from __future__ import annotations

SAMPLE_PUBLIC_KEYS = frozenset(
    {
        # keys-example/ of this repository
        "?Mf/[b%%F=cov3zOYyqcc5KYb=2g914tNUoH+evs",
        "TOXAp-(M}1H<qGL}vB3h/AVjnxm7rm)g?[:.-F#n",
        "4)ssRKarRMKn&5RTk=d%)TZ5cLcMUS@q>do[=sLR",
        # the original's three-node rig
        "hs&C:4)t7?7oTaBa}(cuZDU#4sYv[77+{Jj73Jzt",
        "f:A+)dsWPEp+5rNbX3#oI*DMDJGta*Q(PPgv!MYa",
        "RACQAZNT]S1p!^>d0j+]LA?T@?*k(w6:Amm&Kvf3",
    }
)
