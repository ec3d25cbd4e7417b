"""What is asked for: how many users in how many rooms, how much they say, and who goes when and how."""

from dataclasses import dataclass
from math import isfinite
from random import Random

from trio_chat.errors import ChatError

__all__ = ["WAYS", "CannotRun", "Scenario", "Trip"]

# How users go, in turn, and what others are to be told of it.
WAYS = {"quit": "quit", "fin": "lost", "rst": "lost", "leave": "left"}
TEXT_BYTES_MIN = 16
TEXT_BYTES_MAX = 4_096
MESSAGES_MAX = 10**9  # their numbers have to fit into the shortest text


class CannotRun(ChatError):
    """A load test that cannot begin."""

    exit_status = 2


@dataclass(frozen=True, slots=True)
class Trip:
    """A user goes, so many seconds after the talk has begun, and comes back after a second."""

    at_s: float
    user: int
    way: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """`rate` is messages a second in all, `size` bytes of each text, `disconnects` a share of the users.

    Raises `CannotRun` for what makes no sense.
    """

    users: int = 200
    rooms: int = 1
    rate: float = 50.0
    duration_s: float = 10.0
    size: int = 100
    disconnects: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.users < 1 or self.rooms < 1:
            raise CannotRun("there must be a user and a room")
        if self.rooms > self.users:
            raise CannotRun(f"{self.rooms} rooms are too many for {self.users} users: some would be empty")
        if not (isfinite(self.rate) and isfinite(self.duration_s)):
            raise CannotRun("rate and duration must be numbers")
        if self.rate <= 0 or self.duration_s <= 0:
            raise CannotRun("rate and duration must be above zero")
        if self.rate * self.duration_s > MESSAGES_MAX:
            raise CannotRun(f"more than {MESSAGES_MAX:,} messages are too many for one run")
        if not TEXT_BYTES_MIN <= self.size <= TEXT_BYTES_MAX:
            raise CannotRun(f"a text has {TEXT_BYTES_MIN} to {TEXT_BYTES_MAX} bytes, not {self.size}")
        if not 0 <= self.disconnects <= 1:
            raise CannotRun("the share of disconnects is between 0 % and 100 %")

    @property
    def messages(self) -> int:
        return max(1, round(self.rate * self.duration_s))

    def room_of(self, user: int) -> int:
        return user % self.rooms

    def speakers(self) -> list[int]:
        """The users in the order in which they speak, again and again."""
        order = list(range(self.users))
        Random(self.seed).shuffle(order)
        return order

    def trips(self) -> list[Trip]:
        """Who goes, one after the other, in the first four fifths of the talk."""
        many = round(self.users * self.disconnects)
        ways = list(WAYS)
        gone = Random(self.seed + 1).sample(range(self.users), many)
        return [
            Trip(0.8 * self.duration_s * (index + 0.5) / many, user, ways[index % len(ways)])
            for index, user in enumerate(gone)
        ]

    def text(self, number: int) -> str:
        """What is said as message `number`; no two are the same, and each has the size asked for."""
        begun = f"{number} "
        filler = chr(ord("a") + number % 26)
        return begun + filler * (self.size - len(begun))
