"""Draw plans for rows of the table of faults from a seed; the judge checks the server's promises.

Each docstring names the row. Every seed's plan has the fault of its row; the seed draws the users, times,
amounts and everything else.
"""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Literal

from msgspec.structs import replace

from trio_chat.testing import Bandwidth, Cut, Fault, Latency, Narrow, Rst, Silence, Simulation, Stall
from trio_chat.testing.chat import (
    Doze,
    Enter,
    FaultyDisk,
    Go,
    LeaveRoom,
    Plan,
    Repeat,
    Step,
    Story,
    Talk,
    play,
)

__all__ = [
    "SERVER",
    "failing_journal",
    "lost_acks",
    "resets",
    "resume_after_sleep",
    "server_crash",
    "slow_reader",
    "stalled_room",
    "stopped_reader",
    "story",
    "vanished_client",
]

SERVER = "server"
WAYS: tuple[Literal["quit", "fin", "rst", "vanish"], ...] = ("quit", "fin", "rst", "vanish")


def story(plan_of: Callable[[int], Plan], **options: Any) -> Callable[[Simulation], Awaitable[Story]]:
    """Return the scenario for `simulate`: it plays the plan of the run's own seed."""

    async def row(sim: Simulation) -> Story:
        return await play(sim, plan_of(sim.seed), **options)

    row.__module__, row.__qualname__ = __name__, f"story({plan_of.__module__}.{plan_of.__name__})"
    return row


def _people(random: Random) -> tuple[str, ...]:
    return tuple(f"u{number}" for number in range(random.choice([3, 4, 6])))


def _plan(seed: int, users: tuple[str, ...], steps: list[Step], **more: Any) -> Plan:
    enters: list[Step] = [Enter(0.0, user, "lobby") for user in users]
    ordered = sorted([*enters, *steps], key=lambda step: step.at_s)
    return Plan(seed=seed, users=users, rooms=("lobby",), steps=tuple(ordered), **more)


def _talk(
    random: Random, users: tuple[str, ...], seconds: float, times: int, *, size: int = 200
) -> list[Step]:
    """Return `times` bursts by random users, from one second on."""
    return [
        Talk(
            round(random.uniform(1, seconds), 3),
            random.choice(users),
            "lobby",
            random.choice([1, 1, 5]),
            size,
        )
        for _ in range(times)
    ]


def resets(seed: int) -> Plan:
    """Reset while the server reads and while it writes (row 7): one departure, and the server goes on."""
    random = Random(f"row 7/{seed}")
    users = _people(random)
    idle, asleep = users[:2]
    steps = _talk(random, users[1:], 12, 40, size=random.choice([20, 300]))
    steps += [Go(2.5, idle, "rst", hasty=random.random() < 0.5)]
    # The client sleeps over a small buffer: the server has more data for it than the socket takes.
    steps += [Doze(4.0, asleep, 3.0), Talk(4.1, users[2], "lobby", 20, 300), Go(5.0, asleep, "rst", 2.0)]
    steps += [Go(round(random.uniform(8, 12), 3), random.choice(users), "rst") for _ in range(3)]
    others = [
        Fault(Rst(), random.choice(users), SERVER, round(random.uniform(6, 12), 3)),
        Fault(Cut(random.randrange(600)), SERVER, random.choice(users), round(random.uniform(6, 10), 3), 3.0),
    ]
    faults = tuple(others[: random.choice([0, 1, 2])])
    return _plan(seed, users, steps, faults=faults, buffer_bytes=random.choice([700, 2_000]))


def stopped_reader(seed: int) -> Plan:
    """Stop reading, go on pinging (row 23): the others do not wait; the client catches up later, in order."""
    random = Random(f"row 23/{seed}")
    users = _people(random)
    limits = random.choice([{}, {"tail_bytes": 1}, {"tail_bytes": 3_000}])
    lasts_s = random.choice([5.0, 20.0, 35.0])
    steps = _talk(random, users[1:], 2 + lasts_s, 60, size=random.choice([100, 1_000]))
    steps += [Doze(round(random.uniform(1, 3), 3), users[0], lasts_s), Talk(80.0, users[1], "lobby")]
    steps += [Doze(random.choice([40.0, 45.0]), users[0], lasts_s), Talk(42.0, users[1], "lobby", 20, 1_000)]
    disk = FaultyDisk(read_s=random.choice([0.0, 0.05, 0.5]))
    return _plan(
        seed, users, steps, limits=limits, disk=disk, buffer_bytes=random.choice([700, 2_000, 8_000])
    )


def slow_reader(seed: int) -> Plan:
    """Read a kilobyte a second through a small buffer (row 24): order is kept, the session is not ended."""
    random = Random(f"row 24/{seed}")
    users = _people(random)
    steps = _talk(random, users[1:], 20, 40, size=random.choice([300, 1_000]))
    slow = Fault(Bandwidth(1_024), SERVER, users[0], 1.0, random.choice([60.0, 100.0]))
    small = Fault(Narrow(4_096), SERVER, users[0], 1.0, slow.lasts_s)
    limits = random.choice([{}, {"tail_bytes": 1}])
    return _plan(seed, users, steps, faults=(slow, small), limits=limits, buffer_bytes=8_000)


