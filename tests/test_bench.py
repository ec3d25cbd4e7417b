"""The benchmark's judge judges rightly, and its report keeps what people wrote. No speed is asserted here."""

import sys
from dataclasses import replace

import pytest
from msgspec import json

from tests.bench import words
from tests.bench.dialect import frame, make_text, ref_of
from tests.bench.errors import BenchError
from tests.bench.plan import Figure
from tests.bench.report import render, splice
from tests.bench.results import Results
from tests.bench.tables import amount
from tests.bench.transcript import Acks, Company, Standing, Transcript, number_of, ref_for
from tests.bench.wanted import Wanted

linux = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark wants epoll and /proc")


def said(seq: int, sender: int, number: int, text: str | None = None) -> bytes:
    text = text or make_text(ref_for(sender, number))
    return frame(json.encode({"type": "said", "room": "room", "seq": seq, "at": 1, "by": "u1", "text": text}))


def ack(ref: str, seq: int) -> bytes:
    return frame(json.encode({"type": "ack", "ref": ref, "room": "room", "seq": seq}))


def test_a_text_tells_its_ref_and_whether_it_is_whole() -> None:
    text = make_text(ref_for(3, 70), 100)
    assert len(text) == 100
    assert number_of(ref_of(text)) == (3, 70)
    with pytest.raises(ValueError, match="not a text of ours"):
        ref_of(text.replace("fox", "dog"))


@pytest.mark.parametrize("step", [1, 7, 200, 10_000])
def test_members_may_receive_the_same_in_any_pieces_and_any_of_them_first(step: int) -> None:
    stream = said(8, 0, 0) + said(9, 1, 5) + said(10, 0, 1)
    transcript = Transcript([0, 5])
    at = transcript.take(0, stream[:50])
    for start in range(0, len(stream), step):
        assert transcript.take(start, stream[start : start + step]) == min(start + step, len(stream))
    assert transcript.take(at, stream[50:]) == len(transcript) == len(stream)
    assert [number_of(ref) for ref in transcript.refs] == [(0, 0), (1, 5), (0, 1)]
    assert transcript.seqs == [8, 9, 10]
    assert transcript.messages_through(len(stream) - 1) == 2


@pytest.mark.parametrize(
    ("stream", "says"),
    [
        (said(1, 0, 1), "message 1 came, 0 was next"),
        (said(1, 0, 0) + said(2, 0, 0), "message 0 came, 1 was next"),
        (said(1, 0, 0) + said(3, 0, 1), "number 3 came after 1"),
        (said(1, 0, 0, "hello"), "a message without a sender"),
        (frame(b'{"type":"error","code":"unavailable"}'), "a message without a sender"),
        (frame(b"?"), "a message without a sender"),
    ],
)
def test_what_is_lost_doubled_or_changed_for_all_is_found(stream: bytes, says: str) -> None:
    with pytest.raises(BenchError, match=says):
        Transcript([0]).take(0, stream)


