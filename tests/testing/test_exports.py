"""The front door of the harness: what it names is there, whatever was imported before, and it is cheap."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import trio_chat.testing
from trio_chat.testing import InjectedError, simulate, sweep
from trio_chat.testing.faults import Rule
from trio_chat.testing.simulate import name_of


def test_every_rule_is_at_the_door() -> None:
    kinds = {kind.__name__ for kind in Rule.__args__}
    assert kinds <= set(trio_chat.testing.__all__)


def test_the_map_names_every_module() -> None:
    doc = trio_chat.testing.__doc__ or ""
    (home,) = trio_chat.testing.__path__
    modules = {path.stem for path in Path(home).iterdir() if path.suffix == ".py"} - {"__init__", "__main__"}
    missing = {module for module in modules if module not in doc}
    assert not missing, f"the docstring of trio_chat.testing does not say what {missing} is for"


@pytest.mark.parametrize("first", ["simulate", "sweep", "network", "pipe", "scheduling", "tree", "chat"])
def test_a_name_is_the_same_whatever_was_imported_first(first: str) -> None:
    program = f"""
import trio_chat.testing.{first}
from trio_chat import testing
assert callable(testing.simulate) and callable(testing.sweep)
assert [name for name in testing.__all__ if not hasattr(testing, name)] == []
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_door_loads_no_server_no_client_and_no_test_runner() -> None:
    program = """
import sys
import trio.testing  # which loads pytest where there is one
before = set(sys.modules)
import trio_chat.testing
heavy = {"trio_chat.server", "trio_chat.client", "trio_chat.hub", "trio_chat.journal", "pytest", "click"}
print(sorted(heavy & (set(sys.modules) - before)))
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"


def test_what_a_replay_says_can_be_written() -> None:
    assert name_of(InjectedError) == "trio_chat.testing.InjectedError"
    assert inspect.isfunction(simulate) and inspect.isfunction(sweep)
