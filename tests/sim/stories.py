"""The stories that run with many seeds: each runs with one seed and raises an error for a broken promise.

They cover rows 7, 23 to 25, 28 to 30, 36, 37, 42 and 43 of the table of faults, and the chat that a seed
draws freely. The judge of a plan's run checks the server's promises: each entry once and in order, one
departure for each arrival, no client that keeps up waits for a client that does not. The functions here
check the requirements of a single row. The journal is in memory, because a file would need threads: it
outlives its server where the row needs that, and may lose its tail then. tests/faults and tests/journal
cover real files. test_sweeps.py covers row 34.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from tests.sim import by_hand, plans, programs, rated
from tests.sim.plans import story
from trio_chat.server.serve import Server, open_server
from trio_chat.testing import Run, simulate
from trio_chat.testing.chat import Story, drawn

__all__ = ["STORIES"]

NOTICED_S = 70.0


def notes_of(run: Run[Story], kind: str, user: str = "") -> list[tuple[float, tuple[Any, ...]]]:
    """Return the notes of this kind, with their times, for a user's connections or for all connections."""
    notes = [note for note in run.trace if note.what[0] == kind]
    return [(note.time, note.what) for note in notes if note.what[1].startswith(user)]


def connections(run: Run[Story], user: str) -> int:
    """Return how often a user has connected, by the names of its connections."""
    names = {note.what[1] for note in run.trace if note.what[0] in ("dial", "sent", "delivered")}
    return max(int(name.rpartition("#")[2]) for name in names if name.startswith(f"{user}→"))


def resets(seed: int) -> None:
    run = simulate(seed, story(plans.resets))
    assert len(notes_of(run, "rst")) >= 2, "one while the server reads, one while it writes"
    assert connections(run, "u0") >= 2 and connections(run, "u1") >= 2, "they reconnected"


def stopped_reader(seed: int) -> None:
    run = simulate(seed, story(plans.stopped_reader))
    assert connections(run, "u0") == 1, "a client that sleeps for less than a minute stays connected"


def slow_reader(seed: int) -> None:
    run = simulate(seed, story(plans.slow_reader))
    assert run.value.struck
    assert connections(run, "u0") == 1, "a client that reads, however slowly, stays connected"


def vanished_client(seed: int) -> None:
    run = simulate(seed, story(plans.vanished_client))
    (back,) = [at for at, what in notes_of(run, "dial", "u0") if what[1].endswith("#2")]
    assert back <= 2.0 + NOTICED_S + 2.0, "the server and the client have detected the loss"
    assert connections(run, "u0") == 2, "it disconnects once"


def resume_after_sleep(seed: int) -> None:
    run = simulate(seed, story(plans.resume_after_sleep))
    assert connections(run, "u0") == 2, "the judge checks that it was resumed"
    assert run.value.gaps == 0
    assert run.seconds > 600


def lost_acks(seed: int) -> None:
    simulate(seed, story(plans.lost_acks))


def server_crash(seed: int) -> None:
    plan = plans.server_crash(seed)
    run = simulate(seed, story(plans.server_crash))
    notes = [note.what[0] for note in run.trace]
    assert notes.count("crash") == 1
    assert notes.count("lost tail") == (plan.lost_commits is not None), "a machine crash loses the tail"
    assert all(connections(run, user) >= 2 for user in plan.users[1:]), "they reconnected"


def failing_journal(seed: int) -> None:
    plan = plans.failing_journal(seed)
    run = simulate(seed, story(plans.failing_journal))
    assert {connections(run, user) for user in plan.users} == {1}, "members stay"


def stalled_room(seed: int) -> None:
    looked: list[float] = []
    plan = plans.stalled_room(seed)

    def look(server: Server) -> None:
        now = trio.current_time()
        outbound = [session.outbound for session in server._sessions]
        if 4.0 < now < 4.9:
            assert not any(each.live for each in outbound)
            rests = {id(each._remainder): len(each._remainder) for each in outbound}
            assert len(rests) <= 5 and sum(rests.values()) <= 25_000, (
                "the sessions share the remainders of few batches"
            )
        if 7.0 < now < 7.9:
            assert all(each.live for each in outbound), "full throughput again within two seconds"
        looked.append(now)

    run = simulate(seed, story(plans.stalled_room, serve=partial(_watched, look)))
    assert run.value.struck == len(plan.faults)
    assert [at for at in looked if 4.0 < at < 4.9] and [at for at in looked if 7.0 < at < 7.9]


@asynccontextmanager
async def _watched(look: Callable[[Server], None], *args: Any, **options: Any) -> AsyncGenerator[Server]:
    """Open a server and call `look` with it ten times a second."""

    async def watch(server: Server) -> None:
        while True:
            await trio.sleep(0.1)
            look(server)

    async with open_server(*args, **options) as server, trio.open_nursery() as nursery:
        nursery.start_soon(watch, server)
        yield server
        nursery.cancel_scope.cancel()


def resume_by_cursor(seed: int) -> None:
    simulate(seed, by_hand.coming_back)


def new_journal_epoch(seed: int) -> None:
    simulate(seed, by_hand.restarted)


def client_survives_crashes(seed: int) -> None:
    simulate(seed, programs.fallen_machines)


def rates(seed: int) -> None:
    simulate(seed, rated.too_much_to_say)


def unread_replies(seed: int) -> None:
    simulate(seed, by_hand.pipelines)


def chat(seed: int) -> None:
    simulate(seed, drawn)


STORIES: dict[str, Callable[[int], None]] = {
    each.__name__: each
    for each in (
        chat,
        rates,
        resets,
        stopped_reader,
        slow_reader,
        vanished_client,
        resume_after_sleep,
        resume_by_cursor,
        lost_acks,
        new_journal_epoch,
        client_survives_crashes,
        server_crash,
        failing_journal,
        unread_replies,
        stalled_room,
    )
}
"""By name."""
