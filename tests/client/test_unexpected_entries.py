"""Unexpected entries: entries that a server must not send are recorded, others are not."""

import trio

from tests.client.scripted import chatting, said
from trio_chat.client.inbox import Inbox
from trio_chat.wire.messages import History, HistoryPage, Said


def put(inbox: Inbox, *entries: Said) -> None:
    keep = not inbox.full
    for entry in entries:
        inbox.put(entry, keep)


def test_duplicate_and_late_entries_are_dropped_and_recorded() -> None:
    inbox = Inbox()
    inbox.enter("lobby", 0)
    put(inbox, said(1), said(3), said(2), said(3))
    assert inbox.take_all() == [said(1), said(3)]
    assert list(inbox.strays) == [said(2), said(3)]


def test_entries_from_before_a_rejoin_are_recorded() -> None:
    inbox = Inbox()
    inbox.enter("lobby", 7)
    put(inbox, said(7), said(8))
    assert inbox.take_all() == [said(8)]
    assert list(inbox.strays) == [said(7)]


def test_entries_after_leaving_are_delivered_and_recorded() -> None:
    inbox = Inbox()
    inbox.enter("lobby", 0)
    inbox.leave("lobby")
    put(inbox, said(1), said(2))
    assert inbox.take_all() == [said(1), said(2)]
    assert list(inbox.strays) == [said(1)]


def test_an_entry_that_arrives_live_and_in_an_answer_is_expected() -> None:
    inbox = Inbox(2)
    inbox.enter("lobby", 0)
    put(inbox, said(1), said(2))
    put(inbox, said(3))
    inbox.take_all()
    assert inbox.question("q") == History("lobby", after=2, limit=200, ref="q")
    put(inbox, said(4))
    inbox.answer(HistoryPage("lobby", [said(3), said(4), said(5)], more=False, ref="q"))
    put(inbox, said(5))
    assert inbox.take_all() == [said(3), said(4), said(5)]
    assert not inbox.strays


async def test_a_chat_returns_unexpected_entries_once(nursery: trio.Nursery) -> None:
    async with chatting(nursery) as (chat, peer):
        await peer.say(said(1))
        await anext(chat)
        assert chat.unexpected_entries() == [said(1)]
        assert chat.unexpected_entries() == []
