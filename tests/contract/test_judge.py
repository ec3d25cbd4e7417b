"""The judge: each broken promise about entries is found, named and told in words."""

import pytest

from tests.contract.world import Due, Lie, Line, Notice, World, altered, settled, told
from trio_chat.contract import BreachKind, Findings, Judge


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
            [("phantom", "bob", "bob was shown lobby 1, “I am a teapot” by eve, which no user said")],
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
            [
                (
                    "phantom",
                    "bob",
                    "bob was shown lobby 1 in another form than the others: “ada says 1” by ada",
                )
            ],
        ),
        (of_another_room, [("phantom", "bob", "bob was shown attic 1 without being in that room: by ada")]),
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
def test_a_lie_to_a_single_user_is_found(lie: Lie, expected: list[tuple[str, str, str]], first: bool) -> None:
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
    assert findings.counts == {BreachKind.LOST: 5}


def test_an_entry_after_leaving_is_told() -> None:
    world = settled("ada", "bob")
    world.go("bob", "leave")
    world.say("ada")
    visit = world.people["bob"].visit
    assert visit is not None
    visit.saw_late(world.log[-1])
    assert told(world.finish()) == [("late", "bob", "bob was shown lobby 1 after leaving at 0")]


def test_a_wrong_number_in_an_ack_is_told() -> None:
    world = settled("ada", "bob")
    text = world.say("ada")
    world.people["ada"].acks = [(text, 17)]
    assert told(world.finish()) == [
        ("ack", "ada", "ada was acked lobby 17 for a message that was shown as lobby 1")
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
    assert told(world.finish()) == [("unshown", "ada", "ada was acked lobby 2, which no user was shown")]


def test_a_number_that_no_user_saw_is_reported_once() -> None:
    world = settled("ada", "bob", "eve")
    world.say("ada", shown=False)
    world.people["ada"].acks.clear()
    world.judge.excused("ada says 1")
    world.say("ada")
    assert told(world.finish()) == [
        ("lost", "", "no user was shown lobby 1, although later entries were shown")
    ]


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
    world.say("ada")
    world.ack("ada")
    world.judge.asks("lobby", "bob")
    world.judge.entered("lobby", "bob", epoch="f", head=0, members=2, after=0)
    assert [words for *_, words in told(world.judge.finish())] == [
        "bob came back to lobby with 0 as the last, and was not resumed",
        "lobby began anew while bob was away: what was said there before is gone",
    ]


def back_at_0(resumed: bool) -> World:
    """Bob comes back, behind ada, to a room that was forgotten before anything was said in it."""
    world = settled("ada", "bob")
    for name in ("ada", "bob"):
        world.go(name, "fin")
    world.epoch = "f"
    world.enter("ada")
    world.say("ada")
    world.judge.asks("lobby", "bob")
    world.here["bob"] = world.people["bob"]
    world.people["bob"].visit = world.judge.entered(
        "lobby", "bob", epoch="f", head=1, members=2, after=0, resumed=resumed
    )
    world.people["bob"].due = list(world.log) if resumed else []
    world._tell(Notice(2, joined=["bob"]))
    return world


def test_a_room_without_entries_may_get_another_epoch() -> None:
    assert told(back_at_0(resumed=True).finish()) == []


def test_a_silent_miss_after_0_is_told() -> None:
    assert told(back_at_0(resumed=False).finish()) == [
        ("resume", "bob", "bob came back to lobby with 0 as the last, and was not resumed"),
        ("lost", "bob", "bob missed lobby 1 between joining at 0 and the end at 0"),
    ]


def test_an_honest_gap_is_no_loss() -> None:
    world = settled("ada", "bob")
    world.go("bob", "fin")
    for _ in range(5):
        world.say("ada")
    visit = world.enter("bob")
    visit.skipped(0, 4)
    world.hand("bob", lambda due: due[3:])
    assert told(world.finish()) == []
    assert visit.gaps == 3


def test_a_gap_that_begins_too_late_hides_nothing() -> None:
    world = settled("ada", "bob")
    world.go("bob", "fin")
    for _ in range(5):
        world.say("ada")
    visit = world.enter("bob")
    visit.skipped(2, 4)
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
    for visit, seqs in ((ada, [2]), (bob, [1, 2])):
        for seq in seqs:
            visit.saw(Line("lobby", seq, "ada", ["one", "two"][seq - 1]))
    assert (ada.verified, bob.verified) == (1, 2)
    assert told(judge.finish()) == []


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
        judge.findings.add(BreachKind.LOST, "lobby", "ada", str(number))
    assert len(judge.findings.breaches) == 1_000
    assert judge.findings.total == 1_500


def test_what_a_server_says_does_not_reach_a_terminal_as_it_is() -> None:
    world = settled("ada", "bob")
    world.say("ada")
    world.hand("bob", lambda due: [altered(due[0], by="\x1b[2J\u202eeve")])
    words = [words for _, user, words in told(world.finish()) if user == "bob"]
    assert words == ["bob was shown lobby 1 as said by ?[2J?eve; it was ada who said “ada says 1”"]
