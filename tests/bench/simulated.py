"""A whole chat simulated: how long one run takes, and so how many seeds a minute buys.

Server, members, network, journal and judge are in one process, on a virtual clock: 20 users in one room,
300 messages, and faults from the seed. Only seeds count by which at least five of the faults struck.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from statistics import median
from time import perf_counter

from tests.bench.errors import BenchError
from tests.bench.plan import Figure, Plan, Stage
from trio_chat.testing import Simulation, SimulationError, simulate
from trio_chat.testing.chat import Story, draw_plan, play

__all__ = ["FAULTS_STRUCK", "MESSAGES", "USERS", "measure_sim"]

USERS, MESSAGES = 20, 300
FAULTS, FAULTS_STRUCK = 8, 5
SEEDS_TRIED = 1_000
REPETITIONS = 3  # of each seed: the same run again, whatever the machine did meanwhile


async def busy_room(sim: Simulation) -> Story:
    return await play(sim, draw_plan(sim.seed, users=USERS, rooms=1, talks=MESSAGES, faults=FAULTS))


def measure_sim(plan: Plan, stage: Stage) -> Iterator[Figure]:
    """A figure for each seed. Raises `BenchError`, also when a promise was broken."""
    stage.say(f"sim: {plan.sim_seeds} seeds of a simulated chat")
    chosen = 0
    for seed in range(SEEDS_TRIED):
        story = _story(seed)  # not timed: it warms what is to be warm
        if story.struck < FAULTS_STRUCK:
            continue
        seconds = median(_timed(seed) for _ in range(REPETITIONS))
        yield {
            "seed": seed,
            "ms": seconds * 1e3,
            "deliveries": story.deliveries,
            "struck": story.struck,
            "us": seconds * 1e6 / max(story.deliveries, 1),
        }
        chosen += 1
        if chosen == plan.sim_seeds:
            return
    raise BenchError(f"of {SEEDS_TRIED} seeds {chosen} had {FAULTS_STRUCK} faults that struck")


def _story(seed: int) -> Story:
    try:
        return simulate(seed, busy_room).value
    except SimulationError as error:
        raise BenchError(f"seed {seed}: {error}") from error


def _timed(seed: int) -> float:
    gc.collect()
    began = perf_counter()
    _story(seed)
    return perf_counter() - began
