"""A whole chat in one process, from one seed: the server, its members, the network, the journal, and time.

plan    what is to happen, as data: drawn from a seed, saved, edited, replayed
actor   a member that does what the plan says, at the client's end of the wire
disk    a journal that is slow, or fails before or after it has written
play    the plan performed and judged
"""

from trio_chat.testing.chat.disk import Disk, UnreliableStore
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

__all__ = [
    "Ask",
    "Disk",
    "Doze",
    "Enter",
    "Go",
    "Knock",
    "Leave",
    "Plan",
    "Repeat",
    "Step",
    "Story",
    "Talk",
    "UnreliableStore",
    "draw_plan",
    "drawn",
    "play",
]
