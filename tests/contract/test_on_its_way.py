"""An answer to `join` that was on its way when the machine went down is of the history of before, whenever it
arrives; an answer to a `join` of afterwards may not be."""

import pytest

from tests.contract.world import Line, settled, told
from trio_chat.contract import Judge, Visit

AS_BEFORE = "{} was let into lobby as if no entry were lost: numbers will be used twice"
ANEW = "lobby began anew while {} was away: what was said there before is gone"
OVER = "{} is still in a history of lobby that is over"


def enter(judge: Judge, user: str, epoch: str, head: int = 0, **facts: object) -> Visit:
    """Ask and be answered, with nothing between."""
    judge.asks("lobby", user)
    return answered(judge, user, epoch, head, **facts)


def answered(judge: Judge, user: str, epoch: str, head: int = 0, **facts: object) -> Visit:
    return judge.entered("lobby", user, epoch=epoch, head=head, members=1, **facts)  # type: ignore[arg-type]


def cut_off(visit: Visit) -> None:
    """Find out that the connection is no more."""
    visit.going("lost", "lost", early=True)
    visit.gone()


def say(judge: Judge, user: str, text: str, seq: int, *stays: Visit) -> None:
    judge.says("lobby", user, text)
    judge.acked(text, seq)
    for visit in stays:
        visit.saw(Line("lobby", seq, user, text))


def resumes(judge: Judge) -> list[str]:
    """Return what was found of epochs and cursors, in words."""
    return [words for kind, _, words in told(judge.finish()) if kind == "resume"]


# --- asked before the crash -------------------------------------------------------------------------


def test_an_answer_that_was_on_its_way_is_no_breach() -> None:
    """One user and a one-way partition around the crash: the answer of before arrives after it."""
    judge = Judge()
    cut_off(enter(judge, "ada", "e"))
    judge.asks("lobby", "ada")
    judge.lost_tail("lobby", 0)
    cut_off(answered(judge, "ada", "e", after=0, resumed=True))
    enter(judge, "ada", "f", after=0, resumed=True)
    judge.hold_to_account()
    assert told(judge.finish()) == []


def test_an_answer_on_its_way_may_hold_entries_that_the_crash_took() -> None:
    judge = Judge()
    ada = enter(judge, "ada", "e")
    for seq in (1, 2):
        say(judge, "ada", f"text {seq}", seq, ada)
    judge.asks("lobby", "bob")
    judge.lost_tail("lobby", 1)
    cut_off(ada)
    late = answered(judge, "bob", "e", 2, recent=2)
    for seq in (1, 2):
        late.saw(Line("lobby", seq, "ada", f"text {seq}"))
    cut_off(late)
    enter(judge, "bob", "f", 1, after=2).skipped(0, 2)
    enter(judge, "ada", "f", 1, after=2).skipped(0, 2)
    assert told(judge.finish()) == []


@pytest.mark.parametrize("first", ["the late answer", "the new history"])
def test_an_answer_on_its_way_may_be_the_first_word_of_its_history(first: str) -> None:
    """At the crash no user knows the room's epoch; it is learnt before that of the new one, or after it."""
    judge = Judge()
    judge.asks("lobby", "bob")
    judge.lost_tail("lobby", 1)
    if first == "the late answer":
        cut_off(answered(judge, "bob", "e", 2))
        ada = enter(judge, "ada", "f", 1)
    else:
        ada = enter(judge, "ada", "f", 1)
        cut_off(answered(judge, "bob", "e", 2))
    bob = enter(judge, "bob", "f", 1, after=2)
    bob.skipped(0, 2)
    say(judge, "ada", "new", 2, ada, bob)
    assert resumes(judge) == []


def test_an_answer_on_its_way_does_not_take_the_place_of_the_new_history() -> None:
    """A message acked under the new epoch is due, although the old epoch was seen last."""
    judge = Judge()
    enter(judge, "bob", "e", 1).gone()
    judge.asks("lobby", "bob")
    judge.lost_tail("lobby", 1)
    ada = enter(judge, "ada", "f", 1)
    cut_off(answered(judge, "bob", "e", 1, after=1, resumed=True))
    say(judge, "ada", "new", 2)
    say(judge, "ada", "newer", 3, ada)
    assert ("unshown", "ada", "ada was acked lobby 2, which no user was shown") in told(judge.finish())


def test_an_answer_may_be_on_its_way_through_two_crashes() -> None:
    judge = Judge()
    enter(judge, "ada", "e", 3).gone()
    judge.asks("lobby", "bob")
    judge.lost_tail("lobby", 2)
    enter(judge, "ada", "f", 2, after=3).gone()
    judge.asks("lobby", "eve")
    judge.lost_tail("lobby", 1)
    enter(judge, "ada", "g", 1, after=2).gone()
    cut_off(answered(judge, "eve", "f", 2))
    cut_off(answered(judge, "bob", "e", 3))
    assert resumes(judge) == []


