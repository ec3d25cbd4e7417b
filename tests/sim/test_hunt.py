"""The hunt through very many seeds: all are tried, each failure is told with what replays it."""

import pytest
from click.testing import CliRunner

from tests.sim.__main__ import main
from tests.sim.hunt import Work, pieces, run
from tests.sim.stories import STORIES
from trio_chat.testing import Simulation, simulate


async def three_is_unlucky(sim: Simulation) -> None:
    if sim.seed == 3:
        raise ZeroDivisionError("three")


def unlucky(seed: int) -> None:
    simulate(seed, three_is_unlucky)


def test_every_seed_is_tried_once() -> None:
    works = pieces(("chat", "resets"), 100, 45)
    tried = {story: [s for work in works if work.story == story for s in work.seeds] for story in STORIES}
    assert tried["chat"] == list(range(100, 145))
    assert tried["resets"] == [100, 101], "of a row one in twenty"
    assert [work.story for work in works[:2]] == ["chat", "resets"], "in turn"


def test_a_failing_seed_is_told_with_what_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STORIES, "chat", unlucky)
    (failure,) = run(Work("chat", range(6)))
    assert str(failure).splitlines() == [
        "FAILED  chat, seed 3",
        "    ZeroDivisionError: three",
        f"    replay: simulate(3, {__name__}.three_is_unlucky)",
        "    again: python -m tests.sim chat --from 3 --seeds 1",
    ]


def test_it_goes_on_behind_a_failure_and_ends_with_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STORIES, "chat", unlucky)
    done = CliRunner().invoke(main, ["chat", "--from", "2", "--seeds", "5", "--processes", "1"])
    assert done.exit_code == 1
    assert "FAILED  chat, seed 3" in done.output
    assert "5 of 5 runs" in done.output and done.output.endswith("1 failed\n")
    assert (
        CliRunner().invoke(main, ["chat", "--from", "4", "--seeds", "2", "--processes", "1"]).exit_code == 0
    )


def test_the_work_is_shared_by_processes() -> None:
    done = CliRunner().invoke(main, ["new_journal_epoch", "--seeds", "11", "--processes", "2"])
    assert done.exit_code == 0, done.output
    assert "11 of 11 runs" in done.output
