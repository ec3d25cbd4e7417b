"""Run a Trio program from a seed, on a virtual clock and a network with faults; replay any failure.

    async def scenario(sim):
        async with trio.open_nursery() as nursery:
            ...
        assert nothing_is_lost

    for seed in range(300):
        simulate(seed, scenario)

For any Trio program, with any test runner, or none. docs/testing.md is the tutorial.

    simulate    runs a scenario on a virtual clock, in an order that its seed decides, and checks for leaks
    sweep       cancels a part of a scenario, or makes it fail, at each of its checkpoints in turn
    network     hosts in memory that listen and dial, with Trio's streams or with our links
    faults      the faults of a network, as data
    stream      a pair of bounded streams (Trio's memory streams are unbounded)
    pipe        a pair of links
    tree        the tasks of a running program as text
    shrink      makes a failing input smaller while it fails
    chat        a whole chat server with users, from a seed; imported separately
    picture     a run of such a chat as an HTML page; `python -m trio_chat.testing --help`

The internal modules, lowest first:

    scheduling       which task runs next, and how late; all uses of Trio's private names
    isolation        refuses threads, sockets, processes and real clocks during a run
    leaks            finds open async generators and coroutines
    trace            the hash of a run
    cancel_injector  counts the checkpoints of the victim, and cancels it at one of them
    watch            ends a run that cannot end by itself
    listener, connection, fault_pipeline, effects: the parts of the network
"""

# Imported eagerly, unlike in the package trio_chat: `simulate` and `sweep` are also names of modules, and the
# value of the package's attribute must not depend on the order of imports.
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
