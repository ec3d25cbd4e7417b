"""The journal's benchmark: who waits for an ack takes no other, and the page says what is met."""

import socket
from dataclasses import replace

import pytest

from tests.bench.acks import Client
from tests.bench.crowd import Member
from tests.bench.errors import BenchError
from tests.bench.plan import Figure
from tests.bench.report import render
from tests.bench.transcript import ref_for
from tests.test_bench import NOTHING, ack, said


@pytest.mark.parametrize("step", [1, 9, 60, 10_000])
def test_an_ack_is_found_in_any_pieces_between_other_frames(step: int) -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        client = Client(3, Member(mine))
        for number in range(2):
            client.say()
            assert client.ref == ref_for(3, number).encode()
            stream = said(6, 1, 7) + ack(ref_for(3, number), 7 + number) + said(7, 3, number)
            found = [client.hear(stream[at : at + step]) for at in range(0, len(stream), step)]
            assert [seq for seq in found if seq] == [7 + number]


def test_an_ack_of_something_else_is_no_ack() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        client = Client(0, Member(mine))
        client.say()
        with pytest.raises(BenchError, match="waited for the ack"):
            client.hear(ack(ref_for(0, 5), 1))


def test_a_later_client_of_a_member_uses_no_ref_again() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        member = Member(mine)
        refs = []
        for _ in range(2):
            client = Client(0, member)
            client.say()
            client.say()
            refs.append(client.ref.decode())
        assert refs == [ref_for(0, 1), ref_for(0, 3)]


def figures(file_share: float, others_ms: float) -> list[Figure]:
    made: list[Figure] = []
    indexed: Figure = {"per_s": 800 * file_share, "cpu_us": 30.0, "p50_ms": 2.0, "p99_ms": 9.0}
    made.append({"what": "acks", "journal": "file, indexed", "clients": 100, **indexed})
    for journal, share in (("memory", 1.0), ("file", file_share)):
        for clients in (100, 1):
            cost: Figure = {"per_s": 1_000 * share, "cpu_us": 20.0, "p50_ms": 1 / share, "p99_ms": 9.0}
            made.append({"what": "acks", "journal": journal, "clients": clients, **cost})
        for row in ("burst", "many"):
            spent: Figure = {"per_s": 5_000 * share, "cpu_us": 0.1}
            made.append({"what": "talk", "journal": journal, "row": row, "members": 500, **spent})
    made.append({"what": "store", "store_us": 7.0, "loop_us": 7.0 * file_share})
    latencies: Figure = {"alone_ms": 0.5, "meanwhile_ms": others_ms}
    made.append({"what": "behind", "entries": 1_000, "per_s": 600_000 * file_share, **latencies})
    return made


def test_the_page_says_what_of_the_journal_is_met() -> None:
    page = render(replace(NOTHING, figures={"journal": figures(0.9, 0.7)}))
    assert "| acked messages a second, 100 clients | 1,000 | 900 | 90 % | ≥ 60 |  | must |" in page
    assert "100 clients, the index made meanwhile | 1,000 | 720 | 72 % | ≥ 60 |  | must |" in page
    assert "| ack p50, one client, ms | 1.00 | 1.11 | +0.11 | ≤ 0.5 |  | must |" in page
    assert "| deliveries a second, many, 500 members | 5,000 | 4,500 | 90 % | ≥ 65 | ≥ 90 | aim |" in page
    assert "| CPU an entry, µs | 7.00 | 6.30 | 1.11 | ≤ 1.3 | must |" in page
    assert "| others' latency p50, ms: 0.50 before, 0.70 meanwhile | 1.40 × | ≤ 1.5 | must |" in page


def test_the_page_says_what_of_the_journal_is_not_met() -> None:
    page = render(replace(NOTHING, figures={"journal": figures(0.5, 0.9)}))
    assert page.count("**no**") == 8
