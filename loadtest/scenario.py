"""Describe a run: users, rooms, messages, and which users disconnect when and how."""

from dataclasses import dataclass
from math import isfinite
from random import Random

from trio_chat.errors import ChatError

__all__ = ["DISCONNECT_WAYS", "CannotRun", "Scenario", "Trip"]

# How users disconnect, in turn, and the reason that other members must receive.
DISCONNECT_WAYS = {"quit": "quit", "fin": "lost", "rst": "lost", "leave": "left"}
TEXT_BYTES_MIN = 16
TEXT_BYTES_MAX = 4_096
MESSAGES_MAX = 10**9  # their numbers must fit into the shortest text


class CannotRun(ChatError):
    """A load test that cannot begin."""

    exit_status = 2


@dataclass(frozen=True, slots=True)
class Trip:
    """A user disconnects `at_s` seconds after the first message is due, and reconnects a second later."""

    at_s: float
    user: int
    way: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """The parameters of a run.

    `rate` is the messages a second of all users together, `size` the bytes of each text, `disconnects` the
    share of users that disconnect. Raises `CannotRun` for invalid values.
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
            raise _invalid("users or rooms", f"{self.users} and {self.rooms}", "at least 1 of each")
        if self.rooms > self.users:
            raise _invalid("rooms", f"{self.rooms}", f"at most {self.users}, the number of users")
        values = f"{self.rate:g} and {self.duration_s:g}"
        if not (isfinite(self.rate) and isfinite(self.duration_s)):
            raise _invalid("rate or duration", values, "finite numbers")
        if self.rate <= 0 or self.duration_s <= 0:
            raise _invalid("rate or duration", values, "more than 0")
        if self.rate * self.duration_s > MESSAGES_MAX:
            raise _invalid("rate and duration", values, f"at most {MESSAGES_MAX:,} messages in a run")
        if not TEXT_BYTES_MIN <= self.size <= TEXT_BYTES_MAX:
            raise _invalid("size", f"{self.size}", f"{TEXT_BYTES_MIN} to {TEXT_BYTES_MAX} bytes")
        if not 0 <= self.disconnects <= 1:
            raise _invalid("disconnects", f"{self.disconnects:.0%}", "0% to 100%")

    @property
    def messages(self) -> int:
        return max(1, round(self.rate * self.duration_s))

    def room_of(self, user: int) -> int:
        return user % self.rooms

    def senders(self) -> list[int]:
        """Return the users in the order in which they send; the order repeats."""
        order = list(range(self.users))
        Random(self.seed).shuffle(order)
        return order

    def trips(self) -> list[Trip]:
        """Return which users disconnect, one after the other, in the first 80 % of the sending."""
        count = round(self.users * self.disconnects)
        ways = list(DISCONNECT_WAYS)
        users = Random(self.seed + 1).sample(range(self.users), count)
        return [
            Trip(0.8 * self.duration_s * (index + 0.5) / count, user, ways[index % len(ways)])
            for index, user in enumerate(users)
        ]

    def text(self, number: int) -> str:
        """Return the text of message `number`: unique, and `size` bytes long."""
        prefix = f"{number} "
        filler = chr(ord("a") + number % 26)
        return prefix + filler * (self.size - len(prefix))


def _invalid(field: str, got: str, expected: str) -> CannotRun:
    return CannotRun(f"invalid {field}: got {got}, expected {expected}")
