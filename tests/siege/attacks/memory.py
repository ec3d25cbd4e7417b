"""What the server counts as its memory, and what it has to keep in it (item 8)."""

from __future__ import annotations

import trio

from tests.bench.process import ServerProcess
from tests.siege.attack import attack
from tests.siege.client import ConnectionLost, RawClient
from tests.siege.context import AttackContext
from tests.siege.wire import command

__all__ = ["astral_refs", "empty_rooms"]

LOBBY = "lobby"
LOBBY_ENTRIES = 1_003
SESSIONS = 8
# Counted as journal, so many rooms would be more than the journal of the attack may take.
JOURNAL_OF_ROOMS = ("--limit", f"journal_bytes={2 << 20}")
ROOMS_MIN = 2_200

# Without the tails of the rooms, which are another cache.
JOURNAL_OF_REFS_MIB = 24
JOURNAL_OF_REFS = ("--limit", f"journal_bytes={JOURNAL_OF_REFS_MIB << 20}", "--limit", "tail_bytes=65536")
GROWTH_MIB = 36  # what it counts is an estimate: with ASCII refs such a journal takes 27
ASTRAL = "\U0001f40d"
REF_CHARACTERS = 64
LINES_AT_ONCE = 50
ENTRIES_MIN = 40_000  # enough to fill the journal


async def _fill_lobby(context: AttackContext) -> RawClient:
    """Say as much in the lobby as the journal easily holds, and stay in it."""
    (client,) = await context.members(1, LOBBY)
    for number in range(LOBBY_ENTRIES):
        await client.send(command("say", room=LOBBY, text=f"entry {number}", ref=f"{number}"))
    for _ in range(LOBBY_ENTRIES):
        await client.message_of("ack")
    return client


async def _first(client: RawClient) -> int:
    """Return the number of the oldest entry that the lobby still has."""
    await client.send(command("history", room=LOBBY, after=0, limit=1))
    while (answer := await client.message_of("history", "error"))["type"] != "history":
        continue
    entries = answer["entries"]
    assert isinstance(entries, list)
    return int(entries[0]["seq"]) if entries else 0


# A room in use takes some 3 KiB, and what Python's allocator keeps of it is not given back at once.
@attack(
    item=8,
    quick=True,
    options=("--no-rate-limit", "--limit", "rooms=100000", *JOURNAL_OF_ROOMS),
    latency="maximum",
    memory_mib=64,
    seconds_min=3.0,
)
async def empty_rooms(context: AttackContext) -> None:
    """Enter thousands of rooms in which nothing is said: the lobby must keep its entries."""
    lobby = await _fill_lobby(context)
    clients = await context.members(SESSIONS)
    rooms = context.scaled(20_000, 4_000) // SESSIONS
    async with context.attacking() as nursery:
        for index, client in enumerate(clients):
            nursery.start_soon(_enter_rooms, context, client, index, rooms)
        nursery.start_soon(_talk_on, lobby)
    entered = context.counts["rooms"]
    context.require(entered >= ROOMS_MIN, f"only {entered} rooms were entered, expected {ROOMS_MIN}")
    first = await _first(lobby)
    context.require(first == 1, f"the oldest entry of the lobby is {first}, expected 1")


async def _enter_rooms(context: AttackContext, client: RawClient, index: int, rooms: int) -> None:
    for first in range(0, rooms, 100):
        await client.join(*(f"empty{index}-{number}" for number in range(first, first + 100)))
        context.counts["rooms"] += 100


async def _talk_on(client: RawClient) -> None:
    """Say something in the lobby now and then: each commit looks at what may be forgotten."""
    while True:
        await client.send(command("say", room=LOBBY, text="more"))
        await trio.sleep(0.05)


@attack(
    item=8,
    options=("--no-rate-limit", *JOURNAL_OF_REFS),
    latency="maximum",
    memory_mib=2 * JOURNAL_OF_REFS_MIB,
    seconds_min=12.0,
)
async def astral_refs(context: AttackContext) -> None:
    """Say short texts with refs of 64 astral characters: they must count as what they take in memory."""
    server = ServerProcess(context.server_pid, context.port)
    clients = await context.members(SESSIONS)
    before_kib = server.rss_kib()
    async with context.attacking() as nursery:
        for index, client in enumerate(clients):
            nursery.start_soon(_say_with_refs, context, client, index)
    grown_mib = (server.rss_kib() - before_kib) >> 10
    entries = context.counts["entries"]
    context.require(entries >= ENTRIES_MIN, f"only {entries} entries were kept, expected {ENTRIES_MIN}")
    context.require(
        grown_mib <= GROWTH_MIB,
        f"a journal of {JOURNAL_OF_REFS_MIB} MiB takes {grown_mib} MiB, expected at most {GROWTH_MIB}",
    )


async def _say_with_refs(context: AttackContext, client: RawClient, index: int) -> None:
    """Say so many lines that all sessions together fill the journal twice."""
    room = f"refs{index}"
    try:
        await client.join(room)
        for first in range(0, 2 * ENTRIES_MIN // SESSIONS, LINES_AT_ONCE):
            refs = [f"{first + line:07d}".ljust(REF_CHARACTERS, ASTRAL) for line in range(LINES_AT_ONCE)]
            await client.send(b"".join(command("say", room=room, text="a", ref=ref) for ref in refs))
            for _ in refs:
                await client.message_of("ack")
            context.counts["entries"] += len(refs)
    except ConnectionLost:
        context.require(False, "a member lost its connection")
