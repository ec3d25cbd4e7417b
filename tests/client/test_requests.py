"""Requests: matching of answers, and what is sent again."""

from collections.abc import Callable

import trio
import trio.testing

from trio_chat.client.requests import OUTSTANDING, Request, Requests
from trio_chat.errors import ConnectionLost
from trio_chat.wire.messages import Ack, History, Ping, Say, Whisper


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


def test_two_requests_with_the_same_ref_are_answered_in_order() -> None:
    requests = Requests()
    first, second = (Request(Say("lobby", "once", ref="a")) for _ in range(2))
    requests.add(first)
    requests.add(second)
    assert requests.take("a") is first
    assert requests.take("a") is second
    assert requests.take("a") is None


def test_the_end_releases_every_request_without_an_answer() -> None:
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


def sent(requests: Requests, request: Request) -> Request:
    requests.add(request)
    request.is_sent = True
    return request


def test_after_a_lost_connection_sent_requests_wait_again_with_exceptions() -> None:
    requests = Requests()
    say = sent(requests, Request(Say("lobby", "hello", ref="a")))
    whisper = sent(requests, Request(Whisper("bob", "psst", ref="b")))
    given_up = sent(requests, Request(Say("lobby", "never mind", ref="c")))
    requests.give_up(given_up)
    own = sent(requests, Request(History("lobby", ref="d"), then=lambda event: None))
    unsent = Request(Whisper("bob", "pssst", ref="e"))
    requests.add(unsent)
    requests.lost(ConnectionLost("gone"))
    assert list(requests) == [say, unsent]
    assert say.waits and unsent.waits
    assert isinstance(whisper.failure, ConnectionLost)
    assert given_up.failure is own.failure is None


def test_a_cancelled_request_is_removed_unless_it_was_sent() -> None:
    requests = Requests()
    unsent = Request(Ping(ref="a"))
    requests.add(unsent)
    requests.give_up(unsent)
    assert list(requests) == []
    first, second = (sent(requests, Request(Say("lobby", "once", ref="b"))) for _ in range(2))
    requests.give_up(first)
    assert requests.take("b") is first, "the answer belongs to the first request"
    assert requests.take("b") is second


def test_a_request_fails_after_two_internal_errors() -> None:
    requests = Requests()
    bad = sent(requests, Request(Say("lobby", "bad", ref="a")))
    for code in ("internal", "draining"):
        requests.lost(ConnectionLost("gone", code=code))
        assert bad.failure is None
        bad.is_sent = True
    unsent = Request(Say("lobby", "good", ref="b"))
    requests.add(unsent)
    requests.lost(ConnectionLost("gone", code="internal"))
    assert isinstance(bad.failure, ConnectionLost)
    assert bad.failure.code == "internal"
    assert unsent.failure is None


async def test_every_end_of_a_request_frees_its_slot(nursery: trio.Nursery) -> None:
    requests = Requests()

    def lose(request: Request) -> None:
        request.is_sent = True
        requests.give_up(request)
        requests.lost(ConnectionLost("gone"))

    ends: list[Callable[[Request], object]] = [
        lambda request: requests.take(request.command.ref),
        requests.give_up,
        lambda request: requests.fail(request, ConnectionLost("gone")),
        lambda request: requests.answer(request, Ack("a")),
        lose,
    ]
    for n in range(OUTSTANDING):
        await requests.admit(Request(Ping(ref=str(n))))
    for end in ends:
        waiting = Request(Ping(ref="waiting"))
        nursery.start_soon(requests.admit, waiting)
        await trio.testing.wait_all_tasks_blocked()
        assert waiting not in list(requests)
        end(next(iter(requests)))
        await trio.testing.wait_all_tasks_blocked()
        assert waiting in list(requests)
    late = Request(Ping(ref="late"))
    nursery.start_soon(requests.admit, late)
    await trio.testing.wait_all_tasks_blocked()
    requests.end()
    await late.done.wait()
    assert list(requests) == []
