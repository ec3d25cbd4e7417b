"""Simulate a whole chat in one process, from one seed: server, members, network, journal and time.

plan          the steps and faults, as data: drawn from a seed, saved, edited, replayed
actor         a member that performs the plan, at the client's end of the wire
faulty_store  a journal that is slow, or fails before or after it has written
play          performs and judges a plan
record        performs a plan and records each byte, for a picture
reduce        makes a failing plan smaller; `serialize` prints it as a test
"""

from trio_chat.testing.chat.faulty_store import FaultyDisk, UnreliableStore
from trio_chat.testing.chat.plan import (
    Ask,
    Doze,
    Enter,
    Go,
    Knock,
    LeaveRoom,
    Plan,
    Repeat,
    Step,
    Talk,
    draw_plan,
)
from trio_chat.testing.chat.play import Story, drawn, play
from trio_chat.testing.chat.record import Recording, record
from trio_chat.testing.chat.reduce import Failure, Reduced, failure_of, reduce_plan
from trio_chat.testing.chat.serialize import as_lines, as_test

__all__ = [
    "Ask",
    "Doze",
    "Enter",
    "Failure",
    "FaultyDisk",
    "Go",
    "Knock",
    "LeaveRoom",
    "Plan",
    "Recording",
    "Reduced",
    "Repeat",
    "Step",
    "Story",
    "Talk",
    "UnreliableStore",
    "as_lines",
    "as_test",
    "draw_plan",
    "drawn",
    "failure_of",
    "play",
    "record",
    "reduce_plan",
]
