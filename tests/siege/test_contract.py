"""The judge of the witnesses finds each thing that can go wrong with a line."""

from __future__ import annotations

import pytest

from tests.siege.contract import FAULTS_MAX, Moment, WitnessContract, line_text
from tests.siege.delay import Delay, total_delay, without_delay


def said(seq: int, by: str, number: int) -> dict[str, object]:
    return {"type": "said", "room": "witnesses", "seq": seq, "by": by, "text": line_text(by, number)}


def ack(author: str, number: int) -> dict[str, object]:
    return {"type": "ack", "ref": f"{author}-{number}"}


def make_contract(lines: int = 2) -> WitnessContract:
    """Return a contract in which witness a has sent some lines, one each second from 0 on."""
    contract = WitnessContract(("a", "b"))
    for reader in ("a", "b"):
        contract.enter(reader, 10)
    for number in range(lines):
        assert contract.add_line("a", Moment(float(number))) == (line_text("a", number), f"a-{number}")
    return contract


def deliver(
    contract: WitnessContract, *events: dict[str, object], reader: str = "b", at: float = 5.0
) -> None:
    for event in events:
        contract.receive(reader, event, Moment(at))


def test_lines_that_all_arrive_are_measured() -> None:
    contract = make_contract()
    other = {"type": "said", "room": "witnesses", "seq": 12, "by": "stranger", "text": "x"}
    deliver(contract, ack("a", 0), said(11, "a", 0), other, said(13, "a", 1), ack("a", 1), reader="a")
    assert contract.waiting()
    deliver(contract, said(11, "a", 0), other, at=0.25)
    deliver(contract, {"type": "presence"}, said(13, "a", 1), at=1.5)
    assert not contract.waiting()
    contract.finish()
    assert contract.faults() == []
    assert [line.latency_s for line in contract.lines["a"]] == [0.25, 0.5]


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        ([said(12, "a", 0)], "b read entry 12 after 10"),
        ([said(11, "a", 0), said(11, "a", 0)], "b read entry 11 after 11"),
        ([said(11, "a", 0), said(12, "a", 0)], "b read 'witness a line 0' from a, expected line 1"),
        ([said(11, "a", 1)], "b read 'witness a line 1' from a, expected line 0"),
        ([said(11, "a", 0), said(12, "a", 1), said(13, "a", 2)], "expected line 2"),
        ([{"type": "gap", "room": "witnesses", "after": 10, "next": 13}], "b was sent a gap"),
        ([{"type": "error", "code": "rate_limited"}] * 2, "b was refused: rate_limited, 2 times"),
        ([{"type": "bye", "code": "internal"}], "b was disconnected: bye internal"),
        ([{"type": "bye", "code": "draining"}], "b was disconnected: bye draining"),
        ([ack("b", 0)], "b was sent an ack of 'b-0'"),
        ([ack("a", 0)], "b was sent an ack of 'a-0'"),
    ],
)
def test_a_broken_stream_is_a_fault(events: list[dict[str, object]], fault: str) -> None:
    contract = make_contract()
    deliver(contract, *events)
    assert any(fault in found for found in contract.faults()), contract.faults()


def test_two_answers_to_a_line_are_a_fault() -> None:
    contract = make_contract()
    deliver(contract, ack("a", 0), ack("a", 0), reader="a")
    assert contract.faults() == ["a was sent two answers to 'a-0'"]


def test_a_lost_line_and_a_lost_ack_are_faults() -> None:
    contract = make_contract()
    deliver(contract, said(11, "a", 0))
    deliver(contract, ack("a", 1), reader="a")
    contract.finish()
    assert contract.faults() == [
        "1 of the lines of a were not delivered",
        "1 of the lines of a were not acknowledged",
    ]


def test_a_refused_line_is_one_fault_and_does_not_hide_the_next() -> None:
    contract = make_contract()
    deliver(contract, {"type": "error", "code": "rate_limited", "ref": "a-0"}, ack("a", 1), reader="a")
    deliver(contract, said(11, "a", 1))
    contract.finish()
    assert contract.faults() == ["a was refused: rate_limited"]


def test_a_goodbye_is_right_once_the_server_drains() -> None:
    contract = make_contract()
    contract.draining = True
    deliver(contract, {"type": "bye", "code": "draining"})
    contract.lose("b")
    contract.finish()
    assert contract.faults() == []
    deliver(contract, {"type": "bye", "code": "internal"})
    assert contract.faults() == ["b was disconnected: bye internal"]


def test_a_lost_connection_is_a_fault() -> None:
    contract = make_contract()
    contract.lose("b")
    assert contract.faults() == ["b lost its connection"]


def test_faults_are_bounded() -> None:
    contract = make_contract()
    for number in range(2 * FAULTS_MAX):
        deliver(contract, {"type": "error", "code": f"code{number}"})
    assert len(contract.faults()) == FAULTS_MAX


@pytest.mark.parametrize(
    ("after", "left"),
    [
        (Delay(), 1.0),
        (Delay(server_waited_s=0.7), 0.3),
        (Delay(own_waited_s=0.6), 0.4),
        (Delay(server_waited_s=0.7, own_waited_s=0.6), 0.3),  # at the same moment, perhaps
        (Delay(server_waited_s=0.7, server_threads_s=0.5), 0.8),  # the server has held itself up
        (Delay(server_waited_s=0.7, server_threads_s=0.9), 1.0),
        (Delay(server_waited_s=5.0, server_ran_s=0.2), 0.2),  # began to wait long before
        (Delay(server_waited_s=0.7, server_ran_s=0.9), 0.9),
        (Delay(server_ran_s=1.1), 1.0),
    ],
)
def test_the_machines_delay_is_not_the_servers(after: Delay, left: float) -> None:
    before = Delay(3.0, 2.0, 1.0, 4.0)
    shifted = Delay(*(first + more for first, more in zip(before, after, strict=True)))
    assert without_delay(1.0, before, shifted) == pytest.approx(left)
    contract = WitnessContract(("a", "b"))
    contract.enter("b", 0)
    contract.add_line("a", Moment(1.0, before))
    contract.receive("b", said(1, "a", 0), Moment(2.0, shifted))
    (line,) = contract.lines["a"]
    assert line.latency_s == pytest.approx(left)
    assert line.raw_latency_s == 1.0


def test_a_delay_is_the_sum_of_the_right_threads() -> None:
    server = {7: (1_000_000_000, 2_000_000_000), 8: (3_000_000_000, 9), 9: (500_000_000, 9)}
    own = {20: (1, 250_000_000), 21: (1, 250_000_000)}
    assert total_delay(server, 7, own) == Delay(2.0, 1.0, 3.5, 0.5)
    assert total_delay({}, 7, {}) == Delay()
