"""Perform a plan: with the real server, its members, network and journal, and a judge of all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import assert_never

import trio
from msgspec import Struct

from trio_chat.contract import BreachKind, Judge
from trio_chat.errors import PromiseBroken, Refused
from trio_chat.hub.names import prepare_name, prepare_room
from trio_chat.journal.memory import MemoryStore
from trio_chat.journal.store import Draft
from trio_chat.server.config import Config, Limits
from trio_chat.server.serve import Server, open_server
from trio_chat.testing.chat.aborted_handshakes import AbortedHandshakes
from trio_chat.testing.chat.actor import Actor
from trio_chat.testing.chat.bugs import logged_bugs
from trio_chat.testing.chat.faulty_store import FaultyDisk, UnreliableStore
from trio_chat.testing.chat.plan import (
    SERVER,
    Ask,
    Doze,
    Enter,
    Go,
    Knock,
    LeaveRoom,
    Plan,
    Repeat,
    Step,
    Talk,
    draw_plan,
)
from trio_chat.testing.chat.watch import WATCH_S, watch
from trio_chat.testing.chat.work import DrawnWork
from trio_chat.testing.network import MemoryNetwork
from trio_chat.testing.simulate import Simulation

__all__ = ["Story", "drawn", "play"]

START_MS = 1_790_000_000_000
PATIENCE_S = 200.0  # without progress, before members that lack entries are a failure
SETTLED_S = 800.0  # … and the limit for all of it, whatever happens
SAY_AGAIN_S = 5.0
PING_S = 20.0  # unless the server requires a shorter interval
DOWN_S = 1.0  # between a crash and the next start


class Story(Struct):
    """The result of a plan."""

    deliveries: int
    struck: int
    """How many faults made a difference."""
    gaps: int
    """How many entries the server left out and announced as gaps."""


async def play(
    sim: Simulation,
    plan: Plan,
    *,
    serve: Callable[..., AbstractAsyncContextManager[Server]] = open_server,
) -> Story:
    """Perform a plan to its end. Raises `PromiseBroken`, and any error of the server."""
    scene = _Scene(sim, plan, serve)
    with logged_bugs() as bugs:
        await scene.perform()
    for words in bugs:
        scene.judge.findings.add(BreachKind.ENDED, "", "", f"a bug was logged: {words}")
    findings = scene.judge.finish()
    if findings.total:
        breaches = findings.breaches
        raise PromiseBroken(tuple(breach.words for breach in breaches), kind=breaches[0].kind)
    sim.leaves_nothing(scene.left_behind)
    stays = scene.judge.stays
    return Story(
        deliveries=sum(visit.verified for visit in stays),
        struck=scene.network.struck,
        gaps=sum(visit.gaps for visit in stays),
    )


async def drawn(sim: Simulation) -> Story:
    """Perform the plan of the run's own seed: `simulate(4711, drawn)`."""
    return await play(sim, draw_plan(sim.seed))


