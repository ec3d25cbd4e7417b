"""The server and its nurseries.

    open_server()
    └ stores     the committer, the presence notifier,       cancelled last, when nothing is pending
      │          maintenance, the scheduler, loop lag, clocks
      └ writers  one per session that is behind              its failure ends only its session
        └ sessions  one task per connection                  a deadline at drain
          └ accepting  accept loops, the keepalive sweep     cancelled first

Leaving the block drains the server: stop accepting, stop reading, commit and ack pending drafts, send
`bye draining`, flush, close. One deadline covers all of it. After the deadline, connections are closed by
force.
"""

from __future__ import annotations

import logging
import os
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from trio_chat.errors import LinkBroken
from trio_chat.hub.hub import Hub
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.sqlite import open_sqlite
from trio_chat.net.listen import open_listeners
from trio_chat.net.stream import open_stream_link
from trio_chat.server.acceptor import Acceptor
from trio_chat.server.clock import ServerTime
from trio_chat.server.commit import Committer
from trio_chat.server.config import MEMORY, Config
from trio_chat.server.disconnect import disconnect_for
from trio_chat.server.fair_share import FairScheduler
from trio_chat.server.fanout import publish
from trio_chat.server.http_routes import HttpRoutes
from trio_chat.server.keepalive import sweep
from trio_chat.server.logs import log_reports
from trio_chat.server.loop_lag import LoopLag
from trio_chat.server.maintenance import run_maintenance
from trio_chat.server.presence import PresenceNotifier
from trio_chat.server.proxies import Proxies
from trio_chat.server.refusals import Refusals
from trio_chat.server.retention import RetentionTime
from trio_chat.server.session import Session
from trio_chat.server.stream import RecentCache
from trio_chat.server.streams import RoomStreams
from trio_chat.server.timekeeping import begin_retention, compare_clocks
from trio_chat.version import __version__
from trio_chat.wire.messages import VERSION, Welcome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from trio_chat.hub.members import Attachment
    from trio_chat.journal.store import Store
    from trio_chat.net.link import Link
    from trio_chat.net.listen import Listener
    from trio_chat.server.peer_address import CountedConnection

__all__ = ["Server", "open_server"]

log = logging.getLogger("trio_chat.server")

ACCEPT_S = 0.0001  # about how much work a new connection is, without its first bytes


