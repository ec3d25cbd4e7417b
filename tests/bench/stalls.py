"""The scenarios of those who do not read: one session, and everybody at once.

A session counts as stalled when the kernel is full: until then the server has got rid of everything it
wanted to send. The kernel tells how much it holds for a connection (/proc/net/tcp); what was sent beyond
that is waiting in the server, as a cursor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from time import perf_counter

from tests.bench.crowd import Crowd, Member
from tests.bench.dialect import OURS, TEXT_BYTES
from tests.bench.errors import BenchError
from tests.bench.plan import Figure, Plan, Stage
from tests.bench.process import ServerProcess
from tests.bench.results import number
from tests.bench.rows import PACED_PER_S, WINDOW
from tests.bench.talk import Sender, Talk, percentile

__all__ = ["measure_everybody", "measure_stalled", "queued_bytes"]

SMALL_BUFFER_BYTES = 4_096
ORDINARY_BUFFER_BYTES = 1 << 20
LARGE_TEXT_BYTES = 4_000
BEHIND_BYTES = 500_000  # beyond what the kernel holds: surely behind
# Large texts: more than the kernel takes (Linux: 4 MiB unless told otherwise), less than the 8 MiB that the
# journal keeps of a room, since what it has forgotten cannot be caught up.
FILL_MAX = 1_300
ROUND = 100
JOURNAL_BYTES = 8 << 20
BUSY_PER_S = 1_000.0
RECOVERED_S = 0.1  # recovered: no member lacks a message older than this
RECOVERY_MAX_S = 20.0


def queued_bytes(table: str, ports: Iterable[int]) -> int:
    """What the kernel holds for connections whose clients have these ports, at both ends.

    `table` is /proc/net/tcp: a line a socket, `sl local remote state send:receive …`, in hexadecimal.
    """
    wanted = set(ports)
    held = 0
    for line in table.splitlines()[1:]:
        _, local, remote, _, queues, *_ = line.split()
        send, receive = (int(queue, 16) for queue in queues.split(":"))
        if int(remote.rpartition(":")[2], 16) in wanted:
            held += send  # by the server, and not yet by the client
        elif int(local.rpartition(":")[2], 16) in wanted:
            held += receive
    return held


def _held_by_kernel(members: Iterable[Member]) -> int:
    ports = [member.sock.getsockname()[1] for member in members]
    return queued_bytes(Path("/proc/net/tcp").read_text(), ports)


def measure_stalled(plan: Plan, stage: Stage) -> Iterator[Figure]:
    """The latency of all others while one session does not read, in turn with everybody reading."""
    fill = 0
    with ServerProcess.ours(stage.server_core) as server, Crowd(server.port, OURS) as crowd:
        senders = Sender.of(crowd.connect(plan.stalled)[:1])
        for pair in range(plan.stalled_pairs):
            # Whatever changes while this goes on, each comes first as often as second.
            for stalled in (True, False) if pair % 2 == 0 else (False, True):
                stage.say(f"stalled: {'one session stalls' if stalled else 'everybody reads'}, {pair + 1}")
                figure = _with_or_without(crowd, server, senders, plan, stalled=stalled, fill=fill)
                fill = int(number(figure, "filled_with"))
                yield {"pair": pair, **figure}


def _with_or_without(
    crowd: Crowd, server: ServerProcess, senders: list[Sender], plan: Plan, *, stalled: bool, fill: int
) -> Figure:
    """Without the stalled session, as much is said first as with it: so the server is in the same state."""
    extra = crowd.connect(1, receive_bytes=SMALL_BUFFER_BYTES) if stalled else []
    crowd.settle()
    talk = Talk(crowd, server, senders, text_bytes=LARGE_TEXT_BYTES)
    talk.hold(extra)
    if stalled:
        fill = _fill_sockets(talk, extra)
    else:
        talk.burst(WINDOW, messages=fill)
    talk.catch_up()
    server.wait_idle()
    talk.text_bytes = TEXT_BYTES
    talk.pace(PACED_PER_S / plan.stalled, plan.stalled_s)
    talk.catch_up()
    latencies_s = list(talk.latencies_s)
    held = _held_by_kernel(extra)
    behind = len(talk.transcript) - held if stalled else 0
    for member in extra:
        member.widen(ORDINARY_BUFFER_BYTES)
    talk.resume()
    talk.finish()  # the stalled one, too, has received everything
    crowd.part(extra)
    return {
        "members": plan.stalled,
        "stalled": int(stalled),
        "p50_ms": percentile(latencies_s, 50) * 1e3,
        "p99_ms": percentile(latencies_s, 99) * 1e3,
        "filled_with": fill,
        "kernel_bytes": held,
        "behind_bytes": behind,
    }


def _fill_sockets(talk: Talk, stalled: list[Member]) -> int:
    """Say large texts until the kernel takes no more for who does not read: how many that were."""
    before = len(talk.transcript)
    said = 0
    while said < FILL_MAX:
        talk.burst(WINDOW, messages=ROUND)
        said += ROUND
        if _held_by_kernel(stalled[:1]) + BEHIND_BYTES < len(talk.transcript) - before:
            break
    return said


def measure_everybody(plan: Plan, stage: Stage) -> Iterator[Figure]:
    """All members of a busy room stop reading together for a while, but for the one who talks."""
    stage.say("everybody: all stall together")
    with ServerProcess.ours(stage.server_core) as server, Crowd(server.port, OURS) as crowd:
        senders = Sender.of(crowd.connect(1))
        crowd.settle()
        _fill_journal(crowd, server, senders)
        others = crowd.connect(plan.stalled)
        crowd.settle()
        talk = Talk(crowd, server, senders)
        talk.pace(BUSY_PER_S, 1.0)
        rss = [server.rss_kib()]
        talk.hold(others)
        before = talk.everybody_has()
        missed, held = _talk_on(talk, others, plan, server, rss)
        talk.resume()
        recovered_s, drained_s = _recover(talk, server, rss, before + held)
        talk.pace(BUSY_PER_S, 0.5)
        spent = talk.finish()
        yield {
            "members": plan.stalled,
            "stall_s": plan.stall_s,
            "messages_per_s": BUSY_PER_S,
            "missed_bytes": missed,
            "kernel_bytes": held,
            "behind": int(held + BEHIND_BYTES // 2 < missed),
            "rss_before_kib": rss[0],
            "rss_most_kib": max(rss),
            "rss_after_kib": server.rss_kib(),
            "recovered_s": recovered_s,
            "drained_s": drained_s,
            "server_busy": spent.server_cpu_s / spent.seconds,
        }


def _fill_journal(crowd: Crowd, server: ServerProcess, senders: list[Sender]) -> None:
    """Say as much as the journal and the tail keep of a room: what grows later is what a stall costs."""
    talk = Talk(crowd, server, senders, text_bytes=LARGE_TEXT_BYTES)
    talk.burst(WINDOW, messages=JOURNAL_BYTES // LARGE_TEXT_BYTES)
    talk.finish()


def _talk_on(
    talk: Talk, stalled: list[Member], plan: Plan, server: ServerProcess, rss: list[int]
) -> tuple[int, int]:
    """Talk for as long as the stall lasts: what each missed, and how much of it the kernel holds for one.

    It begins with large texts, until the kernel is full: it would take all that is said in two seconds
    with small ones, and no session would be behind.
    """
    before = len(talk.transcript)
    until = perf_counter() + plan.stall_s
    talk.text_bytes = LARGE_TEXT_BYTES
    _fill_sockets(talk, stalled)
    talk.text_bytes = TEXT_BYTES
    while (left := until - perf_counter()) > 0:
        talk.pace(BUSY_PER_S, min(left, 0.1))
        rss.append(server.rss_kib())
    return len(talk.transcript) - before, _held_by_kernel(stalled[:1])


def _recover(talk: Talk, server: ServerProcess, rss: list[int], in_kernel: int) -> tuple[float, float]:
    """Talk on until no member is late any more.

    Return how long that takes, and after how long all members had read what the kernel held for them, which
    is the driver's work and not the server's.
    """
    resumed = perf_counter()
    drained_s = 0.0
    while talk.behind(RECOVERED_S):
        talk.pace(BUSY_PER_S, 0.02)
        rss.append(server.rss_kib())
        after_s = perf_counter() - resumed
        if not drained_s and talk.everybody_has() >= in_kernel:
            drained_s = after_s
        if after_s > RECOVERY_MAX_S:
            raise BenchError(f"not everybody had caught up {RECOVERY_MAX_S:.0f} s after the stall")
    recovered_s = perf_counter() - resumed
    return recovered_s, min(drained_s, recovered_s)
