"""Seed after seed, until a mutant is found."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.mutants.mutant import DoesNotApply, planted
from tests.mutants.planted import PLANTED
from trio_chat.errors import DeadlockError, PromiseBroken
from trio_chat.testing.chat import drawn
from trio_chat.testing.simulate import simulate

__all__ = ["Find", "finding", "hunt"]

WORDS_MAX = 200
# What was planted calls something that has changed: it would be found by that alone.
_CLUMSY = re.compile(r"\b(Type|Attribute|Name|Import|UnboundLocal)Error\b")


@dataclass(frozen=True)
class Find:
    """How many seeds it took, the last one included, which is `seed`, and what was said of that one. Without
    words it was not found by so many."""

    seeds: int
    seed: int
    words: str


def hunt(name: str, start: int, seeds_max: int) -> Find:
    """Hunt one mutant from a seed on, by the scenario that the sound server has to pass."""
    mutant = PLANTED[name]
    for seed in range(start, start + seeds_max):
        with planted(mutant):
            words = finding(seed)
        if words:
            if _CLUMSY.search(words):
                raise DoesNotApply(f"{name} is not the mistake it says, but uses something wrongly: {words}")
            if real := finding(seed):
                raise AssertionError(f"seed {seed} finds what nobody planted: {real}")
            return Find(seed - start + 1, seed, words)
    return Find(seeds_max, start + seeds_max - 1, "")


def finding(seed: int) -> str:
    """What a run of the seed's plan is to be blamed for, in a line; empty when nothing."""
    try:
        simulate(seed, drawn)
    except Exception as error:  # noqa: BLE001  # whatever it is, it was found
        return _first_words(error)[:WORDS_MAX]
    return ""


def _first_words(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _first_words(error.exceptions[0])
    if isinstance(error, PromiseBroken):
        return error.breaches[0]
    said = (error.detail if isinstance(error, DeadlockError) else str(error)).partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