def vanished_client(seed: int) -> Plan:
    """Vanish silently (row 25): one departure within 70 s, and no effect on the others before it."""
    random = Random(f"row 25/{seed}")
    users = _people(random)
    steps = _talk(random, users[1:], 100, random.choice([5, 60]), size=300)
    steps += [Go(2.0, users[0], "vanish", 5.0)]
    return _plan(seed, users, steps, buffer_bytes=random.choice([700, 65_536]))


def resume_after_sleep(seed: int) -> Plan:
    """Disconnect for ten minutes, then resume (row 28): the client gets exactly the missing entries."""
    random = Random(f"row 28/{seed}")
    users = _people(random)
    steps = _talk(random, users[1:], 500, random.choice([3, 50]))
    way = random.choice(WAYS)
    steps += [
        Talk(1.0, users[0], "lobby", 3),
        Go(2.0, users[0], way, 600.0),
        LeaveRoom(300.0, users[1], "lobby"),
    ]
    steps += [Enter(400.0, users[1], "lobby")]
    return _plan(seed, users, steps, limits=random.choice([{}, {"tail_bytes": 1}]))


def lost_acks(seed: int) -> Plan:
    """Lose acks and repeat the messages, also on the next connection (row 29): one entry, one number.

    Some users repeat on two connections at once: they reconnect before the server detects the loss.
    """
    random = Random(f"row 29/{seed}")
    users = _people(random)
    steps = _talk(random, users, 15, 30)
    for _ in range(6):
        at_s, user = round(random.uniform(1, 15), 3), random.choice(users)
        steps += [Talk(at_s, user, "lobby", 3)]
        steps += [Repeat(round(at_s + random.choice([0, 0.001, 0.1]), 3), user, 3)]
        if random.random() < 0.5:
            way = random.choice(WAYS[1:])
            steps += [Go(round(at_s + 0.01, 3), user, way, 0.1, hasty=True)]
    faults = [
        Fault(rule, SERVER, random.choice(users), round(random.uniform(1, 10), 3), 3.0)
        for rule in (Silence(), Cut(50), Latency(0.3, 0.3))
    ]
    disk = FaultyDisk(commit_s=random.choice([0.0, 0.1, 0.5]))
    return _plan(seed, users, steps, faults=tuple(random.sample(faults, random.choice([0, 1, 3]))), disk=disk)


def server_crash(seed: int) -> Plan:
    """Kill the server while all users talk, over a slow, failing disk; or crash its machine too (row 36).

    A machine crash loses the newest commits. Some users repeat their last messages, and a new user joins.
    """
    random = Random(f"row 36/{seed}")
    late, *users = _people(random)
    crash_s = round(random.uniform(2, 6), 3)

    def later() -> float:
        return round(random.uniform(crash_s, 12), 3)

    steps = _talk(random, tuple(users), 10, 60)
    steps += [Repeat(later(), random.choice(users), 20) for _ in range(4)]
    steps += [Go(round(random.uniform(1, 12), 3), random.choice(users), random.choice(WAYS)) for _ in "abc"]
    steps += [Enter(later(), late, "lobby", random.choice([5, 200])), Talk(12.0, late, "lobby")]
    plan = _plan(
        seed,
        tuple(users),
        steps,
        disk=FaultyDisk(commit_s=random.choice([0.0, 0.1, 0.5]), fails=random.choice([0.0, 0.0, 0.3])),
        limits=random.choice([{}, {"tail_bytes": 1}]),
        buffer_bytes=random.choice([700, 65_536]),
        crash_s=crash_s,
        lost_commits=random.choice([None, 0, 1, 3, 10, 1_000]),
    )
    return replace(plan, users=(late, *users))


def failing_journal(seed: int) -> Plan:
    """Fail journal writes for a while (row 37): only journalled entries are published, members stay."""
    random = Random(f"row 37/{seed}")
    users = _people(random)
    steps = _talk(random, users, 10, 40)
    steps += [Repeat(round(random.uniform(2, 10), 3), random.choice(users), 3) for _ in range(4)]
    disk = FaultyDisk(commit_s=random.choice([0.0, 0.1]), read_s=0.0, fails=random.choice([0.3, 0.8]))
    return _plan(seed, users, steps, disk=disk, limits=random.choice([{}, {"queue_entries": 5}]))


def stalled_room(seed: int) -> Plan:
    """Stall all clients of a busy room for two seconds (row 43): all of them catch up soon afterwards."""
    random = Random(f"row 43/{seed}")
    users = tuple(f"u{number}" for number in range(20))
    steps = _talk(random, users, 8, 60, size=random.choice([100, 1_000]))
    # More data than any socket takes.
    steps += [
        Talk(round(random.uniform(3.1, 3.5), 3), random.choice(users), "lobby", 10, 500) for _ in "abcd"
    ]
    faults: tuple[Fault, ...] = ()
    if random.random() < 0.5:
        steps += [Doze(3.0, user, 2.0) for user in users]
    else:
        faults = tuple(Fault(Stall(), SERVER, user, 3.0, 2.0) for user in users)
    limits = random.choice([{}, {"tail_bytes": 2_000}, {"sends_at_once": 3}])
    return _plan(seed, users, steps, faults=faults, limits=limits, buffer_bytes=random.choice([2_000, 8_000]))
