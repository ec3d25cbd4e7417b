"""Rows 28, 30 and 42 of the table of faults, by peers that speak the wire by hand.

Of row 30: another epoch is that of another journal, since the one in memory ends with its server.
"""

from contextlib import suppress
from random import Random

import trio
from msgspec.structs import replace

from tests.server.harness import RawClient, packed
from tests.sim.house import SERVER, House, open_house
from trio_chat.errors import LinkBroken
from trio_chat.testing import Latency, Narrow, Rule, Simulation, Split
from trio_chat.wire.messages import (
    UNSET,
    Command,
    Entry,
    Gap,
    History,
    HistoryPage,
    Join,
    Members,
    Ping,
    Pong,
    Room,
    Rooms,
    RoomsPage,
    Who,
)

__all__ = ["coming_back", "pipelines", "restarted"]

# --- rows 28 and 30: a cursor, a journal that has moved on, and `recent` ----------------------------------


async def coming_back(sim: Simulation) -> None:
    """Resume eve with a valid or invalid cursor while others talk; check that a gap covers each missing
    entry."""
    random = sim.fork("row")
    kept = random.choice([10, 100])
    tail_bytes = random.choice([1, 2_000, 1 << 20])
    async with open_house(sim, journal_room_entries=kept, tail_bytes=tail_bytes) as house:
        ada = await house.enter("ada", "lobby")
        epoch, head = await _said(house, ada, random.randrange(1, 60))
        rules: list[Rule] = [Split(5), Narrow(300), Latency(0.1, 0.1)]
        with house.network.fault(random.choice(rules), "eve", SERVER, both=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_murmur, ada, random)
                await _comes_back(house, random, epoch, head)


async def _said(house: House, ada: RawClient, count: int) -> tuple[str, int]:
    for number in range(count):
        await ada.say(f"long ago {number}")
    peer = await house.enter("eve")
    room = await peer.join("lobby")
    peer.link.close()
    await trio.sleep(1)
    return room.epoch, room.head


async def _murmur(ada: RawClient, random: Random) -> None:
    for number in range(random.choice([0, 5, 40])):
        await trio.sleep(random.choice([0, 0.001, 0.1]))
        await ada.say(f"meanwhile {number}")


async def _comes_back(house: House, random: Random, epoch: str, head: int) -> None:
    after = random.choice([0, random.randrange(head + 1), head, head + 1, 10_000])
    recent = random.choice([None, None, 0, 5, 100])
    limit = random.choice([None, None, 1, 5, 100])
    epoch = random.choice([epoch, epoch, "of another journal"])
    eve = await house.enter("eve")
    join = Join("lobby", UNSET if recent is None else recent, after, epoch, "j")
    eve.send(join if limit is None else replace(join, limit=limit))
    room = await eve.answer(Room, ref="j")
    good = (epoch == room.epoch or after == 0) and after <= room.head
    assert room.resumed == good
    start = after if good else 0
    goes_on = good and (start >= room.first - 1 or recent is None)
    at_most = min(room.head if goes_on else recent or 0, room.head if limit is None else limit)
    await eve.receive_for(20)
    _tiles(eve, start, newest=room.head - at_most, head=house.server.streams["lobby"].head)


def _tiles(eve: RawClient, start: int, *, newest: int, head: int) -> None:
    """Entries and gaps are one behind the other: no hole, nothing twice, and no gap that need not be."""
    at = start
    for event in eve.seen:
        if isinstance(event, Gap):
            assert event.after == at, f"{event} does not go on after {at}"
            assert not event.kept or event.next <= newest + 1, "kept is what `recent` or `limit` leaves out"
            at = event.next - 1
        elif isinstance(event, Entry):
            assert event.seq == at + 1, f"{event} does not go on after {at}"
            at += 1
    assert at == head, f"shown, or told of, up to {at} of {head}"


async def restarted(sim: Simulation) -> None:
    """The server comes back with an empty journal: the cursor of the old one means nothing."""
    async with open_house(sim) as house:
        ada = await house.enter("ada", "lobby")
        epoch, head = await _said(house, ada, 3)
    async with open_house(sim) as house:
        again = await house.enter("ada")
        room = await again.join("lobby", after=head, epoch=epoch)
        assert not room.resumed and room.epoch != epoch


# --- row 42: endless queries from a client that does not read the replies --------------------------------

QUESTIONS: list[Command] = [History("lobby", ref="h"), Who("lobby", ref="w"), Rooms(ref="r"), Ping(ref="p")]
ANSWERS = {"h": HistoryPage, "w": Members, "r": RoomsPage, "p": Pong}


async def pipelines(sim: Simulation) -> None:
    random = sim.fork("row")
    most = random.choice([1_000, 20_000])
    async with open_house(sim, answers_bytes=most) as house:
        zoe = await house.observer()
        eve = await house.enter("eve", "lobby")
        assert await zoe.presence_changes() == ["+eve"]
        await zoe.say("x" * 1_000)
        asked = [random.choice(QUESTIONS) for _ in range(400)]
        small = Narrow(random.choice([700, 8_000]))
        with house.network.fault(small, "eve", SERVER, both=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_ask, eve, asked)
                for _ in range(5):
                    assert await zoe.presence_changes(random.choice([0.1, 3.0])) == [], (
                        "the other members are not affected"
                    )
                    (session,) = [
                        each for each in house.server._sessions if each.outbound.link.address == "eve"
                    ]
                    assert session.outbound.replies_bytes <= most + 3_000, "and no more than one answer"
                early = random.random() < 0.5
                if early:
                    nursery.start_soon(eve.receive_for, 5.0)
                else:
                    assert await zoe.presence_changes(70) == ["-eve slow"], (
                        "a minute in which it took nothing"
                    )
                    nursery.cancel_scope.cancel()
        if early:
            answers = [event for event in eve.seen if getattr(event, "ref", "") in ANSWERS]
            assert [type(each) for each in answers] == [ANSWERS[each.ref] for each in asked], "each, in order"
        eve.link.close()


async def _ask(eve: RawClient, questions: list[Command]) -> None:
    with suppress(LinkBroken):
        await eve.send_all(packed(*questions))
