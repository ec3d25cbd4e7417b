"""Rows 7, 23 to 25, 28, 29, 37 and 43 of the table of faults, each with many seeds.

The judge of every run holds the server to its promises: each entry once and in order, one going for each
coming, nobody who keeps up waits for somebody who does not. Beside it, here, what only this row asks for.
Rows 28 and 29 are of the journal in memory, and row 37 of a disk that fails, not of a file that is gone:
a journal on disk does not exist yet.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio

from tests.sim import rows
from tests.sim.rows import SERVER, story
from trio_chat.server.serve import Server, open_server
from trio_chat.testing import Run, simulate
from trio_chat.testing.chat import Story

pytestmark = pytest.mark.seeds(6)
NOTICED_S = 70.0


def told(run: Run[Story], kind: str, user: str = "") -> list[tuple[float, tuple[Any, ...]]]:
    """When something of this kind befell the connections of a user, or of anybody, and what."""
    notes = [note for note in run.trace if note.what[0] == kind]
    return [(note.time, note.what) for note in notes if note.what[1].startswith(user)]


def connections(run: Run[Story], user: str) -> int:
    """How often a user has connected, as the names of its connections tell."""
    names = {note.what[1] for note in run.trace if note.what[0] in ("dial", "sent", "delivered")}
    return max(int(name.rpartition("#")[2]) for name in names if name.startswith(f"{user}→"))


def test_row_7_resets(seed: int) -> None:
    run = simulate(seed, story(rows.row_7))
    assert len(told(run, "rst")) >= 2, "while the server reads, and while it writes"
    assert connections(run, "u0") >= 2 and connections(run, "u1") >= 2, "and they came back"


def test_row_23_asleep_and_pinging(seed: int) -> None:
    run = simulate(seed, story(rows.row_23))
    assert connections(run, "u0") == 1, "nobody is ended who sleeps for less than a minute"


def test_row_24_a_kilobyte_a_second(seed: int) -> None:
    run = simulate(seed, story(rows.row_24))
    assert run.value.struck == 2
    assert connections(run, "u0") == 1, "nobody is ended who reads, however slowly"


def test_row_25_gone_without_a_word(seed: int) -> None:
    run = simulate(seed, story(rows.row_25))
    ends = [at for kind in ("fin", "rst") for at, what in told(run, kind, "u0→server#1") if SERVER in what]
    assert ends and min(ends) <= 2.0 + NOTICED_S
    assert connections(run, "u0") == 2


def test_row_28_back_after_ten_minutes(seed: int) -> None:
    run = simulate(seed, story(rows.row_28))
    assert connections(run, "u0") == 2, "resumed, says the judge"
    assert run.value.gaps == 0
    assert run.seconds > 600


def test_row_29_said_again(seed: int) -> None:
    simulate(seed, story(rows.row_29))


def test_row_37_a_disk_that_fails(seed: int) -> None:
    plan = rows.row_37(seed)
    run = simulate(seed, story(rows.row_37))
    assert {connections(run, user) for user in plan.users} == {1}, "members stay"


def test_row_43_everybody_stalls(seed: int) -> None:
    looked: list[float] = []
    plan = rows.row_43(seed)

    def look(server: Server) -> None:
        now = trio.current_time()
        owed = [session.owed for session in server._sessions]
        if 4.0 < now < 4.9:
            assert not any(each.live for each in owed)
            rests = {id(each._remainder): len(each._remainder) for each in owed}
            assert len(rests) <= 5 and sum(rests.values()) <= 25_000, "the rests of few batches, for all"
        if 7.0 < now < 7.9:
            assert all(each.live for each in owed), "full throughput again within two seconds"
        looked.append(now)

    run = simulate(seed, story(rows.row_43, serve=partial(_watched, look)))
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
