"""Search over the wire: the hits, their pages, and the entries that a session may not see."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.server.harness import RawClient, ServerHarness, serving, serving_observed
from tests.server.stores import FailingStore, WriteThenFailStore, held_entries
from trio_chat.journal import memory, search, sqlite_search
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.search import SearchBounds
from trio_chat.journal.sqlite import SqliteStore, open_sqlite
from trio_chat.journal.store import Matches, RetentionRule
from trio_chat.server.config import Config, Limits
from trio_chat.server.disconnect import CONNECTION_LOST
from trio_chat.wire.codec import encode
from trio_chat.wire.messages import (
    MAX_NUMBER,
    UNSET,
    Ack,
    Entry,
    Error,
    Found,
    Gap,
    History,
    HistoryPage,
    Said,
    Say,
    Search,
    Topic,
    TopicChanged,
    UnsetType,
)

FRAME = 65_536


async def ask(
    peer: RawClient,
    text: str,
    room: str = "",
    before: int | UnsetType = UNSET,
    limit: int = 100,
    next: str = "",
) -> Found:
    ref = peer.ref()
    peer.send(Search(text, room, before, limit, ref, next))
    found = await peer.answer(Found, ref=ref)
    assert len(encode(found)) <= FRAME
    assert bool(found.next) == found.more
    return found


async def all_pages(peer: RawClient, text: str, room: str = "", limit: int = 100) -> list[list[Entry]]:
    pages: list[list[Entry]] = []
    following = ""
    while not pages or following:
        found = await ask(peer, text, room, limit=limit, next=following)
        pages.append(list(found.entries))
        following = found.next
    return pages


def places(found: Found) -> list[str]:
    return [f"{entry.room} {entry.seq}" for entry in found.entries]


async def test_welcome_names_the_search_feature(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        peer = harness.dial()
        assert "search" in (await peer.hello("ada")).features


async def test_texts_and_topics_are_found_in_the_own_rooms(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada", "Lobby", "attic")
        bob = await harness.enter("bob", "attic", "cellar")
        await ada.say("Tea is ready", room="lobby")
        await trio.sleep(1)
        await bob.say("no tea for me", room="cellar")
        bob.send(Topic("attic", "TEATIME", ref="t"))
        await bob.answer(Ack, ref="t")
        await trio.sleep(1)
        await ada.say("steam", room="lobby")
        found = await ask(ada, "tea")
        assert places(found) == ["Lobby 2", "attic 1", "Lobby 1"]
        assert isinstance(found.entries[1], TopicChanged)
        assert places(await ask(bob, "tea")) == ["attic 1", "cellar 1"]
        assert places(await ask(ada, "tea", "LOBBY")) == ["Lobby 2", "Lobby 1"]
        ada.send(Search("tea", "cellar", ref="s"))
        await ada.answer(Error, code="not_in_room", field="room")
        assert places(await ask(await harness.enter("eve"), "tea")) == []


async def test_before_is_a_number_in_one_room_and_a_time_in_all_rooms(autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada", "lobby", "attic")
        for n in range(6):
            await ada.say("x", room="lobby" if n % 2 else "attic")
            await trio.sleep(1)
        assert places(await ask(ada, "x", "lobby", before=3)) == ["lobby 2", "lobby 1"]
        assert places(await ask(ada, "x", "lobby", before=1)) == []
        assert places(await ask(ada, "x", "lobby", before=0)) == []
        at = (await ask(ada, "x")).entries[2].at
        assert places(await ask(ada, "x", before=at)) == ["attic 2", "lobby 1", "attic 1"]
        assert places(await ask(ada, "x", before=at + 1)) == ["lobby 2", "attic 2", "lobby 1", "attic 1"]
        assert places(await ask(ada, "x", before=0)) == []
        page = await ask(ada, "x", before=at, limit=1)
        assert places(await ask(ada, "x", before=at, next=page.next)) == ["lobby 1", "attic 1"]


@pytest.fixture(params=["memory", "sqlite"])
async def busy(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[ServerHarness, RawClient]]:
    """Run a server where ada has sent the same text often in three rooms, and many times at once."""
    store = MemoryStore() if request.param == "memory" else await open_sqlite(tmp_path / "journal.db")
    async with serving(store=store, rate_limit=False) as harness:
        ada = await harness.enter("ada", "lobby", "attic", "cellar", buffer_bytes=1 << 20)
        for _ in range(20):
            await ada.say("so it is", room="lobby")
            for room in ("cellar", "attic", "cellar"):
                await ada.say("so it is", room=room)
        yield harness, ada
        ada.link.close()


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_pages_are_complete_and_do_not_overlap(
    busy: tuple[ServerHarness, RawClient], limit: int
) -> None:
    _, ada = busy
    pages = await all_pages(ada, "so it is", limit=limit)
    entries = [entry for page in pages for entry in page]
    assert all(len(page) == limit for page in pages[:-1])
    assert len({(entry.room, entry.seq) for entry in entries}) == len(entries) == 80
    assert [entry.at for entry in entries] == sorted((entry.at for entry in entries), reverse=True)


async def test_a_page_may_be_empty_and_not_the_last(
    busy: tuple[ServerHarness, RawClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ada = busy
    await ada.say("a needle", room="lobby")
    for _ in range(300):
        await ada.say("hay", room="lobby")
    for module, name in ((search, "PAGE"), (memory, "SLICE"), (sqlite_search, "SLICE")):
        monkeypatch.setattr(module, name, SearchBounds(50, 10**9))
    monkeypatch.setattr(sqlite_search, "SEGMENT_BYTES", 1_000)
    pages = await all_pages(ada, "ne")
    assert pages[0] == []
    assert [entry.text for page in pages for entry in page] == ["a needle"]
    assert len(pages) < 20


async def test_a_page_ends_when_the_frame_is_full(autojump_clock: MockClock) -> None:
    async with serving(rate_limit=False) as harness:
        ada = await harness.enter("ada", "lobby", buffer_bytes=1 << 20)
        for n in range(40):
            await ada.say(f"{n} " + '"' * 4_000)
        pages = await all_pages(ada, '"')
        assert [entry.seq for page in pages for entry in page] == list(range(40, 0, -1))
        assert len(pages) > 4


async def test_unpublished_entries_are_not_found(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The store has written the entry and reported a failure, so the entry is not published."""
    store = WriteThenFailStore(failing=False)
    async with serving(store=store) as harness:
        ada = await harness.enter("ada", "lobby")
        await ada.say("a secret")
        store.failing = store.reading_fails = True
        ada.send(Say("lobby", "another secret", ref="s"))
        await ada.answer(Error, code="unavailable")
        caplog.clear()
        assert len(await held_entries(store.inner, "lobby")) == 2
        store.failing = False
        harness.server.store = store.inner
        assert places(await ask(ada, "secret")) == ["lobby 1"]
        store.reading_fails = False
        await trio.sleep(5)
        assert places(await ask(ada, "secret")) == ["lobby 2", "lobby 1"]


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (Search("", ref="s"), "text"),
        (Search("a\0b", ref="s"), "text"),
        (Search("a", next="x", ref="s"), "next"),
        (Search("a", next="1.2", ref="s"), "next"),
        (Search("a", next="1.x.lobby", ref="s"), "next"),
        (Search("a", next="1." + "9" * 40 + ".lobby", ref="s"), "next"),
    ],
    ids=str,
)
async def test_an_invalid_search_is_refused(command: Search, field: str, autojump_clock: MockClock) -> None:
    async with serving() as harness:
        ada = await harness.enter("ada", "lobby")
        ada.send(command)
        await ada.answer(Error, code="bad_message", field=field)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize(
    "command",
    [
        Search("a", next=f"{10**16 - 1}.{10**16 - 1}.lobby", ref="s"),
        Search("a", next=f"-{10**16 - 1}.0.lobby", ref="s"),
        Search("a", next="5.1.a room that is not there", ref="s"),
        Search("a", next="5.1." + "\U0001f44b" * 240, ref="s"),
        Search("a", next="5.1.a\0b", ref="s"),
        Search("a", next=f"5.{10**16 - 1}.lobby", before=MAX_NUMBER, ref="s"),
        Search("a", before=MAX_NUMBER, ref="s"),
        Search("a", "lobby", before=MAX_NUMBER, ref="s"),
        Search("\ufdfa" * 1_365, ref="s"),
        Search("\u0301\u0316" * 1_024, ref="s"),
        Search('"' * 4_096, ref="s"),
        History("lobby", before=MAX_NUMBER, ref="s"),
        History("lobby", after=MAX_NUMBER, ref="s"),
        History("lobby", before=0, ref="s"),
    ],
    ids=lambda command: str(command)[:60] if not isinstance(command, str) else command,
)
async def test_odd_numbers_and_texts_are_answered(
    command: Search | History, kind: str, tmp_path: Path
) -> None:
    store = MemoryStore() if kind == "memory" else await open_sqlite(tmp_path / "journal.db")
    async with serving(store=store) as harness:
        ada = await harness.enter("ada", "lobby", "attic")
        await ada.say("a", room="lobby")
        ada.send(command)
        if isinstance(command, History):
            assert not (await ada.answer(HistoryPage, ref="s")).more
        else:
            assert not (await ada.answer(Found, ref="s")).more
        ada.link.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_search_whose_session_has_ended_stops(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore() if kind == "memory" else await open_sqlite(tmp_path / "journal.db")
    asked: list[bool] = []
    inner = store.search

    async def asking(*arguments: Any, is_abandoned: Callable[[], bool]) -> Matches:
        asked.append(is_abandoned())
        ended.end(CONNECTION_LOST)
        asked.append(is_abandoned())
        return await inner(*arguments, is_abandoned=is_abandoned)

    async with serving(store=store) as harness:
        ada = await harness.enter("ada", "lobby")
        await ada.say("a needle", room="lobby")
        (ended,) = harness.server._sessions
        monkeypatch.setattr(store, "search", asking)
        ada.send(Search("needle", ref="s"))
        await wait_all_tasks_blocked()
        assert asked == [False, True]
        ada.link.close()


async def test_a_text_is_not_parsed_as_syntax(autojump_clock: MockClock) -> None:
    async with serving(rate_limit=False) as harness:
        ada = await harness.enter("ada", "lobby")
        texts = [
            'say "hello" OR',
            "NEAR(a b)",
            "wild*card",
            "col:umn",
            "'; DROP TABLE",
            "(z",
            "^start",
            "-not",
            "{a b}:c",
        ]
        for text in texts:
            await ada.say(text)
        for text in texts:
            assert [entry.text for entry in (await ask(ada, text)).entries] == [text]
        for text in ('"', "*", "AND", '""', "NEAR(a", '" OR "'):
            assert [entry.text for entry in (await ask(ada, text)).entries] == [
                each for each in reversed(texts) if text.lower() in each.lower()
            ]


async def test_a_journal_that_cannot_be_read_is_an_error(autojump_clock: MockClock) -> None:
    store = FailingStore(failing=False)
    async with serving(store=store) as harness:
        ada = await harness.enter("ada", "lobby")
        store.reading_fails = True
        ada.send(Search("a", ref="s"))
        await ada.answer(Error, code="unavailable")
        store.reading_fails = False
        assert places(await ask(ada, "a")) == []


async def test_a_hundred_searches(websocket: bool, autojump_clock: MockClock) -> None:
    async with serving_observed(websocket=websocket) as (_, _, eve):
        eve.send(*[Search("tea", ref=f"s{n}") for n in range(100)])
        heard = await eve.receive_for()
        assert [event.ref for event in heard if isinstance(event, Found)] == [f"s{n}" for n in range(50)]
        errors = [event for event in heard if isinstance(event, Error)]
        assert [error.ref for error in errors] == [f"s{n}" for n in range(50, 100)]
        assert {(error.code, error.retry_after_s) for error in errors} == {("rate_limited", 1)}


# --- what is kept no longer ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_removed_entries_are_not_found_by_any_session(kind: str, tmp_path: Path) -> None:
    keep = RetentionRule(entries=3)
    store = MemoryStore(keep=keep) if kind == "memory" else await open_sqlite(tmp_path / "j.db", keep=keep)
    config = Config(rate_limit=False, limits=Limits(tail_bytes=1))
    async with serving(config, store=store, random_bytes=os.urandom) as harness:
        ada = await harness.enter("ada", "lobby")
        epoch = (await (bob := await harness.enter("bob")).join("lobby")).epoch
        for n in range(1, 9):
            assert await ada.say(f"number {n}") == n
        while await store.tidy(harness.server.clock_ms()):
            pass
        assert places(await ask(ada, "number")) == ["lobby 8", "lobby 7", "lobby 6"]
        eve = await harness.enter("eve")
        room = await eve.join("lobby", after=1, epoch=epoch)
        assert (room.resumed, room.first, room.head) == (True, 6, 8)
        await eve.answer(Gap, room="lobby", after=1, next=6, kept=False)
        for seq in (6, 7, 8):
            await eve.answer(Said, seq=seq)
        if isinstance(store, SqliteStore):  # as for a session that opened the room meanwhile
            store._rooms["lobby"].first = 1
        for before in (9, 7, 6, 2):
            eve.send(History("lobby", before=before, ref="h"))
            page = await eve.answer(HistoryPage, ref="h")
            assert ([entry.seq for entry in page.entries], page.more) == (list(range(6, before)), False)
        for peer in (ada, bob, eve):
            peer.link.close()


async def test_a_session_that_is_behind_gets_a_gap_for_removed_entries(tmp_path: Path) -> None:
    """The page that it waits for is removed before it is read."""
    store = await open_sqlite(tmp_path / "j.db", keep=RetentionRule(entries=3))
    config = Config(rate_limit=False, limits=Limits(tail_bytes=1))
    async with serving(config, store=store, random_bytes=os.urandom) as harness:
        ada = await harness.enter("ada", "lobby")
        bob = await harness.enter("bob", "lobby", buffer_bytes=2_000)
        for n in range(1, 41):
            assert await ada.say(f"number {n} " + "x" * 500) == n
        while await store.tidy(harness.server.clock_ms()):
            pass
        gap = await bob.answer(Gap, room="lobby", next=38, kept=False)
        assert bob.seqs() == list(range(1, gap.after + 1))
        for seq in (38, 39, 40):
            await bob.answer(Said, seq=seq)
        assert await ada.say("on") == 41
        for peer in (ada, bob):
            peer.link.close()
