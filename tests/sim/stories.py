"""The stories that are told with many seeds: each runs with one, and raises what is wrong.

Of rows 7, 23 to 25, 28 to 30, 36, 37, 42 and 43 of the table of faults, and the chat that a seed draws as it
likes. The judge of a plan's run holds the server to its promises: each entry once and in order, one going
for each coming, nobody who keeps up waits for somebody who does not. Beside it, here, what only this row
asks for. The journal is the one in memory, since a file would need threads: it outlives its server where a
row is about that, and may lose its tail then. What a real file does is for tests/faults and tests/journal.
Row 34 is swept (test_sweeps.py).
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


def told(run: Run[Story], kind: str, user: str = "") -> list[tuple[float, tuple[Any, ...]]]:
    """When something of this kind befell the connections of a user, or of anybody, and what."""
    notes = [note for note in run.trace if note.what[0] == kind]
    return [(note.time, note.what) for note in notes if note.what[1].startswith(user)]


def connections(run: Run[Story], user: str) -> int:
    """How often a user has connected, as the names of its connections tell."""
    names = {note.what[1] for note in run.trace if note.what[0] in ("dial", "sent", "delivered")}
    return max(int(name.rpartition("#")[2]) for name in names if name.startswith(f"{user}→"))


def row_7(seed: int) -> None:
    run = simulate(seed, story(plans.row_7))
    assert len(told(run, "rst")) >= 2, "while the server reads, and while it writes"
    assert connections(run, "u0") >= 2 and connections(run, "u1") >= 2, "and they came back"


def row_23(seed: int) -> None:
    run = simulate(seed, story(plans.row_23))
    assert connections(run, "u0") == 1, "nobody is ended who sleeps for less than a minute"


def row_24(seed: int) -> None:
    run = simulate(seed, story(plans.row_24))
    assert run.value.struck
    assert connections(run, "u0") == 1, "nobody is ended who reads, however slowly"


def row_25(seed: int) -> None:
    run = simulate(seed, story(plans.row_25))
    (back,) = [at for at, what in told(run, "dial", "u0") if what[1].endswith("#2")]
    assert back <= 2.0 + NOTICED_S + 2.0, "the server has noticed, and so did it"
    assert connections(run, "u0") == 2, "and goes once"


def row_28(seed: int) -> None:
    run = simulate(seed, story(plans.row_28))
    assert connections(run, "u0") == 2, "resumed, says the judge"
    assert run.value.gaps == 0
    assert run.seconds > 600


def row_29(seed: int) -> None:
    simulate(seed, story(plans.row_29))


def row_36(seed: int) -> None:
    plan = plans.row_36(seed)
    run = simulate(seed, story(plans.row_36))
    notes = [note.what[0] for note in run.trace]
    assert notes.count("crash") == 1
    assert notes.count("lost tail") == (plan.lost_commits is not None), "the machine has gone down, or not"
    assert all(connections(run, user) >= 2 for user in plan.users[1:]), "and they came back"


def row_37(seed: int) -> None:
    plan = plans.row_37(seed)
    run = simulate(seed, story(plans.row_37))
    assert {connections(run, user) for user in plan.users} == {1}, "members stay"


def row_43(seed: int) -> None:
    looked: list[float] = []
    plan = plans.row_43(seed)

    def look(server: Server) -> None:
        now = trio.current_time()
        outbound = [session.outbound for session in server._sessions]
        if 4.0 < now < 4.9:
            assert not any(each.live for each in outbound)
            rests = {id(each._remainder): len(each._remainder) for each in outbound}
            assert len(rests) <= 5 and sum(rests.values()) <= 25_000, "the rests of few batches, for all"
        if 7.0 < now < 7.9:
            assert all(each.live for each in outbound), "full throughput again within two seconds"
        looked.append(now)

    run = simulate(seed, story(plans.row_43, serve=partial(_watched, look)))
    assert run.value.struck == len(plan.faults)
    assert [at for at in looked if 4.0 < at < 4.9] and [at for at in looked if 7.0 < at < 7.9]


@asynccontextmanager
async def _watched(look: Callable[[Server], None], *args: Any, **options: Any) -> AsyncGenerator[Server]:
    """A server that is looked at ten times a second."""

    async def watch(server: Server) -> None:
        while True:
            await trio.sleep(0.1)
            look(server)

    async with open_server(*args, **options) as server, trio.open_nursery() as nursery:
        nursery.start_soon(watch, server)
        yield server
        nursery.cancel_scope.cancel()


def row_28_by_hand(seed: int) -> None:
    simulate(seed, by_hand.coming_back)


def row_30(seed: int) -> None:
    simulate(seed, by_hand.restarted)


def row_30_programs(seed: int) -> None:
    simulate(seed, programs.fallen_machines)


def rates(seed: int) -> None:
    simulate(seed, rated.too_much_to_say)


def row_42(seed: int) -> None:
    simulate(seed, by_hand.pipelines)


def chat(seed: int) -> None:
    simulate(seed, drawn)


STORIES: dict[str, Callable[[int], None]] = {
    each.__name__: each
    for each in (
        chat,
        rates,
        row_7,
        row_23,
        row_24,
        row_25,
        row_28,
        row_28_by_hand,
        row_29,
        row_30,
        row_30_programs,
        row_36,
        row_37,
        row_42,
        row_43,
    )
}
"""By name."""
