"""The judge: each broken promise is found, named and told in words; whatever is true never alarms."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.world import WHY, Lie, Line, Notice, World, altered
from trio_chat.contract import Findings, Judge, Kind

Due = list[Line | Notice]


def told(findings: Findings) -> list[tuple[str, str, str]]:
    return [(breach.kind, breach.user, breach.words) for breach in findings.breaches]


def settled(*names: str, room: str = "lobby") -> World:
    """Everybody is in and has heard of everybody."""
    world = World(*names, room=room)
    for name in names:
        world.hand(name)
    return world


def three_said(lie: Lie, *, first: bool) -> Findings:
    """ada says three things; bob, the first or the last to see them, is lied to."""
    world = settled("ada", "bob", "eve", "joe")
    for _ in range(3):
        world.say("ada")
    for name in ("bob", "ada", "eve", "joe") if first else ("ada", "eve", "joe", "bob"):
        world.hand(name, lie if name == "bob" else None)
    return world.finish()


def dropped(due: Due) -> Due:
    return [due[0], due[2]]


def dropped_last(due: Due) -> Due:
    return due[:2]


def doubled(due: Due) -> Due:
    return [due[0], due[1], due[1], due[2]]


def swapped(due: Due) -> Due:
    return [due[1], due[0], due[2]]


def of_another(due: Due) -> Due:
    return [altered(due[0], by="eve"), *due[1:]]


def of_a_stranger(due: Due) -> Due:
    return [altered(due[0], by="zed"), *due[1:]]


def with_another_byte(due: Due) -> Due:
    return [altered(due[0], text="ada sbys 1"), *due[1:]]


def invented(due: Due) -> Due:
    return [altered(due[0], text="I am a teapot", by="eve"), *due[1:]]


def renumbered(due: Due) -> Due:
    return [altered(due[1], seq=1), altered(due[0], seq=2), due[2]]


def of_another_room(due: Due) -> Due:
    return [altered(due[0], room="attic"), *due]


def at_another_time(due: Due) -> Due:
    return [altered(due[0], at=7), *due[1:]]


def far_away(due: Due) -> Due:
    return [altered(due[0], seq=10**15), *due]


@pytest.mark.parametrize("first", [False, True], ids=["seen-last", "seen-first"])
@pytest.mark.parametrize(
    ("lie", "expected"),
    [
        (dropped, [("lost", "bob", "bob missed lobby 2 between joining at 0 and the end at 3")]),
        (dropped_last, [("lost", "bob", "bob missed lobby 3 between joining at 0 and the end at 2")]),
        (doubled, [("doubled", "bob", "bob was shown lobby 2 twice")]),
        (swapped, [("reordered", "bob", "bob was shown lobby 1 after lobby 2")]),
        (
            of_another,
            [("phantom", "bob", "bob was shown lobby 1 as said by eve; it was ada who said “ada says 1”")],
        ),
        (
            of_a_stranger,
            [("phantom", "bob", "bob was shown lobby 1 as said by zed; it was ada who said “ada says 1”")],
        ),
        (
            with_another_byte,
            [
                (
                    "phantom",
                    "bob",
                    "bob was shown lobby 1 with another text: “ada sbys 1”; ada said “ada says 1”",
                )
            ],
        ),
        (
            invented,
            [("phantom", "bob", "bob was shown lobby 1, “I am a teapot” by eve, which nobody said")],
        ),
        (
            renumbered,
            [
                ("phantom", "bob", "bob was shown lobby 1, which is lobby 2: “ada says 2” by ada"),
                ("phantom", "bob", "bob was shown lobby 2, which is lobby 1: “ada says 1” by ada"),
            ],
        ),
        (
            at_another_time,
            [("phantom", "bob", "bob was shown lobby 1 otherwise than others were: “ada says 1” by ada")],
        ),
        (of_another_room, [("phantom", "bob", "bob was shown attic 1 without being there: by ada")]),
        (
            far_away,
            [
                (
                    "phantom",
                    "bob",
                    "bob was shown lobby 1000000000000000, which is lobby 1: “ada says 1” by ada",
                )
            ],
        ),
    ],
)
def test_a_lie_to_one_is_found(lie: Lie, expected: list[tuple[str, str, str]], first: bool) -> None:
    assert told(three_said(lie, first=first)) == expected


def test_what_is_left_out_is_counted_and_told_in_runs() -> None:
    world = settled("ada", "bob")
    for _ in range(9):
        world.say("ada")
    world.hand("bob", lambda due: [due[0], *due[4:6], due[8]])
    world.go("bob", "quit")
    findings = world.finish()
    assert [words for _, _, words in told(findings)] == [
        "bob missed lobby 2–4, 7–8 between joining at 0 and quitting at 9"
    ]
    assert findings.counts == {Kind.LOST: 5}


def test_an_entry_after_leaving_is_told() -> None:
    world = settled("ada", "bob")
    world.go("bob", "leave")
    world.say("ada")
    stay = world.people["bob"].stay
    assert stay is not None
    stay.saw_late(world.log[-1])
    assert told(world.finish()) == [("late", "bob", "bob was shown lobby 1 after leaving at 0")]


def test_a_wrong_number_in_an_ack_is_told() -> None:
    world = settled("ada", "bob")
    text = world.say("ada")
    world.people["ada"].acks = [(text, 17)]
    assert told(world.finish()) == [
        ("ack", "ada", "ada was acked lobby 17 for what everybody was shown as lobby 1")
    ]


def test_two_numbers_in_two_acks_of_one_message_are_told() -> None:
    world = settled("ada", "bob")
    text = world.say("ada")
    world.people["ada"].acks += [(text, 2), (text, 1)]
    assert [kind for kind, *_ in told(world.finish())] == ["ack", "ack"]


def test_what_was_acked_and_never_shown_is_told_once() -> None:
    world = settled("ada", "bob", "eve")
    world.say("ada")
    world.say("ada", shown=False)
    assert told(world.finish()) == [("unshown", "ada", "ada was acked lobby 2, which nobody was shown")]


def test_a_number_that_nobody_saw_is_told_once() -> None:
    world = settled("ada", "bob", "eve")
    world.say("ada", shown=False)
    world.people["ada"].acks.clear()
    world.judge.excused("ada says 1")
    world.say("ada")
    assert told(world.finish()) == [("lost", "", "nobody was shown lobby 1, though there was more behind")]


def test_what_is_never_answered_is_told() -> None:
    world = settled("ada")
    world.judge.says("lobby", "ada", "anybody?")
    assert world.judge.waits_for() == "1 acks, one of them for ada"
    assert told(world.finish()) == [
        ("ack", "ada", "ada said something in lobby and was neither acked nor refused")
    ]


def test_one_message_with_two_numbers_is_told() -> None:
    """As when a server takes what is sent again for something new."""
    world = settled("ada", "bob", "eve")
    world.say("ada")
    again = Line("lobby", 2, "ada", "ada says 1")
    world.log.append(again)
    for person in world.here.values():
        person.due.append(again)
    assert ("doubled", "ada", "lobby 1 and 2 are the same message, which ada said once") in told(
        world.finish()
    )


def test_a_resume_that_repeats_is_told() -> None:
    world = settled("ada", "bob")
    world.say("ada")
    world.hand("bob")
    world.go("bob", "fin")
    world.enter("bob")
    world.hand("bob", lambda due: [world.log[0], *due])
    assert told(world.finish()) == [
        ("doubled", "bob", "bob was shown lobby 1 again, having come back after 1")
    ]


def test_a_cursor_that_is_not_taken_is_told() -> None:
    world = settled("ada", "bob")
    world.go("bob", "fin")
    world.judge.asks("lobby", "bob")
    world.judge.entered("lobby", "bob", epoch="e", head=0, members=2, after=0)
    world.judge.asks("lobby", "bob")
    world.judge.entered("lobby", "bob", epoch="f", head=0, members=2, after=0)
    assert [words for *_, words in told(world.judge.finish())] == [
        "bob came back to lobby with 0 as the last, and was not resumed",
        "lobby began anew while bob was away: what was said there before is gone",
    ]


def test_an_honest_gap_is_no_loss() -> None:
    world = settled("ada", "bob")
    world.go("bob", "fin")
    for _ in range(5):
        world.say("ada")
    stay = world.enter("bob")
    stay.skipped(0, 4)
    world.hand("bob", lambda due: due[3:])
    assert told(world.finish()) == []
    assert stay.gaps == 3


def test_a_gap_that_begins_too_late_hides_nothing() -> None:
    world = settled("ada", "bob")
    world.go("bob", "fin")
    for _ in range(5):
        world.say("ada")
    stay = world.enter("bob")
    stay.skipped(2, 4)
    world.hand("bob", lambda due: due[3:])
    assert [words for *_, words in told(world.finish())] == [
        "bob missed lobby 1–2 between joining at 0 and the end at 5"
    ]


def test_an_ack_outweighs_the_first_sight_of_one_of_two() -> None:
    world = settled("ada", "bob")
    world.say("ada")
    world.say("ada")
    world.hand("bob", lambda due: [altered(due[1], seq=1), altered(due[0], seq=2)])
    assert {user for _, user, _ in told(world.finish())} == {"bob"}


def test_who_comes_first_need_not_have_been_in_first() -> None:
    judge = Judge()
    judge.asks("lobby", "ada")
    judge.asks("lobby", "bob")
    ada = judge.entered("lobby", "ada", epoch="e", head=1, members=2)
    bob = judge.entered("lobby", "bob", epoch="e", head=0, members=1)
    judge.says("lobby", "ada", "one")
    judge.says("lobby", "ada", "two")
    for stay, seqs in ((ada, [2]), (bob, [1, 2])):
        for seq in seqs:
            stay.saw(Line("lobby", seq, "ada", ["one", "two"][seq - 1]))
    assert (ada.verified, bob.verified) == (1, 2)
    assert told(judge.finish()) == []


# --- presence ---------------------------------------------------------------------------------------------


def a_going(lie: Lie, *, way: str = "quit", back: bool = True) -> Findings:
    """bob goes, and comes back; what eve is told is changed."""
    world = settled("ada", "bob", "eve")
    world.go("bob", way)
    if back:
        world.enter("bob")
    world.hand("eve", lie)
    return world.finish()


@pytest.mark.parametrize("way", WHY)
def test_a_going_that_one_was_not_told_of_is_told(way: str) -> None:
    findings = a_going(lambda due: due[1:], way=way)
    assert told(findings) == [("presence", "eve", f"eve was not told that bob left lobby ({WHY[way]})")]


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (lambda due: due[:1], "eve was not told that bob joined lobby"),
        (lambda due: [], "eve was not told that bob left lobby (quit)"),
        (lambda due: [due[0], due[0], due[1]], "eve was told that bob left lobby, once more than it did"),
        (lambda due: [*due, due[1]], "eve was told of 3 in lobby, where 3 were, 1 came and 0 went"),
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
            "eve was told that zed joined, who is a stranger here",
        ),
        (
            lambda due: [Notice(1, left=[("bob", "quit")]), due[1]],
            "eve was told of 1 in lobby, where 3 were, 0 came and 1 went",
        ),
        (lambda due: [due[0], Notice(2, joined=["bob"])], "eve counts 2 in lobby, where 3 are"),
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
    stay = world.people["eve"].stay
    assert stay is not None
    assert stay.hearing.untold()
    stay.was_told_members(3)
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
        "eve was told of 3 in lobby, where 2 were, 2 came and 0 went",
    ]


def test_where_somebody_was_shown_who_is_here_notices_need_not_add_up() -> None:
    """What changed since, and was on that page, is told as a change of a set: it may not change the count."""
    world = settled("ada", "bob", "eve")
    stay = world.people["ada"].stay
    assert stay is not None
    stay.was_told_members(3)
    world.hand("eve", lambda due: [Notice(3, joined=["bob"])])
    assert told(world.finish()) == []


def test_lists_that_were_cut_need_not_add_up() -> None:
    world = settled("ada", "bob", "eve")
    stay = world.people["eve"].stay
    assert stay is not None
    stay.noticed(1, [], [], cut=True)
    stay.noticed(3, [], [], cut=True)
    assert told(world.finish()) == []


def test_in_a_large_room_counts_are_judged_and_names_are_not() -> None:
    names = [f"u{number}" for number in range(201)]
    world = settled(*names)
    world.go("u7", "quit")
    world.enter("u7")
    world.hand("u9", lambda due: [Notice(200), Notice(201)])
    findings = world.finish()
    assert [words for *_, words in told(findings)] == [
        "u9 was told of 200 in lobby, where 201 were, 0 came and 0 went"
    ]


def test_the_count_at_the_end_is_judged_in_a_large_room() -> None:
    names = [f"u{number}" for number in range(201)]
    world = settled(*names)
    world.go("u7", "quit")
    world.enter("u7")
    world.hand("u9", lambda due: due[:1])
    assert [words for *_, words in told(world.finish())] == ["u9 counts 200 in lobby, where 201 are"]


# --- on the way -------------------------------------------------------------------------------------------


def test_the_judge_says_what_it_waits_for() -> None:
    world = World("ada", "bob")
    assert "presence: ada" in world.judge.waits_for()
    world.hand("ada")
    world.hand("bob")
    assert world.judge.waits_for() == ""
    world.say("ada")
    world.ack("ada")
    assert world.judge.waits_for() == "lobby 1 to 1 for ada"
    world.hand("ada")
    world.hand("bob")
    assert world.judge.waits_for() == ""


def test_a_dispute_counts_at_once() -> None:
    world = settled("ada", "bob")
    world.say("ada")
    world.hand("bob", lambda due: [altered(due[0], by="eve")])
    assert world.judge.breaches == 1


def test_a_thousand_breaches_are_kept_and_all_are_counted() -> None:
    judge = Judge()
    for number in range(1_500):
        judge.findings.add(Kind.LOST, "lobby", "ada", str(number))
    assert len(judge.findings.breaches) == 1_000
    assert judge.findings.total == 1_500


# --- histories --------------------------------------------------------------------------------------------

NAMES = ["ada", "bob", "eve", "joe"]


def test_what_nobody_had_to_be_shown_is_not_missed() -> None:
    """As Hypothesis has found: everybody has broken off before it came, though it was acked."""
    world = settled("ada", "bob")
    world.say("ada")
    world.ack("ada")
    world.go("ada", "fin")
    world.go("bob", "rst")
    assert told(world.finish()) == []


STEPS = st.lists(
    st.tuples(st.sampled_from(["say", "say", "hand", "ack", *WHY, "enter"]), st.sampled_from(NAMES)),
    max_size=60,
)


def play(steps: list[tuple[str, str]]) -> World:
    world = World(*NAMES)
    for what, name in steps:
        match what, name in world.here:
            case "say", True:
                world.say(name)
            case "hand", True:
                world.hand(name)
            case "ack", _:
                world.ack(name)
            case "enter", False:
                world.enter(name)
            case (("quit" | "fin" | "rst" | "leave"), True):
                world.go(name, what)
            case _:
                pass
    return world


@given(STEPS)
def test_a_true_history_never_alarms(steps: list[tuple[str, str]]) -> None:
    world = play(steps)
    assert told(world.finish()) == []
    assert world.judge.waits_for() == ""


LIES: dict[str, tuple[set[str], Callable[[Due, int], Due]]] = {
    "drop": ({"lost"}, lambda due, at: [*due[:at], *due[at + 1 :]]),
    "double": ({"doubled"}, lambda due, at: [*due[: at + 1], *due[at:]]),
    "alter": ({"phantom"}, lambda due, at: [*due[:at], altered(due[at], text="x"), *due[at + 1 :]]),
    "author": ({"phantom"}, lambda due, at: [*due[:at], altered(due[at], by="zed"), *due[at + 1 :]]),
    "room": ({"phantom", "lost"}, lambda due, at: [*due[:at], altered(due[at], room="x"), *due[at + 1 :]]),
}


@given(STEPS, st.sampled_from(sorted(LIES)), st.sampled_from(NAMES), st.data())
def test_one_lie_in_any_history_is_found_and_its_victim_named(
    steps: list[tuple[str, str]], lie: str, victim: str, data: st.DataObject
) -> None:
    world = play(steps)
    if victim not in world.here:
        world.enter(victim)
    others = [name for name in NAMES if name != victim and name in world.here]
    world.say(victim)
    for name in others if data.draw(st.booleans()) else []:
        world.hand(name)
    lines = [at for at, each in enumerate(world.people[victim].due) if isinstance(each, Line)]
    at = data.draw(st.sampled_from(lines))
    kinds, change = LIES[lie]
    world.hand(victim, lambda due: change(due, at))
    if not others:
        world.enter(next(name for name in NAMES if name != victim))
    findings = told(world.finish())
    if others or lie != "drop":  # what nobody else was there to see is told of as unshown
        assert {user for kind, user, _ in findings if kind != "unshown"} == {victim}
        assert {kind for kind, *_ in findings} - {"unshown"} <= kinds | {"unshown"}
    assert findings
