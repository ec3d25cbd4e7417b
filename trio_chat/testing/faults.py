"""What can befall a network, as data: a plan of it can be drawn from a seed, saved, edited and replayed.

A rule says what happens and not to whom: `MemoryNetwork.fault` puts it on the way from one host to another
for as long as a block lasts. Some strike the bytes, some the dials, `NoFiles` the accepts, and `Fin` and
`Rst` strike once. Whatever they do, they keep to what TCP promises: bytes come in order, and as long as a
connection lives none is lost. What was under way when a rule ends still arrives.
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
    """What is sent arrives after `delay_s`, and up to `jitter_s` later, each time anew; never out of order.
    A dial takes the way there and the way back."""

    delay_s: float
    jitter_s: float = 0.0


class Bandwidth(_Rule, frozen=True):
    """Each connection carries so many bytes a second, piece by piece."""

    bytes_per_s: int


class Split(_Rule, frozen=True):
    """A read gives between one byte and so many."""

    bytes_max: int = 1


class Merge(_Rule, frozen=True):
    """What is sent within so many seconds of its first byte arrives at once, at their end."""

    within_s: float


class Narrow(_Rule, frozen=True):
    """A connection holds so many bytes, and not the network's `buffer_bytes`: sends are taken in part."""

    bytes_max: int


class Stall(_Rule, frozen=True):
    """Nothing arrives, no end and no reset either. Senders feel it when the buffer is full. Dials pass."""


class Cut(_Rule, frozen=True):
    """A connection is reset when so many more bytes have been sent on it; these bytes arrive. At 0 the next
    send is taken, and none of it arrives."""

    after_bytes: int = 0


class Silence(_Rule, frozen=True):
    """What is sent vanishes, ends and resets too, and neither end is told: half-open.

    A connection that lost something this way carries nothing more in that direction, not after the rule
    either: a hole in the middle is what TCP never shows. Vanished bytes count against the buffer, as
    unacknowledged bytes do.
    """


class Partition(_Rule, frozen=True):
    """Two hosts cannot reach each other, in both directions: as a stall for the connections there are (TCP
    sends again what was lost, so all of it arrives when the hosts meet again), and dials hang."""


class Refuse(_Rule, frozen=True):
    """Dials from the first host to the second are refused."""


class NoFiles(_Rule, frozen=True):
    """The second host has no file descriptor left to accept with (EMFILE), for dials from any host."""


class Fin(_Rule, frozen=True):
    """Once: the first host's end of each connection to the second says that no more will come."""


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
    """A rule, whom it strikes, and when: from the first host to the second, `"*"` being any of them."""

    rule: Rule
    first: str
    second: str
    at_s: float = 0.0
    lasts_s: float = 0.0
    both: bool = False
    """And from the second to the first."""


def draw(
    random: Random,
    hosts: Sequence[str],
    others: Sequence[str],
    *,
    within_s: float = 10.0,
    lasts_s_max: float = 5.0,
) -> Fault:
    """A fault between one of `hosts` and one of `others`, in either direction, that begins within so many
    seconds. `others` are those who listen: dials are only refused by them, only they run out of files."""
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
    """Between one and `most`, and mostly small: as many below ten as above a tenth of `most`."""
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
