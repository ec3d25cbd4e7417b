"""Refuse threads, sockets, other processes and the clocks of the machine during a simulated run.

Their results depend on real time, so a run that uses them cannot be replayed. While a fence is up, each such
call by the thread that runs the simulation raises a `NotSimulated` with the call and its place; the fence
also keeps the error, as a program may swallow it.

An audit hook detects threads, sockets and processes, so the only way around it is a socket made before the
run: of that it detects only bind, connect and sends to an address. An audit hook cannot be removed; outside
of a run it looks into an empty dict.
The clocks are replaced in the module `time`, and so is `Thread.start`. Not detected: names that were bound
before, as by `from time import time`, and clock reads in C, as in `datetime.now()` and in `time.localtime()`
without an argument. Reads of files and of `os.urandom` are not detected either; they are no clocks but differ
too.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from threading import Thread, get_ident
from types import FrameType
from typing import Any

from trio_chat.errors import NotSimulated
from trio_chat.testing.scheduling import TRIO_THREAD
from trio_chat.testing.tree import calling

__all__ = ["Isolation", "fenced"]

_EVENTS = {
    TRIO_THREAD: "a thread",
    "_thread.start_new_thread": "a thread",  # from 3.12 on; before, the replaced `Thread.start` detects it
    "_thread.start_joinable_thread": "a thread",  # from 3.13 on
    "socket.__new__": "a socket",
    "socket.bind": "a socket",
    "socket.connect": "a socket",
    "socket.sendto": "a socket",
    "socket.sendmsg": "a socket",
    "socket.getaddrinfo": "the resolver",
    "socket.gethostbyname": "the resolver",
    "socket.gethostbyaddr": "the resolver",
    "socket.getnameinfo": "the resolver",
    "subprocess.Popen": "a process",
    "os.exec": "a process",
    "os.fork": "a process",
    "os.forkpty": "a process",
    "os.posix_spawn": "a process",
    "os.spawn": "a process",
    "os.system": "a process",
}
_CLOCKS = (
    "clock_gettime",
    "clock_gettime_ns",
    "monotonic",
    "monotonic_ns",
    "perf_counter",
    "perf_counter_ns",
    "time",
    "time_ns",
    "sleep",
)
# The modules that may read the clocks. A log record has a time, and nothing depends on it.
_MAY_ASK = ("logging", "trio", "trio_chat.testing")

# The state of the current run, for the audit hook, which stays for ever.
_watched: dict[str, str] = {}
_fences: list["Isolation"] = []


class Isolation:
    """The fence of one run. The run sets `is_up`, since Trio itself opens a socket at its start."""

    def __init__(self) -> None:
        self.is_up = False
        self.first: NotSimulated | None = None
        """The error of the first refused call."""
        self._thread = get_ident()

    def is_closed(self) -> bool:
        """Return whether it refuses calls of the current thread: the thread that made it, while it is up."""
        return self.is_up and get_ident() == self._thread

    def refuse(self, what: str, call: str, frame: FrameType | None) -> NotSimulated:
        """Return the error for a refused call."""
        place = calling(frame)
        error = NotSimulated(f"{what} inside a simulation: {call}" + (f", from {place}" if place else ""))
        self.first = self.first or error
        return error


@contextmanager
def fenced() -> Iterator[Isolation]:
    """Refuse these calls within the `with`, while the fence is up. A process has one fence at a time.

    Use it in synchronous code around a run, not in a task: a task of an aborted run does not leave the block.
    """
    fence = Isolation()
    _install_hook()
    real = {name: getattr(time, name) for name in _CLOCKS}
    for name, clock in real.items():
        setattr(time, name, _guarded(name, clock, fence))
    start = Thread.start
    setattr(Thread, start.__name__, _refusing(start, fence))
    _fences.append(fence)
    _watched.update(_EVENTS)
    try:
        yield fence
    finally:
        _watched.clear()
        _fences.remove(fence)
        setattr(Thread, start.__name__, start)
        for name, clock in real.items():
            setattr(time, name, clock)


def _refusing(start: Callable[[Thread], None], fence: Isolation) -> Callable[[Thread], None]:
    @wraps(start)
    def guarded(thread: Thread) -> None:
        if fence.is_closed():
            raise fence.refuse("a thread", "threading.Thread.start()", sys._getframe(1))
        start(thread)

    return guarded


def _guarded(name: str, clock: Callable[..., Any], fence: Isolation) -> Callable[..., Any]:
    what = "a real sleep" if name == "sleep" else "the clock of the machine"

    @wraps(clock)
    def guarded(*args: Any) -> Any:
        caller = sys._getframe(1)
        module = f"{caller.f_globals.get('__name__')}."
        if fence.is_closed() and not module.startswith(tuple(f"{each}." for each in _MAY_ASK)):
            raise fence.refuse(what, f"time.{name}()", caller)
        return clock(*args)

    return guarded


def _hook(event: str, args: tuple[object, ...]) -> None:
    if event in _watched and _fences[0].is_closed():
        raise _fences[0].refuse(_watched[event], event, sys._getframe(1))


def _install_hook() -> None:
    if not getattr(_hook, "installed", False):
        sys.addaudithook(_hook)
        vars(_hook)["installed"] = True