def test_a_room_that_was_blank_may_have_had_another_epoch_at_the_crash() -> None:
    """What is said after the crash does not speak of the room as it was before."""
    judge = Judge()
    enter(judge, "ada", "e").gone()
    judge.asks("lobby", "bob")
    judge.lost_tail("lobby", 0)
    enter(judge, "ada", "g", after=0, resumed=True)
    say(judge, "ada", "new", 1)
    cut_off(answered(judge, "bob", "f"))
    assert resumes(judge) == []


@pytest.mark.parametrize("is_shown", [True, False], ids=["shown", "only acked"])
def test_a_room_that_began_anew_before_the_crash_is_told_also_late(is_shown: bool) -> None:
    judge = Judge()
    ada = enter(judge, "ada", "e")
    say(judge, "ada", "old", 1, *[ada] * is_shown)
    judge.asks("lobby", "bob")
    judge.lost_tail("lobby", 0)
    cut_off(answered(judge, "bob", "f"))
    assert resumes(judge) == [ANEW.format("bob")]


def test_a_crash_ends_the_histories_of_its_own_room() -> None:
    judge = Judge()
    ada = enter(judge, "ada", "e")
    judge.lost_tail("attic", 0)
    say(judge, "ada", "text", 1, ada)
    judge.hold_to_account()
    assert told(judge.finish()) == []


# --- asked after the crash --------------------------------------------------------------------------


def test_an_answer_given_after_the_crash_under_the_old_epoch_is_found() -> None:
    judge = Judge()
    enter(judge, "ada", "e", 1).gone()
    judge.lost_tail("lobby", 1)
    enter(judge, "ada", "e", 1, after=1, resumed=True)
    assert resumes(judge) == [AS_BEFORE.format("ada")]


def test_an_answer_is_judged_by_its_own_question_though_another_is_late() -> None:
    """Bob's answer was on its way, ada's was not, and bob has given up a question before."""
    judge = Judge()
    enter(judge, "ada", "e", 1).gone()
    judge.asks("lobby", "eve")
    judge.gave_up("lobby", "eve", "lost")
    judge.asks("lobby", "bob")
    judge.lost_tail("lobby", 1)
    cut_off(answered(judge, "bob", "e", 1))
    for user in ("ada", "bob", "eve"):
        enter(judge, user, "e", 1)
    assert resumes(judge) == [AS_BEFORE.format(user) for user in ("ada", "bob", "eve")]


def test_a_cursor_of_nothing_is_good_also_after_a_crash() -> None:
    judge = Judge()
    enter(judge, "ada", "e").gone()
    judge.lost_tail("lobby", 0)
    enter(judge, "ada", "f", after=0)
    assert resumes(judge) == ["ada came back to lobby with 0 as the last, and was not resumed"]


@pytest.mark.parametrize("epoch", ["e", "f"])
def test_also_an_epoch_that_an_earlier_crash_has_ended(epoch: str) -> None:
    judge = Judge()
    enter(judge, "ada", "e", 2).gone()
    judge.lost_tail("lobby", 2)
    enter(judge, "ada", "f", 2, after=2).gone()
    judge.lost_tail("lobby", 2)
    enter(judge, "bob", epoch, 2)
    assert resumes(judge) == [AS_BEFORE.format("bob")]


def test_an_answer_on_its_way_through_a_crash_may_not_be_of_before_an_earlier_one() -> None:
    judge = Judge()
    enter(judge, "ada", "e", 2).gone()
    judge.lost_tail("lobby", 2)
    judge.asks("lobby", "bob")
    judge.lost_tail("lobby", 2)
    answered(judge, "bob", "e", 2)
    assert resumes(judge) == [AS_BEFORE.format("bob")]


def test_an_epoch_of_before_is_found_when_only_a_late_answer_names_it() -> None:
    """No user knew the epoch at the crash. Ada's answer looks like a new history, until bob's arrives."""
    judge = Judge()
    judge.asks("lobby", "bob")
    judge.lost_tail("lobby", 1)
    enter(judge, "ada", "e", 1)
    cut_off(answered(judge, "bob", "e", 2))
    enter(judge, "eve", "e", 1)
    assert resumes(judge) == [AS_BEFORE.format("ada"), AS_BEFORE.format("eve")]


def test_an_epoch_of_before_is_found_once_for_each_user() -> None:
    judge = Judge()
    for user in ("bob", "eve"):
        judge.asks("lobby", user)
    judge.lost_tail("lobby", 1)
    enter(judge, "ada", "e", 1)
    for user in ("bob", "eve"):
        cut_off(answered(judge, user, "e", 2))
    assert resumes(judge) == [AS_BEFORE.format("ada")]


