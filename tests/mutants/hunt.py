"""Run seed after seed until a mutant is found."""

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
# The mutant calls an API that has changed: the error alone would reveal it.
_CLUMSY = re.compile(r"\b(Type|Attribute|Name|Import|UnboundLocal)Error\b")


@dataclass(frozen=True)
class Find:
    """Hold the result of a hunt: the number of seeds run, the last seed, and the error that it raised.

    `words` is empty when no seed found the mutant.
    """

    seeds: int
    seed: int
    words: str


def hunt(name: str, start: int, seeds_max: int) -> Find:
    """Hunt one mutant from a seed on, by the scenario that the unmodified server has to pass."""
    mutant = PLANTED[name]
    for seed in range(start, start + seeds_max):
        with planted(mutant):
            words = finding(seed)
        if words:
            if _CLUMSY.search(words):
                raise DoesNotApply(f"{name} does not make the described mistake, but misuses an API: {words}")
            if real := finding(seed):
                raise AssertionError(f"seed {seed} fails without the mutant: {real}")
            return Find(seed - start + 1, seed, words)
    return Find(seeds_max, start + seeds_max - 1, "")


def finding(seed: int) -> str:
    """Return the first line of the error that a run of the seed's plan raises; empty when it passes."""
    try:
        simulate(seed, drawn)
    except Exception as error:  # noqa: BLE001  # any error means that the mutant was found
        return _first_words(error)[:WORDS_MAX]
    return ""


def _first_words(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _first_words(error.exceptions[0])
    if isinstance(error, PromiseBroken):
        return error.breaches[0]
    said = (error.detail if isinstance(error, DeadlockError) else str(error)).partition("\n")[0]
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
