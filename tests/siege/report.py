"""The results of a siege as a table, for a terminal and for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, isinf

from tests.bench import words
from tests.bench.tables import amount, table
from tests.siege.run import Outcome
from tests.siege.verdict import Bounds, Measurement, Phase, ratio

__all__ = ["BEGIN", "END", "as_json", "render", "section", "splice"]

BEGIN = "<!-- siege: begin; made by `nox -s siege -- --write` -->"
END = "<!-- siege: end -->"

HEAD = [
    "attack",
    "item",
    "quiet p50, ms",
    "max",
    "attacked p50, ms",
    "max",
    "ratio",
    "MiB before",
    "peak",
    "after",
    "verdict",
]

INTRODUCTION = """## Under attack

`nox -s siege`: each attack runs for {seconds:.0f} s or longer against a fresh server on one core, over
loopback. Two witnesses chat all the while in a room of their own, at 4.8 lines a second each. A latency is
from sending a line to its receipt by the other witness, less the time for which the server or the witnesses
were ready to run and other processes had the core. *Quiet* is before the attack, in the same run. The ratio
is of the p50s; a quiet p50 below {floor:.0f} ms counts as {floor:.0f} ms.

An attack is withstood if the ratio is at most {ratio:.0f}, the maximum is below {most:.1f} s, no line of a
witness is refused, lost, doubled or out of order, what the attack itself requires holds, and the server's
memory returns to {memory:.2f} × what it was plus {slack} MiB, or more where the attack fills bounded caches.
Where an attack stops the server's process, latency is not judged; where the server runs without its rates,
only the maximum is. docs/testing.md says how to run it.

"""


def render(outcomes: Sequence[Outcome], bounds: Bounds) -> str:
    """Return a table with a line for each attack, and below it what was wrong."""
    rows = [_row(outcome, bounds) for outcome in outcomes if outcome.measurement]
    parts = [table(HEAD, rows)] if rows else []
    parts += [f"{each.attack.name}: left out, {each.left_out}\n" for each in outcomes if each.left_out]
    parts += [
        f"{each.attack.name}: {each.attack.sentence}\n" + "".join(f"    {fault}\n" for fault in each.faults)
        for each in outcomes
        if each.red
    ]
    return "\n".join(parts)


def section(outcomes: Sequence[Outcome], bounds: Bounds, machine: Mapping[str, str], attack_s: float) -> str:
    """Return the section of docs/benchmarks.md, markers included."""
    introduction = INTRODUCTION.format(
        seconds=attack_s,
        floor=bounds.floor_s * 1e3,
        ratio=bounds.ratio,
        most=bounds.max_s,
        memory=bounds.memory_ratio,
        slack=bounds.memory_kib >> 10,
    )
    where = ", ".join(f"{name} {value}" for name, value in machine.items())
    measured = [outcome for outcome in outcomes if outcome.measurement]
    sentences = "".join(f"- `{each.attack.name}`: {each.attack.sentence}\n" for each in measured)
    rows = table(HEAD, [_row(outcome, bounds) for outcome in measured])
    return f"{BEGIN}\n\n{introduction}{rows}\n{sentences}\nMachine: {where}.\n\n{END}"


def splice(made: str, page: str) -> str:
    """Return the page with its section of this kind replaced, or added at the end of what is kept by hand."""
    begin, end = page.find(BEGIN), page.find(END)
    if 0 <= begin < end:
        return page[:begin] + made + page[end + len(END) :]
    by_hand = page.find(words.END)
    if by_hand < 0:
        return f"{page.rstrip()}\n\n{made}\n"
    return f"{page[:by_hand]}{made}\n\n{page[by_hand:]}"


def as_json(outcomes: Sequence[Outcome], bounds: Bounds, machine: Mapping[str, str]) -> dict[str, object]:
    """Return everything that was measured, with every latency."""
    return {
        "machine": dict(machine),
        "attacks": [
            {
                "name": each.attack.name,
                "item": each.attack.item,
                "left_out": each.left_out,
                "tries": each.tries,
                "faults": list(each.faults),
                **(_figures(each.measurement, bounds) if each.measurement else {}),
            }
            for each in outcomes
        ],
    }


def _figures(measurement: Measurement, bounds: Bounds) -> dict[str, object]:
    return {
        "ratio": _finite(ratio(measurement, bounds)),
        **{
            name: {
                "latencies_s": [_finite(latency) for latency in phase.latencies_s],
                "raw_latencies_s": [_finite(latency) for latency in phase.raw_latencies_s],
            }
            for name, phase in (
                ("quiet", measurement.quiet),
                ("prepare", measurement.prepare),
                ("attack", measurement.attack),
                ("teardown", measurement.teardown),
                ("after", measurement.after),
            )
        },
        "memory_kib": [
            measurement.memory_before_kib,
            measurement.memory_peak_kib,
            measurement.memory_after_kib,
        ],
        "stop_s": measurement.stop_s,
        "late_s": measurement.late_s,
        "counts": measurement.counts,
    }


def _finite(value: float) -> float | None:
    return None if isinf(value) else value


def _row(outcome: Outcome, bounds: Bounds) -> list[str]:
    measurement = outcome.measurement
    assert measurement is not None, "an attack that was left out has no figures"
    attack = outcome.attack
    judged = attack.latency != "none"
    quotient = ratio(measurement, bounds)
    after = "–" if attack.stops_server else f"{measurement.memory_after_kib >> 10}"
    verdict = "**red**" if outcome.red else "withstood"
    if outcome.tries > 1 and not outcome.red:
        verdict += f", try {outcome.tries}"
    return [
        attack.name,
        f"{attack.item}" if attack.item else "–",
        *_cells(measurement.quiet),
        *_cells(measurement.attack),
        ("never" if quotient == inf else amount(quotient)) if judged else "–",
        f"{measurement.memory_before_kib >> 10}",
        f"{measurement.memory_peak_kib >> 10}",
        after,
        verdict,
    ]


def _cells(phase: Phase) -> list[str]:
    return ["never" if isinf(value) else amount(value * 1e3) for value in (phase.p50_s, phase.max_s)]
