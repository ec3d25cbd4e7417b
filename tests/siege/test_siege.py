"""The siege itself: its command line, and one small attack on a real server from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.siege.__main__ import main
from tests.siege.context import AttackContext
from tests.siege.plan import QUICK, find
from tests.siege.processes import wait_for_end
from tests.siege.run import Stage, run_attack
from tests.siege.verdict import QUICK_BOUNDS

linux = pytest.mark.skipif(sys.platform != "linux", reason="the siege needs core affinity and /proc")


def test_the_attacks_are_listed_with_a_sentence_each() -> None:
    listed = CliRunner().invoke(main, ["--list"])
    assert listed.exit_code == 0
    lines = listed.output.splitlines()
    assert any(line.startswith("flood-ping-64 ") and line.endswith("by 64 sessions.") for line in lines)
    quick = CliRunner().invoke(main, ["--list", "--quick"])
    assert 8 <= len(quick.output.splitlines()) < len(lines)
    one = CliRunner().invoke(main, ["--list", "control"])
    assert one.output.startswith("control  ") and one.output.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["nonsense"], 1, "invalid attack: got 'nonsense'"),
        (["--seconds", "0"], 2, "0.5<=x<=120"),
        (["--seconds", "many"], 2, "not a valid float"),
        (["--write", "--quick"], 2, "invalid --write: got a partial run"),
        (["--write", "control"], 2, "invalid --write: got a partial run"),
        (["--server", "'"], 2, "invalid --server"),
        (["--server", ""], 2, "invalid --server"),
        (["--server", "/nonexistent/trio-chat serve", "control"], 1, "cannot run /nonexistent/trio-chat"),
    ],
)
def test_a_bad_argument_is_one_line(arguments: list[str], status: int, says: str) -> None:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == status
    assert says in done.output and "Traceback" not in done.output


def test_a_context_keeps_counts_and_faults() -> None:
    context = AttackContext(1, 2, 3.0, True, 0, None, lambda event: None)
    context.require(True, "right")
    context.require(False, "wrong")
    assert context.faults == ["wrong"]
    assert context.scaled(100, 10) == 10
    assert context.name() != context.name()


async def test_an_attack_lasts_its_time_and_reports_both_ends(autojump_clock: object) -> None:
    import trio

    events: list[tuple[str, float]] = []
    context = AttackContext(
        1, 2, 30.0, False, 0, None, lambda event: events.append((event, trio.current_time()))
    )
    began = trio.current_time()
    async with context.attacking() as nursery:
        nursery.start_soon(trio.sleep, 1)
    assert [(event, at - began) for event, at in events] == [("begin", 0.0), ("end", 30.0)]
    assert context.elapsed_s == pytest.approx(30.0)


@linux
def test_an_attack_that_cannot_be_run_is_red_after_its_tries() -> None:
    told: list[str] = []
    no_server = Stage([sys.executable, "-c", "pass"], None, None, told.append)
    outcome = run_attack(find("control"), QUICK, QUICK_BOUNDS, no_server)
    assert outcome.red and outcome.measurement is None
    assert outcome.tries == len(told) == 1 + QUICK.retries
    assert "the server did not start" in outcome.faults[0]


@linux
@pytest.mark.parametrize(("program", "status"), [("pass", 0), ("raise SystemExit(3)", 3)])
def test_the_end_of_a_child_is_seen_and_left_to_its_owner(program: str, status: int) -> None:
    with subprocess.Popen([sys.executable, "-c", program]) as child:
        ended = wait_for_end(child.pid, 60.0)
        assert ended is not None and ended[1] == status
        assert child.wait() == status


@linux
def test_a_child_that_goes_on_has_not_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert wait_for_end(child.pid, 0.05) is None


@linux
def test_one_attack_from_end_to_end(tmp_path: Path) -> None:
    """Structure only: the figures of a busy machine decide nothing here."""
    raw = tmp_path / "raw.json"
    done = CliRunner().invoke(main, ["flood-ping-1", "--quick", "--seconds=1", f"--json={raw}"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    (figures,) = json.loads(raw.read_text())["attacks"]
    assert figures["name"] == "flood-ping-1" and figures["item"] == 2
    assert done.exit_code == (1 if figures["faults"] else 0)
    assert figures["counts"]["connections"] >= 1
    assert all(kib > 0 for kib in figures["memory_kib"])
    assert len(figures["quiet"]["latencies_s"]) >= 5 and len(figures["attack"]["latencies_s"]) >= 5
    assert "| flood-ping-1 | 2 |" in done.output
