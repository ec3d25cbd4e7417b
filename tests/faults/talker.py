"""A simple member: it sends a text, waits for the ack, and reads all events."""

from __future__ import annotations

from random import Random

import trio

from trio_chat.client import Chat, ClientEvent, Disconnected, connect
from trio_chat.contract import BreachKind, Judge, Visit
from trio_chat.wire.messages import Error, Gap, Room, Said

__all__ = ["Talker"]

PAUSE_S = 1.0  # on average


class Talker:
    """A member that talks in `run`; when cancelled it disconnects without a message."""

    def __init__(self, judge: Judge, name: str, random: Random) -> None:
        self.name = name
        self.acks: dict[str, int] = {}
        """The number of each acknowledged text."""
        self.said = 0
        self.outages = 0
        self.stay: Visit | None = None
        self._judge = judge
        self._random = random
        self._stopping = False
        self.stopped = trio.Event()
        self._news = trio.lowlevel.ParkingLot()

    @property
    def acked(self) -> int:
        return len(self.acks)

    async def run(self, port: int, room: str) -> None:
        async with connect("127.0.0.1", port, name=self.name) as chat:
            self._judge.asks(room, self.name)
            answer = await chat.join(room)
            self.stay = self._judge.entered(
                room, self.name, epoch=answer.epoch, head=answer.head, members=answer.members
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, chat, self.stay)
                await self._talk(chat, room)

    async def next_ack(self) -> None:
        """Wait for a new ack."""
        before = self.acked
        while self.acked == before:
            await self._news.park()

    def stop(self) -> None:
        """Stop sending; `stopped` is set when the pending text is acknowledged."""
        self._stopping = True

    async def has_seen(self, seq: int) -> None:
        """Wait until the member has received the entry with this number."""
        assert self.stay is not None
        while self.stay.cursor < seq:
            await self._news.park()

    def waits_for(self) -> list[str]:
        """Return a line for the ack that the member still waits for, if any."""
        if self.stopped.is_set():
            return []
        return [f"{self.name} waits for the ack of its message {self.said}, and has {self.acked}"]

    async def _talk(self, chat: Chat, room: str) -> None:
        while not self._stopping:
            self.said += 1
            text = f"{self.name} says {self.said}"
            self._judge.says(room, self.name, text)
            seq = await chat.say(room, text)
            self._judge.acked(text, seq)
            self.acks[text] = seq
            self._news.unpark_all()
            await trio.sleep(self._random.uniform(0, 2 * PAUSE_S))
        self.stopped.set()

    async def _listen(self, chat: Chat, visit: Visit) -> None:
        async for events in chat.batches():
            if not visit.agrees(events):
                for event in events:
                    self._hear(event, visit)
            self._news.unpark_all()

    def _hear(self, event: ClientEvent, visit: Visit) -> None:
        match event:
            case Said():
                visit.saw(event)
            case Gap():
                visit.skipped(event.after, event.next)
                self._judge.findings.add(
                    BreachKind.LOST, event.room, self.name, f"{self.name} was told of a gap"
                )
            case Disconnected():
                self.outages += 1
            case Room() | Error():
                words = f"{self.name} was told: {event}"
                self._judge.findings.add(BreachKind.RESUME, visit.room, self.name, words)
            case _:
                pass
