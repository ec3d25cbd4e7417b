"""`python -m trio_chat.testing`: replay, draw or shrink a plan, from a file or from a seed."""

import sys
from pathlib import Path

import click

from trio_chat.testing.chat import Plan, draw_plan
from trio_chat.testing.chat.record import Recording, record
from trio_chat.testing.chat.reduce import RUNS_MAX, failure_of, reduce_plan
from trio_chat.testing.chat.serialize import as_lines, as_test
from trio_chat.testing.picture import page

__all__ = ["main"]

STANDARD = "-"


class _PlanOrSeed(click.ParamType[Plan]):
    name = "plan or seed"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Plan:
        if isinstance(value, Plan):
            return value
        text = str(value)
        if text.lstrip("-").isdecimal() and text != "-":
            return draw_plan(int(text))
        try:
            return Plan.from_json(sys.stdin.read() if text == "-" else Path(text).read_bytes())
        except OSError as error:
            self.fail(f"not a seed, and cannot read the file: {error}", param, ctx)
        except ValueError as error:  # of JSON, of a plan, or of UTF-8
            self.fail(f"invalid plan {text}: {error}", param, ctx)


_plan = click.argument("plan", metavar="PLAN_OR_SEED", type=_PlanOrSeed())
_json = click.option(
    "--json",
    "json_path",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True),
    help="Save the plan, to be edited and replayed; `-` is standard output, and all else is standard error.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Simulate a whole chat, server and users, from a plan: a JSON file (`-` is standard input), or
    the seed from which to draw it.

    \b
        python -m trio_chat.testing replay 4711 --html run.html
        python -m trio_chat.testing shrink 4711 --json plan.json
    """


@main.command()
@_plan
@click.option(
    "--html",
    "html_path",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True, allow_dash=True),
    help="Draw what happened, as one page that needs no other file; `-` as for --json.",
)
@_json
def replay(plan: Plan, html_path: str | None, json_path: str | None) -> None:
    """Perform a plan and print its result.

    The exit status is 1 if a promise was broken, or any other error happened.
    """
    if html_path == json_path == STANDARD:
        raise click.UsageError("--html - and --json -: standard output can be one of them")
    recording = record(plan)
    for line in _told(recording):
        click.echo(line, err=STANDARD in (html_path, json_path))
    if html_path is not None:
        _write(html_path, page(recording))
    if json_path is not None:
        _write(json_path, as_lines(plan) + "\n")
    sys.exit(1 if recording.failure else 0)


@main.command()
@_plan
@click.option(
    "--runs",
    default=RUNS_MAX,
    show_default=True,
    type=click.IntRange(min=1),
    help="How often a smaller plan may be tried.",
)
@_json
def shrink(plan: Plan, runs: int, json_path: str | None) -> None:
    """Make a failing plan smaller, as long as it fails in the same way, and print it as a test.

    The exit status is 1, as the plan fails; it is 0 if the plan does not fail, and then nothing is printed.
    """

    def tell(smaller: Plan, count: int) -> None:
        steps, faults = len(smaller.steps), len(smaller.faults)
        click.echo(f"run {count}: {steps} steps, {faults} faults, {len(smaller.users)} users", err=True)

    if failure_of(plan) is None:
        click.echo("this plan does not fail", err=True)
        return
    reduced = reduce_plan(plan, runs_max=runs, tell=tell)
    end = "nothing more can be left out" if reduced.is_done else "more may go with more --runs"
    click.echo(f"{reduced.failure.alike}, after {reduced.runs} runs: {end}", err=True)
    if json_path != STANDARD:
        click.echo(as_lines(reduced.plan))
    beside = json_path == STANDARD
    click.echo("\n# as a test:\n", err=beside)
    click.echo(as_test(reduced.plan, reduced.failure.words), nl=False, err=beside)
    if json_path is not None:
        _write(json_path, as_lines(reduced.plan) + "\n")
    sys.exit(1)


def _write(path: str, text: str) -> None:
    if path == STANDARD:
        click.echo(text, nl=False)
    else:
        Path(path).write_text(text, encoding="utf-8")


def _told(recording: Recording) -> list[str]:
    plan, story, failure = recording.plan, recording.story, recording.failure
    struck = sum(note.what[0] == "fault strikes" for note in recording.notes)
    lines = [
        f"seed {plan.seed}: {len(plan.users)} users, {len(plan.steps)} steps, {len(plan.faults)} faults",
        f"{struck} fault{'s' * (struck != 1)} struck, {recording.seconds:.3f} virtual seconds",
        f"trace {recording.trace_hash}",
    ]
    if failure is not None:
        return [*lines, click.style(f"{failure.alike}: {failure.words}", fg="red")]
    if story is not None:
        lines.append(f"{story.deliveries} deliveries judged, {story.gaps} entries left out by gaps")
    return [*lines, "every promise was kept"]


if __name__ == "__main__":
    main(prog_name="python -m trio_chat.testing")
