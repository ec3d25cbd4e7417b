"""Which command an answer belongs to."""

from trio_chat.client.requests import Request, Requests
from trio_chat.wire.messages import Ack, Ping, Say


def test_refs_count_up_behind_their_prefix() -> None:
    requests = Requests("mine")
    assert [requests.new_ref(), requests.new_ref()] == ["mine.1", "mine.2"]


def test_a_request_is_taken_once_by_its_ref() -> None:
    requests = Requests()
    first, second = Request(Ping(ref="a")), Request(Ping(ref="b"))
    requests.add(first)
    requests.add(second)
    assert requests.take("b") is second
    assert requests.take("b") is None
    assert requests.take("a") is first
    assert requests.take("") is None


def test_one_ref_asked_with_twice_is_answered_twice_in_order() -> None:
    requests = Requests()
    first, second = (Request(Say("lobby", "once", ref="a")) for _ in range(2))
    requests.add(first)
    requests.add(second)
    assert requests.take("a") is first
    assert requests.take("a") is second
    assert requests.take("a") is None


def test_at_the_end_everyone_goes_on_without_an_answer() -> None:
    requests = Requests()
    answered, waiting = Request(Ping(ref="a")), Request(Ping(ref="b"))
    requests.add(answered)
    requests.add(waiting)
    assert requests.take("a") is answered
    answered.answer = Ack("a")
    requests.end()
    assert waiting.done.is_set()
    assert waiting.answer is None
    assert requests.take("b") is None
