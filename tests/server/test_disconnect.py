"""The codes of `bye`, and what follows from each."""

from typing import get_args

import pytest

from trio_chat.server.disconnect import CONNECTION_LOST, disconnect_for
from trio_chat.wire.codec import decode_event
from trio_chat.wire.messages import Bye

STAY_DISCONNECTED = [
    "frame_too_large",
    "bad_frame",
    "version",
    "unauthorized",
    "replaced",
    "kicked",
    "banned",
    "quit",
]
RECONNECT = [
    "hello_timeout",
    "frame_timeout",
    "ping_timeout",
    "slow_reader",
    "too_many_connections",
    "draining",
    "internal",
]
WHYS = {
    "quit": "quit",
    "ping_timeout": "timeout",
    "replaced": "replaced",
    "kicked": "kicked",
    "banned": "kicked",
    "slow_reader": "slow",
    "draining": "draining",
    "internal": "internal",
}


def bye(payload: bytes | None) -> Bye:
    assert payload is not None
    event = decode_event(payload)
    assert isinstance(event, Bye)
    return event


@pytest.mark.parametrize("code", [*STAY_DISCONNECTED, *RECONNECT])
def test_a_code_sets_reconnect_and_the_why_of_presence(code: str) -> None:
    how = disconnect_for(code, "a detail")
    assert bye(how.bye) == Bye(code, "a detail", reconnect=code in RECONNECT)
    assert how.why == WHYS.get(code, "lost")
    assert how.orderly == (code in ("quit", "draining"))


def test_a_bye_may_have_after_s_and_ref() -> None:
    assert bye(disconnect_for("draining", "d", after_s=5).bye) == Bye(
        "draining", "d", reconnect=True, after_s=5
    )
    assert bye(disconnect_for("draining", "d", after_s=0).bye).after_s == 0
    assert bye(disconnect_for("quit", "d", ref="r1").bye).ref == "r1"


def test_a_lost_connection_has_a_why_and_no_bye() -> None:
    assert (CONNECTION_LOST.why, CONNECTION_LOST.bye) == ("lost", None)


def test_every_why_is_in_the_protocol() -> None:
    known = {"left", "quit", "lost", "timeout", "replaced", "kicked", "slow", "draining", "internal"}
    assert {disconnect_for(code, "").why for code in (*STAY_DISCONNECTED, *RECONNECT)} <= known
    assert get_args(Bye.__annotations__["reconnect"]) == ()
