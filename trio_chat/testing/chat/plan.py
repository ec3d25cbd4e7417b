"""The plan of a simulated chat, as data: the messages, pauses, leaves and reconnects of each user, and the
faults of the network and the journal, with their times.

`draw_plan` draws a plan from a seed. A plan is complete: it can be saved as JSON, edited and shrunk, and is
then performed unchanged. Each seed chooses its own mixture: some have no faults at all and many paused
readers, some little else but resets. A mixture of everything in each plan would find less, since frequent
events hide rare events.
"""

from collections.abc import Callable
from random import Random
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from trio_chat.testing.chat.faulty_store import FaultyDisk
from trio_chat.testing.faults import Fault, draw

__all__ = [
    "SERVER",
    "Ask",
    "Doze",
    "Enter",
    "Go",
    "Knock",
    "LeaveRoom",
    "Plan",
    "Question",
    "Repeat",
    "Step",
    "Talk",
    "draw_plan",
]

SERVER = "server"
STRANGERS = ("x", "y")


Way = Literal["quit", "fin", "rst", "vanish"]
Question = Literal["ping", "history", "rooms", "typing"]


class _Step(Struct, frozen=True, tag=str.lower, tag_field="do"):
    at_s: float
    user: str


class Talk(_Step, frozen=True):
    """Send `times` messages of about `size` bytes in one piece. A user outside the room skips the step."""

    room: str
    times: int = 1
    size: int = 20


class Enter(_Step, frozen=True):
    """Join a room; the first time with `recent` entries, later with the cursor."""

    room: str
    recent: int = 0


class LeaveRoom(_Step, frozen=True, tag="leave"):
    room: str


class Doze(_Step, frozen=True):
    """Read nothing for a while."""

    lasts_s: float


class Go(_Step, frozen=True):
    """End the connection and reconnect `away_s` later, resume all rooms, and send unacknowledged messages
    again: at the earliest when the server has noticed, or at once if `hasty`. `vanish` leaves the connection
    half-open."""

    way: Way
    away_s: float = 1.0
    hasty: bool = False


class Repeat(_Step, frozen=True):
    """Send the last `times` messages again, with the same refs, acknowledged or not."""

    times: int = 1


class Knock(_Step, frozen=True):
    """A stranger connects, sends a hello and part of a `join`, and disconnects `after_s` later. Strangers
    share a few names, and each has its own token."""

    after_s: float = 0.0
    sends: float = 1.0
    """The share of its two frames that it sends."""


class Ask(_Step, frozen=True):
    """Send a query `times` times in one piece. A user outside the room skips the step."""

    what: Question
    room: str
    times: int = 1


Step = Talk | Enter | LeaveRoom | Doze | Go | Repeat | Knock | Ask


class Plan(Struct, frozen=True, kw_only=True):
    """A plan; `seed` decides the scheduling of tasks and the random values of faults."""

    seed: int
    users: tuple[str, ...]
    rooms: tuple[str, ...]
    steps: tuple[Step, ...]
    faults: tuple[Fault, ...] = ()
    disk: FaultyDisk = FaultyDisk()
    limits: dict[str, int] = {}
    """The limits of the server that differ from the defaults."""
    buffer_bytes: int = 65_536
    """The buffer of a connection in each direction."""
    crash_s: float | None = None
    """When the server is killed; a second later another one starts on the same journal."""
    lost_commits: int | None = None
    """Its machine crashes as well, and this many of the newest commits are lost: rooms have new epochs."""
    are_blank: bool = False
    """Whether the rooms start without entries: such a room gets a new epoch after its last member leaves."""
    ending: Literal["quit", "drain"] = "quit"
    """Whether all members receive everything and then quit, or the server stops while they are connected."""

    def as_json(self) -> str:
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "Plan":
        """Return the plan of a JSON text. Raises `msgspec.ValidationError`."""
        return msgspec.json.decode(text, type=cls)


def draw_plan(
    seed: int,
    *,
    users: int | None = None,
    rooms: int | None = None,
    talks: int | None = None,
    faults: int | None = None,
) -> Plan:
    """Return the plan of a seed; given values are not drawn, and with `talks` each talk is one message."""
    random = Random(seed)
    people = tuple(f"u{number}" for number in range(users or random.choice([2, 3, 5, 8])))
    places = ("lobby", "attic", "cellar")[: rooms or random.choice([1, 1, 2, 3])]
    seconds = random.choice([3.0, 10.0, 30.0])
    steps: list[Step] = []
    for user in people:
        chosen = places[: 1 + random.randrange(len(places))]
        steps += [Enter(_at(random, 0.3), user, room, random.choice([0, 0, 3])) for room in chosen]
    mixture = _Mixture(random, people, places, seconds, (1,) if talks else None)
    steps += [mixture.talk() for _ in range(talks or random.choice([10, 40, 100]))]
    steps += [mixture.other() for _ in range(random.choice([0, 3, 10, 30]) if talks is None else len(people))]
    striking = random.choice([0, 0, 1, 3, 8]) if faults is None else faults
    limits = _limits(random)
    patience = _patience(random)
    if forgetful := mixture.is_forgetful:
        limits["journal_room_entries"] = random.choice([30, 60])
        striking = 0
    else:
        limits |= patience  # a disconnected member sends unacknowledged messages again
    plan = Plan(
        seed=seed,
        users=people,
        rooms=places,
        steps=tuple(sorted(steps, key=lambda step: step.at_s)),
        faults=tuple(draw(random, people, (SERVER,), within_s=seconds) for _ in range(striking)),
        disk=FaultyDisk() if forgetful else FaultyDisk.draw(random),
        limits=limits,
        buffer_bytes=random.choice([700, 700, 2_000, 8_000, 65_536]),
        crash_s=_at(random, seconds) if random.random() < 0.1 and not forgetful else None,
        # A separate random source: the older seeds keep the values that they drew before this existed.
        are_blank=Random(f"blank/{seed}").random() < 0.15,
        ending=random.choice(["quit", "quit", "drain"]),
    )
    if plan.crash_s is None:
        return plan
    return replace(plan, lost_commits=Random(f"machine/{seed}").choice([None, None, 0, 1, 5, 50]))


