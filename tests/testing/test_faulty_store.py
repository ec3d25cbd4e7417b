"""The simulated disk that loses its tail: whole commits, the newest, of all rooms in their order."""

from itertools import count
from random import Random

import pytest
import trio

from trio_chat.errors import StoreError
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.store import Draft, RoomRecord
from trio_chat.testing.chat import FaultyDisk, UnreliableStore, draw_plan
from trio_chat.wire.codec import decode_entry

_seeds = count()


def fresh() -> MemoryStore:
    return MemoryStore(random_bytes=Random(next(_seeds)).randbytes, clock=trio.current_time)


def draft(text: str, room: str = "lobby") -> Draft:
    return Draft(room, room.title(), "ada", text, ref=text, key=f"ada {text}")


async def texts(store: UnreliableStore, room: str = "lobby") -> list[str]:
    await store.open(room, room)
    page = await store.read(room, 0, 2**53, entries_max=100, bytes_max=1 << 20)
    return [entry.text for entry in map(decode_entry, page.payloads)]


async def spoken() -> tuple[UnreliableStore, RoomRecord]:
    """Four commits, the second and the last of two rooms."""
    store = UnreliableStore(fresh(), FaultyDisk(), Random(0))
    lobby = await store.open("lobby", "Lobby")
    await store.open("attic", "Attic")
    await store.commit([draft("a"), draft("b")], 1)
    await store.commit([draft("c"), draft("x", "attic")], 2)
    await store.commit([draft("d")], 3)
    await store.commit([draft("y", "attic"), draft("e"), draft("f")], 4)
    return store, lobby


@pytest.mark.parametrize(
    ("commits", "lobby", "attic"),
    [(0, "abcdef", "xy"), (1, "abcd", "x"), (2, "abc", "x"), (3, "ab", ""), (4, "", ""), (100, "", "")],
)
async def test_whole_commits_are_lost_and_no_other(commits: int, lobby: str, attic: str) -> None:
    store, before = await spoken()
    await store.lose_tail(fresh(), commits)
    assert ("".join(await texts(store)), "".join(await texts(store, "attic"))) == (lobby, attic)
    now = await store.open("lobby", "lobby")
    assert (now.shown, now.head) == ("Lobby" if lobby else "lobby", len(lobby))
    assert now.epoch != before.epoch


async def test_what_was_lost_can_be_said_again_and_what_was_not_is_known() -> None:
    store, _ = await spoken()
    await store.lose_tail(fresh(), 2)
    await store.open("lobby", "lobby")
    outcomes = await store.commit([draft("f"), draft("b"), draft("d")], 5)
    assert [outcome.seq for outcome in outcomes] == [4, 2, 5]
    await store.lose_tail(fresh(), 1)
    assert "".join(await texts(store)) == "abc", "and may be lost again"


async def test_what_was_written_though_it_failed_is_there() -> None:
    store = UnreliableStore(fresh(), FaultyDisk(fails=1.0), Random(3))
    store.disk = FaultyDisk()
    await store.open("lobby", "Lobby")
    store.disk = FaultyDisk(fails=1.0)
    for text in "abcdefgh":
        with pytest.raises(StoreError):
            await store.commit([draft(text)], 1)
    store.disk = FaultyDisk()
    written = await texts(store)
    assert 0 < len(written) < 8, "as often as not"
    await store.lose_tail(fresh(), 0)
    assert await texts(store) == written


def test_only_with_the_server_a_machine_goes_down() -> None:
    """Some seeds do, some kill only the server, and what they drew otherwise is what they always drew."""
    plans = [draw_plan(seed) for seed in range(300)]
    assert all(plan.lost_commits is None for plan in plans if plan.crash_s is None)
    assert {plan.lost_commits for plan in plans if plan.crash_s is not None} >= {None, 0, 1, 5, 50}