def test_an_epoch_of_before_is_not_taken_for_one_that_was_overtaken() -> None:
    judge = Judge()
    enter(judge, "ada", "e").gone()
    judge.lost_tail("lobby", 0)
    judge.asks("lobby", "bob")
    ada = enter(judge, "ada", "f", after=0, resumed=True)
    say(judge, "ada", "new", 1, ada)
    answered(judge, "bob", "e")
    assert resumes(judge) == [AS_BEFORE.format("bob")]


def test_a_new_history_is_not_overtaken_by_a_late_answer() -> None:
    """Bob's answer arrives while ada's, of after the crash, is still due: hers names the newest history."""
    judge = Judge()
    judge.asks("lobby", "bob")
    judge.lost_tail("lobby", 0)
    judge.asks("lobby", "ada")
    judge.says("lobby", "ada", "old")
    judge.excused("old")
    bob = answered(judge, "bob", "e")
    bob.saw(Line("lobby", 1, "ada", "old"))
    cut_off(bob)
    ada = answered(judge, "ada", "f")
    say(judge, "ada", "new", 1)
    say(judge, "ada", "newer", 2, ada)
    enter(judge, "eve", "g", 2)
    found = told(judge.finish())
    assert ("unshown", "ada", "ada was acked lobby 1, which no user was shown") not in found, (
        "that of g is due"
    )
    assert ("resume", "eve", ANEW.format("eve")) in found


def test_what_is_acked_in_a_blank_history_after_a_crash_is_owed() -> None:
    judge = Judge()
    old = enter(judge, "ada", "e")
    say(judge, "ada", "old", 1, old)
    judge.asks("attic", "eve")
    eve = judge.entered("attic", "eve", epoch="a", head=0, members=1)
    judge.says("attic", "eve", "text")
    eve.saw(Line("attic", 1, "eve", "text"))
    cut_off(old)
    judge.lost_tail("lobby", 0)
    enter(judge, "ada", "f", 0, after=1).skipped(0, 1)
    say(judge, "ada", "new", 1)
    judge.hold_to_account()
    assert ("unshown", "ada", "ada was acked lobby 1, which no user was shown") in told(judge.finish())


def test_a_new_history_may_be_blank() -> None:
    judge = Judge()
    ada = enter(judge, "ada", "e")
    say(judge, "ada", "old", 1, ada)
    cut_off(ada)
    judge.lost_tail("lobby", 0)
    enter(judge, "ada", "f", 0, after=1).skipped(0, 1)
    assert judge.waits_for() == ""
    judge.hold_to_account()
    assert told(judge.finish()) == []


def test_a_new_history_may_follow_one_that_a_late_answer_has_ended() -> None:
    judge = Judge()
    judge.asks("lobby", "bob")
    judge.lost_tail("lobby", 1)
    enter(judge, "ada", "e", 1)
    cut_off(answered(judge, "bob", "e", 2))
    enter(judge, "eve", "f", 1)
    assert resumes(judge) == [AS_BEFORE.format("ada")]


def test_a_connection_of_before_that_does_not_end_is_found() -> None:
    """Only an answer on its way is excused: a user that stays in the old history for good is not."""
    judge = Judge()
    enter(judge, "ada", "e", 1).gone()
    judge.asks("lobby", "bob")
    judge.lost_tail("lobby", 1)
    bob = answered(judge, "bob", "e", 1)
    assert judge.waits_for() == "the end of the connection on which bob was let into lobby"
    judge.hold_to_account()
    assert resumes(judge) == [OVER.format("bob")]
    assert not bob.is_over


def test_a_user_that_is_going_is_not_waited_for() -> None:
    judge = Judge()
    enter(judge, "ada", "e", 1).gone()
    judge.asks("lobby", "bob")
    judge.lost_tail("lobby", 1)
    answered(judge, "bob", "e", 1).going("fin", "lost")
    assert judge.waits_for() == ""
    judge.hold_to_account()
    assert resumes(judge) == []


def test_an_ack_on_its_way_to_the_user_of_a_late_answer_is_of_the_old_history() -> None:
    world = settled("ada", "bob")
    lost = world.say("ada")
    acks, world.people["ada"].acks = world.people["ada"].acks, []
    world.judge.asks("lobby", "eve")
    world.die(0)
    cut_off(answered(world.judge, "eve", "e", 1))
    world.judge.acked(*acks[0])
    world.judge.excused(lost)
    world.enter("bob")
    world.say("bob")
    assert told(world.finish()) == []


# --- without a crash --------------------------------------------------------------------------------


