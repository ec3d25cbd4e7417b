"""The comparison of two commits: how pairs are measured, their verdicts, and the command line."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.bench import words
from tests.bench.checkout import ROOT, prepare
from tests.bench.errors import BenchError
from tests.bench.interval import RATIOS_MIN
from tests.bench.plan import PAIRING_QUICK, Pairing, Stage

linux = pytest.mark.skipif(sys.platform != "linux", reason="the benchmark wants epoll and /proc")


@linux
def test_every_row_of_a_pair_is_measured_end_to_end() -> None:
    from tests.bench.pairs import COMPARABLE, measure_pairs

    tiny = replace(PAIRING_QUICK, sizes=(3,), open_s=0.05, closed_s=0.02, acks_s=0.02, authors=(2,))
    said: list[str] = []
    this = prepare("this", ROOT)
    pairs = list(measure_pairs((this, this), COMPARABLE, 1, tiny, Stage(None, None, 1_024, said.append)))
    assert [(pair.row, pair.unit) for pair in pairs] == [
        ("low, 3 members", "µs of CPU a delivery"),
        ("burst, 3 members", "µs of CPU a delivery"),
        ("many, 3 members", "µs of CPU a delivery"),
        ("paced, 3 members", "µs of CPU a delivery"),
        ("paced, 3 members", "ms of latency, p50"),
        ("connects, 100 members", "µs of CPU a connection"),
        ("connects, 100 members", "µs a connection"),
        ("memory, 100 members", "KiB a connection"),
        ("journal, 2 authors", "µs of CPU an ack"),
        ("journal, 2 authors", "µs an ack"),
    ]
    assert all(pair.ratio > 0 for pair in pairs)


@linux
def test_each_server_comes_first_as_often_as_second() -> None:
    from tests.bench.pairs import order

    plan = Pairing()
    for turns in (plan.open_turns, plan.closed_turns, plan.arrival_turns, plan.ack_turns):
        for pair in (0, 1):
            turned = [order(pair + turn) for turn in range(turns)]
            assert turned.count((0, 1)) == turned.count((1, 0)) == turns / 2
    assert order(0) != order(1)


@linux
@pytest.mark.parametrize(("stolen", "measured"), [([0], 1), ([6], 1), ([7, 6], 2), ([9, 9, 9, 0], 3)])
def test_a_disturbed_pair_is_measured_again(stolen: list[int], measured: int) -> None:
    from tests.bench.pairs import Pair, undisturbed

    runs: list[list[Pair]] = []

    def measure() -> Iterator[Pair]:
        runs.append([Pair("burst", "µs", 1.0, float(len(runs) + 1))])
        yield from runs[-1]

    readings = iter([reading for taken in stolen for reading in ((50, 1_000), (50 + taken, 1_100))])
    kept = undisturbed(measure, Stage(None, None, 0, lambda _: None), lambda: next(readings))
    assert len(runs) == measured
    assert kept == runs[-1]


@linux
@pytest.mark.parametrize(("old", "new"), [(0.0, 1.0), (1.0, 0.0), (-4.0, 1.0)])
def test_a_figure_that_is_not_positive_has_no_ratio(old: float, new: float) -> None:
    from tests.bench.pairs import Pair

    with pytest.raises(BenchError, match=r"cannot compare memory: got .* KiB"):
        Pair("memory", "KiB", old, new)


def invoke(monkeypatch: pytest.MonkeyPatch, ratio: float, *args: str) -> tuple[Result, list[object]]:
    """Run the command with a comparison in which the second row has the given ratio."""
    from tests.bench import __main__ as command
    from tests.bench.comparison import Comparison
    from tests.bench.pairs import Pair

    asked: list[object] = []

    def compare(plan: Pairing, against: str, rows: Sequence[str], pairs: int) -> Comparison:
        asked.extend([plan, against, tuple(rows), pairs])
        measured = [Pair("low", "µs", 2.0, 2.0 + each / 1_000) for each in range(pairs)]
        measured += [Pair("burst", "µs", 0.1, 0.1 * (ratio + each / 1_000)) for each in range(pairs)]
        return Comparison("0ld", "0new", measured, pinned=True, load=0.5, steal=0.01, minutes=9.96)

    monkeypatch.setattr(command, "compare", compare)
    return CliRunner().invoke(command.main, ["--against", "HEAD~3", *args]), asked


@linux
def test_no_slower_row_is_exit_0(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.bench.pairs import COMPARABLE
    from tests.bench.plan import PAIRING

    result, asked = invoke(monkeypatch, 1.04)
    assert result.exit_code == 0
    assert asked == [PAIRING, "HEAD~3", COMPARABLE, 15]
    assert "|  | old 0ld | new 0new | new / old | 95 % interval | verdict |" in result.stdout
    assert "| low: µs | 2.00 | 2.01 | 1.004 | 1.002–1.006 | not slower |" in result.stdout
    assert "| burst: µs | 0.10 | 0.10 | 1.047 | 1.043–1.051 | not slower |" in result.stdout
    assert "from number 4 to number 12 of the sorted ratios" in result.stdout
    assert "true median with a probability of 96.5%" in result.stdout
    assert "1 of 2 intervals reach above 1.05" in result.stdout
    assert result.stdout.endswith("No row is slower.\n")


@linux
def test_a_slower_row_is_exit_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    raw = tmp_path / "raw.json"
    result, asked = invoke(monkeypatch, 1.06, "--quick", "--json", str(raw), "burst", "low")
    assert result.exit_code == 1
    assert asked == [PAIRING_QUICK, "HEAD~3", ("burst", "low"), RATIOS_MIN]
    assert "| burst: µs | 0.10 | 0.11 | 1.062 | 1.060–1.065 | slower |" in result.stdout
    assert result.stdout.endswith("Slower: burst (µs).\n")
    assert '"ratio"' not in raw.read_text() and '"new": 0.106' in raw.read_text()


@linux
def test_a_faster_row_is_exit_0(monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = invoke(monkeypatch, 0.9)
    assert result.exit_code == 0
    assert "| 0.907 | 0.903–0.911 | faster |" in result.stdout


@linux
@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--against", "-"], "Error: "),  # also where the tests are not in a git checkout
        (
            ["--against", "HEAD", "rooms"],
            "Error: invalid row with --against: got rooms, expected low, burst,",
        ),
        (["--against", "HEAD", "--pairs", "5"], "5 is not in the range 6<=x<=200"),
        (["--against", "HEAD", "--pairs", "201"], "201 is not in the range 6<=x<=200"),
        (["--pairs", "15"], "Error: --pairs needs --against COMMIT"),
    ],
)
def test_without_a_verdict_it_is_exit_2(args: list[str], message: str) -> None:
    from tests.bench.__main__ import main

    result = CliRunner().invoke(main, args)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output


@linux
@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (BenchError("3 messages were said, 2 came"), "Error: 3 messages were said, 2 came\n"),
        (
            ConnectionResetError(104, "Connection reset by peer"),
            "Error: cannot measure: [Errno 104] Connection",
        ),
    ],
)
def test_a_failed_measurement_is_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, message: str
) -> None:
    from tests.bench import __main__ as command

    def fail(*_: object) -> None:
        raise failure

    for name, args in (("compare", ["--against", "HEAD"]), ("run", ["--quick"])):
        monkeypatch.setattr(command, name, fail)
        result = CliRunner().invoke(command.main, args)
        assert result.exit_code == 2
        assert result.stderr.startswith(message) and result.stderr.count("\n") == 1


def test_the_page_explains_the_bench_as_the_generator_does() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for text in (words.INTRODUCTION, words.HOW, words.READING):
        assert text in page
