"""The control: what the machine does to the witnesses when the server is left alone."""

from __future__ import annotations

import trio

from tests.siege.attack import attack
from tests.siege.context import AttackContext

__all__ = ["control"]


@attack(item=0)
async def control(context: AttackContext) -> None:
    """Use the attacker's core and send nothing: a red control means that the machine is too busy to judge."""
    async with context.attacking() as nursery:
        nursery.start_soon(_spin)


async def _spin() -> None:
    while True:
        sum(range(10_000))
        await trio.lowlevel.checkpoint()