class _Mixture:
    """The mixture of steps of one seed."""

    def __init__(
        self,
        random: Random,
        users: tuple[str, ...],
        rooms: tuple[str, ...],
        seconds: float,
        bursts: tuple[int, ...] | None,
    ) -> None:
        self._random = random
        self._users = users
        self._rooms = rooms
        self._seconds = seconds
        self._sizes = random.choice([(20,), (20, 20, 300), (20, 300, 3_000)])
        self._bursts = bursts or random.choice([(1,), (1, 1, 4), (1, 5, 20)])
        # If all users talk, pause and leave at once, operations that wait for each other meet.
        self._moments = [_at(random, seconds) for _ in range(random.choice([1, 3, 10, 1_000]))]
        drawn: list[Callable[[float, str], Step]] = [
            self._enter,
            self._leave,
            self._doze,
            self._go,
            self._repeat,
            self._knock,
            self._ask,
        ]
        # A journal that lost commits may take a repeated message for a new one: then no message is repeated.
        self.is_forgetful = random.random() < 0.1
        if self.is_forgetful:
            drawn = [self._enter, self._leave, self._doze, self._ask]
        self._likes = random.sample(drawn, min(len(drawn), random.choice([1, 2, 7])))
        self._hasty = random.choice([0.0, 0.5, 1.0])

    def talk(self) -> Talk:
        at_s, user, random = self._when(), self._random.choice(self._users), self._random
        return Talk(
            at_s, user, random.choice(self._rooms), random.choice(self._bursts), random.choice(self._sizes)
        )

    def other(self) -> Step:
        return self._random.choice(self._likes)(self._when(), self._random.choice(self._users))

    def _when(self) -> float:
        return round(self._random.choice(self._moments) + self._random.choice([0, 0, 0.001, 0.05]), 3)

    def _enter(self, at_s: float, user: str) -> Step:
        return Enter(at_s, user, self._random.choice(self._rooms), self._random.choice([0, 0, 5]))

    def _leave(self, at_s: float, user: str) -> Step:
        return LeaveRoom(at_s, user, self._random.choice(self._rooms))

    def _doze(self, at_s: float, user: str) -> Step:
        return Doze(at_s, user, round(self._random.choice([0.01, 1, 10]) * self._random.random(), 3))

    def _go(self, at_s: float, user: str) -> Step:
        random = self._random
        ways: list[Way] = ["quit", "fin", "rst", "vanish"]
        way = random.choice(ways)
        hasty = random.random() < self._hasty
        away_s = random.choice([0.0, 0.2, 1.0, 3.0] if hasty else [1.0, 3.0])
        return Go(at_s, user, way, away_s, hasty)

    def _repeat(self, at_s: float, user: str) -> Step:
        return Repeat(at_s, user, self._random.choice([1, 3]))

    def _knock(self, at_s: float, _: str) -> Step:
        random = self._random
        return Knock(
            at_s, random.choice(STRANGERS), random.choice([0, 0, 0.001, 0.5]), random.choice([1, 1, 0.9, 0.4])
        )

    def _ask(self, at_s: float, user: str) -> Step:
        random = self._random
        whats: list[Question] = ["ping", "history", "history", "rooms", "typing"]
        return Ask(at_s, user, random.choice(whats), random.choice(self._rooms), random.choice([1, 1, 5]))


def _limits(random: Random) -> dict[str, int]:
    """Return limits so small that a small chat reaches them."""
    small = {
        "tail_bytes": random.choice([1, 2_000]),
        "sends_at_once": random.choice([1, 2, 3]),
        "queue_entries": random.choice([1, 5]),
        "answers_bytes": random.choice([1, 200]),
        "sessions": random.choice([1, 2]),
    }
    often = {"sends_at_once": 0.4, "sessions": 0.4}  # these collisions are rare otherwise
    return {name: value for name, value in small.items() if random.random() < often.get(name, 0.25)}


def _patience(random: Random) -> dict[str, int]:
    """Return timeouts so short that a silent or stalled member is disconnected while the plan still runs."""
    limits: dict[str, int] = {}
    if random.random() < 0.2:
        limits |= {"ping_s": 2, "silence_s": 4}
    if random.random() < 0.2:
        limits["stalled_s"] = random.choice([1, 3])
    return limits


def _at(random: Random, seconds: float) -> float:
    return round(random.uniform(0, seconds), 3)
