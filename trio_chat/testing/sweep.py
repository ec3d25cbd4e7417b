"""Cancel a part of a program at each of its checkpoints, one run each, or let each of them fail.

async def scenario(sim):
    with sim.victim():
        await visit(house)
    assert house.is_empty()

sweep(scenario)
sweep(scenario, error=InjectedError)
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from trio_chat.testing.cancel_injector import CancelInjector
from trio_chat.testing.simulate import LIMIT_S, STEPS_MAX, Simulation, name_of, run_once

__all__ = ["InjectedError", "Swept", "sweep"]


class InjectedError(Exception):
    """An error that no program expects. Not one of the errors of trio-chat: it represents a bug, and only
    code that catches bugs may catch it."""

    __module__ = "trio_chat.testing"  # as one writes it: `trio_chat.testing.sweep` is the function there

    def __init__(self) -> None:
        super().__init__("raised by the sweep")


@dataclass(frozen=True)
class Swept:
    """A sweep that went well."""

    checkpoints: int
    """The number of checkpoints in the run without a fault."""
    lines: tuple[str, ...]
    """The line that awaited at each checkpoint, as `file:line  source`."""


def sweep(
    scenario: Callable[[Simulation], Awaitable[object]],
    *,
    seed: int = 0,
    error: Callable[[], Exception] | None = None,
    children: bool = False,
    only: int | None = None,
    checkpoints_max: int = 10_000,
    limit_s: float = LIMIT_S,
    steps_max: int = STEPS_MAX,
) -> Swept:
    """Simulate `scenario` once without a fault, and then once for each checkpoint inside `with sim.victim()`.

    At that checkpoint the victim is cancelled, or `error()` is raised there. The `with` catches both, and
    each run checks the later assertions of the scenario and those in `sim.leaves_nothing`. If the program
    turns the injected error into another one, the scenario must catch that. `children`: the checkpoints of
    tasks spawned inside count as well. `only`: that checkpoint alone, as a replay.

    Raises what `simulate` raises, with a note that names the checkpoint and another that replays it. A victim
    that does not end when cancelled is a `DeadlockError`. ValueError if the scenario has no victim, or more
    checkpoints than `checkpoints_max`.
    """
    call = _call(scenario, seed=seed, error=error, children=children)
    limits: dict[str, Any] = {"limit_s": limit_s, "steps_max": steps_max}
    counted = CancelInjector(children=children)
    run_once(seed, scenario, call, victim=counted, **limits)
    if not counted.entered:
        raise ValueError(f"{name_of(scenario)} does not say `with sim.victim()`")
    if counted.checkpoints > checkpoints_max:
        raise ValueError(f"{counted.checkpoints:,} checkpoints, more than {checkpoints_max:,}")
    lines = []
    for at in range(1, counted.checkpoints + 1) if only is None else (only,):
        victim = CancelInjector(at, error=error, children=children)
        try:
            run_once(seed, scenario, f"{call[:-1]}, only={at})", victim=victim, **limits)
        except BaseException as failure:
            what = "cancelled" if error is None else f"made to raise {name_of(error)}"
            where = f"checkpoint {at} of {counted.checkpoints}"
            failure.add_note(f"the victim was {what} at its {where}, where it awaits {victim.line}")
            raise
        lines.append(victim.line)
    return Swept(counted.checkpoints, tuple(lines))


def _call(scenario: object, *, seed: int, error: object, children: bool) -> str:
    error_given = f", error={name_of(error)}" if error is not None else ""
    return f"sweep({name_of(scenario)}, seed={seed}{error_given}{', children=True' if children else ''})"
