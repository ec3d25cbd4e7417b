"""Presence: missing notices, false notices, and notices that no user needs."""

from collections.abc import Callable

import pytest

from tests.contract.world import WHY, Due, Lie, Notice, World, settled, told
from trio_chat.contract import Findings


def a_going(lie: Lie, *, way: str = "quit", back: bool = True) -> Findings:
    """bob goes, and comes back; what eve is told is changed."""
    world = settled("ada", "bob", "eve")
    world.go("bob", way)
    if back:
        world.enter("bob")
    world.hand("eve", lie)
    return world.finish()


@pytest.mark.parametrize("way", WHY)
def test_a_departure_without_a_notice_is_reported(way: str) -> None:
    findings = a_going(lambda due: due[1:], way=way)
    assert told(findings) == [("presence", "eve", f"eve was not told that bob left lobby ({WHY[way]})")]


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (lambda due: due[:1], "eve was not told that bob joined lobby"),
        (lambda due: [], "eve was not told that bob left lobby (quit)"),
        (lambda due: [due[0], due[0], due[1]], "eve was told that bob left lobby, once more than it did"),
        (lambda due: [*due, due[1]], "eve was told of 3 members of lobby, where 3 were, 1 came and 0 went"),
        (
            lambda due: [*due, due[1], due[1]],
            "eve was told that bob joined lobby, once more than it did",
        ),
        (
            lambda due: [Notice(2, left=[("bob", "lost")]), due[1]],
            "eve was told that bob left lobby (lost); it was quit",
        ),
        (
            lambda due: [*due, Notice(2, left=[("ada", "quit")])],
            "eve was told that ada left lobby, and it did not",
        ),
        (
            lambda due: [*due, Notice(4, joined=["zed"])],
            "eve was told that zed joined, which was never in the room",
        ),
        (
            lambda due: [Notice(1, left=[("bob", "quit")]), due[1]],
            "eve was told of 1 members of lobby, where 3 were, 0 came and 1 went",
        ),
        (lambda due: [due[0], Notice(2, joined=["bob"])], "eve counts 2 members of lobby, which has 3"),
    ],
)
def test_a_lie_about_presence_is_told(lie: Callable[[Due], Due], words: str) -> None:
    findings = a_going(lie)
    assert words in [each for *_, each in told(findings)]
    assert {(kind, user) for kind, user, _ in told(findings)} == {("presence", "eve")}


def test_who_has_gone_for_good_is_still_told_of() -> None:
    assert told(a_going(lambda due: due, back=False)) == []
    assert [words for *_, words in told(a_going(lambda due: [], back=False))] == [
        "eve was not told that bob left lobby (quit)"
    ]


def test_who_broke_off_need_not_have_been_told() -> None:
    world = settled("ada", "bob", "eve")
    world.go("bob", "quit")
    world.enter("bob")
    world.go("eve", "rst")  # and has read nothing of it
    assert told(world.finish()) == []


def test_who_was_behind_need_not_have_been_told() -> None:
    world = settled("ada", "bob", "eve")
    world.go("bob", "quit")
    world.enter("bob")
    world.people["eve"].due.clear()
    visit = world.people["eve"].visit
    assert visit is not None
    assert visit.hearing.untold()
    visit.was_told_members(3)
    assert told(world.finish()) == []


def test_a_going_of_before_one_came_is_no_news() -> None:
    world = settled("ada", "bob", "eve")
    world.go("eve", "quit")
    world.go("bob", "quit")
    world.enter("bob")
    world.enter("eve")
    world.hand("eve", lambda due: [Notice(2, left=[("bob", "quit")]), Notice(3, joined=["bob", "eve"])])
    assert [words for *_, words in told(world.finish())] == [
        "eve was told that bob left lobby, and it did not",
        "eve was told of 3 members of lobby, where 2 were, 2 came and 0 went",
    ]


