"""Find the leaks of a run that Python itself reports: async generators, coroutines, warnings."""

import sys
import warnings
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from types import AsyncGeneratorType
from typing import Any
from weakref import WeakSet

__all__ = ["LeftOpen", "left_open"]


class LeftOpen:
    """The leaks of a run."""

    def __init__(self) -> None:
        self._generators: WeakSet[AsyncGeneratorType[Any, Any]] = WeakSet()
        self._warned: list[str] = []

    def lines(self) -> list[str]:
        """Return a line for each async generator begun and not closed, each coroutine never awaited, and each
        other ResourceWarning."""
        begun = [each for each in self._generators if each.ag_frame is not None]
        names = sorted(f"the async generator {each.__qualname__}" for each in begun)
        return names + sorted(self._warned)

    def see_generators(self) -> None:
        """Track the generators begun from now on, until the end of the `trio.run` that this is called in."""
        trios = sys.get_asyncgen_hooks().firstiter

        def begun(generator: AsyncGenerator[Any, Any]) -> None:
            assert isinstance(generator, AsyncGeneratorType)
            self._generators.add(generator)
            if trios is not None:
                trios(generator)

        sys.set_asyncgen_hooks(firstiter=begun)


@contextmanager
def left_open() -> Iterator[LeftOpen]:
    """Track the leaks of the run inside the `with`. Other warnings are shown as usual.

    Garbage that waits for the collector is not detected, such as a coroutine in a cycle.
    """
    seen = LeftOpen()

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        text = str(message).partition("\n")[0]
        if issubclass(category, ResourceWarning) or text.endswith("was never awaited"):
            seen._warned.append(text)
        else:
            shown(message, category, *where, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("always", ResourceWarning)
        warnings.filterwarnings("always", ".*was never awaited$", RuntimeWarning)
        shown = warnings.showwarning
        warnings.showwarning = show
        yield seen