def test_a_difference_for_a_single_member_is_found() -> None:
    stream = said(1, 0, 0) + said(2, 0, 1)
    transcript = Transcript([0])
    transcript.take(0, stream)
    with pytest.raises(BenchError, match="different bytes"):
        transcript.take(0, stream[: len(stream) // 2][:-1] + b"x")
    with pytest.raises(BenchError, match="different bytes"):
        transcript.take(0, said(2, 0, 1))


def test_acks_are_taken_out_and_held_against_what_was_shown() -> None:
    stream = said(1, 0, 0) + said(2, 1, 0) + said(3, 0, 1)
    mine = ack(ref_for(0, 0), 1) + stream + ack(ref_for(0, 1), 3)
    transcript, acks = Transcript([0, 0]), Acks()
    sifted = b"".join(acks.sift(mine[start : start + 9]) for start in range(0, len(mine), 9))
    assert sifted == stream
    transcript.take(0, sifted)
    acks.check(transcript, sender=0)
    with pytest.raises(BenchError, match="acked twice"):
        acks.sift(ack(ref_for(0, 1), 3))
    wrong = Acks()
    wrong.sift(ack(ref_for(0, 0), 1) + ack(ref_for(0, 1), 2))
    with pytest.raises(BenchError, match="acks and messages differ"):
        wrong.check(transcript, sender=0)


def test_one_member_hears_how_many_there_are() -> None:
    company = Company()
    notices = b"".join(frame(b'{"type":"presence","room":"room","members":%d}' % each) for each in (2, 3))
    company.hear(notices[:-5])
    assert company.members == 2
    company.hear(notices[-5:] + said(1, 0, 0))
    assert company.members == 3
    company.forget()
    assert company.members == 0


def test_who_is_last_is_known_without_asking_everybody() -> None:
    standing = Standing(3)
    standing.move(0, 10)
    standing.move(0, 20)
    assert standing.lowest() == 0
    standing.move(0, 10)
    assert standing.lowest() == 10
    standing.leave(10)
    standing.leave(10)
    assert standing.lowest() == 20


@linux
def test_what_the_kernel_holds_is_read_from_its_table() -> None:
    from tests.bench.stalls import queued_bytes

    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
    server = "   1: 0100007F:1F90 0100007F:9C40 01 00000100:00000007 00:00000000 00000000     0\n"
    client = "   2: 0100007F:9C40 0100007F:1F90 01 00000003:00000020 00:00000000 00000000     0\n"
    other = "   3: 0100007F:1F90 0100007F:9C41 01 00000100:00000000 00:00000000 00000000     0\n"
    assert queued_bytes(head + server + client + other, [0x9C40]) == 0x120


@linux
def test_a_talk_with_the_reference_server_loses_nothing() -> None:
    from tests.bench.crowd import Crowd
    from tests.bench.dialect import PLAIN
    from tests.bench.process import ServerProcess, reference
    from tests.bench.talk import Sender, Talk

    with ServerProcess.running(reference("shared"), None) as server, Crowd(server.port, PLAIN) as crowd:
        members = crowd.connect(5)
        crowd.settle(quiet_s=0.05)
        talk = Talk(crowd, server, Sender.of(members[:2]))
        talk.hold(members[4:])
        talk.burst(3, messages=40)
        talk.catch_up()
        talk.resume()
        spent = talk.finish()
        assert (spent.messages, spent.deliveries) == (40, 200)


def test_bounds_are_judged() -> None:
    wanted = Wanted(2.0, 1.2)
    assert [wanted.judge(value) for value in (1.2, 2.0, 2.1)] == ["aim", "must", "**no**"]
    least = Wanted(0.1, 0.3, least=True)
    assert [least.judge(value) for value in (0.3, 0.1, 0.05)] == ["aim", "must", "**no**"]
    assert least.row(0.2) == ["≥ 0.1", "≥ 0.3", "must"]


def test_amounts_have_the_digits_that_count() -> None:
    assert [amount(value) for value in (0.1234, 9.876, 12.34, 1234.5)] == ["0.12", "9.88", "12.3", "1,234"]


NOTHING = Results(
    {"cores": "2"}, {}, "there is no `gcc`", pinned=True, files=1024, load=0.1, steal=0.01, minutes=1.0
)


def test_a_page_without_the_yardstick_says_why() -> None:
    page = render(NOTHING)
    assert "Left out in this run: there is no `gcc`." in page
    assert "1.0% of the cores' time" in page


def test_a_page_shows_medians_beside_what_is_wanted() -> None:
    idle: list[Figure] = [{"members": 1_000, "rss_kib": 2048, "kib_a_connection": 6.5}]
    stalls: list[Figure] = [
        {
            "pair": pair,
            "members": 500,
            "stalled": stalled,
            "p50_ms": p50,
            "p99_ms": 9.0,
            "kernel_bytes": 2048 * stalled,
            "behind_bytes": 4096 * stalled,
        }
        for pair, stalled, p50 in [
            (0, 0, 1.0),
            (0, 1, 1.05),
            (1, 0, 4.0),
            (1, 1, 4.4),
            (2, 0, 2.0),
            (2, 1, 2.0),
        ]
    ]
    page = render(replace(NOTHING, figures={"memory": idle, "stalled": stalls}))
    assert "| 1,000 | 2.00 | 6.50 | ≤ 8 | ≤ 5 | must |" in page
    assert "| everybody reads | 2.00 | 1.00–4.00 | 9.00 |" in page
    assert "Median of the changes from turn to turn: +5 % (must: ≤ 10 %, met: must)." in page


def test_a_page_shows_what_a_simulated_chat_costs() -> None:
    seeds: list[Figure] = [
        {"seed": seed, "ms": ms, "deliveries": 5_700, "struck": 6, "us": ms / 5.7}
        for seed, ms in ((0, 70.0), (1, 90.0), (4, 300.0))
    ]
    page = render(replace(NOTHING, figures={"sim": seeds}))
    assert "Medians over\n3 seeds, each run three times." in page
    assert "| a run, ms (must: ≤ 150, aim: ≤ 75, met: must) | 90.0 |" in page
    assert "| for each delivery that was judged, µs | 15.8 |" in page


def test_what_is_written_by_hand_stays() -> None:
    assert splice("new\n", "").endswith(f"new\n\n{words.BY_HAND}\n")
    by_hand = f"{words.BEGIN}\n\n## Where the microseconds go\n\nHere.\n\n{words.END}"
    assert splice("new\n", f"old\n\n{by_hand}\n") == f"new\n\n{by_hand}\n"
