"""The settings of a server in one frozen object, and every limit with its default and its explanation."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from difflib import get_close_matches

from trio_chat.errors import CannotStart
from trio_chat.hub.rates import Rate
from trio_chat.journal.sqlite import Durability
from trio_chat.journal.store import RetentionRule
from trio_chat.server.fanout import SENDS_AT_ONCE
from trio_chat.server.proxies import Proxies
from trio_chat.server.public_names import parse_public_name
from trio_chat.wire import messages
from trio_chat.wire.framing import FRAME_BYTES_MAX, HELLO_BYTES_MAX
from trio_chat.wire.messages import MAX_NUMBER, UNLIMITED_PER_S

__all__ = ["MEMORY", "Config", "Limits", "parse_age", "parse_limits"]

MEMORY = "memory"
SQLITE_MEMORY = ":memory:"  # an alias, as in SQLite; ./:memory: is a file

DIGITS_MAX = 100  # Python refuses to parse very long numbers, with an error of its own


def _limit(default: int, explanation: str) -> int:
    """Declare a limit with its default and its line in `--limit help`."""
    return field(default=default, metadata={"explanation": explanation})


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server, as whole numbers above zero. Names end in `_s` for seconds, `_bytes` for bytes.

    Raises `CannotStart` for an invalid value.
    """

    # Of the wire. A client gets less room before its hello.
    frame_bytes: int = _limit(FRAME_BYTES_MAX, "largest frame or WebSocket message, in bytes")
    hello_bytes: int = _limit(HELLO_BYTES_MAX, "largest frame before the session begins, in bytes")
    text_bytes: int = _limit(4_096, "longest text of a message, topic or whisper, in bytes of UTF-8")
    text_lines: int = _limit(100, "most lines of a text")

    # Timeouts. systemd kills 90 seconds after SIGTERM, container runtimes 10: `drain_s` is below both.
    hello_s: int = _limit(10, "time for the hello or for a complete HTTP request, in seconds")
    frame_s: int = _limit(10, "time from the first byte of a frame to its last, in seconds")
    ping_s: int = _limit(25, "interval at which idle clients are asked to ping, in seconds")
    silence_s: int = _limit(60, "silence after which a client is disconnected, in seconds")
    stalled_s: int = _limit(60, "time without progress after which a slow reader is disconnected, in seconds")
    goodbye_s: int = _limit(5, "time to send the goodbye and close a connection, in seconds")
    drain_s: int = _limit(8, "time to drain when the server stops, in seconds")

    # Of a session and a member.
    answers_bytes: int = _limit(
        256 << 10, "unsent replies of a session, above which its commands wait, in bytes"
    )
    rooms: int = _limit(100, "rooms that a session can be in")
    sessions: int = _limit(8, "sessions of a member")

    # Of the server.
    connections: int = _limit(10_000, "open connections")
    connections_per_address: int = _limit(64, "connections of an address or IPv6 /64; loopback is exempt")
    queue_entries: int = _limit(10_000, "entries that wait for the journal")
    queue_bytes: int = _limit(8 << 20, "entries that wait for the journal, in bytes")
    sends_at_once: int = _limit(
        SENDS_AT_ONCE, "sessions that are sent a batch in one step; larger rooms take several"
    )
    tail_bytes: int = _limit(4 << 20, "newest entries of a room in memory, in bytes")
    tails_bytes: int = _limit(256 << 20, "newest entries of all rooms in memory, in bytes")

    # Rates of a member. The burst of rooms lets a client rejoin its rooms at once.
    talk_burst: int = _limit(20, "messages, topics and whispers of a member at once")
    talk_per_s: int = _limit(5, "the same, per second")
    talk_bytes_burst: int = _limit(256 << 10, "texts of a member at once, in bytes of UTF-8")
    talk_bytes_per_s: int = _limit(16 << 10, "the same, in bytes per second")
    rooms_burst: int = _limit(200, "joins and leaves of a member at once")
    rooms_per_s: int = _limit(5, "the same, per second")
    questions_burst: int = _limit(50, "queries (history, members, rooms, search) of a member at once")
    questions_per_s: int = _limit(10, "the same, per second")

    # Of the journal in memory.
    journal_room_entries: int = _limit(10_000, "entries of a room, with --journal memory")
    journal_room_bytes: int = _limit(8 << 20, "entries of a room, with --journal memory, in bytes")
    journal_bytes: int = _limit(256 << 20, "entries of all rooms, with --journal memory, in bytes")

    def __post_init__(self) -> None:
        for limit in fields(self):
            if getattr(self, limit.name) < 1:
                raise CannotStart(
                    f"invalid limit {limit.name}: got {getattr(self, limit.name)}, expected at least 1"
                )
            if getattr(self, limit.name) > MAX_NUMBER:  # some limits are sent in `welcome`
                raise CannotStart(f"invalid limit {limit.name}: expected at most {MAX_NUMBER}")
        if self.frame_bytes > FRAME_BYTES_MAX:
            raise CannotStart(
                f"invalid limit frame_bytes: expected at most {FRAME_BYTES_MAX}, the maximum of clients"
            )
        # JSON writes a quote or a newline of a text as two bytes; the rest of an entry takes some 700.
        if self.frame_bytes < 2 * self.text_bytes + 1_024:
            raise CannotStart("invalid limit frame_bytes: expected at least twice text_bytes plus 1024")
        if self.talk_bytes_burst < self.text_bytes:
            raise CannotStart(
                "invalid limit talk_bytes_burst: expected at least text_bytes, for the longest text"
            )
        if self.silence_s <= self.ping_s:
            raise CannotStart("invalid limit silence_s: expected more than ping_s")

    @classmethod
    def help_text(cls) -> str:
        """Return one line for each limit: its name, its default, what it limits, and its unit."""
        settings = [(f"{limit.name}={limit.default}", limit.metadata["explanation"]) for limit in fields(cls)]
        width = max(len(setting) for setting, _ in settings)
        return "\n".join(f"{setting:<{width}}  {explanation}" for setting, explanation in settings)


