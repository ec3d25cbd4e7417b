"""Searches that have much to look through, and texts that are expensive to fold (item 3)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle

import trio

from tests.siege.attack import attack
from tests.siege.client import ConnectionLost, RawClient
from tests.siege.context import AttackContext
from tests.siege.texts import descending_marks, ordinary_text
from tests.siege.wire import command

__all__ = [
    "search_deep",
    "search_letters",
    "search_letters_in_file",
    "search_marks",
    "search_marks_in_file",
    "search_typed_marks",
]

AUTHORS = 32
SEARCHERS = 5
LINES_EACH = 20  # the burst that a member may say
TEXT_BYTES = 4_096
ROOMS = tuple(f"search{number}" for number in range(8))
PERIOD_S = 0.1  # ten questions a second are allowed
ANSWER_S = 5.0
MARKS = descending_marks(TEXT_BYTES // 2)
LETTERS = ("e", "th", "zq", "thing", "t" * 200)


async def _fill(context: AttackContext, text: Callable[[int], str], authors: int, lines: int) -> None:
    """Say texts in all rooms, and wait for the answers; what the rates refuse is not said again."""
    accepted = 0

    async def say(client: RawClient, number: int) -> None:
        nonlocal accepted
        room = ROOMS[number % len(ROOMS)]
        await client.join(room)
        for line in range(lines):
            said = command("say", room=room, text=text(number * lines + line), ref=f"{number}-{line}")
            await client.send(said)
        for _ in range(lines):
            while "ref" not in (answer := await client.message_of("ack", "error")):
                continue
            accepted += answer["type"] == "ack"

    clients = await context.members(authors)
    async with trio.open_nursery() as nursery:
        for number, client in enumerate(clients):
            nursery.start_soon(say, client, number)
    for client in clients:
        client.close()
    context.counts["entries"] = accepted
    context.require(accepted > authors, f"only {accepted} texts were accepted")


async def _search(context: AttackContext, texts: tuple[str, ...], period_s: float) -> None:
    """Search for one text after the other, each with `next` until there is no more, in all rooms."""
    searchers = await context.members(SEARCHERS, *ROOMS)
    async with context.attacking() as nursery:
        for searcher in searchers:
            nursery.start_soon(_search_on, context, searcher, texts, period_s)


async def _search_on(
    context: AttackContext, client: RawClient, texts: tuple[str, ...], period_s: float
) -> None:
    try:
        for text in cycle(texts):
            following: object = ""
            while following is not None:
                fields = {"next": following} if following else {}
                await client.send(command("search", text=text, ref="s", **fields))
                answer = await client.message_of("found", "error")
                context.counts["pages" if answer["type"] == "found" else "refused"] += 1
                following = answer.get("next")
                await trio.sleep(period_s)
    except ConnectionLost:
        context.require(False, "a searcher lost its connection")


def _marks(number: int) -> str:
    return MARKS


def _letters(number: int) -> str:
    return ordinary_text(TEXT_BYTES, number)


# The journal keeps what was said, and the index of a file has its own caches.
@attack(item=3, quick=True, memory_mib=16)
async def search_marks(context: AttackContext) -> None:
    """Search rooms full of combining marks in descending order, by 5 members within the rates."""
    await _fill(context, _marks, context.scaled(AUTHORS, 16), LINES_EACH)
    await _search(context, ("absent", MARKS[:100]), PERIOD_S)


@attack(item=3, journal="file", memory_mib=32)
async def search_marks_in_file(context: AttackContext) -> None:
    """Search rooms full of combining marks, with the journal in a file, by 5 members within the rates."""
    await _fill(context, _marks, AUTHORS, LINES_EACH)
    await _search(context, ("absent", MARKS[:100]), PERIOD_S)


@attack(item=3, memory_mib=16)
async def search_typed_marks(context: AttackContext) -> None:
    """Search for 4 KiB of combining marks as fast as the server answers, by 5 members."""
    await _fill(context, _letters, 8, LINES_EACH)
    await _search(context, (MARKS, "e" + MARKS[1:], "\u03b1\u0313\u0300\u0345" * 512), 0.0)


@attack(item=3, memory_mib=16)
async def search_letters(context: AttackContext) -> None:
    """Search for common, short and absent texts, with `next` to the end, by 5 members within the rates."""
    await _fill(context, _letters, AUTHORS, LINES_EACH)
    await _search(context, LETTERS, PERIOD_S)


@attack(item=3, journal="file", memory_mib=32)
async def search_letters_in_file(context: AttackContext) -> None:
    """Search a journal in a file for common, short and absent texts, by 5 members within the rates."""
    await _fill(context, _letters, AUTHORS, LINES_EACH)
    await _search(context, LETTERS, PERIOD_S)


@attack(item=3, journal="file", options=("--no-rate-limit",), latency="maximum", memory_mib=64)
async def search_deep(context: AttackContext) -> None:
    """Search 10,000 texts in a file without a pause, by 5 members that no rate limits."""
    await _fill(context, lambda number: ordinary_text(400, number), 8, 1_250)
    await _search(context, LETTERS, 0.0)
