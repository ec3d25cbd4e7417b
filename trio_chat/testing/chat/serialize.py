"""Serialize a plan: as JSON to read and edit, and as a test to paste."""

import msgspec

from trio_chat.testing.chat.plan import Plan

__all__ = ["as_lines", "as_test"]

_TEST = '''\
from functools import partial

from trio_chat.testing import simulate
from trio_chat.testing.chat import Plan, play


def test_{name}() -> None:
    """{words}"""
    plan = Plan.from_json(
        r\'\'\'
{plan}
\'\'\'
    )
    simulate({seed}, partial(play, plan=plan))
'''
WORDS_MAX = 90


def as_lines(plan: Plan) -> str:
    """Return JSON for `Plan.from_json`: a line for each setting, each step and each fault."""
    fields = []
    for name, value in msgspec.to_builtins(plan).items():
        text = _json(value)
        if name in ("steps", "faults") and value:
            text = "[\n" + ",\n".join(f"    {_json(each)}" for each in value) + "\n  ]"
        fields.append(f"  {_json(name)}: {text}")
    return "{\n" + ",\n".join(fields) + "\n}"


def as_test(plan: Plan, words: str) -> str:
    """Return a module with a test that performs the plan; `words` is its docstring."""
    said = "".join(char if char.isprintable() and char not in '"\\' else "'" for char in words)
    shown = said if len(said) <= WORDS_MAX else said[: WORDS_MAX - 1] + "…"
    # The text is between three apostrophes, so it must not contain any: JSON can escape them.
    text = as_lines(plan).replace("'", "\\u0027")
    return _TEST.format(
        name=f"plan_of_seed_{plan.seed}".replace("-", "minus_"), words=shown, plan=text, seed=plan.seed
    )


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()
