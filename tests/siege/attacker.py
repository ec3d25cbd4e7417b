"""The process that runs one attack: `python -m tests.siege.attacker NAME --port PORT …`, for the runner.

It prints a line `begin TIME` when the attack begins and `end TIME` when it ends, both by the monotonic clock
that all processes share, and then one JSON object with counts and faults.
"""

from __future__ import annotations

import json
import os
import time
from functools import partial
from pathlib import Path

import click
import trio

from tests.siege.attack import Attack
from tests.siege.context import AttackContext
from tests.siege.plan import find

__all__ = ["main"]

NICENESS = 10


@click.command(help=__doc__)
@click.argument("name")
@click.option("--port", type=int, required=True)
@click.option("--server-pid", type=int, required=True)
@click.option("--seconds", type=float, required=True)
@click.option("--quick", is_flag=True)
@click.option("--journal", type=click.Path(path_type=Path))
def main(name: str, port: int, server_pid: int, seconds: float, quick: bool, journal: Path | None) -> None:
    os.nice(NICENESS)  # the witnesses share the core
    attack = find(name)
    context = AttackContext(port, server_pid, seconds, quick, attack.sessions, journal, _report)
    trio.run(partial(_run, attack, context))
    click.echo(json.dumps({"counts": dict(context.counts), "faults": context.faults}))


async def _run(attack: Attack, context: AttackContext) -> None:
    async with context.connected():
        await attack.run(context)


def _report(event: str) -> None:
    click.echo(f"{event} {time.monotonic()!r}")


if __name__ == "__main__":
    main()
