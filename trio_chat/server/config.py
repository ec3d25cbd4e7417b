"""All that can be set, in one frozen object: every bound of the server, with the reason for its default."""

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

DIGITS_MAX = 100  # Python refuses to read very long ones, and in its own words


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds end in `_s`, bytes in `_bytes`; all are whole numbers above zero.

    Raises `CannotStart` for a value that cannot work.
    """

    # Of the wire.
    frame_bytes: int = FRAME_BYTES_MAX
    hello_bytes: int = HELLO_BYTES_MAX  # strangers get less to fill
    text_bytes: int = 4_096
    text_lines: int = 100

    # Of patience.
    hello_s: int = 10
    frame_s: int = 10  # from the first byte of a frame to its last
    ping_s: int = 25  # what clients are asked for; twice that and a bit is
    silence_s: int = 60  # … when they are given up
    stalled_s: int = 60  # a socket that takes nothing
    goodbye_s: int = 5
    drain_s: int = 8  # systemd kills after 90, container runtimes after 10

    # Of a session and a member.
    answers_bytes: int = 256 << 10
    rooms: int = 100
    sessions: int = 8

    # Of the server.
    connections: int = 10_000
    connections_per_address: int = 64  # an IPv6 /64 being one; loopback exempt
    queue_entries: int = 10_000
    queue_bytes: int = 8 << 20
    sends_at_once: int = SENDS_AT_ONCE  # of one step; larger rooms are handed a batch in several
    tail_bytes: int = 4 << 20  # of one room
    tails_bytes: int = 256 << 20

    # How often a member may: at once, and a second from then on.
    talk_burst: int = 20
    talk_per_s: int = 5
    talk_bytes_burst: int = 256 << 10  # of the texts of say, topic and whisper, in UTF-8
    talk_bytes_per_s: int = 16 << 10
    rooms_burst: int = 200  # coming back to a hundred rooms is one burst
    rooms_per_s: int = 5
    questions_burst: int = 50
    questions_per_s: int = 10

    # Of the journal in memory.
    journal_room_entries: int = 10_000
    journal_room_bytes: int = 8 << 20
    journal_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        for limit in fields(self):
            if getattr(self, limit.name) < 1:
                raise CannotStart(f"limit {limit.name} must be at least 1")
            if getattr(self, limit.name) > MAX_NUMBER:  # some of them travel in `welcome`
                raise CannotStart(f"limit {limit.name} must be at most {MAX_NUMBER}")
        if self.frame_bytes > FRAME_BYTES_MAX:
            raise CannotStart(f"limit frame_bytes must be at most {FRAME_BYTES_MAX}, clients take no more")
        # JSON writes a quote or a newline of a text as two bytes; the rest of an entry takes some 700.
        if self.frame_bytes < 2 * self.text_bytes + 1_024:
            raise CannotStart("limit frame_bytes must be at least twice text_bytes and 1024")
        if self.talk_bytes_burst < self.text_bytes:
            raise CannotStart(
                "limit talk_bytes_burst must be at least text_bytes, or the longest text never passes"
            )
        if self.silence_s <= self.ping_s:
            raise CannotStart("limit silence_s must be more than ping_s, or who pings as asked is given up")

    @classmethod
    def described(cls) -> str:
        """Every limit and its default, a line each."""
        return "\n".join(f"{limit.name}={limit.default}" for limit in fields(cls))


def parse_limits(settings: Iterable[str]) -> dict[str, int]:
    """`NAME=VALUE` texts as arguments of `Limits`. Raises `CannotStart`."""
    known = {limit.name for limit in fields(Limits)}
    parsed: dict[str, int] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in known:
            close = get_close_matches(name, known, 1)
            raise CannotStart(f"no limit is called {name!r}" + (f"; {close[0]}, perhaps?" if close else ""))
        if not (value.isascii() and value.isdigit()):
            raise CannotStart(f"limit {name} takes a whole number, not {value!r}")
        if len(value) > DIGITS_MAX:
            raise CannotStart(f"limit {name} takes a number of at most {DIGITS_MAX} digits")
        parsed[name] = int(value)
    return parsed


_AGE = re.compile(r"([0-9]{1,6})([hdw])", re.ASCII)
_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


def parse_age(age: str) -> int:
    """An age such as `90d` in milliseconds: hours, days or weeks. Raises `CannotStart`."""
    found = _AGE.fullmatch(age)
    if found is None or not int(found[1]):
        raise CannotStart(f"what is said is kept for hours, days or weeks, as 12h, 90d or 4w, not {age!r}")
    return int(found[1]) * _HOURS[found[2]] * 3_600_000


@dataclass(frozen=True, slots=True)
class Config:
    """How a server is set up. `port` 0 takes any free one; without `rate_limit` nobody is ever too fast.

    `journal` is where what is said is kept: the path of a file, or `memory`, as long as the server runs. In a
    file what was acked survives the death of the process; with the durability `full`, that of the machine.
    `keep` is for how long; by itself for ever.

    `web`: the port speaks HTTP and WebSocket as well, and has a page for browsers. So it does unless told
    otherwise, also inside another program: who can reach the port can chat there with or without a browser.
    `public_names` are those by which browsers may ask for it, beside addresses and `localhost`.
    `proxies` are the addresses or networks of trusted proxies, which name their peers' addresses.

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
        """Return the limits that clients are told in `welcome`."""
        limits = self.limits
        sizes = (limits.frame_bytes, limits.text_bytes, limits.rooms)
        if not self.rate_limit:
            return messages.ServerLimits(*sizes, UNLIMITED_PER_S, UNLIMITED_PER_S)
        return messages.ServerLimits(
            *sizes, limits.talk_burst, limits.talk_per_s, limits.talk_bytes_burst, limits.talk_bytes_per_s
        )
