"""The errors made from a server's `bye` and `error`."""

import pytest

from trio_chat.client.exceptions import connection_lost, protocol_error, refused, unexpected_event
from trio_chat.wire.messages import Bye, Error, Pong

EVIL = "a\x1b]0;b\x07\nc\u202ed"


def test_a_bye_says_whether_to_reconnect() -> None:
    error = connection_lost(Bye("draining", "back in a moment", reconnect=True, after_s=7))
    assert str(error) == "the server ended the connection: back in a moment (draining)"
    assert (error.code, error.reconnect, error.after_s) == ("draining", True, 7)
    assert connection_lost(Bye("kicked", "out", reconnect=False)).after_s == 0


def test_a_refusal_carries_all_fields_of_the_error() -> None:
    error = refused(Error("rate_limited", "slowly", field="text", retry_after_s=3))
    assert str(error) == "slowly"
    assert (error.code, error.field, error.retry_after_s) == ("rate_limited", "text", 3)
    assert refused(Error("forbidden", "no")).retry_after_s is None


def test_an_answer_of_the_wrong_kind_is_named() -> None:
    assert str(unexpected_event(Pong())) == "invalid data from the server: unexpected answer: pong"


@pytest.mark.parametrize(
    "error",
    [
        connection_lost(Bye(EVIL, EVIL, reconnect=True)),
        refused(Error("forbidden", EVIL)),
        protocol_error(EVIL),
    ],
    ids=["lost", "refused", "nonsense"],
)
def test_every_message_is_one_printable_line(error: Exception) -> None:
    assert str(error).isprintable()
    assert "a?]0;b??c?d" in str(error)