def test_an_answer_of_a_blank_history_may_arrive_after_those_of_the_next() -> None:
    """Bob's session ended unheard, the room was left by all and used again, and ada spoke in it."""
    judge = Judge()
    judge.asks("lobby", "bob")
    ada = enter(judge, "ada", "f")
    say(judge, "ada", "new", 1, ada)
    cut_off(answered(judge, "bob", "e"))
    bob = enter(judge, "bob", "f", 1, after=0, resumed=True)
    bob.saw(Line("lobby", 1, "ada", "new"))
    say(judge, "ada", "newer", 2, ada, bob)
    assert resumes(judge) == []


def test_of_two_blank_histories_the_one_in_which_something_is_said_goes_on() -> None:
    judge = Judge()
    judge.asks("lobby", "bob")
    ada = enter(judge, "ada", "f")
    cut_off(answered(judge, "bob", "e"))
    say(judge, "ada", "new", 1, ada)
    bob = enter(judge, "bob", "f", 1, after=0, resumed=True)
    bob.saw(Line("lobby", 1, "ada", "new"))
    judge.hold_to_account()
    assert resumes(judge) == []


@pytest.mark.parametrize("speaker", ["ada", "bob"])
def test_what_is_acked_in_either_of_two_blank_histories_is_owed(speaker: str) -> None:
    judge = Judge()
    judge.asks("lobby", "bob")
    stays = {"ada": enter(judge, "ada", "f"), "bob": answered(judge, "bob", "e")}
    say(judge, speaker, "new", 1)
    say(judge, speaker, "newer", 2, stays[speaker])
    words = f"{speaker} was acked lobby 1, which no user was shown"
    assert ("unshown", speaker, words) in told(judge.finish())


def test_a_blank_history_may_be_named_again() -> None:
    judge = Judge()
    for epoch in ("e", "f"):
        enter(judge, "ada", epoch, after=0, resumed=True).gone()
    ada = enter(judge, "ada", "e", after=0, resumed=True)
    say(judge, "ada", "new", 1)
    judge.hold_to_account()
    assert ("unshown", "ada", "ada was acked lobby 1, which no user was shown") in told(judge.finish())
    assert ada.cursor == 0


@pytest.mark.parametrize("speaker", ["ada", "bob"])
def test_the_one_of_two_blank_histories_in_which_something_is_said_binds_the_room(speaker: str) -> None:
    judge = Judge()
    judge.asks("lobby", "bob")
    stays = {"ada": enter(judge, "ada", "f"), "bob": answered(judge, "bob", "e")}
    say(judge, speaker, "new", 1, stays[speaker])
    enter(judge, "eve", "g", 1)
    assert resumes(judge) == [ANEW.format("eve")]


def test_an_overtaken_answer_is_not_that_of_the_newest_history() -> None:
    """An entry that is acked and not shown yet may be of a history of which no other is known."""
    judge = Judge()
    judge.asks("lobby", "bob")
    ada = enter(judge, "ada", "f")
    say(judge, "ada", "new", 1, ada)
    cut_off(answered(judge, "bob", "e"))
    say(judge, "ada", "newer", 2)
    enter(judge, "bob", "f", 1, after=0, resumed=True)
    assert resumes(judge) == []


@pytest.mark.parametrize("room", ["lobby", "attic"])
def test_what_was_not_taken_or_is_of_another_room_does_not_bind_a_room_to_its_epoch(room: str) -> None:
    judge = Judge()
    enter(judge, "ada", "e").gone()
    judge.says(room, "ada", "text")
    if room != "lobby":
        judge.acked("text", 1)
    enter(judge, "ada", "f", after=0, resumed=True)
    assert resumes(judge) == []


def test_a_blank_history_that_was_asked_for_after_the_next_was_known_is_told() -> None:
    judge = Judge()
    ada = enter(judge, "ada", "f")
    judge.asks("lobby", "bob")
    say(judge, "ada", "new", 1, ada)
    answered(judge, "bob", "e")
    assert resumes(judge) == [ANEW.format("bob")]


def test_a_history_with_entries_is_not_overtaken() -> None:
    """Had something been said in it, the room would have kept its epoch."""
    judge = Judge()
    judge.asks("lobby", "bob")
    ada = enter(judge, "ada", "f")
    say(judge, "ada", "new", 1, ada)
    answered(judge, "bob", "e", 1)
    assert resumes(judge) == [ANEW.format("bob")]


def test_a_user_that_stays_in_an_overtaken_history_is_found() -> None:
    judge = Judge()
    judge.asks("lobby", "bob")
    ada = enter(judge, "ada", "f")
    say(judge, "ada", "new", 1, ada)
    answered(judge, "bob", "e")
    judge.hold_to_account()
    assert resumes(judge) == [OVER.format("bob")]
