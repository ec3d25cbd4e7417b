"""Check once a second of a simulated chat that no member waits for the slowest one."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import trio

from trio_chat.contract import BreachKind, Judge
from trio_chat.testing.chat.actor import Actor

__all__ = ["WATCH_S", "watch"]

WATCH_S = 1.0
LATE_S = 5  # seconds by which a member may receive an entry later than others
STILL_S = 3  # seconds for which the whole chat may make no progress while a member waits for an answer


async def watch(actors: Sequence[Actor], judge: Judge, *, ping_s: float, fails: bool) -> None:
    """Let members ping and retry refused joins, and check their delays. A member that reads all the time and
    has no faults soon receives the entries that others have received, and its answers. With `fails` any
    member may have to wait for the journal."""
    heads: deque[dict[int, int]] = deque(maxlen=1 + LATE_S)
    pinged = trio.current_time()
    while True:
        await trio.sleep(WATCH_S)
        if trio.current_time() - pinged >= ping_s:
            pinged = trio.current_time()
            for actor in actors:
                actor.ping()
        heads.append({id(visit): visit.truth.head for visit in judge.stays})
        for actor in actors:
            actor.member.ask_again()
            if actor.steady and not fails and (words := _waits(actor, heads)):
                actor.steady = False  # once is enough
                judge.findings.add(BreachKind.LOST, "", actor.name, words)


def _waits(actor: Actor, heads: deque[dict[int, int]]) -> str:
    """Return a description of an entry or answer that the actor waits for too long, or an empty text."""
    if len(heads) == heads.maxlen:
        for visit in actor.member.stays.values():
            head = heads[0].get(id(visit), 0)
            if visit.cursor < head and not visit.way:
                return f"{actor.name} waits for {visit.room} {head}, which others have seen long ago"
    waits_s = actor.waits_s
    if waits_s > STILL_S < len(heads) and not _moved(heads[-1 - STILL_S], heads[-1]):
        return f"{actor.name} waits for an answer for {waits_s:.1f} s, in which no user was shown anything"
    return ""


def _moved(before: dict[int, int], now: dict[int, int]) -> bool:
    return any(before.get(visit, 0) != head for visit, head in now.items())
