"""Any history: a true one never alarms, and one lie in it is found and its victim named."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from tests.contract.world import WHY, Due, Line, World, altered, settled, told

NAMES = ["ada", "bob", "eve", "joe"]


def test_an_entry_that_no_user_had_to_see_is_not_missing() -> None:
    """Hypothesis found this: every user had disconnected before the entry arrived, though it was acked."""
    world = settled("ada", "bob")
    world.say("ada")
    world.ack("ada")
    world.go("ada", "fin")
    world.go("bob", "rst")
    assert told(world.finish()) == []


STEPS = st.lists(
    st.tuples(st.sampled_from(["say", "say", "hand", "ack", *WHY, "enter", "die"]), st.sampled_from(NAMES)),
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
            case "die", _:
                world.die(len(world.log) - NAMES.index(name))
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
    if others or lie != "drop":  # an entry that no other user could see is reported as unshown
        assert {user for kind, user, _ in findings if kind != "unshown"} == {victim}
        assert {kind for kind, *_ in findings} - {"unshown"} <= kinds | {"unshown"}
    assert findings
