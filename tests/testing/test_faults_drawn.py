"""Faults are data: drawn from a seed, saved, and checked when they are read again."""

from random import Random

import msgspec
import pytest

from trio_chat.testing.faults import Fault, Rule, draw


@pytest.mark.parametrize("seed", range(200))
def test_a_drawn_fault_is_data(seed: int) -> None:
    fault = draw(Random(seed), ["ada", "bob"], ["server"], within_s=10, lasts_s_max=5)
    assert fault == draw(Random(seed), ["ada", "bob"], ["server"], within_s=10, lasts_s_max=5)
    assert msgspec.json.decode(msgspec.json.encode(fault), type=Fault) == fault
    assert 0 <= fault.at_s <= 10 and 0 <= fault.lasts_s <= 5
    assert {fault.first, fault.second} in ({"ada", "server"}, {"bob", "server"})


def test_every_kind_is_drawn() -> None:
    random = Random(0)
    drawn = {type(draw(random, ["ada"], ["server"]).rule) for _ in range(500)}
    assert drawn == set(Rule.__args__)


@pytest.mark.parametrize(
    "text",
    [
        b'{"kind":"latency","delay_s":-1}',
        b'{"kind":"bandwidth","bytes_per_s":0}',
        b'{"kind":"split","bytes_max":0}',
        b'{"kind":"cut","after_bytes":-1}',
        b'{"kind":"typhoon"}',
    ],
)
def test_a_rule_that_cannot_be_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=Rule)
