"""Run a Trio program from a seed, on a network that breaks and a clock that jumps; replay what went wrong.

    async def scenario(sim):
        async with trio.open_nursery() as nursery:
            ...
        assert nothing_is_lost

    for seed in range(300):
        simulate(seed, scenario)

For any Trio program, with whatever test runner, or none. docs/testing.md is the tutorial.

    simulate    a scenario on a virtual clock, in an order that its seed decides, and what it left behind
    sweep       a part of it cancelled, or made to fail, at each of its checkpoints in turn
    network     hosts in memory that listen and dial: as streams of Trio's, or as links of ours
    faults      what can befall a network, as data
    stream      a pair of streams, bounded unlike Trio's own
    pipe        a pair of links
    tree        the tasks of a running program as text
    shrink      what fails made smaller while it fails
    chat        a whole chat of ours from a seed; a door of its own
    picture     … and a run of it as a page; `python -m trio_chat.testing --help`

Behind them, from the ground up:

    scheduling  which task runs next, and how late; all of Trio's private names
    isolation   what a run may not reach: threads, sockets, processes, real clocks
    leaks       what it left open: async generators, coroutines
    trace       what happened, as one hash
    cancel_injector            counts the checkpoints of the part that is swept, and ends it at one
    watch       ends a run that cannot end by itself
    listener, connection, fault_pipeline, effects      the parts of the network
"""

# Eagerly, unlike the front door of trio_chat: `simulate` and `sweep` are names of modules as well, and
# what the package's attribute of that name is must not depend on what was imported first.
from trio_chat.errors import DeadlockError, NotSimulated, ResourceLeakError, SimulationError
from trio_chat.testing.faults import (
    Bandwidth,
    Cut,
    Fault,
    Fin,
    Latency,
    Merge,
    Narrow,
    NoFiles,
    Partition,
    Refuse,
    Rst,
    Rule,
    Silence,
    Split,
    Stall,
    draw,
)
from trio_chat.testing.network import MemoryNetwork
from trio_chat.testing.pipe import PipeLink, link_pair
from trio_chat.testing.shrink import shrink
from trio_chat.testing.simulate import Run, Simulation, simulate
from trio_chat.testing.stream import MemoryStream, stream_pair
from trio_chat.testing.sweep import InjectedError, Swept, sweep
from trio_chat.testing.tree import task_tree

__all__ = [
    "Bandwidth",
    "Cut",
    "DeadlockError",
    "Fault",
    "Fin",
    "InjectedError",
    "Latency",
    "MemoryNetwork",
    "MemoryStream",
    "Merge",
    "Narrow",
    "NoFiles",
    "NotSimulated",
    "Partition",
    "PipeLink",
    "Refuse",
    "ResourceLeakError",
    "Rst",
    "Rule",
    "Run",
    "Silence",
    "Simulation",
    "SimulationError",
    "Split",
    "Stall",
    "Swept",
    "draw",
    "link_pair",
    "shrink",
    "simulate",
    "stream_pair",
    "sweep",
    "task_tree",
]
