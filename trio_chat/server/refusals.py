"""Count refusals for the log: one line for each kind, at most once a minute. PURE.

A line has the count and the most frequent address prefixes. It never has a name, a text, a token or anything
else that a peer sends. `now` is an argument, in seconds.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from trio_chat.net.address import prefix_of

__all__ = [
    "ADDRESS_FULL",
    "FULL",
    "PROXY_HEADER",
    "STOPPING",
    "TLS_SPOKEN",
    "RefusalKind",
    "RefusalReport",
    "Refusals",
    "command_refused",
    "hello_refused",
    "request_refused",
    "session_ended",
]

BETWEEN_S = 60.0  # two lines of the same kind
KINDS_MAX = 100  # there are far fewer wire codes and HTTP statuses
PREFIXES_KEPT = 16  # of each kind, until it is reported
PREFIXES_SHOWN = 3


class RefusalKind(NamedTuple):
    """A kind of refusal: the refused thing, the outcome and the reason.

    Ordinary refusals are a part of normal use, such as a whisper to an unknown name.
    """

    thing: str
    reason: str
    is_ordinary: bool = False


FULL = RefusalKind("connection", "refused: the server is full (--limit connections)")
ADDRESS_FULL = RefusalKind(
    "connection", "refused: too many from one address (--limit connections_per_address)"
)
STOPPING = RefusalKind("connection", "refused: the server is stopping")
TLS_SPOKEN = RefusalKind("connection", "closed: TLS, which this server does not support")
PROXY_HEADER = RefusalKind("connection", "closed: invalid PROXY header")

_SESSIONS = {
    "hello_timeout": "no hello in time (--limit hello_s)",
    "frame_timeout": "incomplete frame (--limit frame_s)",
    "ping_timeout": "nothing received for too long (--limit silence_s)",
    "slow_reader": "the client read nothing for too long (--limit stalled_s)",
    "frame_too_large": "a frame was too large, or the client spoke another protocol",
    "bad_frame": "an invalid frame, or too many invalid messages",
    "version": "the client uses another protocol version",
    "replaced": "too many sessions of one member (--limit sessions)",
    "rate_limited": "too many refused hellos",
}
_UNREPORTED = {"", "quit", "draining", "internal"}  # bugs have their tracebacks
_COMMANDS = {
    "rate_limited": "rate limit reached (--limit talk_per_s and others)",
    "unavailable": "the journal or the receiver cannot take it now",
    "bad_message": "invalid message",
    "too_many_rooms": "too many rooms of one session (--limit rooms)",
    "forbidden": "not allowed",
}
_REQUESTS = {
    403: "a page of another origin",
    408: "incomplete request (--limit hello_s)",
    421: "unknown host name (--public-name)",
    431: "the head was too large",
}
_NOT_FOUND = 404  # browsers and scanners request many such paths
_NOT_WELL = 503  # from `/healthz`; a full server has its own kind


@lru_cache(maxsize=KINDS_MAX)
def session_ended(code: str) -> RefusalKind | None:
    """Return the kind for a session that a `bye` with this code ends; None if it is no refusal."""
    if code in _UNREPORTED:
        return None
    return RefusalKind("session", f"ended: {_SESSIONS.get(code, 'other reasons')} [{code}]")


@lru_cache(maxsize=KINDS_MAX)
def command_refused(code: str) -> RefusalKind:
    """Return the kind for a command that gets an `error` with this code."""
    if code in _COMMANDS:
        return RefusalKind("command", f"refused: {_COMMANDS[code]} [{code}]")
    return RefusalKind("command", f"refused [{code}]", is_ordinary=True)


@lru_cache(maxsize=KINDS_MAX)
def hello_refused(code: str) -> RefusalKind:
    """Return the kind for a `hello` that gets an `error` with this code."""
    return RefusalKind("hello", f"refused [{code}]")


@lru_cache(maxsize=KINDS_MAX)
def request_refused(status: int) -> RefusalKind | None:
    """Return the kind for a request that gets this HTTP status; None if it is no refusal."""
    if status < 400 or status in (_NOT_FOUND, _NOT_WELL):
        return None
    return RefusalKind("request", f"refused: {_REQUESTS.get(status, 'invalid request')} [{status}]")


class RefusalReport(NamedTuple):
    """One line for the log."""

    text: str
    is_ordinary: bool


class Refusals:
    """Count the refusals of one server, by kind."""

    def __init__(self) -> None:
        self._tallies: dict[RefusalKind, _Tally] = {}

    def add(self, kind: RefusalKind | None, address: str) -> None:
        """Count a refusal of a peer at this address; None counts nothing."""
        if kind is None:
            return
        tally = self._tallies.get(kind)
        if tally is None:
            if len(self._tallies) >= KINDS_MAX:
                return
            tally = self._tallies[kind] = _Tally()
        tally.add(prefix_of(address))

    def reports(self, now: float) -> list[RefusalReport]:
        """Return and reset the kinds that are due: their last line is at least a minute old."""
        return [
            tally.take(kind, now) for kind, tally in self._tallies.items() if tally.count and now >= tally.due
        ]

    def last_reports(self, now: float) -> list[RefusalReport]:
        """Return and reset all kinds with refusals, due or not."""
        return [tally.take(kind, now) for kind, tally in self._tallies.items() if tally.count]


class _Tally:
    """Refusals of one kind since its last line.

    The prefixes are counted by the algorithm of Misra and Gries: a prefix with more than one seventeenth of
    all refusals is among the sixteen, however many other prefixes there are.
    """

    __slots__ = ("_are_all", "_prefixes", "count", "due")

    def __init__(self) -> None:
        self.count = 0
        self.due = float("-inf")
        self._prefixes: dict[str, int] = {}
        self._are_all = True

    def add(self, prefix: str) -> None:
        self.count += 1
        prefixes = self._prefixes
        if prefix in prefixes or len(prefixes) < PREFIXES_KEPT:
            prefixes[prefix] = prefixes.get(prefix, 0) + 1
            return
        self._are_all = False
        self._prefixes = {known: count - 1 for known, count in prefixes.items() if count > 1}

    def take(self, kind: RefusalKind, now: float) -> RefusalReport:
        plural = "s" if self.count != 1 else ""
        by_count = sorted(self._prefixes, key=self._prefixes.__getitem__, reverse=True)
        shown = [prefix or "an unknown address" for prefix in by_count[:PREFIXES_SHOWN]]
        are_all = self._are_all and len(by_count) <= PREFIXES_SHOWN
        origins = ", ".join(shown) + ("" if are_all else " and others") if shown else "many addresses"
        text = f"{self.count:,} {kind.thing}{plural} {kind.reason}; from {origins}"
        self.count, self.due = 0, now + BETWEEN_S
        self._prefixes, self._are_all = {}, True
        return RefusalReport(text, kind.is_ordinary)
