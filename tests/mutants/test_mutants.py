"""Every planted bug can still be planted, leaves nothing, and is found by the seed that is kept for it, which
the sound server passes. `nox -s mutants` hunts them."""

from pathlib import Path

import pytest

from tests.mutants.hunt import finding, hunt
from tests.mutants.mutant import DoesNotApply, Edit, Mutant, planted
from tests.mutants.planted import PLANTED, kept_seeds
from trio_chat.server import fanout
from trio_chat.server.session import Session

SEND_BATCH = "trio_chat.server.fanout:send_batch"


@pytest.mark.parametrize("name", list(PLANTED))
def test_a_mutant_is_found_by_its_seed(name: str) -> None:
    seed = kept_seeds()[name]
    with planted(PLANTED[name]):
        found = finding(seed)
    assert found, f"seed {seed} finds it no more; `nox -s mutants -- --keep` looks for another"
    assert not finding(seed), "the sound server passes, so it was the mutant that was found"


def test_each_changes_what_it_says_and_puts_it_back() -> None:
    assert len({mutant.description for mutant in PLANTED.values()}) == len(PLANTED)
    sound = fanout.send_batch.__code__, Session.end.__code__
    for mutant in PLANTED.values():
        places = {edit.where for edit in mutant.edits}
        with planted(mutant):
            assert (fanout.send_batch.__code__ is not sound[0]) == (SEND_BATCH in places)
        assert (fanout.send_batch.__code__, Session.end.__code__) == sound


@pytest.mark.parametrize(
    ("where", "right", "says"),
    [
        (SEND_BATCH, "if sent != 17:", "no more"),
        (SEND_BATCH, "if sent !=", "no more"),  # whole lines
        ("trio_chat.server.session:Session._process", "return", "more than once"),
        ("trio_chat.server.fanout:hand_about", "pass", "no function trio_chat.server.fanout:hand_about"),
        ("trio_chat.server.fanout:islice", "pass", "no function"),
    ],
)
def test_a_mutant_that_does_not_apply_is_an_error(where: str, right: str, says: str) -> None:
    sound = fanout.send_batch.__code__
    edits = (Edit(SEND_BATCH, "if sent != len(data):", "if not sent:"), Edit(where, right, "pass"))
    with pytest.raises(DoesNotApply, match=says):
        with planted(Mutant("stale", "", edits)):
            pytest.fail("it was planted")
    assert fanout.send_batch.__code__ is sound, "nor is any part of it planted"


def test_what_was_planted_is_taken_out_though_it_fails() -> None:
    sound = fanout.send_batch.__code__
    with pytest.raises(ZeroDivisionError):
        with planted(PLANTED["partial-send"]):
            raise ZeroDivisionError
    assert fanout.send_batch.__code__ is sound


def test_a_hunt_says_when_it_has_found_nothing() -> None:
    assert hunt("partial-send", kept_seeds()["partial-send"], 1).words
    PLANTED["harmless"] = Mutant("harmless", "", (Edit(SEND_BATCH, "sent = 0", "sent = False"),))
    try:
        find = hunt("harmless", 0, 2)
    finally:
        del PLANTED["harmless"]
    assert (find.seeds, find.words) == (2, "")


def test_the_sources_are_as_they_were() -> None:
    """Nothing is written: the file of a function that was planted has the lines that it had."""
    source = Path(fanout.__file__)
    before = source.read_bytes()
    with planted(PLANTED["partial-send"]):
        assert source.read_bytes() == before
