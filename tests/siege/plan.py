"""Which attacks there are, and how long each phase of one lasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from tests.siege.attack import Attack
from tests.siege.attacks import (
    addresses,
    connections,
    control,
    floods,
    memory,
    names,
    rates,
    rooms,
    search,
    stalls,
    websocket,
)
from tests.siege.errors import SiegeError

__all__ = ["FULL", "QUICK", "Plan", "attacks", "choose", "find"]

MODULES: tuple[ModuleType, ...] = (
    control,
    names,
    floods,
    websocket,
    search,
    rooms,
    rates,
    addresses,
    stalls,
    connections,
    memory,
)


@dataclass(frozen=True)
class Plan:
    """How long each phase lasts, in seconds, and how often an attack that came out red is tried again."""

    quiet_s: float
    attack_s: float
    settle_s: float
    """How long the server may take to settle, before the quiet phase and after the attack."""
    after_s: float
    memory_s: float
    """How long the server may take to give its memory back."""
    quick: bool
    retries: int


FULL = Plan(quiet_s=2.5, attack_s=6.0, settle_s=1.0, after_s=2.0, memory_s=10.0, quick=False, retries=0)
# A machine of CI is shared and busy, and such a short time has few lines: one red run decides nothing.
QUICK = Plan(quiet_s=0.9, attack_s=1.5, settle_s=0.2, after_s=0.6, memory_s=5.0, quick=True, retries=1)


def attacks(modules: Sequence[ModuleType] = MODULES) -> list[Attack]:
    """Return all attacks, in the order of their modules. Raises `SiegeError` for a name given twice."""
    found: list[Attack] = []
    names_seen: set[str] = set()
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, tuple) and value and all(isinstance(each, Attack) for each in value):
                found += value
    for each in found:
        if each.name in names_seen:
            raise SiegeError(f"invalid attack: two are called {each.name!r}")
        names_seen.add(each.name)
    return found


def find(name: str) -> Attack:
    """Return the attack of this name. Raises `SiegeError`."""
    return choose([name], quick=False)[0]


def choose(names: Sequence[str], *, quick: bool) -> list[Attack]:
    """Return the named attacks; without names all, or those of the short form. Raises `SiegeError`."""
    known = attacks()
    if not names:
        return [each for each in known if each.quick or not quick]
    by_name = {each.name: each for each in known}
    for name in names:
        if name not in by_name:
            raise SiegeError(f"invalid attack: got {name!r}, expected one of those that --list prints")
    return [by_name[name] for name in dict.fromkeys(names)]
