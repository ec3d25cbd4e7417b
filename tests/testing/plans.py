"""Plans that stay as they are, whatever becomes of those that are drawn from seeds."""

from random import Random

from trio_chat.testing import Cut, Fault, Latency, Partition, Rst, Stall
from trio_chat.testing.chat import Doze, Enter, Go, Knock, Plan, Step, Talk
from trio_chat.testing.faults import Rule

__all__ = ["a_chat"]

_RULES: tuple[Rule, ...] = (Latency(0.2, 0.1), Cut(300), Stall(), Rst(), Partition())


def a_chat(
    seed: int, users: int, talks: int, faults: int = 0, *, rooms: int = 1, buffer_bytes: int = 65_536
) -> Plan:
    """Everybody comes; within ten seconds there are so many messages, and as many other things as users."""
    random = Random(seed)
    names = tuple(f"u{number}" for number in range(users))
    places = ("den", "loft")[:rooms]
    steps: list[Step] = [
        Enter(round(random.random(), 3), name, place, 3) for name in names for place in places
    ]
    for _ in range(talks):
        at_s = round(1 + random.random() * 9, 3)
        steps.append(Talk(at_s, random.choice(names), random.choice(places), 1, random.choice([20, 300])))
    for _ in range(users):
        at_s, name = round(1 + random.random() * 9, 3), random.choice(names)
        others: list[Step] = [Doze(at_s, name, 2.0), Go(at_s, name, "rst"), Go(at_s, name, "quit")]
        steps.append(random.choice([*others, Knock(at_s, "x")]))
    return Plan(
        seed=seed,
        users=names,
        rooms=places,
        steps=tuple(sorted(steps, key=lambda step: step.at_s)),
        faults=tuple(
            Fault(_RULES[nth % len(_RULES)], random.choice(names), "server", 2.0 + nth, 1.5)
            for nth in range(faults)
        ),
        buffer_bytes=buffer_bytes,
    )
