"""The tables of the journal in a file."""

from __future__ import annotations

from statistics import median

from tests.bench import words
from tests.bench.plan import Figure
from tests.bench.results import middle, number, values
from tests.bench.tables import amount, table
from tests.bench.wanted import (
    BEHIND,
    BEHIND_OTHERS,
    FILE_ACKS,
    FILE_ALONE,
    FILE_TALK,
    STORE,
    Wanted,
)
from trio_chat.server.maintenance import BACKLOG_MAX

__all__ = ["journal_section"]

_HEAD = ["", "in memory", "in a file", "", "must", "aim", "met"]


def journal_section(figures: list[Figure]) -> str:
    kinds = {kind: [each for each in figures if each["what"] == kind] for kind in ("acks", "talk")}
    store = [each for each in figures if each["what"] == "store"]
    behind = [each for each in figures if each["what"] == "behind"]
    text = words.JOURNAL.format(behind=f"{behind[0]['entries']:,}", backlog=f"{BACKLOG_MAX:,}")
    rows = _acks(kinds["acks"]) + _talk(kinds["talk"])
    return text + table(_HEAD, rows) + "\n" + _store(store) + "\n" + _behind(behind)


def _acks(figures: list[Figure]) -> list[list[str]]:
    rows = []
    memory, file = (
        middle(figures, "per_s", journal=journal, clients=100) for journal in ("memory", "file, indexed")
    )
    rows.append(
        _share("acked messages a second, 100 clients, the index made meanwhile", memory, file, FILE_ACKS)
    )
    for clients in dict.fromkeys(values(figures, "clients")):
        who = f"{clients:.0f} clients" if clients > 1 else "one client"
        memory, file = _both(figures, "per_s", clients=clients)
        rows.append(
            _share(f"acked messages a second, {who}", memory, file, FILE_ACKS if clients > 1 else None)
        )
        memory, file = _both(figures, "p50_ms", clients=clients)
        cells = FILE_ALONE.row(file - memory) if clients == 1 else ["", "", ""]
        rows.append([f"ack p50, {who}, ms", amount(memory), amount(file), f"{file - memory:+.2f}", *cells])
        memory, file = _both(figures, "cpu_us", clients=clients)
        rows.append(_share(f"CPU a message, {who}, µs", memory, file, None))
    return rows


def _talk(figures: list[Figure]) -> list[list[str]]:
    rows = []
    for row, wanted in FILE_TALK.items():
        for members in dict.fromkeys(values(figures, "members")):
            memory, file = _both(figures, "per_s", row=row, members=members)
            what = f"deliveries a second, {row}, {members:,.0f} members"
            # In a small room a message costs more than its deliveries: nothing is wanted there.
            rows.append(_share(what, memory, file, wanted if members >= 500 else None))
    return rows


def _both(figures: list[Figure], key: str, **where: float | str) -> tuple[float, float]:
    return middle(figures, key, journal="memory", **where), middle(figures, key, journal="file", **where)


def _share(what: str, memory: float, file: float, wanted: Wanted | None) -> list[str]:
    share = 100 * file / memory
    cells = wanted.row(share) if wanted else ["", "", ""]
    return [what, amount(memory), amount(file), f"{share:.0f} %", *cells]


def _store(figures: list[Figure]) -> str:
    store_us, loop_us = median(values(figures, "store_us")), median(values(figures, "loop_us"))
    must, _, met = STORE.row(store_us / loop_us)
    ratio = f"{store_us / loop_us:.2f}"
    rows = [["CPU an entry, µs", amount(store_us), amount(loop_us), ratio, must, met]]
    return table(["the store by itself", "the store", "a loop", "ratio", "must", "met"], rows)


def _behind(figures: list[Figure]) -> str:
    per_s = median(values(figures, "per_s"))
    alone, meanwhile = (median(values(figures, key)) for key in ("alone_ms", "meanwhile_ms"))
    ratio = median(number(each, "meanwhile_ms") / number(each, "alone_ms") for each in figures)
    must, _, met = BEHIND.row(per_s)
    most, _, fair = BEHIND_OTHERS.row(ratio)
    rows = [
        ["entries a second", f"{per_s:,.0f}", must, met],
        [f"others' latency p50, ms: {amount(alone)} before, {amount(meanwhile)} meanwhile", f"{ratio:.2f} ×"],
    ]
    rows[1] += [most, fair]
    return table(["one who is behind", "", "must", "met"], rows)
