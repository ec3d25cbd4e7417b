"""What a member asks, and whether what it is answered is true."""

from collections.abc import Iterable
from typing import assert_never

from trio_chat.contract import Kind, Stay
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


def check_history(stay: Stay, entries: Iterable[m.Said | m.Retitled]) -> tuple[Kind, str] | None:
    """What is wrong with a page of history: it holds what was shown, in order and without a hole."""
    last = 0
    for entry in entries:
        shown = stay.truth.at(entry.seq)
        if last and entry.seq != last + 1:
            return Kind.REORDERED, f"{stay.user} was told {stay.room} {last} and then {entry.seq} as history"
        if shown not in (None, entry):
            return Kind.PHANTOM, f"{stay.user} was told another {stay.room} {entry.seq} than was shown"
        last = entry.seq
    return None