def parse_limits(settings: Iterable[str]) -> dict[str, int]:
    """Parse texts `NAME=VALUE` to arguments of `Limits`. Raises `CannotStart`."""
    known = {limit.name for limit in fields(Limits)}
    parsed: dict[str, int] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else "--limit help lists all limits"
            raise CannotStart(f"unknown limit {name!r}; {hint}")
        if not (value.isascii() and value.isdigit()):
            raise CannotStart(f"invalid limit {name}: got {value!r}, expected a whole number")
        if len(value) > DIGITS_MAX:
            raise CannotStart(f"invalid limit {name}: expected a number of at most {DIGITS_MAX} digits")
        parsed[name] = int(value)
    return parsed


_AGE = re.compile(r"([0-9]{1,6})([hdw])", re.ASCII)
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


def parse_age(age: str) -> int:
    """Parse an age in hours, days or weeks, such as `90d`, to milliseconds. Raises `CannotStart`."""
    found = _AGE.fullmatch(age)
    if found is None or not int(found[1]):
        raise CannotStart(f"invalid age: got {age!r}, expected hours, days or weeks, as 12h, 90d or 4w")
    return int(found[1]) * _HOURS[found[2]] * 3_600_000


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of a server. `port` 0 chooses a free port; `rate_limit=False` turns all rates off.

    `journal` is the path of the file for messages, or `memory`, which keeps them until the server ends. In a
    file, acknowledged messages survive a crash of the process; with durability `full`, also a crash of the
    machine. `keep` is how long messages are kept; the default is forever.

    With `web`, the default, the port also speaks HTTP and WebSocket and serves a page for browsers, also
    inside another program: a peer that can reach the port can chat with or without a browser.
    `public_names` are the accepted names in `Host`, besides addresses and `localhost`. `proxies` are the
    addresses or networks of trusted proxies, which send their peers' addresses.

    Raises `CannotStart` if a proxy is neither an address nor a network, or if a public name can never match.
    """

    host: str = "127.0.0.1"
    port: int = 5555
    journal: str = MEMORY
    durability: Durability = "normal"
    keep: RetentionRule = field(default_factory=RetentionRule)
    rate_limit: bool = True
    web: bool = True
    public_names: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    proxies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        Proxies(self.proxies)
        if self.journal == SQLITE_MEMORY:
            object.__setattr__(self, "journal", MEMORY)
        for name in self.public_names:
            parse_public_name(name)

    @property
    def rates(self) -> dict[str, Rate]:
        """Return the rates of a member, as arguments for the hub."""
        if not self.rate_limit:
            return {}
        limits = self.limits
        return {
            "talk": Rate(limits.talk_burst, limits.talk_per_s),
            "talk_bytes": Rate(limits.talk_bytes_burst, limits.talk_bytes_per_s),
            "rooms": Rate(limits.rooms_burst, limits.rooms_per_s),
            "questions": Rate(limits.questions_burst, limits.questions_per_s),
        }

    @property
    def announced(self) -> messages.ServerLimits:
        """Return the limits that `welcome` sends to clients."""
        limits = self.limits
        sizes = (limits.frame_bytes, limits.text_bytes, limits.rooms)
        if not self.rate_limit:
            return messages.ServerLimits(*sizes, UNLIMITED_PER_S, UNLIMITED_PER_S)
        return messages.ServerLimits(
            *sizes, limits.talk_burst, limits.talk_per_s, limits.talk_bytes_burst, limits.talk_bytes_per_s
        )
