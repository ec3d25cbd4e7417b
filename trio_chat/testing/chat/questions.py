"""The queries of a member, and a check of their answers."""

from collections.abc import Iterable
from typing import assert_never

from trio_chat.contract import BreachKind, Visit
from trio_chat.testing.chat.plan import Question
from trio_chat.wire import messages as m

__all__ = ["check_history", "question"]


def question(what: Question, room: str, ref: str) -> m.Command:
    match what:
        case "ping":
            return m.Ping(ref=ref)
        case "rooms":
            return m.Rooms(ref=ref)
        case "history":
            return m.History(room, ref=ref)
        case "typing":
            return m.Typing(room)
        case _:
            assert_never(what)


def check_history(visit: Visit, entries: Iterable[m.Said | m.TopicChanged]) -> tuple[BreachKind, str] | None:
    """Return the error of a page of history, or None: it must hold the shown entries, in order, without a
    gap."""
    last = 0
    for entry in entries:
        shown = visit.truth.at(entry.seq)
        if last and entry.seq != last + 1:
            return (
                BreachKind.REORDERED,
                f"{visit.user} was told {visit.room} {last} and then {entry.seq} as history",
            )
        if shown not in (None, entry):
            return (
                BreachKind.PHANTOM,
                f"{visit.user} was told another {visit.room} {entry.seq} than was shown",
            )
        last = entry.seq
    return None