class Server:
    """A running server, made by `open_server`. Its parts reach each other through it."""

    def __init__(
        self,
        config: Config,
        store: Store,
        *,
        server_time: ServerTime,
        random_bytes: Callable[[int], bytes],
        work_clock: Callable[[], float],
        software: str,
    ) -> None:
        self.config = config
        self.limits = limits = config.limits
        self.clock_ms = clock_ms = server_time.now_ms
        self._time = server_time
        self._retention = RetentionTime(server_time, config.keep.age_ms, in_memory=store.kept == "memory")
        self.random_bytes = random_bytes
        self.addresses: list[str] = []
        """The addresses of its listeners, such as `tcp://127.0.0.1:5555`."""
        self.hub: Hub[Session] = Hub(sessions_max=limits.sessions, rooms_max=limits.rooms, rates=config.rates)
        self._announced = config.announced
        self.scheduler = FairScheduler(work_clock, are_limited=config.rate_limit)
        self.lateness = LoopLag()
        self.refusals = Refusals()
        self.streams = RoomStreams(
            store, RecentCache(tail_bytes=limits.tail_bytes, tails_bytes=limits.tails_bytes)
        )
        self.committer = Committer(
            store,
            partial(publish, sends_at_once=limits.sends_at_once),
            self.streams.release,
            clock_ms=clock_ms,
            work_clock=work_clock,
            queue_entries=limits.queue_entries,
            queue_bytes=limits.queue_bytes,
        )
        self.presence = PresenceNotifier(self.hub, self.streams, self.scheduler, limits.sends_at_once)
        self.store = store
        routes = HttpRoutes(config.public_names, clock_ms, self._is_healthy) if config.web else None
        self._acceptor = Acceptor(limits, routes, Proxies(config.proxies), self.scheduler, self.refusals)
        self._software = software
        self._sessions: dict[Session, None] = {}
        self._writers: trio.Nursery | None = None
        self._last_number = 0

    @property
    def sessions(self) -> int:
        """The number of sessions, including those before their hello."""
        return len(self._sessions) + self._acceptor.callers

    @property
    def connections(self) -> int:
        """The number of connections, including those of browsers that only load the page."""
        return self._acceptor.connections

    async def serve_stream(self, stream: trio.abc.Stream, address: str = "") -> None:
        """Serve a connection that no listener accepted, until it ends, and close the stream."""
        async with open_stream_link(stream, address) as link:
            await self.serve_link(link)

    async def serve_link(self, link: Link) -> None:
        """Serve one connection until it ends, and close the link, also when cancelled.

        A connection over one of the limits is sent an error and closed.
        """
        full = self._acceptor.full(link.address)
        if full or self._acceptor.is_shut():
            await self._acceptor.reject(link, full)
            return
        # An idle connection waits here, so local variables must not keep objects alive.
        counted = self._acceptor.counting(link.address)
        try:
            session = await self._open_session(link, counted)
            if session is not None:
                await session.run()
        finally:
            counted.close()

    async def _open_session(self, link: Link, counted: CountedConnection) -> Session | None:
        """Wait until the dialect of a peer is known. Return None, with the link closed, if it has none."""
        self._last_number += 1
        number = self._last_number
        accepted = await self._acceptor.ask(link, counted)
        if accepted is None:
            return None
        session = Session(self, link, number, accepted, counted.prefix)
        self._sessions[session] = None
        if self._acceptor.is_shut():  # during the wait
            session.drain()
        return session

    # --- for the server's parts ----------------------------------------------------------------------

    def welcome(self, name: str, session: int, token: str, ref: str) -> Welcome:
        return Welcome(
            version=VERSION,
            name=name,
            session=session,
            token=token,
            server=self._software,
            server_id=self.store.server_id,
            features=["search"],
            kept=self.store.kept,
            ping_s=self.limits.ping_s,
            limits=self._announced,
            ref=ref,
        )

    def detach(self, attachment: Attachment[Session], why: str) -> None:
        """Detach an ended session from the hub, and schedule notices to its rooms."""
        for room in self.hub.detach(attachment, why, trio.current_time()):
            self.presence.changed(room)

    def _is_healthy(self) -> bool:
        return not (self._acceptor.is_shut() or self.committer.failing)

    def remove(self, session: Session) -> None:
        self._sessions.pop(session, None)

    def start_writer(self, session: Session) -> None:
        """Start a task in which a session that is behind catches up."""
        assert self._writers is not None, "sessions run inside the writers nursery"
        self._writers.start_soon(self._write, session)

    async def _write(self, session: Session) -> None:
        try:
            await session.outbound.catch_up(self.streams, self.scheduler)
        except LinkBroken:
            session.connection_lost()
        except Exception:
            log.exception("unexpected error in the writer of session %d", session.number)
            session.end(disconnect_for("internal", "internal server error"))

    # --- the nurseries -------------------------------------------------------------------------------

    async def _run_maintenance(self) -> None:
        await begin_retention(self.store, self._time, self._retention)
        await run_maintenance(self.store, self._retention.now_ms)

    async def _accept(self, listener: Listener, sessions: trio.Nursery) -> None:
        scheduler = self.scheduler
        try:
            while True:
                links = await listener.accept()
                for link in links:
                    sessions.start_soon(self.serve_link, link)
                scheduler.charge(ACCEPT_S * len(links))
                await scheduler.wait(newcomer=True)
        finally:
            listener.close()

    @asynccontextmanager
    async def running(self, listeners: Sequence[Listener]) -> AsyncGenerator[None]:
        """Run the server while the block runs; see the docstring of this module."""
        try:
            async with self._running(listeners):
                yield
        finally:
            log_reports(self.refusals.last_reports(trio.current_time()))

    @asynccontextmanager
    async def _running(self, listeners: Sequence[Listener]) -> AsyncGenerator[None]:
        async with trio.open_nursery() as stores:
            stores.start_soon(self.committer.run)
            stores.start_soon(self.presence.run)
            stores.start_soon(self.scheduler.run)
            stores.start_soon(self.lateness.run)
            if self.store.tidies:
                stores.start_soon(self._run_maintenance)
            if self._time.has_two_clocks:
                stores.start_soon(compare_clocks, self.store, self._time, self._retention)
            async with trio.open_nursery() as self._writers, trio.open_nursery() as sessions:
                async with trio.open_nursery() as accepting:
                    accepting.start_soon(sweep, self._sessions, self._acceptor, self.scheduler, self.refusals)
                    for listener in listeners:
                        accepting.start_soon(self._accept, listener, sessions)
                    try:
                        yield
                    finally:
                        accepting.cancel_scope.cancel()
                self._drain(sessions)
            stores.cancel_scope.cancel()

    def _drain(self, sessions: trio.Nursery) -> None:
        deadline = trio.current_time() + self.limits.drain_s
        for nursery in (self._writers, sessions):
            assert nursery is not None
            nursery.cancel_scope.deadline = deadline
        self._acceptor.shut()
        for session in list(self._sessions):
            session.drain()


