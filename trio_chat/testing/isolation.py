"""What a simulated run may not reach: threads, sockets, other processes, and the clocks of the machine.

Their answers come when they come, so a run that asks them cannot be replayed. While a fence is up each such
call, by the thread that runs the simulation, is a `NotSimulated` that says which it was and from where; it
is remembered too, as a program may swallow what it is raised.

Threads, sockets and processes are seen by an audit hook, so there is no way round it but a socket that was
made before: of that only binding, connecting and sending to an address are seen. An audit hook cannot be
taken away again; outside of a run it looks into an empty set.
The clocks are replaced in the module `time`, and so is `Thread.start`. What cannot be seen: names that were
bound before, as `from time import time` does, and what C asks by itself, as in `datetime.now()` and in
`time.localtime()` without an argument. Nor is it seen that a program reads files or `os.urandom`, which are
no clocks but differ too.
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
    "_thread.start_new_thread": "a thread",  # from 3.12 on; before, `Thread.start` is what is seen
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

# Of the run that is on: what an audit hook, which stays for ever, looks at.
_watched: dict[str, str] = {}
_fences: list["Isolation"] = []


class Isolation:
    """What is known of one run. `is_up` is for the run to set: Trio itself opens a socket to begin with."""

    def __init__(self) -> None:
        self.is_up = False
        self.first: NotSimulated | None = None
        """The first thing that was refused."""
        self._thread = get_ident()

    def is_closed(self) -> bool:
        """Whether it is closed to who asks this: to the thread that made it, while it is up."""
        return self.is_up and get_ident() == self._thread

    def refuse(self, what: str, call: str, frame: FrameType | None) -> NotSimulated:
        """The error for such a call."""
        place = calling(frame)
        error = NotSimulated(f"{what} inside a simulation: {call}" + (f", from {place}" if place else ""))
        self.first = self.first or error
        return error


@contextmanager
def fenced() -> Iterator[Isolation]:
    """Refuse all that within the `with`, while it is up. There is one at a time in a process.

    For ordinary code around a run, and not for a task: that of a run which is broken off ends nothing.
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
