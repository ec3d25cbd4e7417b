"""The verdict and the report: the order of verdicts, the last line, the JSON."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from loadtest.report import as_json, lines, report, write_json
from loadtest.scenario import CannotRun, Scenario
from loadtest.verdict import Figures, RunResult, Series, Verdict
from trio_chat.contract import Breach, BreachKind

SERIES = Series(1_000, 1.5, 2.5, 9.87, 12.0, 13.0, 2.0)
FIGURES = Figures(
    sent=100,
    rate=50.0,
    deliveries=1_000,
    delivery_rate=500.0,
    missed=0,
    again=0,
    gaps=0,
    refused={},
    trips={},
    series={"delivery": SERIES, "ack": SERIES, "lag": SERIES},
)
FINE_LINE = (
    "FINE: 1,000 deliveries verified, none lost, doubled, reordered or made up;"
    " p50 1.5 ms, p99 9.9 ms (exit 0)"
)
FINE = RunResult(FIGURES, {}, [])
MISSED = replace(FINE, missed=["p99 > 5ms: 9.87 ms"])
INVALID = replace(MISSED, invalid=["the generator could not keep up"])
BREACH = Breach(
    BreachKind.LOST, "room0", "u7", "u7 missed room0 17–19 between joining at 12 and quitting at 40"
)
BROKEN = replace(INVALID, kinds={"lost": 3}, breaches=[BREACH])
INTERRUPTED = replace(FINE, invalid=["stopped while talking"], stopped=Verdict.INTERRUPTED)
TERMINATED = replace(INTERRUPTED, stopped=Verdict.TERMINATED)


@pytest.mark.parametrize(
    ("outcome", "status", "says"),
    [
        (
            FINE,
            0,
            FINE_LINE,
        ),
        (MISSED, 1, "THRESHOLD MISSED: p99 > 5ms: 9.87 ms; 1,000 deliveries verified (exit 1)"),
        (INVALID, 4, "INVALID: the generator could not keep up (exit 4)"),
        (BROKEN, 3, "BROKEN: 3 lost; 1,000 deliveries were right (exit 3)"),
        (
            INTERRUPTED,
            130,
            "INTERRUPTED: stopped while talking; until then 1,000 deliveries verified (exit 130)",
        ),
        (
            TERMINATED,
            143,
            "TERMINATED: stopped while talking; until then 1,000 deliveries verified (exit 143)",
        ),
        (
            replace(BROKEN, invalid=["stopped while talking"], stopped=Verdict.INTERRUPTED),
            130,
            "INTERRUPTED: stopped while talking; until then 3 lost; 1,000 deliveries were right (exit 130)",
        ),
        (
            replace(INTERRUPTED, figures=replace(FIGURES, sent=0, deliveries=0)),
            130,
            "INTERRUPTED: stopped while talking (exit 130)",
        ),
    ],
)
def test_the_last_line_is_the_verdict(outcome: RunResult, status: int, says: str) -> None:
    assert outcome.verdict == status
    assert list(lines(Scenario(), outcome))[-1] == says


def test_further_counts_are_reported() -> None:
    figures = replace(
        FIGURES,
        missed=3,
        again=2,
        gaps=7,
        refused={"unavailable": 4},
        trips={"quit": 2, "fin": 1},
    )
    output = "\n".join(lines(Scenario(), replace(FINE, figures=figures)))
    assert "3 disconnects (2 by quit, 1 by fin)" in output
    assert "2 messages were sent again after a reconnect, with the same ref" in output
    assert "7 deliveries were left out, as announced by gap events" in output
    assert "3 messages were not sent in time" in output
    assert "refused: unavailable 4 times" in output


def test_some_breaches_of_each_kind_are_shown() -> None:
    other = Breach(BreachKind.LATE, "room0", "u9", "u9 was shown room0 41 after leaving at 40")
    output = list(
        lines(Scenario(), replace(BROKEN, kinds={"lost": 24, "late": 1}, breaches=[BREACH] * 8 + [other]))
    )
    assert output.count(f"  lost: {BREACH.words}") == 5
    assert "  lost: … and 3 more (--json has them)" in output
    assert f"  late: {other.words}" in output
    assert "the generator could not keep up" in output, "a broken run also says why it would be invalid"


def test_a_stopped_run_has_the_figures_of_what_was_sent() -> None:
    output = "\n".join(lines(Scenario(), INTERRUPTED))
    assert "100 messages, 50.0/s; 1,000 deliveries verified, 500/s" in output
    nothing = replace(INTERRUPTED, figures=replace(FIGURES, sent=0, deliveries=0))
    assert list(lines(Scenario(), nothing)) == ["", "INTERRUPTED: stopped while talking (exit 130)"]


class Keeper:
    """Records how many lines were written before the verdict was kept, and before signals were ignored."""

    def __init__(self, out: io.StringIO) -> None:
        self._out = out
        self.kept_at = -1
        self.ignored_at = -1

    def keep(self) -> "Keeper":
        self.kept_at = self._out.getvalue().count("\n")
        return self

    def ignore_signals(self) -> None:
        self.ignored_at = self._out.getvalue().count("\n")


def test_signals_are_ignored_from_the_verdict_on(tmp_path: Path) -> None:
    """A reader may send signals as soon as it has the line, so they are ignored before it is written."""
    out = io.StringIO()
    keeper = Keeper(out)
    path = tmp_path / "report.json"
    report(Scenario(), None, FINE, str(path), Console(file=out), keeper.keep)
    written = out.getvalue().splitlines()
    assert written[-1] == FINE_LINE
    assert keeper.kept_at == keeper.ignored_at == len(written) - 1
    assert json.loads(path.read_text())["says"] == FINE.last_line


def test_without_the_json_there_is_no_verdict_line(tmp_path: Path) -> None:
    out = io.StringIO()
    keeper = Keeper(out)
    with pytest.raises(CannotRun, match="cannot write"):
        report(Scenario(), None, FINE, str(tmp_path), Console(file=out), keeper.keep)
    assert "100 messages" in out.getvalue()
    assert "FINE" not in out.getvalue()
    assert keeper.kept_at == -1


def test_left_rooms_are_reported_with_the_prune_command() -> None:
    one, some = (replace(FINE, rooms=[f"room{n}-ab12" for n in range(count)]) for count in (1, 3))
    words = "the messages stay in the server's journal (%s); stop the server, then remove them with:"
    assert list(lines(Scenario(), one))[-3:] == [
        words % "room0-ab12",
        "  trio-chat journal prune --room room0-ab12",
        FINE_LINE,
    ]
    command = "trio-chat journal prune --room room0-ab12 --room room1-ab12 --room room2-ab12"
    assert list(lines(Scenario(), some))[-3:] == [
        words % "room0-ab12 to room2-ab12, 3 rooms",
        f"  {command}",
        FINE_LINE,
    ]
    output = as_json(Scenario(), "192.0.2.1:5555", some)
    assert (output["rooms"], output["prune_command"]) == (some.rooms, command)


def test_without_left_rooms_there_is_no_line() -> None:
    assert not any("prune" in line for line in lines(Scenario(), FINE))
    output = as_json(Scenario(), "a server of its own", FINE)
    assert (output["rooms"], output["prune_command"]) == ([], "")


def test_json_is_the_documented_schema(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(path, as_json(Scenario(), "127.0.0.1:5555", BROKEN))
    output = json.loads(path.read_text())
    assert (output["schema"], output["verdict"], output["exit"]) == (1, "broken", 3)
    assert output["broken"] == {"lost": 3}
    assert output["breaches"] == [{"kind": "lost", "room": "room0", "user": "u7", "words": BREACH.words}]
    page = Path(__file__).parents[2].joinpath("docs", "loadtest.md").read_text()
    fields = [*output, *output["scenario"], *output["figures"], *output["figures"]["series"]["delivery"]]
    missing = [field for field in fields if f"`{field}`" not in page]
    assert not missing, f"docs/loadtest.md does not explain {missing}"
    undocumented = [kind for kind in BreachKind if f"`{kind}`" not in page]
    assert not undocumented, f"docs/loadtest.md does not explain {undocumented}"
    assert [verdict.name.lower() for verdict in Verdict if f"`{verdict.name.lower()}`" not in page] == []


def test_a_dash_writes_the_report_to_standard_output(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_json("-", {"says": "“…”"})
    assert json.loads(capfdbinary.readouterr().out) == {"says": "“…”"}
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_report_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match=r"cannot write .*: Is a directory"):
        write_json(tmp_path, {})
