"""The report shows what was measured, and its section of the page is replaced in place."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from tests.bench import words
from tests.siege.plan import find
from tests.siege.report import BEGIN, END, as_json, render, section, splice
from tests.siege.run import Outcome
from tests.siege.test_verdict import GREEN, phase
from tests.siege.verdict import FULL_BOUNDS, Phase

CONTROL = find("control")
WITHSTOOD = Outcome(CONTROL, replace(GREEN, attack=phase(30.0, 5.0)))
REFUSED = "walt was refused: rate_limited, 7 times"
RED = Outcome(find("stopped-server"), replace(GREEN, attack=Phase([inf] * 9)), [REFUSED])
LEFT_OUT = Outcome(find("ipv6-prefix"), left_out="as this server has no --proxy")


def test_a_row_shows_the_figures_and_the_verdict() -> None:
    page = render([WITHSTOOD], FULL_BOUNDS)
    assert "| control | – | 2.00 | 2.00 | 5.00 | 30.0 | 2.50 | 32 | 90 | 40 | withstood |" in page


def test_a_red_attack_says_why() -> None:
    page = render([WITHSTOOD, RED, LEFT_OUT], FULL_BOUNDS)
    assert "| stopped-server | 7 | 2.00 | 2.00 | never | never | – | 32 | 90 | 40 | **red** |" in page
    assert f"    {REFUSED}\n" in page
    assert "ipv6-prefix: left out, as this server has no --proxy\n" in page


def test_an_attack_that_could_not_be_run_is_red_without_figures() -> None:
    broken = Outcome(CONTROL, faults=["cannot go on: attacker ended with status 1"])
    assert broken.red
    page = render([broken], FULL_BOUNDS)
    assert "| control" not in page
    assert "cannot go on: attacker ended with status 1" in page


def test_a_second_try_and_a_stopped_server_are_shown() -> None:
    page = render([replace(WITHSTOOD, tries=2)], FULL_BOUNDS)
    assert page.endswith("withstood, try 2 |\n")
    stopped = Outcome(find("stop-under-flood"), replace(GREEN, stop_s=1.5))
    assert "| 32 | 90 | – | withstood |" in render([stopped], FULL_BOUNDS)


def test_the_section_says_how_it_was_judged_and_what_each_attack_does() -> None:
    made = section([WITHSTOOD, LEFT_OUT], FULL_BOUNDS, {"cores": "2"}, 6.0)
    assert made.startswith(BEGIN) and made.endswith(END)
    assert "runs for 6 s or longer" in made and "1.25 × what it was plus 24 MiB" in made
    assert f"- `control`: {CONTROL.sentence}\n" in made
    assert "ipv6-prefix" not in made
    assert "Machine: cores 2." in made


def test_the_section_is_added_once_and_then_replaced() -> None:
    page = f"# Benchmarks\n\n{words.BEGIN}\n\nBy hand.\n\n{words.END}\n"
    once = splice(f"{BEGIN}\nfirst\n{END}", page)
    assert once == f"# Benchmarks\n\n{words.BEGIN}\n\nBy hand.\n\n{BEGIN}\nfirst\n{END}\n\n{words.END}\n"
    twice = splice(f"{BEGIN}\nsecond\n{END}", once)
    assert twice == once.replace("first", "second")
    assert splice(f"{BEGIN}\nfirst\n{END}", "text\n") == f"text\n\n{BEGIN}\nfirst\n{END}\n"


def test_the_raw_figures_have_no_infinity() -> None:
    raw = as_json([RED, LEFT_OUT], FULL_BOUNDS, {"cores": "2"})
    attacks = raw["attacks"]
    assert isinstance(attacks, list)
    red, left_out = attacks
    assert red["attack"]["latencies_s"] == [None] * 9 and red["ratio"] is None
    assert red["quiet"]["latencies_s"] == [0.002] * 5
    assert red["memory_kib"] == [32 << 10, 90 << 10, 40 << 10]
    assert left_out["left_out"] == "as this server has no --proxy" and "ratio" not in left_out
