"""`nox -s siege -- [--quick] [ATTACK …]`: attack a real server while two witnesses chat, and judge it.

Without names all attacks run; with --quick those of the short form, for 1.5 s each, with wider bounds.
The exit status is 1 when an attack is red. All connections stay on loopback.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import click

from tests.bench.errors import BenchError
from tests.bench.machine import describe
from tests.bench.process import allow_files, cores, pinned, trio_chat
from tests.siege.attack import Attack
from tests.siege.errors import SiegeError
from tests.siege.plan import FULL, QUICK, Plan, choose
from tests.siege.report import as_json, render, section, splice
from tests.siege.run import Outcome, Stage, run_attack, server_options
from tests.siege.verdict import FULL_BOUNDS, QUICK_BOUNDS, Bounds
from trio_chat.cli.standard_output import refuse_standard

__all__ = ["main", "run"]

PAGE = Path(__file__).parent.parent.parent / "docs" / "benchmarks.md"


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, metavar="[ATTACK]…")
@click.option("--quick", is_flag=True, help="The short form: some attacks, for 1.5 s each.")
@click.option("--seconds", type=click.FloatRange(0.5, 120), help="How long each attack lasts.")
@click.option("--list", "listed", is_flag=True, help="Print the attacks, a line each.")
@click.option("--json", "raw", metavar="FILE", callback=refuse_standard, help="Write all figures.")
@click.option("--server", metavar="COMMAND", help="Start servers by this command. [default: trio-chat serve]")
@click.option("--write", is_flag=True, help="Write the table into docs/benchmarks.md; for a full run.")
def main(
    names: tuple[str, ...],
    quick: bool,
    seconds: float | None,
    listed: bool,
    raw: str | None,
    server: str | None,
    write: bool,
) -> None:
    if write and (quick or names):
        raise click.UsageError("invalid --write: got a partial run, expected no names and no --quick")
    try:
        if listed:
            _list(choose(names, quick=quick))
            return
        plan, bounds = (QUICK, QUICK_BOUNDS) if quick else (FULL, FULL_BOUNDS)
        if seconds:
            plan = replace(plan, attack_s=seconds)
        with _exit_on_sigterm():
            outcomes = run(choose(names, quick=quick), plan, bounds, _command(server))
    except (SiegeError, BenchError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(render(outcomes, bounds))
    machine = describe()
    if raw:
        Path(raw).write_text(json.dumps(as_json(outcomes, bounds, machine), indent=1) + "\n")
    if write:
        PAGE.write_text(splice(section(outcomes, bounds, machine, plan.attack_s), PAGE.read_text()))
        click.echo(f"wrote {PAGE.relative_to(PAGE.parent.parent)}")
    sys.exit(any(outcome.red for outcome in outcomes))


def _command(server: str | None) -> list[str]:
    """Return the command that starts a server."""
    if server is None:
        return [trio_chat(), "serve"]
    try:
        command = shlex.split(server)
    except ValueError as error:
        raise click.UsageError(f"invalid --server: {error}") from error
    if not command:
        raise click.UsageError("invalid --server: got no command, expected one such as `trio-chat serve`")
    return command


@contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Let SIGTERM run every `finally`, so that no process is left behind."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run(chosen: Sequence[Attack], plan: Plan, bounds: Bounds, serve: Sequence[str]) -> list[Outcome]:
    """Run attacks, one after the other. Raises `SiegeError`."""
    began = time.monotonic()

    def say(line: str) -> None:
        click.echo(f"{time.monotonic() - began:5.0f} s  {line}", err=True)

    server_core, driver_core, *_ = [*cores(), None, None] if len(cores()) > 1 else [None, None]
    stage = Stage(serve, server_core, driver_core, say)
    options = server_options(serve)
    allow_files()
    outcomes = []
    with pinned(driver_core):
        for attack in chosen:
            if attack.needs and attack.needs not in options:
                say(f"{attack.name}: left out, as this server has no {attack.needs}")
                outcomes.append(Outcome(attack, left_out=f"as this server has no {attack.needs}"))
                continue
            say(attack.name)
            outcomes.append(run_attack(attack, plan, bounds, stage))
    return outcomes


def _list(chosen: Sequence[Attack]) -> None:
    width = max((len(attack.name) for attack in chosen), default=0)
    for attack in chosen:
        click.echo(f"{attack.name:{width}}  {attack.sentence}")


if __name__ == "__main__":
    main()
