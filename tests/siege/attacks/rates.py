"""More talk than the rates allow: by reconnecting, by many tokens, by large texts (item 5)."""

from __future__ import annotations

import trio

from tests.siege.attack import attack
from tests.siege.client import ConnectionLost
from tests.siege.context import AttackContext
from tests.siege.wire import command, proxy_v1

__all__ = ["address_talk", "large_texts", "reconnect_rooms", "reconnect_talk"]

TOKEN = "siege-token-siege-token-0"
ROOM = "talk"
BURST, PER_S = 20, 5
ADDRESS_FACTOR = 10
# While the loop is late, a bucket may fill beyond its burst; and a clock of ours is not the server's.
SLACK = 1.2
PROXY = "127.0.0.2"
BYTES_BURST, BYTES_PER_S = 256 << 10, 16 << 10
TEXT_BYTES = 4_096


async def _talk_once(context: AttackContext, token: str, lines: int, text: str, prefix: bytes = b"") -> None:
    """Connect, say so many lines at once, count those that are acknowledged, and hang up."""
    source = PROXY if prefix else ""
    async with await context.connect(source=source) as client:
        if prefix:
            await client.send(prefix)
        await client.hello(context.name(), token)
        context.counts["connections"] += 1
        await client.join(ROOM)
        number = context.counts["connections"]
        for line in range(lines):
            await client.send(command("say", room=ROOM, text=text, ref=f"{number}-{line}"))
        for _ in range(lines):
            answer = await client.message_of("ack", "error", "bye")
            if answer["type"] == "bye":
                return
            context.counts["acked" if answer["type"] == "ack" else "refused"] += 1


async def _talk_on(context: AttackContext, token: str, lines: int, text: str, prefix: bytes = b"") -> None:
    while True:
        try:
            await _talk_once(context, token, lines, text, prefix)
        except ConnectionLost:
            context.counts["lost"] += 1
            await trio.sleep(0.01)


def _most(context: AttackContext, burst: float, per_s: float) -> int:
    return int((burst + per_s * context.elapsed_s) * SLACK) + PER_S


@attack(item=5, quick=True)
async def reconnect_talk(context: AttackContext) -> None:
    """One token talks, reconnects and talks: its acknowledged lines must stay within the rate."""
    async with context.attacking() as nursery:
        nursery.start_soon(_talk_on, context, TOKEN, BURST + 1, "again")
    acked, most = context.counts["acked"], _most(context, BURST, PER_S)
    context.require(acked <= most, f"{acked} lines of one token were acknowledged, expected at most {most}")
    context.require(acked >= BURST, f"only {acked} lines were acknowledged, and the burst is {BURST}")


@attack(item=5)
async def reconnect_rooms(context: AttackContext) -> None:
    """One token joins 100 rooms, reconnects and does so again: its joins must stay within the rate."""
    joins = b"".join(command("join", room=f"r{number}") for number in range(100))

    async def come_and_go() -> None:
        while True:
            try:
                async with await context.connect() as client:
                    await client.hello(context.name(), TOKEN)
                    await client.send(joins)
                    for _ in range(100):
                        answer = await client.message_of("room", "error")
                        context.counts["joined" if answer["type"] == "room" else "refused"] += 1
            except ConnectionLost:
                await trio.sleep(0.01)

    async with context.attacking() as nursery:
        nursery.start_soon(come_and_go)
    joined, most = context.counts["joined"], _most(context, 200, 5)
    context.require(joined <= most, f"{joined} joins of one token were granted, expected at most {most}")


@attack(item=5, needs="--proxy", options=("--proxy", PROXY))
async def address_talk(context: AttackContext) -> None:
    """Ever new tokens of one address talk: together they must stay within ten times a member's rate."""
    async with context.attacking() as nursery:
        for _ in range(8):
            nursery.start_soon(_talk_on, context, "", BURST, "again", proxy_v1("203.0.113.7", context.port))
    acked = context.counts["acked"]
    most = _most(context, BURST * ADDRESS_FACTOR, PER_S * ADDRESS_FACTOR)
    context.require(acked <= most, f"{acked} lines of one address were acknowledged, expected at most {most}")
    context.require(acked >= BURST, f"only {acked} lines were acknowledged, and a burst is {BURST}")


# By the default rates 20 KiB a second are possible, so the bound in bytes would be met after a minute only.
@attack(
    item=5,
    journal="file",
    options=("--limit", "talk_burst=100000", "--limit", "talk_per_s=100000"),
    latency="maximum",
    memory_mib=48,
)
async def large_texts(context: AttackContext) -> None:
    """One member says texts of 4 KiB: what is kept must stay within 256 KiB and 16 KiB a second."""
    text = "x" * TEXT_BYTES
    async with context.attacking() as nursery:
        for _ in range(4):
            nursery.start_soon(_talk_on, context, TOKEN, 64, text)
    kept = context.counts["acked"] * TEXT_BYTES
    most = _most(context, BYTES_BURST, BYTES_PER_S)
    context.require(kept <= most, f"{kept:,} bytes of one member were kept, expected at most {most:,}")
    context.require(
        kept >= BYTES_BURST // 2, f"only {kept:,} bytes were kept, and the burst is {BYTES_BURST:,}"
    )
    _require_small_disk(context, kept)


def _require_small_disk(context: AttackContext, kept: int) -> None:
    """Require that the files of the journal are in proportion to what they keep."""
    assert context.journal is not None
    folder = context.journal.parent
    used = sum(path.stat().st_size for path in folder.glob(f"{context.journal.name}*"))
    most = 8 * kept + (4 << 20)  # the log of the database, and the index beside the texts
    context.require(used <= most, f"the journal takes {used:,} bytes, expected at most {most:,}")
