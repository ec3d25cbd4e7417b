"""A work clock for a simulated server, whose steps take no virtual time."""

from random import Random

__all__ = ["DrawnWork"]

STEPS_S = (1e-6, 1e-5, 1e-4, 0.002)  # the last is more than a slice


class DrawnWork:
    """Advance by a drawn step at each look, so that slices of work end in places that the seed decides."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._now = 0.0

    def __call__(self) -> float:
        self._now += self._random.choice(STEPS_S)
        return self._now
