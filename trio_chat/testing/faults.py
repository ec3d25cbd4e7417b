"""The faults of a network, as data: they can be drawn from a seed, saved, edited and replayed.

A rule describes a fault without its hosts: `MemoryNetwork.fault` applies it from one host to another for the
length of a block. Some rules affect bytes, some dials, `NoFiles` accepts; `Fin` and `Rst` strike once. All
keep the guarantees of TCP: bytes arrive in order, and none is lost while a connection lives. Bytes in transit
when a rule ends still arrive.
"""

from collections.abc import Callable, Sequence
from random import Random

from msgspec import Struct

__all__ = [
    "Bandwidth",
    "Cut",
    "Fault",
    "Fin",
    "Latency",
    "Merge",
    "Narrow",
    "NoFiles",
    "Partition",
    "Refuse",
    "Rst",
    "Rule",
    "Silence",
    "Split",
    "Stall",
    "draw",
]


class _Rule(Struct, frozen=True, tag=str.lower, tag_field="kind"):
    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            least = 1 if name in ("bytes_per_s", "bytes_max") else 0
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} of {type(self).__name__} is at least {least}")


class Latency(_Rule, frozen=True):
    """Bytes arrive after `delay_s` plus up to `jitter_s`, drawn for each send; never out of order. A dial
    takes one round trip."""

    delay_s: float
    jitter_s: float = 0.0


class Bandwidth(_Rule, frozen=True):
    """Each connection carries `bytes_per_s`, in pieces."""

    bytes_per_s: int


class Split(_Rule, frozen=True):
    """A read returns between one byte and `bytes_max`."""

    bytes_max: int = 1


class Merge(_Rule, frozen=True):
    """Bytes sent within `within_s` of the first byte arrive together, at the end of that time."""

    within_s: float


class Narrow(_Rule, frozen=True):
    """A connection holds `bytes_max`, instead of the network's `buffer_bytes`: sends are taken in part."""

    bytes_max: int


class Stall(_Rule, frozen=True):
    """Nothing arrives, also no FIN and no reset. Senders block when the buffer is full. Dials pass."""


class Cut(_Rule, frozen=True):
    """A connection is reset when `after_bytes` more have been sent on it; these bytes arrive. At 0 the next
    send is taken, and none of it arrives."""

    after_bytes: int = 0


class Silence(_Rule, frozen=True):
    """Sent bytes, FINs and resets vanish, and neither end gets an error: the connection is half-open.

    A connection that lost something this way carries nothing more in that direction, also not after the
    rule ends: TCP never delivers a stream with a hole. Vanished bytes count against the buffer, as
    unacknowledged bytes do.
    """


class Partition(_Rule, frozen=True):
    """Two hosts cannot reach each other, in both directions: existing connections stall (TCP
    retransmits lost bytes, so all of them arrive after the partition), and dials hang."""


class Refuse(_Rule, frozen=True):
    """Dials from the first host to the second are refused."""


class NoFiles(_Rule, frozen=True):
    """The second host has no file descriptor left to accept with (EMFILE), for dials from any host."""


class Fin(_Rule, frozen=True):
    """Once: the first host's end of each connection to the second sends a FIN."""


class Rst(_Rule, frozen=True):
    """Once: the connections between the two hosts are reset, in whichever direction they were dialled."""


Rule = (
    Latency
    | Bandwidth
    | Split
    | Merge
    | Narrow
    | Stall
    | Cut
    | Silence
    | Partition
    | Refuse
    | NoFiles
    | Fin
    | Rst
)
"""One tagged union: `msgspec.json` encodes each, and decodes them by their `kind`."""


class Fault(Struct, frozen=True):
    """A rule, its hosts and its time: from the first host to the second, where `"*"` is any host."""

    rule: Rule
    first: str
    second: str
    at_s: float = 0.0
    lasts_s: float = 0.0
    both: bool = False
    """Whether it applies from the second to the first as well."""


def draw(
    random: Random,
    hosts: Sequence[str],
    others: Sequence[str],
    *,
    within_s: float = 10.0,
    lasts_s_max: float = 5.0,
) -> Fault:
    """Draw a fault between one of `hosts` and one of `others`, in either direction, that begins within
    `within_s`. `others` are the hosts that listen: only they refuse dials, and only they run out of files."""
    kind = random.choice(list(_DRAWN))
    rule = _DRAWN[kind](random)
    first, second = random.choice(hosts), random.choice(others)
    if kind not in (Refuse, NoFiles) and random.random() < 0.5:
        first, second = second, first
    instant = kind in (Fin, Rst)
    return Fault(
        rule=rule,
        first=first,
        second=second,
        at_s=round(random.uniform(0, within_s), 3),
        lasts_s=0.0 if instant else round(random.uniform(0, lasts_s_max), 3),
        both=kind in _OFTEN_BOTH and random.random() < 0.5,
    )


def _few(random: Random, most: int) -> int:
    """Draw a number from one to `most`, mostly small: as many below ten as above a tenth of `most`."""
    return max(1, int(most ** random.random()))


# Sizes are those of a chat: a message is some ten to a hundred bytes.
_DRAWN: dict[type[_Rule], Callable[[Random], Rule]] = {
    Latency: lambda random: Latency(
        round(random.uniform(0.001, 0.5), 3), round(random.choice([0, 0.1, 1]) * random.random(), 3)
    ),
    Bandwidth: lambda random: Bandwidth(100 * _few(random, 1_000)),
    Split: lambda random: Split(_few(random, 100)),
    Merge: lambda random: Merge(round(random.uniform(0.001, 1), 3)),
    Narrow: lambda random: Narrow(_few(random, 4_096)),
    Stall: lambda _: Stall(),
    Cut: lambda random: Cut(_few(random, 4_096) - 1),
    Silence: lambda _: Silence(),
    Partition: lambda _: Partition(),
    Refuse: lambda _: Refuse(),
    NoFiles: lambda _: NoFiles(),
    Fin: lambda _: Fin(),
    Rst: lambda _: Rst(),
}
_OFTEN_BOTH = (Latency, Bandwidth, Split, Merge, Narrow, Stall, Silence)
