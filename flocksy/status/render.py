"""The status as text for people."""

from __future__ import annotations

from collections.abc import Iterable

from flocksy.status.links import who_hears_whom
from flocksy.status.model import COIN_TOSS, BoxStatus, LinkStatus, Status
from flocksy.status.printable import printable

SHOWN_LINES = 5
"""Of the lines between members that are broken, and of who is away; `--json` has them all."""

SHOWN_PER_BOX = 5
"""Problems and conflicts shown of each box; `--json` has them all."""

UID_DIGITS = 8
"""Enough of a uid to tell the members of one flock apart."""


def status_text(status: Status) -> str:
    """Several lines, without a newline at the end."""
    lines = [
        f"flocksy {status.version}, node {printable(status.endpoint)} "
        f"({status.uid[:UID_DIGITS]}), profile {status.profile}",
        f"state    {status.state} ({status.code})",
        f"flock    {len(status.view)} of {status.members} members in the view, "
        f"at least {status.min_view} needed",
        f"         {_anonymity(status)}",
    ]
    lines += [f"         {text}" for text in _unheard(status)]
    if status.possinymity is not None:
        lines.append(f"         {_possinymity(status.possinymity)}")
    if status.held_back:
        lines.append(f"         {status.held_back}")
    if status.burst is not None:
        burst = status.burst
        kind = "repeat burst" if burst.repeat else "burst"
        lines.append(
            f"{kind:<8} {burst.done} of {burst.length} cells, {size(burst.bytes_per_second)}/s"
        )
    if status.bursts_to_come:
        lines.append(f"         bursts to come, needed or not: {status.bursts_to_come}")
    queue = status.queue
    lines.append(
        f"queue    {queue.versions} versions and {size(queue.bytes_to_send)} to send, "
        f"{queue.wanted} chunks and {size(queue.bytes_wanted)} wanted"
    )
    lines += ["", "links", *_links(status.links)]
    lines += ["", "boxes", *boxes_lines(status.boxes)]
    if status.errors:
        lines += ["", "last errors", *(f"  {printable(error)}" for error in status.errors)]
    return "\n".join(lines)


def boxes_lines(boxes: Iterable[BoxStatus]) -> list[str]:
    """One line for each box, and some for what is wrong in it."""
    lines: list[str] = []
    for box in boxes:
        reason = f": {printable(box.reason)}" if box.reason else ""
        pending = f", {box.pending} pending" if box.pending else ""
        lines.append(
            f"  {printable(box.name)}  {printable(box.path)}  {box.state.value}{reason}  "
            f"({box.files} files, {size(box.bytes)}{pending}{_how(box)})"
        )
        if 0 < box.lacking < box.others:
            lines.append(f"    {_shared(box)}")
        if box.asks:
            lines.append(f"    asks: {printable(box.asks)}")
        lines += _some("problem", box.problems) + _some("conflict", box.conflicts)
        lines += _some("set aside", box.set_aside)
    return lines or ["  none; add one with flocksy box add NAME@PATH"]


def _shared(box: BoxStatus) -> str:
    """Who hides whom in a box that not all have who are here."""
    sharing = box.others - box.lacking
    toss = ": a coin toss" if sharing + 1 <= COIN_TOSS else ""
    return (
        f"{sharing} of the {box.others} other members that are here "
        f"{'has' if sharing == 1 else 'have'} it: "
        f"a change in it could come from {sharing + 1} members{toss}"
    )


def _how(box: BoxStatus) -> str:
    """What is not the same for every box."""
    mode = "" if box.mode == "sync" else f", {box.mode}"
    folders = ", ".join(printable(folder) for folder in box.folders)
    return f"{mode}, only {folders}" if folders else mode


def size(count: float) -> str:
    """A number of bytes in the unit that suits it."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}"
    return f"{count / 1024:.1f} TiB"


def _anonymity(status: Status) -> str:
    if not status.real_allowed:
        enough = len(status.view) >= status.min_view
        who = "not all members of the view" if enough else "too few members"
        return f"nothing real leaves now: {who} hear each other"
    if status.anonymity_set == 1:
        return "a change can only come from here: there is nobody to hide among"
    if status.anonymity_set <= COIN_TOSS:
        return f"a change could come from {status.anonymity_set} members: a coin toss"
    return f"a change could come from any of {status.anonymity_set} members"


def _unheard(status: Status) -> list[str]:
    said = who_hears_whom(status.broken_lines, status.away, status.endpoint)
    return _first([printable(text) for text in said], SHOWN_LINES)


def _possinymity(members: int) -> str:
    if members <= 1:
        return "all that was told from here, taken together, can only come from here"
    return f"all that was told from here, taken together, could come from any of {members} members"


def _links(links: tuple[LinkStatus, ...]) -> list[str]:
    lines: list[str] = []
    for link in links:
        at = f" (at {printable(link.address)})" if link.address else ""
        lines.append(
            f"  {link.uid[:UID_DIGITS]}  {printable(link.endpoint)}{at}  {printable(link.text)}  "
            f"{'in view' if link.in_view else 'not in view'}  "
            f"cells out {link.cells_out_idle} idle + {link.cells_out_burst} burst, "
            f"in {link.cells_in}, gaps {link.gaps}"
        )
        if link.advice:
            lines.append(f"    {printable(link.advice)}")
    return lines or ["  none"]


def _some(what: str, texts: tuple[str, ...]) -> list[str]:
    lines = [f"{what}: {printable(text)}" for text in texts]
    return [f"    {line}" for line in _first(lines, SHOWN_PER_BOX)]


def _first(lines: list[str], count: int) -> list[str]:
    more = len(lines) - count
    return [*lines[:count], f"and {more} more (flocksy status --json)"] if more > 0 else lines
