'''An attack: a function, and what the runner has to know about it.

    @attack(item=2, sessions=(1, 8, 64))
    async def flood_ping(context: AttackContext) -> None:
        """Send pings as fast as the sockets take them."""

That is three attacks, `flood-ping-1`, `-8` and `-64`. `plan.py` collects what the decorator returns from each
module of `attacks/`, so adding an attack is adding a function.
'''

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.siege.context import AttackContext

__all__ = ["Attack", "Journal", "Latency", "Run", "attack"]

Run = Callable[["AttackContext"], Awaitable[None]]
Journal = Literal["memory", "file"]
Latency = Literal["all", "maximum", "none"]


@dataclass(frozen=True)
class Attack:
    """One attack. The runner starts a fresh server for it, with `options`, and judges what it did."""

    name: str
    item: int
    """The number of the item in the issue that the attack shows; 0 for the control."""
    sentence: str
    run: Run
    sessions: int = 0
    """How many sessions attack, for an attack that comes in several sizes."""
    quick: bool = False
    """Whether the short form runs it."""
    journal: Journal = "memory"
    options: tuple[str, ...] = ()
    """More arguments for `trio-chat serve`."""
    needs: str = ""
    """An option that `trio-chat serve --help` must list; without it the attack is left out."""
    seconds_min: float = 0.0
    """The attack lasts at least this long, in the short form too: as long as what it waits for takes."""
    latency: Latency = "all"
    """What of the latency is judged: only the maximum where the server runs without its rates, so that a size
    is reached in time; none where the attack itself stops the server's process."""
    memory_mib: int = 0
    """How much the server may keep afterwards beyond the general allowance: bounded caches and journals."""
    stops_server: bool = False
    """Whether the server gets SIGTERM while the attack goes on."""


def attack(
    *,
    item: int,
    sessions: tuple[int, ...] = (),
    quick: bool | int = False,
    journal: Journal = "memory",
    options: tuple[str, ...] = (),
    needs: str = "",
    seconds_min: float = 0.0,
    latency: Latency = "all",
    memory_mib: int = 0,
    stops_server: bool = False,
) -> Callable[[Run], tuple[Attack, ...]]:
    """Make attacks of a function, one for each number of `sessions`.

    The name and the sentence come from the function. `quick` is true, or the size that the short form runs.
    """

    def make(run: Run) -> tuple[Attack, ...]:
        name = getattr(run, "__name__", "").replace("_", "-")
        sentence = (run.__doc__ or "").strip().partition("\n")[0]
        return tuple(
            Attack(
                name=f"{name}-{size}" if size else name,
                item=item,
                sentence=f"{sentence.removesuffix('.')}, by {_sessions(size)}." if size else sentence,
                run=run,
                sessions=size,
                quick=quick is True or bool(size and quick == size),
                journal=journal,
                options=options,
                needs=needs,
                seconds_min=seconds_min,
                latency=latency,
                memory_mib=memory_mib,
                stops_server=stops_server,
            )
            for size in sessions or (0,)
        )

    return make


def _sessions(count: int) -> str:
    return "1 session" if count == 1 else f"{count} sessions"
