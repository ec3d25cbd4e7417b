"""The progress of a run: a live view on a terminal, lines elsewhere."""

import io
import re

import pytest
from rich.console import Console
from trio.testing import MockClock

from loadtest.progress import progress_display
from loadtest.scenario import Scenario
from tests.loadtest.in_memory import run_in_memory


async def shown(*, terminal: bool, term: str = "xterm") -> str:
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=terminal, width=100, height=30, color_system=None, _environ={"TERM": term}
    )
    with progress_display(console, "memory") as on_progress:
        await run_in_memory(
            Scenario(users=4, rate=20, duration_s=5, disconnects=0.25), on_progress=on_progress
        )
    return out.getvalue()


async def test_without_a_terminal_it_prints_a_line_every_two_seconds(autojump_clock: MockClock) -> None:
    lines = (await shown(terminal=False)).splitlines()
    assert "\x1b" not in "".join(lines)
    assert lines[0] == "connecting: 0 of 4 users are connected"
    assert lines[-1] == "judged"
    talking = [line for line in lines if line.startswith("talking")]
    assert 3 <= len(talking) <= 4
    line = r"talking +\d+%: 4 users, \d+ messages/s, \d+ deliveries/s, p50 .* 0 failures"
    assert re.fullmatch(line, talking[-1])


@pytest.mark.parametrize("term", ["dumb", "DUMB", "unknown"])
async def test_a_dumb_terminal_gets_plain_lines(term: str, autojump_clock: MockClock) -> None:
    lines = (await shown(terminal=True, term=term)).splitlines()
    assert "\x1b" not in "".join(lines)
    assert lines[0] == "connecting: 0 of 4 users are connected"
    assert 3 <= sum(line.startswith("talking") for line in lines) <= 4
    assert lines[-1] == "judged"


async def test_a_terminal_gets_a_transient_view(autojump_clock: MockClock) -> None:
    out = await shown(terminal=True)
    assert "talking  memory" in out
    for name in ("users", "messages/s", "deliveries/s", "p50", "p99", "failures", "━"):
        assert name in out
    assert out.count("talking") <= 4 * 5 + 2, "at most four times a second"
    assert out.endswith("\x1b[2K") or "\x1b[1A\x1b[2K" in out
