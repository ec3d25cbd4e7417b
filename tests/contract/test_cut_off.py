"""Cut-off users: others may learn of it long before they do, or never; and entries that no user had to
see."""

import pytest

from tests.contract.world import Line, Notice, World, settled, told
from trio_chat.contract import Judge, Visit


def stay_of(world: World, name: str) -> Visit:
    visit = world.people[name].visit
    assert visit is not None
    return visit


def words(world: World) -> list[str]:
    return [each for *_, each in told(world.finish())]


def bob_is_cut_off(world: World, why: str) -> None:
    """The server knows before bob does."""
    del world.here["bob"]
    world._tell(Notice(len(world.here), left=[("bob", why)]))
    world.hand("eve")
    world.people["bob"].due = []


def test_who_is_cut_off_finds_out_after_others_were_told() -> None:
    world = settled("ada", "bob", "eve")
    bob_is_cut_off(world, "timeout")
    bob = stay_of(world, "bob")
    bob.going("lost", "lost", "timeout", early=True)
    bob.gone()
    assert words(world) == []


def test_but_for_one_of_the_reasons_that_there_were() -> None:
    world = settled("ada", "bob", "eve")
    bob_is_cut_off(world, "kicked")
    stay_of(world, "bob").going("lost", "lost", "timeout", early=True)
    assert words(world) == [
        f"{who} was told that bob left lobby (kicked); it was lost or timeout" for who in ("ada", "eve")
    ]


def test_who_goes_in_time_is_not_told_of_before() -> None:
    world = settled("ada", "bob", "eve")
    bob_is_cut_off(world, "lost")
    stay_of(world, "bob").going("rst", "lost")
    assert words(world) == [
        "eve was told that bob left lobby, and it did not",
        "eve was not told that bob left lobby (lost)",
    ]


@pytest.mark.parametrize("mentioned", [False, True])
def test_who_is_back_before_it_was_missed_need_not_be_mentioned(mentioned: bool) -> None:
    world = settled("ada", "bob", "eve")
    world.go("bob", "rst")
    stay_of(world, "bob").unnoticed()
    world.enter("bob")
    world.hand("eve", None if mentioned else lambda due: [])
    assert words(world) == []


def test_and_is_not_mentioned_twice() -> None:
    world = settled("ada", "bob", "eve")
    world.go("bob", "rst")
    stay_of(world, "bob").unnoticed()
    world.enter("bob")
    world.hand("eve", lambda due: due + due)
    assert words(world) == ["eve was told that bob left lobby, once more than it did"]


@pytest.mark.parametrize("gives_up", [True, False])
def test_who_was_cut_off_while_it_asked_may_have_been_in_the_room(gives_up: bool) -> None:
    world = settled("ada", "eve")
    world.judge.asks("lobby", "bob")
    if gives_up:
        world.judge.gave_up("lobby", "bob", "lost")
    for notice in (Notice(3, joined=["bob"]), Notice(2, left=[("bob", "lost")])):
        world._tell(notice)
    assert words(world) == (
        [] if gives_up else [f"{who} was told that bob left lobby, and it did not" for who in ("ada", "eve")]
    )


@pytest.mark.parametrize("answered", [True, False])
def test_who_was_there_for_a_moment_need_not_be_mentioned(answered: bool) -> None:
    """Whether or not the answer to its join came through before it was cut off."""
    world = settled("ada", "bob", "eve")
    world.go("bob", "quit")
    world.hand("eve")
    if answered:
        world.enter("bob")
        bob = stay_of(world, "bob")
        bob.going("lost", "lost", early=True)
        bob.gone()
        del world.here["bob"]
    else:
        world.judge.asks("lobby", "bob")
        world.judge.gave_up("lobby", "bob", "lost")
    for name in ("ada", "eve"):
        world.people[name].due = [
            each for each in world.people[name].due if each != Notice(3, joined=["bob"])
        ]
    assert words(world) == []


@pytest.mark.parametrize("answered", [True, False])
def test_whose_goodbye_was_not_answered_need_not_have_heard_what_came_before(answered: bool) -> None:
    world = settled("ada", "bob", "eve")
    world.go("bob", "quit")
    world.enter("bob")
    eve = stay_of(world, "eve")
    eve.going("quit", "quit")
    if not answered:
        eve.cut_off("lost")
    eve.gone()
    del world.here["eve"]
    world._tell(Notice(2, left=[("eve", "lost")]))
    why = ["eve was not told that bob left lobby (quit)"] if answered else []
    lost = [f"{who} was told that eve left lobby (lost); it was quit" for who in ("ada", "bob")]
    assert sorted(words(world)) == sorted(why + lost if answered else [])


# --- what is shown of before --------------------------------------------------------------------------


def a_room_of_three() -> tuple[Judge, list[Line]]:
    judge = Judge()
    lines = [Line("lobby", seq, "ada", f"ada says {seq}") for seq in (1, 2, 3)]
    for line in lines:
        judge.says("lobby", "ada", line.text)
        judge.acked(line.text, line.seq)
    return judge, lines


@pytest.mark.parametrize(
    ("recent", "extra"), [(2, []), (1, ["bob was shown lobby 2 again, having come back after 2"])]
)
def test_a_join_for_recent_entries_is_shown_these_and_no_more(recent: int, extra: list[str]) -> None:
    judge, lines = a_room_of_three()
    judge.asks("lobby", "bob")
    bob = judge.entered("lobby", "bob", epoch="e", head=3, members=1, recent=recent)
    for line in lines[1:]:
        bob.saw(line)
    judge.hold_to_account()
    assert [breach.words for breach in judge.finish().breaches] == extra


@pytest.mark.parametrize("others", [False, True])
def test_entries_in_every_users_gap_need_no_delivery(others: bool) -> None:
    judge, lines = a_room_of_three()
    stays: list[Visit] = []
    for name in ("bob", "eve"):
        judge.asks("lobby", name)
        stays.append(judge.entered("lobby", name, epoch="e", head=0, members=len(stays) + 1))
    stays[0].noticed(2, ["eve"], [])
    for visit in stays:
        if visit is stays[0] or not others:
            visit.skipped(0, 3)
        visit.saw(lines[2])
    judge.hold_to_account()
    found = [breach.words for breach in judge.finish().breaches]
    assert (stays[0].gaps, found == []) == (2, not others)
    if others:
        assert "ada was acked lobby 1, which no user was shown" in found
