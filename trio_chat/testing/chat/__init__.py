"""A whole chat in one process, from one seed: the server, its members, the network, the journal, and time.

plan    what is to happen, as data: drawn from a seed, saved, edited, replayed
actor   a member that does what the plan says, at the client's end of the wire
disk    a journal that is slow, or fails before or after it has written
play    the plan performed and judged
record  … and taken down, byte by byte, for a picture
reduce  a plan that fails made smaller; paste prints it as a test
"""

from trio_chat.testing.chat.faulty_store import FaultyDisk, UnreliableStore
from trio_chat.testing.chat.plan import (
    Ask,
    Doze,
    Enter,
    Go,
    Knock,
    Leave,
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
    "Leave",
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