@asynccontextmanager
async def open_server(
    config: Config | None = None,
    *,
    store: Store | None = None,
    listeners: Sequence[Listener] | None = None,
    clock_ms: Callable[[], int] | ServerTime | None = None,
    random_bytes: Callable[[int], bytes] = os.urandom,
    work_clock: Callable[[], float] | None = None,
) -> AsyncGenerator[Server]:
    """Run a chat server while the block runs. It listens when the block begins.

    Leaving the block drains the server, for at most `drain_s` seconds. Leaving it by an exception, or being
    cancelled, closes all connections at once. Acked messages are in the journal either way.

    `listeners` and `store` default to those that `config` describes. The server closes both, also when they
    are passed in. `clock_ms` is the time of entries, by default `ServerTime` (`server/clock.py`).
    `random_bytes` makes tokens and epochs. `work_clock` measures in seconds how long steps of the loop take,
    by default with Trio's clock.

    Raises `CannotStart` before the block. A bug in the server ends the block and is raised as an exception
    group, as from any nursery.
    """
    config = config or Config()
    if listeners is None:
        listeners = await open_listeners(config.host, config.port)
    try:
        store = store or await _open_store(config, random_bytes)
        server = Server(
            config,
            store,
            server_time=_server_time(clock_ms),
            random_bytes=random_bytes,
            work_clock=work_clock or trio.lowlevel.current_clock().current_time,
            software=f"trio-chat {__version__}",
        )
        server.addresses = [listener.address for listener in listeners]
        try:
            async with server.running(listeners):
                yield server
        finally:
            with trio.move_on_after(config.limits.goodbye_s, shield=True):
                await store.aclose()
    finally:
        for listener in listeners:
            listener.close()


def _server_time(clock_ms: Callable[[], int] | ServerTime | None) -> ServerTime:
    if clock_ms is None:
        return ServerTime()
    return clock_ms if isinstance(clock_ms, ServerTime) else ServerTime(clock_ms, clock_ms)


async def _open_store(config: Config, random_bytes: Callable[[int], bytes]) -> Store:
    if config.journal != MEMORY:
        path = Path(config.journal)
        return await open_sqlite(
            path, durability=config.durability, keep=config.keep, random_bytes=random_bytes
        )
    limits = config.limits
    return MemoryStore(
        room_entries_max=limits.journal_room_entries,
        room_bytes_max=limits.journal_room_bytes,
        bytes_max=limits.journal_bytes,
        keep=config.keep,
        random_bytes=random_bytes,
    )
