"""What the state of a link means, and what to do about it: one sentence each.

The wire side says a state in a few words; here they are explained, the same in log and status.
"""

from __future__ import annotations

from collections.abc import Iterable

from flocksy.status.model import BrokenLine

SAMPLE = "sample key in use"

ADVICE = {
    "down": "nobody answers there; is that node running, and is its port open to us?",
    "refuses our key": "it does not know our public key; give its owner ours (flocksy keys export)",
    "we refuse its key": "it has another key than our keystore says; if its owner confirms the "
    "new one, import it (flocksy keys import)",
    "wrong key for that endpoint": "who answers there has not the key that our keystore says for "
    "it; are two members' keys or endpoints mixed up?",
    "no flocksy at that endpoint": "something answers there that is no flocksy, or something in "
    "between hangs up; look at the host and port",
    "somebody else is live under our key": "another machine has this node's private key; if it is "
    "a copy of yours, stop one of the two; if not, have every member revoke this key (flocksy keys "
    "revoke) and meet them anew with a new one",
    SAMPLE: "everybody has its private half: good for trying out on one machine, never for more",
}
"""Words of a link's state to what they mean. States that explain themselves are not in it."""

SPEAKS = "speaks version "
_VERSIONS_DIFFER = (
    "another version of flocksy runs there; update the one with the lower number, until then the "
    "two are in no view together and say nothing to each other"
)

DIFFERS = "setting differs: "
_MEMBERS_DIFFER = (
    "the two do not know the same members; flocksy keys number is one number where they do, and "
    "flocksy keys list says who is missing"
)
_SETTING_DIFFERS = "it must be the same on all members; set it so and start the node anew"


def advice(state: str, *, sample: bool = False) -> str:
    """What a person should know beside a link's state, or "". `sample`: its key is a sample."""
    found = _VERSIONS_DIFFER if state.startswith(SPEAKS) else ADVICE.get(state, "")
    if state.startswith(DIFFERS):
        setting = state.removeprefix(DIFFERS)
        # min_view follows from the number of members unless somebody set it.
        found = _MEMBERS_DIFFER if setting in ("members", "min_view") else _SETTING_DIFFERS
    if not found and sample:
        return f"{SAMPLE}: {ADVICE[SAMPLE]}"
    return found


def who_hears_whom(lines: Iterable[BrokenLine], away: Iterable[str], own: str) -> list[str]:
    """Who is not there at all, and which lines to mend: one sentence each. `own`: this node's
    endpoint."""
    said = [f"nobody who is heard here hears {one}: is it on, and connected?" for one in away]
    for line in lines:
        listener, speaker = _called(line.listener, own), _called(line.speaker, own)
        if line.both_ways:
            what, how = f"{listener} and {speaker} do not hear each other", ""
        else:
            what = f"{listener} does not hear {speaker}"
            how = f"; can {listener} connect to {speaker}?"
        knows = own in (line.listener, line.speaker) if line.both_ways else line.listener == own
        more = "" if knows else " (flocksy status there says more)"
        said.append(f"{what}: look at the line between the two{how}{more}")
    return said


def _called(endpoint: str, own: str) -> str:
    return "this node" if endpoint == own else endpoint
