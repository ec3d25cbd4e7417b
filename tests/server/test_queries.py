"""Queries: the members of a room, the rooms, and the history of a room."""

from collections.abc import Sequence

import pytest
from trio.testing import MockClock

from tests.server.harness import RawClient, ServerHarness, serving
from tests.server.stores import FailingStore
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import (
    UNSET,
    Ack,
    Error,
    History,
    HistoryPage,
    Leave,
    Members,
    Rooms,
    RoomsPage,
    Say,
    Topic,
    UnsetType,
    Who,
)

FRAME = 65_536


async def _all_names(harness: ServerHarness, room: str) -> tuple[list[str], list[int]]:
    """Return the members of a room from all pages, and the sizes of the pages."""
    peer = await harness.enter("asker", room)
    names: list[str] = []
    sizes: list[int] = []
    while True:
        ref = peer.ref()
        peer.send(Who(room, after=names[-1] if names else "", ref=ref))
        page = await peer.answer(Members, ref=ref)
        assert len(encode(page)) <= FRAME
        names += page.names
        sizes.append(len(page.names))
        if not page.more:
            assert page.count == len(names)
            return names, sizes


async def _ask(peer: RawClient, **bounds: int) -> HistoryPage:
    ref = peer.ref()
    peer.send(History("lobby", ref=ref, **bounds))
    page = await peer.answer(HistoryPage, ref=ref)
    assert len(encode(page)) <= FRAME
    return page


async def _talk(harness: ServerHarness, texts: Sequence[str]) -> RawClient:
    ada = await harness.enter("ada", "lobby")
    for text in texts:
        await ada.say(text)
    return ada


def _seqs(page: HistoryPage) -> list[int]:
    return [entry.seq for entry in page.entries]


async def test_who_lists_members_by_code_point(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        peers = [await harness.enter(name, "Lobby") for name in ("émile", "zoe", "Ada", "bob", "2pac")]
        peer = peers[-1]
        peer.send(Who("lobby", ref="w"))
        names = ["2pac", "Ada", "bob", "zoe", "émile"]
        assert await peer.answer(Members, ref="w") == Members("Lobby", names, 5, more=False, ref="w")
        peer.send(Who("lobby", after="bob", ref="w2"))
        assert (await peer.answer(Members, ref="w2")).names == ["zoe", "émile"]
        peer.send(Who("lobby", after="émile", ref="w3"))
        assert (await peer.answer(Members, ref="w3")).names == []


async def test_a_page_of_names_ends_at_a_thousand(autojump_clock: MockClock) -> None:
    async with serving(connections=3_000) as harness:
        for n in range(2_010):
            await harness.enter(f"peer{n:04}", "lobby", buffer_bytes=4_000)
        names, sizes = await _all_names(harness, "lobby")
        assert sizes == [1_000, 1_000, 11]
        assert names == ["asker", *(f"peer{n:04}" for n in range(2_010))]


async def test_a_page_of_names_ends_when_the_frame_is_full(autojump_clock: MockClock) -> None:
    """Names of 32 characters of four bytes each: 1,000 of them are more than a frame holds."""
    async with serving(connections=3_000) as harness:
        for n in range(600):
            await harness.enter(chr(0x20000 + n) * 32, "lobby", buffer_bytes=4_000)
        names, sizes = await _all_names(harness, "lobby")
        assert len(sizes) == 2
        assert names == ["asker", *(chr(0x20000 + n) * 32 for n in range(600))]


async def test_rooms_lists_rooms_with_members(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada", "lobby", "Attic", "cellar")
        bob = await harness.enter("bob", "attic")
        bob.send(Topic("attic", "old things", ref="t"))
        await bob.answer(Ack, ref="t")
        ada.send(Leave("cellar"), Rooms(ref="r"))
        page = await ada.answer(RoomsPage, ref="r")
        assert [(room.room, room.members, room.topic) for room in page.rooms] == [
            ("Attic", 2, "old things"),
            ("lobby", 1, ""),
        ]
        assert not page.more
        ada.send(Rooms(after="Attic", ref="r2"))
        assert [room.room for room in (await ada.answer(RoomsPage, ref="r2")).rooms] == ["lobby"]


async def test_pages_of_rooms_are_complete(autojump_clock: MockClock) -> None:
    async with serving(rooms=700, rate_limit=False) as harness:
        ada = await harness.enter("ada", buffer_bytes=1 << 20)
        names = [f"room{n:03}" for n in range(620)]
        for name in names:
            await ada.join(name)
            ada.send(Topic(name, "x" * 300))
        await ada.receive_for()
        found: list[str] = []
        pages = 0
        while True:
            ref = ada.ref()
            ada.send(Rooms(after=found[-1] if found else "", ref=ref))
            page = await ada.answer(RoomsPage, ref=ref)
            assert len(encode(page)) <= FRAME
            pages += 1
            found += [room.room for room in page.rooms]
            if not page.more:
                break
        assert found == names
        assert pages > 2, "500 would not fit into a frame"


@pytest.mark.parametrize(
    ("bounds", "seqs", "more"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7, 8, 9], False),
        ({"limit": 3}, [7, 8, 9], True),
        ({"limit": 9}, [1, 2, 3, 4, 5, 6, 7, 8, 9], False),
        ({"before": 5}, [1, 2, 3, 4], False),
        ({"before": 5, "limit": 2}, [3, 4], True),
        ({"before": 5, "limit": 4}, [1, 2, 3, 4], False),
        ({"before": 1}, [], False),
        ({"before": 0}, [], False),
        ({"before": 2**53 - 1, "limit": 2}, [8, 9], True),
        ({"after": 0, "limit": 2}, [1, 2], True),
        ({"after": 7, "limit": 2}, [8, 9], False),
        ({"after": 9}, [], False),
        ({"after": 2**53 - 1}, [], False),
    ],
    ids=str,
)
async def test_a_page_of_history(
    bounds: dict[str, int], seqs: list[int], more: bool, autojump_clock: MockClock
) -> None:
    async with serving() as harness:
        ada = await _talk(harness, [f"number {n}" for n in range(1, 10)])
        page = await _ask(ada, **bounds)
        assert (_seqs(page), page.more) == (seqs, more)
        assert page.entries == [entry for entry in ada.entries() if entry.seq in seqs], (
            "as they were published"
        )