class _Scene:
    """The simulation of one plan. An `actor.ActorContext`."""

    def __init__(
        self, sim: Simulation, plan: Plan, serve: Callable[..., AbstractAsyncContextManager[Server]]
    ) -> None:
        self.judge = Judge()
        self.judge.findings.tell = lambda breach: sim.note(
            "breach", "", str(breach.kind), breach.room, breach.user, breach.words
        )
        self.network = MemoryNetwork(sim.fork("network"), sim.note, plan.buffer_bytes)
        self._sim = sim
        self._plan = plan
        self._serve = serve
        self._config = Config(rate_limit=False, limits=Limits(**plan.limits))
        self._journal = self._new_journal()
        self._store = UnreliableStore(self._journal, plan.disk, sim.fork("disk"))
        struck = {host for fault in plan.faults for host in (fault.first, fault.second)}
        all_struck = plan.crash_s is not None or "*" in struck
        self._actors = {name: Actor(self, name, exposed=all_struck or name in struck) for name in plan.users}
        self._strangers = AbortedHandshakes(self.network, self.judge)
        self._server: Server | None = None
        self._kill = trio.CancelScope()
        self._stop = trio.Event()
        self._stopped = trio.Event()
        self._begun = 0.0

    def is_known(self, name: str) -> bool:
        try:
            return self._server is not None and bool(self._server.hub.find(prepare_name(name)))
        except Refused:
            return False

    def left_behind(self) -> Iterator[str]:
        """List what is left open at the end."""
        yield from self.network.left_behind()
        server = self._server
        assert server is not None, "it was started"
        if server.sessions:
            yield f"{server.sessions} sessions"
        if len(server.streams):
            yield f"{len(server.streams)} feeds in use"
        yield from (f"a member in the room {room}" for room in server.hub.rooms)
        names = [*self._plan.users, *self._strangers.names]
        yield from (f"the name {name}" for name in names if self.is_known(name))

    # --- the plan -------------------------------------------------------------------------------------

    async def perform(self) -> None:
        for room in () if self._plan.are_blank else self._plan.rooms:
            words = await self._found(room)
            self.judge.says(room, "founder", words)
            self.judge.acked(words, 1)
        self._begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            await nursery.start(self._run_server)
            async with trio.open_nursery() as actors:
                for actor in self._actors.values():
                    actors.start_soon(actor.live)
                async with trio.open_nursery() as events:
                    await self._happen(events)
                    await self._settle()
                    self.judge.hold_to_account()
                    events.cancel_scope.cancel()
                if self.judge.findings.total:
                    # The run is judged already, and a member that waits for ever would not end by itself.
                    nursery.cancel_scope.cancel()
                await self._end()
            self._stop.set()
        if not nursery.cancel_scope.cancelled_caught:
            self._account_for_drain()

    async def _happen(self, events: trio.Nursery) -> None:
        for fault in self._plan.faults:
            events.start_soon(self.network.befall, fault)
        if self._plan.crash_s is not None:
            events.start_soon(self._crash, self._plan.crash_s)
        limits = self._config.limits
        fails = bool(self._plan.disk.fails)
        ping_s = min(PING_S, limits.ping_s)
        events.start_soon(partial(watch, list(self._actors.values()), self.judge, ping_s=ping_s, fails=fails))
        for step in self._plan.steps:
            await trio.sleep_until(self._begun + step.at_s)
            self._do(step, events)
        await trio.sleep_until(self._begun + self._horizon_s)

    def _new_journal(self, when: str = "") -> MemoryStore:
        most, random = self._config.limits.journal_room_entries, self._sim.fork(f"epochs{when}")
        return MemoryStore(room_entries_max=most, random_bytes=random.randbytes, clock=trio.current_time)

    async def _found(self, room: str) -> str:
        """Commit an old first entry to a room: a room without entries gets a new epoch after its last
        leave."""
        key, words = prepare_room(room).key, f"{room} is open"
        await self._journal.open(key, room)
        await self._journal.commit([Draft(key, room, "founder", words)], START_MS)
        self._journal.close(key)
        return words

    @property
    def _horizon_s(self) -> float:
        """Return when the last step and the last fault of the plan are over."""
        ends = [fault.at_s + fault.lasts_s for fault in self._plan.faults]
        ends += [self._plan.crash_s + DOWN_S] if self._plan.crash_s is not None else []
        ends += [step.at_s + (step.after_s if isinstance(step, Knock) else 0) for step in self._plan.steps]
        return max(ends, default=0.0) + WATCH_S

    # --- the server -----------------------------------------------------------------------------------

    async def _run_server(self, task_status: trio.TaskStatus[None]) -> None:
        """Run the server, and after a crash the next one."""
        while not self._stop.is_set():
            random_bytes = self._sim.fork(f"server at {trio.current_time()}").randbytes
            work_clock = DrawnWork(self._sim.fork(f"work at {trio.current_time()}"))
            with trio.CancelScope() as self._kill:
                async with self._serve(
                    self._config,
                    store=self._store,
                    listeners=[self.network.listen(SERVER)],
                    clock_ms=lambda: START_MS + int(trio.current_time() * 1_000),
                    random_bytes=random_bytes,
                    work_clock=work_clock,
                ) as self._server:
                    task_status.started()
                    await self._stop.wait()
            if self._kill.cancelled_caught:
                task_status = trio.TASK_STATUS_IGNORED
                if self._plan.lost_commits is not None:
                    await self._lose_tail(self._plan.lost_commits)
                await trio.sleep(DOWN_S)
        self._stopped.set()

    async def _lose_tail(self, commits: int) -> None:
        """Lose the newest commits in a crash of the machine: rooms have new epochs."""
        self._journal = self._new_journal(f" at {trio.current_time()}")
        for room in () if self._plan.are_blank else self._plan.rooms:
            await self._found(room)
        await self._store.lose_tail(self._journal, commits)
        for room in self._plan.rooms:
            head = (await self._journal.open(prepare_room(room).key, room)).head
            self._sim.note("lost tail", "", room, head)
            self.judge.lost_tail(room, head)

    async def _crash(self, at_s: float) -> None:
        await trio.sleep_until(self._begun + at_s)
        self._sim.note("crash")
        self._kill.cancel()

    # --- what happens ---------------------------------------------------------------------------------

    def _do(self, step: Step, events: trio.Nursery) -> None:
        if isinstance(step, Knock):
            events.start_soon(self._strangers.knock, step)
            return
        actor = self._actors[step.user]
        match step:
            case Talk():
                actor.member.talk(step.room, step.times, step.size)
            case Enter():
                actor.member.enter(step.room, step.recent)
            case LeaveRoom():
                actor.member.leave(step.room)
            case Doze():
                actor.doze(step.lasts_s)
                # The server may disconnect it for that, and the others receive this before it does.
                actor.member.exposed |= "stalled_s" in self._plan.limits
            case Go():
                actor.go(step.way, step.away_s, hasty=step.hasty)
            case Repeat():
                actor.member.repeat(step.times)
            case Ask():
                actor.member.ask(step.what, step.room, step.times)
            case _:
                assert_never(step)

    # --- the end --------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Wait without faults until all members have everything, as long as entries still arrive."""
        self._store.disk = FaultyDisk()
        begun = since = said = trio.current_time()
        facts = -1
        for actor in self._actors.values():
            actor.ping()
        while not self._is_settled(begun):
            await trio.sleep(WATCH_S)
            now = trio.current_time()
            for actor in self._actors.values():
                actor.wake()
                if now - said >= SAY_AGAIN_S:
                    actor.member.say_unacked_again()
            if now - said >= SAY_AGAIN_S:
                said = now
            if self.judge.facts != facts:
                facts, since = self.judge.facts, now
            if now - since > PATIENCE_S or now - begun > SETTLED_S:
                for actor in self._actors.values():
                    if not actor.is_settled_since(begun):
                        words = f"{actor.name} waits for an answer, or to be let in again, for ever"
                        self.judge.findings.add(BreachKind.ENDED, "", actor.name, words)
                return

    def _is_settled(self, begun: float) -> bool:
        settled = all(actor.is_settled_since(begun) for actor in self._actors.values())
        return settled and not self.judge.waits_for()

    async def _end(self) -> None:
        for actor in self._actors.values():
            actor.is_over = True
        if self._plan.ending == "quit":
            for actor in self._actors.values():
                actor.go("quit")
            return
        for index, actor in enumerate(self._actors.values()):
            for room in list(actor.member.stays):
                actor.member.talk(room, 3, 300)
            if index % 2:
                actor.doze(self._sim.random.uniform(0, 3))
        await trio.sleep(self._sim.random.choice([0, 0.001, 0.1]))
        self._stop.set()
        await self._stopped.wait()

    def _account_for_drain(self) -> None:
        """Check that each member connected when the server stopped got a goodbye, also a slow one."""
        if self._plan.ending != "drain":
            return
        for actor in self._actors.values():
            actor.member.excuse_unacked()
            if actor.member.bye != "draining":
                told = actor.member.bye or "nothing"
                words = f"{actor.name} was told {told} when the server stopped, not `draining`"
                self.judge.findings.add(BreachKind.ENDED, "", actor.name, words)
