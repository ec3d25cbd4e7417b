"""What the server refuses is counted, by kind and address prefix, and logged once a minute at most."""

import pytest

from trio_chat.server.refusals import (
    ADDRESS_FULL,
    BETWEEN_S,
    FULL,
    KINDS_MAX,
    PREFIXES_KEPT,
    PROXY_HEADER,
    RefusalKind,
    Refusals,
    command_refused,
    hello_refused,
    request_refused,
    session_ended,
)

PEER = "192.0.2.7"
TOO_MANY = "refused: too many from one address (--limit connections_per_address)"


def texts(refusals: Refusals, now: float) -> list[str]:
    return [report.text for report in refusals.reports(now)]


def test_a_refusal_is_reported_at_once_and_the_next_after_a_minute() -> None:
    refusals = Refusals()
    assert refusals.reports(0.0) == []
    refusals.add(ADDRESS_FULL, PEER)
    assert texts(refusals, 1.0) == [f"1 connection {TOO_MANY}; from {PEER}"]
    assert refusals.reports(2.0) == [], "nothing more was refused"
    for _ in range(1_234):
        refusals.add(ADDRESS_FULL, PEER)
    assert refusals.reports(1.0 + BETWEEN_S - 0.1) == []
    assert texts(refusals, 1.0 + BETWEEN_S) == [f"1,234 connections {TOO_MANY}; from {PEER}"]
    assert refusals.reports(1e9) == []


def test_each_kind_has_a_line_and_a_minute_of_its_own() -> None:
    refusals = Refusals()
    refusals.add(FULL, PEER)
    assert len(refusals.reports(0.0)) == 1
    refusals.add(FULL, PEER)
    refusals.add(PROXY_HEADER, "10.0.0.1")
    assert texts(refusals, 1.0) == ["1 connection closed: invalid PROXY header; from 10.0.0.1"]


def test_at_the_end_all_that_is_counted_is_reported() -> None:
    refusals = Refusals()
    refusals.add(FULL, PEER)
    refusals.reports(0.0)
    refusals.add(FULL, PEER)
    refusals.add(hello_refused("name_taken"), PEER)
    assert [report.text for report in refusals.last_reports(1.0)] == [
        f"1 connection refused: the server is full (--limit connections); from {PEER}",
        f"1 hello refused [name_taken]; from {PEER}",
    ]
    assert refusals.last_reports(2.0) == []


def test_addresses_are_told_by_their_prefixes_the_most_frequent_first() -> None:
    refusals = Refusals()
    addresses = ["198.51.100.1", *["2001:db8::1", "2001:db8::2"] * 3, *["::ffff:192.0.2.7"] * 2, ""]
    for address in addresses:
        refusals.add(FULL, address)
    (text,) = texts(refusals, 0.0)
    assert text.startswith("10 connections ")
    assert text.endswith("; from 2001:db8::/64, 192.0.2.7, 198.51.100.1 and others")
    refusals.add(FULL, "")
    assert texts(refusals, BETWEEN_S)[0].endswith("; from an unknown address"), "the counts begin anew"


def test_a_frequent_prefix_is_found_among_any_number_of_others() -> None:
    """It comes last, and one time in ten; memory has a bound all the while."""
    refusals = Refusals()
    for number in range(20_000):
        refusals.add(FULL, f"10.{number % 250}.{number // 250}.1")
        if number % 9 == 8:
            refusals.add(FULL, PEER)
    (tally,) = refusals._tallies.values()
    assert len(tally._prefixes) <= PREFIXES_KEPT
    (text,) = texts(refusals, 0.0)
    count, _, places = text.partition(" connections ")
    assert count == "22,222" and places.partition("; from ")[2].startswith(PEER)
    assert text.endswith(" and others")


def test_prefixes_that_are_all_rare_are_many_addresses() -> None:
    refusals = Refusals()
    for number in range(PREFIXES_KEPT + 1):
        refusals.add(FULL, f"10.0.0.{number}")
    assert texts(refusals, 0.0)[0].endswith("; from many addresses")


def test_the_kinds_have_a_bound() -> None:
    refusals = Refusals()
    for number in range(2 * KINDS_MAX):
        refusals.add(RefusalKind("thing", f"refused {number}"), PEER)
    assert len(refusals.reports(0.0)) == KINDS_MAX


@pytest.mark.parametrize("code", ["", "quit", "draining", "internal"])
def test_an_end_in_good_order_is_no_refusal(code: str) -> None:
    assert session_ended(code) is None
    refusals = Refusals()
    refusals.add(session_ended(code), PEER)
    assert refusals.last_reports(0.0) == []


@pytest.mark.parametrize("status", [101, 200, 304, 404, 503])
def test_an_answer_that_is_no_refusal_is_not_counted(status: int) -> None:
    """503 is `/healthz`; a server that is full is counted as that."""
    assert request_refused(status) is None


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (session_ended("hello_timeout"), "session ended: no hello in time (--limit hello_s) [hello_timeout]"),
        (session_ended("kicked"), "session ended: other reasons [kicked]"),
        (
            command_refused("rate_limited"),
            "command refused: rate limit reached (--limit talk_per_s and others) [rate_limited]",
        ),
        (request_refused(421), "request refused: unknown host name (--public-name) [421]"),
        (request_refused(400), "request refused: invalid request [400]"),
    ],
)
def test_a_kind_says_why_and_what_can_be_set(kind: RefusalKind | None, says: str) -> None:
    refusals = Refusals()
    refusals.add(kind, PEER)
    assert refusals.last_reports(0.0) == [(f"1 {says}; from {PEER}", False)]


@pytest.mark.parametrize("code", ["not_in_room", "no_such_name", "too_long", "bad_room"])
def test_what_belongs_to_every_conversation_is_ordinary(code: str) -> None:
    assert command_refused(code).is_ordinary
