"""The result of a run. Pure.

A breach outweighs everything, since the received events prove it. Next comes an invalid run, in which the
generator could not keep up or was rate limited: its figures do not describe the server. Only then do
thresholds count. A run that a signal ended always has the verdict of that signal.
"""

from dataclasses import dataclass, field
from enum import IntEnum

from trio_chat.contract import Breach

__all__ = ["Figures", "RunResult", "Series", "Verdict"]


class Verdict(IntEnum):
    """The exit status."""

    FINE = 0
    THRESHOLD = 1
    COULD_NOT_RUN = 2
    BROKEN = 3
    INVALID = 4
    INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it
    TERMINATED = 143  # SIGTERM


@dataclass(frozen=True, slots=True)
class Series:
    """A summary of latencies, in milliseconds."""

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    mean_ms: float


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a run. Rates are measured while messages are due, without the phases around that."""

    sent: int
    rate: float
    deliveries: int
    delivery_rate: float
    missed: int
    again: int
    gaps: int
    refused: dict[str, int]
    trips: dict[str, int]
    series: dict[str, Series]


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result: `kinds` counts breaches by kind, `breaches` describes the first thousand."""

    figures: Figures
    kinds: dict[str, int]
    breaches: list[Breach]
    invalid: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    """The thresholds that were true, each with its value."""
    rooms: list[str] = field(default_factory=list)
    """The rooms left in the journal of a server that was not started for the run."""
    stopped: Verdict | None = None
    """INTERRUPTED or TERMINATED for a run that a signal ended."""

    @property
    def verdict(self) -> Verdict:
        if self.stopped is not None:
            return self.stopped
        if self.kinds:
            return Verdict.BROKEN
        if self.invalid:
            return Verdict.INVALID
        return Verdict.THRESHOLD if self.missed else Verdict.FINE

    @property
    def last_line(self) -> str:
        """The verdict in one line."""
        figures = self.figures
        deliveries = f"{figures.deliveries:,} deliveries"
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.kinds.items())
        match self.verdict:
            case Verdict.INTERRUPTED | Verdict.TERMINATED as stopped:
                found = [f"until then {kinds}; {deliveries} were right"] if kinds else []
                if figures.deliveries and not kinds:
                    found = [f"until then {deliveries} verified"]
                return f"{stopped.name}: {'; '.join(self.invalid + found)}"
            case Verdict.BROKEN:
                return f"BROKEN: {kinds}; {deliveries} were right"
            case Verdict.INVALID:
                return f"INVALID: {'; '.join(self.invalid)}"
            case Verdict.THRESHOLD:
                return f"THRESHOLD MISSED: {'; '.join(self.missed)}; {deliveries} verified"
            case _:
                latency = figures.series["delivery"]
                return (
                    f"FINE: {deliveries} verified, none lost, doubled, reordered or made up;"
                    f" p50 {latency.p50_ms:.1f} ms, p99 {latency.p99_ms:.1f} ms"
                )
