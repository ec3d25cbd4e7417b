"""How much is measured: all of it, or enough to see whether something broke."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FULL", "PAIRING", "PAIRING_QUICK", "QUICK", "Figure", "Pairing", "Plan", "Stage"]

Figure = dict[str, float | str]
"""One measurement, as it goes into the raw figures: what was measured, and what came out."""


@dataclass(frozen=True)
class Plan:
    """Sizes are members of one room; repetitions alternate between what is compared."""

    sizes: tuple[int, ...] = (100, 500, 1_000)
    repetitions: int = 3
    seconds: float = 0.8  # of each measurement
    yardstick_s: float = 0.8
    idle: tuple[int, ...] = (1_000, 5_000)
    connects: int = 1_000
    rooms: tuple[int, ...] = (500, 5_000, 19_000)  # what `ulimit -n` does not allow is cut
    rooms_repetitions: int = 2
    rooms_s: float = 2.0
    stalled: int = 500
    stalled_pairs: int = 4
    stalled_s: float = 1.5
    stall_s: float = 2.0  # of everybody
    loadtool_s: float = 6.0
    loadtool_repetitions: int = 3
    sim_seeds: int = 25
    journal_repetitions: int = 5
    journal_sizes: tuple[int, ...] = (500, 1_000)
    journal_s: float = 1.5
    journal_batches: int = 1_000
    behind: int = 1_000_000  # entries


FULL = Plan()
QUICK = Plan(
    sizes=(100,),
    repetitions=1,
    seconds=0.4,
    yardstick_s=0.4,
    idle=(200, 500),
    connects=200,
    rooms=(100, 1_000),
    rooms_repetitions=1,
    rooms_s=0.5,
    stalled=100,
    stalled_pairs=1,
    stalled_s=0.5,
    stall_s=1.0,
    loadtool_s=3.0,
    loadtool_repetitions=1,
    sim_seeds=5,
    journal_repetitions=1,
    journal_sizes=(100,),
    journal_s=0.4,
    journal_batches=50,
    behind=20_000,
)


@dataclass(frozen=True)
class Pairing:
    """How much a comparison of two commits measures. A turn is one server's, and a pair has as many turns of
    either server: short ones, so that both meet the same disturbances."""

    sizes: tuple[int, ...] = (100, 500)
    open_turns: int = 6
    open_s: float = 0.25  # of a turn in an open loop, where few messages are sent
    closed_turns: int = 10
    closed_s: float = 0.1
    arrivals: int = 100  # new connections in a turn
    arrival_turns: int = 10
    authors: tuple[int, ...] = (1, 100)
    ack_turns: int = 6
    acks_s: float = 0.15


PAIRING = Pairing()
PAIRING_QUICK = Pairing(
    sizes=(100,),
    open_turns=2,
    open_s=0.1,
    closed_turns=2,
    closed_s=0.05,
    arrivals=50,
    arrival_turns=2,
    authors=(10,),
    ack_turns=2,
    acks_s=0.1,
)


@dataclass(frozen=True)
class Stage:
    """Where it is measured. On a machine with one core both share it, and the cores are None."""

    server_core: int | None
    driver_core: int | None
    files: int
    say: Callable[[str], None]
    """Reports the progress to the user."""
