"""The registry knows every attack of the package, and an attack is what its decorator says."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest

from tests.siege import plan
from tests.siege.attack import attack
from tests.siege.context import AttackContext
from tests.siege.errors import SiegeError

FOLDER = Path(plan.__file__).parent / "attacks"


@attack(item=2, sessions=(1, 8), quick=8, journal="file", memory_mib=5)
async def flood_nothing(context: AttackContext) -> None:
    """Send nothing at all.

    The rest is for engineers.
    """


def test_a_function_becomes_an_attack_for_each_size() -> None:
    one, eight = flood_nothing
    assert (one.name, one.sentence) == ("flood-nothing-1", "Send nothing at all, by 1 session.")
    assert (eight.name, eight.sentence) == ("flood-nothing-8", "Send nothing at all, by 8 sessions.")
    assert (one.quick, eight.quick) == (False, True)
    assert (one.item, one.sessions, one.journal, one.memory_mib) == (2, 1, "file", 5)


def test_every_module_with_an_attack_is_in_the_registry() -> None:
    listed = {module.__name__.rpartition(".")[2] for module in plan.MODULES}
    assert listed == {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}


def test_every_decorated_function_is_found_and_exported() -> None:
    decorated: set[str] = set()
    for module in plan.MODULES:
        source = Path(str(module.__file__)).read_text("utf-8")
        here = {
            node.name
            for node in ast.parse(source).body
            if isinstance(node, ast.AsyncFunctionDef) and node.decorator_list
        }
        assert here == set(module.__all__), f"`__all__` of {module.__name__} is not its attacks"
        decorated |= here
    assert {getattr(each.run, "__name__", "") for each in plan.attacks()} == decorated


def test_every_attack_has_one_plain_sentence() -> None:
    for each in plan.attacks():
        assert each.sentence.endswith(".") and len(each.sentence) > 20, each.name
        assert not each.sentence.endswith(".."), each.name


def test_every_item_is_attacked_in_both_forms() -> None:
    known = plan.attacks()
    assert {each.item for each in known} == set(range(9))
    assert {each.item for each in known if each.quick} == set(range(1, 9))


def test_a_name_given_twice_is_refused() -> None:
    module = ModuleType("twice")
    module.first = flood_nothing  # type: ignore[attr-defined] # made for the test
    module.second = flood_nothing  # type: ignore[attr-defined] # made for the test
    with pytest.raises(SiegeError, match="two are called 'flood-nothing-1'"):
        plan.attacks([module])


def test_attacks_are_chosen_by_name_or_by_form() -> None:
    known = plan.attacks()
    assert plan.choose([], quick=False) == known
    assert plan.choose([], quick=True) == [each for each in known if each.quick]
    chosen = plan.choose(["slow-heads", "control", "slow-heads"], quick=True)
    assert [each.name for each in chosen] == ["slow-heads", "control"]
    assert plan.find("control").item == 0
    with pytest.raises(SiegeError, match="got 'slow', expected one of those that --list prints"):
        plan.choose(["control", "slow"], quick=False)


def test_the_short_form_takes_a_minute() -> None:
    quick = plan.QUICK
    processes_s = 1.3  # that they take to start and to end
    around_s = quick.quiet_s + 2 * quick.settle_s + quick.after_s + processes_s
    chosen = plan.choose([], quick=True)
    assert sum(around_s + max(quick.attack_s, each.seconds_min) for each in chosen) <= 65