@pytest.mark.parametrize(
    ("bounds", "seqs", "more"),
    [
        ({}, [6, 7, 8, 9], False),
        ({"limit": 2}, [8, 9], True),
        ({"limit": 4}, [6, 7, 8, 9], False),
        ({"before": 8}, [6, 7], False),
        ({"before": 6}, [], False),
        ({"before": 3}, [], False),
        ({"after": 0, "limit": 2}, [6, 7], True),
        ({"after": 5, "limit": 4}, [6, 7, 8, 9], False),
    ],
    ids=str,
)
async def test_history_of_a_room_with_removed_entries(
    bounds: dict[str, int], seqs: list[int], more: bool, autojump_clock: MockClock
) -> None:
    async with serving(journal_room_entries=4) as harness:
        ada = await _talk(harness, [f"number {n}" for n in range(1, 10)])
        page = await _ask(ada, **bounds)
        assert (_seqs(page), page.more) == (seqs, more)


async def test_pages_of_history_end_when_the_frame_is_full(autojump_clock: MockClock) -> None:
    """They are complete in both directions. Texts of quotes take twice their size."""
    async with serving(rate_limit=False) as harness:
        ada = await _talk(harness, ['"' * 4_096] * 30 + ["é" * 2_048] * 30)
        up: list[int] = []
        while (page := await _ask(ada, after=up[-1] if up else 0)).more:
            up += _seqs(page)
        assert up + _seqs(page) == list(range(1, 61))
        down: list[int] = []
        while (page := await _ask(ada, before=down[0] if down else 61)).more:
            down = _seqs(page) + down
        assert _seqs(page) + down == list(range(1, 61))
        assert len(up) > 5, "pages are as full as they can be"


async def test_history_takes_before_or_after(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await _talk(harness, ["hi"])
        ada.send(History("lobby", before=3, after=1, ref="h"))
        await ada.answer(Error, code="bad_message", field="after")


@pytest.mark.parametrize("bound", ["before", "after"])
async def test_history_of_a_journal_that_cannot_be_read(bound: str, autojump_clock: MockClock) -> None:
    store = FailingStore(failing=False)
    async with serving(store=store) as harness:
        ada = await _talk(harness, ["hi"])
        store.reading_fails = True
        after: int | UnsetType = 0 if bound == "after" else UNSET
        ada.send(History("lobby", after=after, ref="h"))
        await ada.answer(Error, code="unavailable", ref="h")
        store.reading_fails = False
        assert _seqs(await _ask(ada)) == [1]


async def test_queries_have_a_rate_of_their_own(autojump_clock: MockClock) -> None:
    async with serving(questions_burst=3) as harness:
        ada = await harness.enter("ada", "lobby")
        ada.send(Who("lobby"), Rooms(), History("lobby"), Who("lobby", ref="w"))
        error = await ada.answer(Error, code="rate_limited")
        assert error.ref == "w"
        ada.send(Say("lobby", "may I?", ref="s"))
        await ada.answer(Ack, ref="s")
