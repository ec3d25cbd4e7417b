"""`python -m trio_chat.testing`: what it prints, what it writes, and how it ends."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.patience import PATIENCE_S
from tests.testing.plans import a_chat
from tests.testing.planted import forget_rests
from trio_chat.testing.__main__ import main
from trio_chat.testing.chat import Plan, draw_plan, record


def run(*args: str | int | Path, given: str | None = None) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args], input=given)


def test_replay_says_what_happened() -> None:
    recording = record(draw_plan(3))
    ended = run("replay", 3)
    assert ended.exit_code == 0
    assert recording.story is not None
    assert f"{recording.story.deliveries} deliveries judged" in ended.stdout
    assert recording.trace_hash in ended.stdout
    assert ended.stdout.endswith("every promise was kept\n")


def test_a_seed_becomes_a_plan_to_be_edited_and_replayed(tmp_path: Path) -> None:
    saved, drawn = tmp_path / "plan.json", tmp_path / "run.html"
    ended = run("replay", 3, "--json", saved, "--html", drawn)
    assert Plan.from_json(saved.read_text()) == draw_plan(3)
    assert drawn.read_text().startswith("<!doctype html>")
    assert run("replay", saved).stdout == ended.stdout
    assert run("replay", "-", given=saved.read_text()).stdout == ended.stdout


def test_a_broken_promise_is_exit_status_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_rests(monkeypatch)
    plan = a_chat(4, 5, 200, 3, rooms=2, buffer_bytes=700)
    saved, smaller = tmp_path / "plan.json", tmp_path / "smaller.json"
    saved.write_text(plan.as_json())
    ended = run("replay", saved)
    assert ended.exit_code == 1
    assert "BadMessage: JSON is malformed" in ended.stdout

    ended = run("shrink", saved, "--json", smaller, "--runs", 150)
    assert ended.exit_code == 1
    text, _, test = ended.stdout.partition("\n# as a test:\n\n")
    reduced = Plan.from_json(text)
    assert reduced == Plan.from_json(smaller.read_text())
    assert len(reduced.steps) < len(plan.steps) / 3
    assert f"def test_plan_of_seed_{plan.seed}()" in test
    assert "runs: " in ended.stderr
    assert run("replay", smaller).exit_code == 1


def test_a_plan_that_does_not_fail_is_not_shrunk() -> None:
    ended = run("shrink", 3)
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "", "this plan does not fail\n")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "not a seed, and cannot read the file"),
        (b"{", "invalid plan"),
        (b"{}", "invalid plan"),
        (b"\xff\xfe", "invalid plan"),
    ],
)
def test_an_argument_that_is_neither_plan_nor_seed_is_exit_status_2(
    content: bytes | None, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "plan.json"
    if content is not None:
        path.write_bytes(content)
    ended = run("replay", path)
    assert ended.exit_code == 2
    assert says in " ".join(ended.stderr.split())


def test_it_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "trio_chat.testing", "--help"]
    helped = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    assert "replay" in helped.stdout
    assert "shrink" in helped.stdout
    assert helped.stderr == ""
