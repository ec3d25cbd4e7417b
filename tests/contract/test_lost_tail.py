"""A machine that goes down takes the newest of what was said with it: that is no breach, and all else is."""

from tests.contract.world import Line, World, settled, told
from trio_chat.contract import Judge


def after_a_fall(kept: int = 1) -> World:
    """Return a world after a crash: all saw Ada's three lines, `kept` are left, no user is back yet."""
    world = settled("ada", "bob")
    for _ in range(3):
        world.say("ada")
    world.ack("ada")
    for name in ("ada", "bob"):
        world.hand(name)
    world.die(kept)
    return world


def test_what_is_lost_with_the_machine_is_no_breach() -> None:
    world = after_a_fall()
    for name in ("ada", "bob"):
        world.enter(name)
    assert [world.people[name].visit.cursor for name in ("ada", "bob")] == [1, 1]  # type: ignore[union-attr]
    assert [world.say("bob"), world.say("ada")] and [line.seq for line in world.log] == [1, 2, 3]
    assert told(world.finish()) == []


def test_what_was_lost_may_be_said_again_and_then_is_there_once() -> None:
    world = after_a_fall()
    world.people["ada"].acks = [("ada says 3", 3), ("ada says 1", 1)]
    for name in ("bob", "ada"):
        world.enter(name)
    assert [line.text for line in world.log] == ["ada says 1", "ada says 3"]
    assert told(world.finish()) == []


def test_who_is_let_in_as_if_nothing_were_lost_is_told() -> None:
    """The bug that this is for: numbers are given twice under one epoch."""
    world = after_a_fall()
    world.epoch = "e"
    world.enter("bob")
    assert told(world.judge.finish())[0] == (
        "resume",
        "bob",
        "bob was let into lobby as if no entry were lost: numbers will be used twice",
    )


def test_also_who_was_never_there_and_what_none_of_was_lost() -> None:
    """Each crash of a machine may lose entries, and the judge cannot know of it."""
    world = World("ada", room="attic")
    world.hand("ada")
    world.say("ada")
    world.die(1)
    world.judge.asks("attic", "eve")
    world.judge.entered("attic", "eve", epoch="e", head=1, members=1)
    assert [kind for kind, *_ in told(world.judge.finish())] == ["resume"]


def test_who_is_resumed_in_another_history_is_told() -> None:
    world = after_a_fall()
    world.people["bob"].epoch = world.epoch
    world.enter("bob")
    words = "bob came back to lobby with 3 as the last, and was resumed in another history"
    assert ("resume", "bob", words) in told(world.judge.finish())


def test_a_cursor_of_the_new_history_is_good() -> None:
    world = after_a_fall()
    for name in ("ada", "bob"):
        world.enter(name)
        world.hand(name)
    world.go("bob", "fin")
    world.judge.asks("lobby", "bob")
    world.judge.entered("lobby", "bob", epoch=world.epoch, head=1, members=2, after=1)
    assert "bob came back to lobby with 1 as the last, and was not resumed" in str(told(world.judge.finish()))


def test_it_begins_anew_once_for_each_fall() -> None:
    world = after_a_fall()
    world.enter("bob")
    world.epoch = "of an unknown history"
    world.enter("ada")
    assert "lobby began anew while ada was away: what was said there before is gone" in str(
        told(world.judge.finish())
    )


def test_what_was_left_is_what_it_was() -> None:
    """More is gone than the machine took: a number that was left stands for something else."""
    world = after_a_fall(kept=2)
    del world.log[1:]
    for name in ("ada", "bob"):
        world.enter(name)
    world.say("bob")
    assert {kind for kind, *_ in told(world.finish())} >= {"phantom"}


def test_what_is_acked_in_the_new_history_is_owed() -> None:
    world = after_a_fall()
    for name in ("ada", "bob"):
        world.enter(name)
    world.say("bob", shown=False)
    assert told(world.finish()) == [("unshown", "bob", "bob was acked lobby 2, which no user was shown")]


def test_one_of_those_left_is_not_there_twice() -> None:
    world = after_a_fall()
    for name in ("ada", "bob"):
        world.enter(name)
    again = Line("lobby", 2, "ada", "ada says 1")
    world.log.append(again)
    for person in world.here.values():
        person.due.append(again)
    assert "lobby 1 and 2 are the same message, which ada said once" in str(told(world.finish()))


def test_an_ack_that_was_on_its_way_is_of_the_old_history() -> None:
    """The receiver does not know of the crash yet; others already speak in the new history."""
    world = settled("ada", "bob")
    lost = world.say("ada")
    acks, world.people["ada"].acks = world.people["ada"].acks, []
    world.die(0)
    world.enter("bob")
    world.judge.acked(*acks[0])
    world.enter("ada")
    world.say("bob")
    world.judge.says_again(lost)
    world.people["ada"].acks = [(lost, world._append("ada", lost))]
    assert told(world.finish()) == []


def test_an_entry_that_was_on_its_way_is_of_the_old_history() -> None:
    """Bob reads on what his old connection holds, when ada has said it again in the new history."""
    judge = Judge()
    for name in ("ada", "bob"):
        judge.asks("lobby", name)
    old, bob = [
        judge.entered("lobby", name, epoch="e", head=0, members=2, after=None) for name in ("ada", "bob")
    ]
    judge.says("lobby", "ada", "lost")
    old.going("rst", "lost")
    old.gone()
    judge.lost_tail("lobby", 0)
    judge.asks("lobby", "ada")
    ada = judge.entered("lobby", "ada", epoch="f", head=0, members=1, after=0, resumed=True)
    judge.says("lobby", "ada", "new")
    judge.says_again("lost")
    for seq, text in enumerate(("new", "lost"), 1):
        judge.acked(text, seq)
        ada.saw(Line("lobby", seq, "ada", text))
    bob.saw(Line("lobby", 1, "ada", "lost"))
    bob.going("rst", "lost")
    assert told(judge.finish()) == []


def test_a_second_fall_takes_more() -> None:
    world = after_a_fall(kept=2)
    world.die(1)
    for name in ("ada", "bob"):
        world.enter(name)
    world.say("bob")
    assert told(world.finish()) == []


def test_an_unknown_room_loses_nothing() -> None:
    judge = Judge()
    judge.lost_tail("lobby", 0)
    judge.asks("lobby", "ada")
    judge.entered("lobby", "ada", epoch="e", head=0, members=1)
    assert told(judge.finish()) == []