def late_pair(*, watched: bool = False, why: str = "quit") -> World:
    """bob goes and comes back before eve joins; the notice about both is sent after eve has joined."""
    world = settled("ada", "bob", "eve", "dan")
    world.go("eve", "quit")
    world.hand("ada")
    world.go("bob", "quit")
    world.people["ada"].due.clear()
    world.enter("bob")
    for name in ("ada", "bob", "dan"):
        world.people[name].due.clear()
    pair = Notice(3, joined=["bob"], left=[("bob", why)])
    if watched:
        world.hand("ada", lambda due: [pair])
    world.enter("eve")
    world.hand("eve", lambda due: [Notice(4, joined=["bob", "eve"], left=[("bob", why)])])
    if not watched:
        world.hand("ada", lambda due: [pair, *due])
    world.hand("dan", lambda due: [Notice(3, left=[("eve", "quit")]), pair, *due])
    return world


def test_a_return_gathered_before_a_stay_may_be_told_to_it() -> None:
    assert told(late_pair().finish()) == []


def test_a_return_that_others_were_told_of_before_a_stay_is_not_told_to_it() -> None:
    assert told(late_pair(watched=True).finish()) == [
        ("presence", "eve", "eve was told that bob left lobby, and it did not")
    ]


def test_a_return_from_before_a_stay_is_told_to_it_once() -> None:
    world = late_pair()
    world.hand("eve", lambda due: [Notice(4, joined=["bob"], left=[("bob", "quit")])])
    assert ("presence", "eve", "eve was told that bob left lobby, once more than it did") in told(
        world.finish()
    )


def test_a_return_from_before_a_stay_does_not_stand_for_a_later_going() -> None:
    world = late_pair()
    world.go("bob", "quit")
    world.hand("eve", lambda due: [])
    assert ("presence", "eve", "eve was not told that bob left lobby (quit)") in told(world.finish())


def test_the_reason_of_a_going_from_before_a_stay_is_judged() -> None:
    assert told(late_pair(why="lost").finish()) == [
        ("presence", user, f"{user} was told that bob left lobby (lost); it was quit")
        for user in ("ada", "dan", "eve")
    ]


def test_after_a_member_list_was_shown_notices_need_not_add_up() -> None:
    """What changed since, and was on that page, is told as a change of a set: it may not change the count."""
    world = settled("ada", "bob", "eve")
    visit = world.people["ada"].visit
    assert visit is not None
    visit.was_told_members(3)
    world.hand("eve", lambda due: [Notice(3, joined=["bob"])])
    assert told(world.finish()) == []


def test_lists_that_were_cut_need_not_add_up() -> None:
    world = settled("ada", "bob", "eve")
    visit = world.people["eve"].visit
    assert visit is not None
    visit.noticed(1, [], [], cut=True)
    visit.noticed(3, [], [], cut=True)
    assert told(world.finish()) == []


def test_in_a_large_room_counts_are_judged_and_names_are_not() -> None:
    names = [f"u{number}" for number in range(201)]
    world = settled(*names)
    world.go("u7", "quit")
    world.enter("u7")
    world.hand("u9", lambda due: [Notice(200), Notice(201)])
    findings = world.finish()
    assert [words for *_, words in told(findings)] == [
        "u9 was told of 200 members of lobby, where 201 were, 0 came and 0 went"
    ]


def test_the_count_at_the_end_is_judged_in_a_large_room() -> None:
    names = [f"u{number}" for number in range(201)]
    world = settled(*names)
    world.go("u7", "quit")
    world.enter("u7")
    world.hand("u9", lambda due: due[:1])
    assert [words for *_, words in told(world.finish())] == ["u9 counts 200 members of lobby, which has 201"]


@pytest.mark.parametrize("brief", [True, False])
def test_who_goes_as_soon_as_it_came_need_not_be_mentioned(brief: bool) -> None:
    world = settled("ada", "bob", "eve")
    world.go("bob", "quit")
    world.enter("bob")
    visit = world.people["bob"].visit
    world.go("bob", "quit")
    if brief:
        assert visit is not None
        visit.brief()
    world.hand("eve", lambda due: due[:1])
    missed = [] if brief else [("presence", "eve", "eve was not told that bob left lobby (quit)")]
    assert told(world.finish()) == missed
