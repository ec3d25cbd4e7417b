"""Perform a plan and record it: the notes, every byte at the server's end, and the result.

The recording adds nothing to the run, so the trace equals that of the plan without it: the server gets
listeners that copy the bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from trio_chat.net.link import Link, ReadPacing, discard_input
from trio_chat.net.listen import Listener
from trio_chat.server.serve import Server, open_server
from trio_chat.testing.chat.plan import SERVER, Plan
from trio_chat.testing.chat.play import Story, play
from trio_chat.testing.chat.reduce import Failure, failure_of
from trio_chat.testing.pipe import PipeLink
from trio_chat.testing.simulate import Simulation, simulate
from trio_chat.testing.trace import Note

__all__ = ["Recording", "Serve", "Streams", "record"]

Serve = Callable[..., AbstractAsyncContextManager[Server]]
Streams = dict[tuple[str, str], bytearray]
"""The bytes by connection and sending host."""


@dataclass(frozen=True)
class Recording:
    """One run of a plan."""

    plan: Plan
    notes: tuple[Note, ...]
    streams: Streams
    """The bytes that the server sent, and those that it read."""
    trace_hash: str
    seconds: float
    """The duration in virtual time; for a failed run, until the last note."""
    story: Story | None
    """None when it failed."""
    failure: Failure | None


def record(plan: Plan, *, serve: Serve = open_server) -> Recording:
    """Perform a plan with its own seed. An error that is not an `Exception` is raised."""
    streams: Streams = {}
    stories: list[Story] = []
    ended: list[float] = []
    simulations: list[Simulation] = []

    async def recorded(sim: Simulation) -> None:
        sim.keep_notes()
        simulations.append(sim)
        stories.append(await play(sim, plan, serve=_looked_on(serve, streams)))
        ended.append(trio.current_time())

    failure = failure_of(plan, lambda plan: simulate(plan.seed, recorded))
    (sim,) = simulations
    notes = sim.notes
    last = notes[-1].time if notes else 0.0
    return Recording(
        plan=plan,
        notes=notes,
        streams=streams,
        trace_hash=sim.trace_hash,
        seconds=ended[0] if ended else last,
        story=None if failure else stories[0],
        failure=failure,
    )


def _looked_on(serve: Serve, streams: Streams) -> Serve:
    @asynccontextmanager
    async def looked_on(*settings: Any, listeners: Sequence[Listener], **more: Any) -> AsyncIterator[Server]:
        watched = [_Listener(each, streams) for each in listeners]
        async with serve(*settings, listeners=watched, **more) as server:
            yield server

    return looked_on


class _Listener:
    """A `trio_chat.net.listen.Listener`."""

    def __init__(self, inner: Listener, streams: Streams) -> None:
        self.address = inner.address
        self.close = inner.close
        self._inner = inner
        self._streams = streams

    async def accept(self) -> list[Link]:
        links: list[Link] = []
        for link in await self._inner.accept():
            assert isinstance(link, PipeLink), "it is one of a simulated network"
            links.append(_Link(link, self._streams))
        return links


class _Link:
    """A `trio_chat.net.link.Link`."""

    def __init__(self, inner: PipeLink, streams: Streams) -> None:
        self.address = inner.address
        self.send_bare: Callable[[bytes], int] = self.send_nowait
        self.wait_writable = inner.wait_writable
        self.interrupt = inner.interrupt
        self.close = inner.close
        self._inner = inner
        self._read = streams.setdefault((inner.name, inner.address), bytearray())
        self._sent = streams.setdefault((inner.name, SERVER), bytearray())

    async def receive_some(self) -> bytes:
        data = await self._inner.receive_some()
        self._read += data
        return data

    def send_nowait(self, data: bytes | memoryview) -> int:
        size = self._inner.send_nowait(data)
        self._sent += data[:size]
        return size

    async def finish(self, pace: ReadPacing | None = None) -> None:
        self._inner.end()
        await discard_input(self.receive_some, pace)
