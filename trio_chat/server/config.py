"""The configuration of a server as one frozen object: every limit with the reason for its default."""

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
SQLITE_MEMORY = ":memory:"  # the same, as users of SQLite write it; ./:memory: is a file

DIGITS_MAX = 100  # Python refuses very long numbers with an error of its own


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a server. Names that end in `_s` are seconds, in `_bytes` bytes; all are at least 1.

    Raises `CannotStart` for a value that cannot work.
    """

    # The wire.
    frame_bytes: int = FRAME_BYTES_MAX
    hello_bytes: int = HELLO_BYTES_MAX  # a connection without a member may use less memory
    text_bytes: int = 4_096
    text_lines: int = 100

    # Timeouts.
    hello_s: int = 10
    frame_s: int = 10  # from the first byte of a frame to its last
    ping_s: int = 25  # the interval that clients are asked for; silence_s is twice that and some more
    silence_s: int = 60
    stalled_s: int = 60  # for a socket that takes no bytes
    goodbye_s: int = 5
    drain_s: int = 8  # systemd kills after 90, container runtimes after 10

    # A session and a member.
    answers_bytes: int = 256 << 10
    rooms: int = 100
    sessions: int = 8

    # The server.
    connections: int = 10_000
    connections_per_address: int = 64  # an IPv6 /64 counts as one; loopback is exempt
    queue_entries: int = 10_000
    queue_bytes: int = 8 << 20
    sends_at_once: int = SENDS_AT_ONCE  # larger rooms get a batch in several steps
    tail_bytes: int = 4 << 20  # per room
    tails_bytes: int = 256 << 20

    # Rates of a member: a burst, and a rate per second.
    talk_burst: int = 20
    talk_per_s: int = 5
    talk_bytes_burst: int = 256 << 10  # the texts of say, topic and whisper in UTF-8
    talk_bytes_per_s: int = 16 << 10
    rooms_burst: int = 200  # rejoining a hundred rooms fits into one burst
    rooms_per_s: int = 5
    questions_burst: int = 50
    questions_per_s: int = 10

    # The journal in memory.
    journal_room_entries: int = 10_000
    journal_room_bytes: int = 8 << 20
    journal_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        for limit in fields(self):
            if getattr(self, limit.name) < 1:
                raise CannotStart(f"limit {limit.name} must be at least 1")
            if getattr(self, limit.name) > MAX_NUMBER:  # some are sent in `welcome`
                raise CannotStart(f"limit {limit.name} must be at most {MAX_NUMBER}")
        if self.frame_bytes > FRAME_BYTES_MAX:
            raise CannotStart(
                f"limit frame_bytes must be at most {FRAME_BYTES_MAX}: clients accept no larger frames"
            )
        # JSON encodes a quote or a newline as two bytes; the other fields of an entry take some 700.
        if self.frame_bytes < 2 * self.text_bytes + 1_024:
            raise CannotStart("limit frame_bytes must be at least twice text_bytes and 1024")
        if self.talk_bytes_burst < self.text_bytes:
            raise CannotStart(
                "limit talk_bytes_burst must be at least text_bytes, or the longest text is never accepted"
            )
        if self.silence_s <= self.ping_s:
            raise CannotStart(
                "limit silence_s must be more than ping_s, or clients that ping in time are disconnected"
            )

    @classmethod
    def described(cls) -> str:
        """Return each limit with its default, its meaning and its unit, a line each."""
        lines = ((f"{limit.name}={limit.default}", MEANINGS[limit.name]) for limit in fields(cls))
        return "\n".join(f"{setting:<30} {meaning}" for setting, meaning in lines)


MEANINGS = {
    "frame_bytes": "bytes of a frame or WebSocket message, in both directions",
    "hello_bytes": "bytes of a frame before the welcome",
    "text_bytes": "bytes of a message or topic, in UTF-8",
    "text_lines": "lines of a message",
    "hello_s": "seconds from the connection to the hello",
    "frame_s": "seconds from the first byte of a frame to its last",
    "ping_s": "seconds between pings that clients are asked for",
    "silence_s": "seconds without input until a client is disconnected",
    "stalled_s": "seconds in which a socket takes no bytes until its client is disconnected",
    "goodbye_s": "seconds for the last bytes of a connection",
    "drain_s": "seconds for stopping the server",
    "answers_bytes": "bytes of unread replies until a session's commands wait",
    "rooms": "rooms of a session",
    "sessions": "sessions of a member",
    "connections": "connections of the server",
    "connections_per_address": "connections of an address (IPv6: a /64)",
    "queue_entries": "messages that wait for a commit",
    "queue_bytes": "bytes of messages that wait for a commit",
    "sends_at_once": "sends of a batch in one step of the loop",
    "tail_bytes": "bytes of a room's newest messages in memory",
    "tails_bytes": "bytes of all rooms' newest messages in memory",
    "talk_burst": "messages of a member at once",
    "talk_per_s": "messages of a member per second after that",
    "talk_bytes_burst": "bytes of a member's messages at once",
    "talk_bytes_per_s": "bytes of a member's messages per second after that",
    "rooms_burst": "joins and leaves of a member at once",
    "rooms_per_s": "joins and leaves of a member per second after that",
    "questions_burst": "queries (who, rooms, history, search) of a member at once",
    "questions_per_s": "queries of a member per second after that",
    "journal_room_entries": "entries of a room with --journal memory",
    "journal_room_bytes": "bytes of a room with --journal memory",
    "journal_bytes": "bytes of all rooms with --journal memory",
}


def parse_limits(settings: Iterable[str]) -> dict[str, int]:
    """Return `NAME=VALUE` texts as arguments of `Limits`. Raises `CannotStart`."""
    known = {limit.name for limit in fields(Limits)}
    parsed: dict[str, int] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in known:
            close = get_close_matches(name, known, 1)
            hint = f"; did you mean {close[0]}?" if close else "; --limit help lists the limits"
            raise CannotStart(f"unknown limit {name!r}{hint}")
        if not (value.isascii() and value.isdigit()):
            raise CannotStart(f"invalid limit {name}: got {value!r}, expected a whole number")
        if len(value) > DIGITS_MAX:
            raise CannotStart(f"invalid limit {name}: got {len(value)} digits, expected at most {DIGITS_MAX}")
        parsed[name] = int(value)
    return parsed


_AGE = re.compile(r"([0-9]{1,6})([hdw])", re.ASCII)
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


def parse_age(age: str) -> int:
    """Return an age such as `90d` (hours, days or weeks) in milliseconds. Raises `CannotStart`."""
    found = _AGE.fullmatch(age)
    if found is None or not int(found[1]):
        raise CannotStart(f"invalid age: got {age!r}, expected hours, days or weeks such as 12h, 90d or 4w")
    return int(found[1]) * _HOURS[found[2]] * 3_600_000


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of a server. `port` 0 picks a free one; `rate_limit` False limits no rates.

    `journal` is the path of the messages' file, or `memory`. Acknowledged messages in a file survive a crash
    of the process; with the durability `full`, also a crash of the machine. `keep` limits how long they are
    kept; the default is for ever.

    `web` serves HTTP, WebSocket and the page on the same port. `public_names` are the host names that
    browsers may use beside addresses and `localhost`. `proxies` are the addresses or networks of trusted
    proxies, which report their peers' addresses.

    Raises `CannotStart` if a proxy is neither an address nor a network, and if a public name can never match.
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
        """Return the rates of a member, as the hub takes them."""
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
        """Return the limits that `welcome` announces."""
        limits = self.limits
        sizes = (limits.frame_bytes, limits.text_bytes, limits.rooms)
        if not self.rate_limit:
            return messages.ServerLimits(*sizes, UNLIMITED_PER_S, UNLIMITED_PER_S)
        return messages.ServerLimits(
            *sizes, limits.talk_burst, limits.talk_per_s, limits.talk_bytes_burst, limits.talk_bytes_per_s
        )
